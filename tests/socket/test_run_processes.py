"""``gridedge run`` against ``gridedge simulate``, both as processes, both killed in turn."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from field_processes import PATIENCE_S, SITE, Bench, bench, end

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.recording.command import replay_command

pytestmark = pytest.mark.socket

UNITS = {unit.id: unit for unit in load_site(find_site(SITE)).units if unit.kind.generates}
# What a unit may be off its set point: control error and the instruments' noise.
SLACK_FRAC = 0.02
SETTLE_S = 10.0  # site seconds


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def parted(tmp_path: Path) -> Iterator[Bench]:
    """Simulation and controller each by the machine's time."""
    with bench(tmp_path, shared=False) as made:
        yield made


def is_safe(truth: dict[str, Any], unit_id: str) -> bool:
    unit = UNITS[unit_id]
    return bool(truth["unit_p_w"][unit_id] >= unit.fail_safe.p_w - SLACK_FRAC * unit.p_rated_w)


def all_safe(line: dict[str, Any]) -> bool:
    return "truth" in line and all(is_safe(line["truth"], unit_id) for unit_id in UNITS)


def all_above_safe(line: dict[str, Any]) -> bool:
    return "truth" in line and not any(is_safe(line["truth"], unit_id) for unit_id in UNITS)


def test_killing_the_controller_leaves_every_unit_at_its_fail_safe_set_point_after_the_lease(field: Bench) -> None:
    field.simulate()
    truth = field.truth()
    controller = field.run()
    truth.until(all_above_safe, "the sun is used")
    end(controller, signal.SIGKILL)
    dead_s = truth.now_s()
    lease_s = max(unit.fail_safe.lease_s for unit in UNITS.values())
    ramp_s = max(unit.p_rated_w / unit.actuator.ramp_down_w_per_s for unit in UNITS.values())
    due_s = dead_s + lease_s + ramp_s + SETTLE_S
    seen = truth.until(lambda line: all_safe(line) or line.get("t_s", 0.0) > due_s, "the end of lease and ramp")
    assert all_safe(seen), f"at {seen['t_s']:g} s, due at {due_s:g} s: {seen['truth']['unit_p_w']}"


def test_the_controller_survives_the_loss_of_the_whole_field_and_goes_on_when_it_is_back(parted: Bench) -> None:
    simulator = parted.simulate()
    parted.truth()
    controller = parted.run()
    records = parted.records()
    records.until(
        lambda r: r["mode"] in ("normal", "degraded") and all(d["ok"] for d in r["devices"].values()), "start"
    )
    end(simulator, signal.SIGKILL)
    lost = records.until(lambda r: r["mode"] == "fail_safe", "fail-safe mode")
    assert not any(device["ok"] for device in lost["devices"].values())
    safe = {unit_id: unit.fail_safe.p_w for unit_id, unit in UNITS.items()}
    assert {s["unit"]: s["p_w"] for s in lost["setpoints"] if s["unit"] in safe} == safe
    parted.simulate()
    records.until(lambda r: r["mode"] in ("normal", "degraded"), "recovery")
    records.until(lambda r: all(device["ok"] for device in r["devices"].values()), "every device back")
    assert controller.poll() is None
    log = parted.log("run")
    assert "device.lost" in log
    assert "device.recovered" in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_writes_the_safe_set_points_and_leaves_no_process_and_no_file(
    field: Bench, number: signal.Signals
) -> None:
    field.simulate()
    truth = field.truth()
    controller = field.run()
    records = field.records()
    truth.until(all_above_safe, "the sun is used")
    assert end(controller, number) == 0
    last = records.until(lambda r: r["mode"] == "stopping", "the last record")
    assert {s["unit"]: s["p_w"] for s in last["setpoints"] if s["unit"] in UNITS} == {
        unit_id: unit.fail_safe.p_w for unit_id, unit in UNITS.items()
    }
    truth.until(all_safe, "every unit at its fail-safe set point")
    assert not (field.folder / "records").exists()
    assert "safe.written" in field.log("run")


def test_what_a_killed_controller_recorded_comes_out_the_same_again(field: Bench) -> None:
    """Up to ten cycles are missing at the end."""
    field.simulate()
    truth = field.truth()
    controller = field.run("--record", str(field.folder / "recordings"))
    truth.until(all_above_safe, "the sun is used")
    end(controller, signal.SIGKILL)
    result = CliRunner().invoke(replay_command, [str(field.folder / "recordings")])
    assert "cycles, identical" in result.output
    assert "torn (the writer was cut off)" in result.output
    assert result.exit_code == 0


def test_a_second_controller_on_the_same_socket_is_refused(parted: Bench) -> None:
    first = parted.run()
    parted.records()
    second = parted.run()
    assert second.wait(PATIENCE_S) == 1
    assert "another process listens there" in parted.log("run")
    assert first.poll() is None
