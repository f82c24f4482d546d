"""``gridedge run``: what it makes of its options, and how it refuses what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from runtime_stubs import make_device, make_site

from controller.app import RunOptions, move_port, prepare, run, supported_commands


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(run, list(arguments))


@pytest.mark.parametrize(
    ("endpoint", "moved"),
    [
        ("127.0.0.1:1502", "127.0.0.1:11502"),
        ("rtu+tcp://10.0.0.5:502", "rtu+tcp://10.0.0.5:10502"),
        ("opc.tcp://plc.local:4840", "opc.tcp://plc.local:14840"),
        ("opc.tcp://plc.local:4840/station/1:2", "opc.tcp://plc.local:14840/station/1:2"),
        ("[::1]:502", "[::1]:10502"),
    ],
)
def test_the_port_of_an_endpoint_is_moved_and_nothing_else(endpoint: str, moved: str) -> None:
    assert move_port(endpoint, 10_000) == moved
    assert move_port(moved, -10_000) == endpoint


def test_without_an_offset_an_endpoint_is_left_alone_even_when_it_has_no_port() -> None:
    assert move_port("opc.tcp://plc.local", 0) == "opc.tcp://plc.local"


@pytest.mark.parametrize(
    ("endpoint", "offset", "message"),
    [("opc.tcp://plc.local/x", 1, "names no port"), ("h:65000", 1000, "is port 66000"), ("h:502", -502, "is port 0")],
)
def test_a_port_that_cannot_be_moved_is_refused(endpoint: str, offset: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        move_port(endpoint, offset)


def test_a_site_is_run_with_moved_ports_and_stretched_times() -> None:
    site = make_site((), (make_device("meter", {}, endpoint="127.0.0.1:1502"),), cycle_s=1.0)
    prepared = prepare(site, RunOptions(speed=80.0, port_offset=1, cycle_ms=25.0))
    assert prepared.devices[0].endpoint == "127.0.0.1:1503"
    assert (prepared.devices[0].poll_s, prepared.cycle.cycle_s) == (2.0, 2.0)


def test_the_commands_of_a_device_are_those_of_its_profile() -> None:
    found = supported_commands((make_device("inverter", {}, profile="sunspec_der"),))
    assert "generation_w_max" in found["inverter"]


def test_an_unknown_site_is_refused_in_one_line() -> None:
    result = invoke("no_such_site")
    assert result.exit_code == 1
    assert "no_such_site" in result.output
    assert "Traceback" not in result.output


def test_a_mistake_in_the_site_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("site:\n  id: 5\n")
    result = invoke(str(path))
    assert result.exit_code == 1
    assert "site.yaml:2: site.id" in result.output


@pytest.mark.parametrize(
    "option", [("--speed", "0"), ("--speed", "-1"), ("--speed", "nan"), ("--cycle-ms", "0"), ("--port-offset", "x")]
)
def test_an_option_that_makes_no_sense_is_refused(option: tuple[str, str]) -> None:
    result = invoke("no_such_site", *option)
    assert result.exit_code != 0
    assert "Traceback" not in result.output


@pytest.mark.parametrize("option", ["--record", "--record-socket"])
def test_a_place_for_records_that_cannot_be_is_refused_before_anything_is_controlled(
    option: str, tmp_path: Path
) -> None:
    result = invoke("secondary_rooftop", option, str(tmp_path / "nowhere" / "records"))
    assert result.exit_code == 1
    assert "nowhere" in result.output
    assert "No such file" in result.output
    assert "Traceback" not in result.output
