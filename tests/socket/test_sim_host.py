"""The simulator on real ports: it answers, takes faults, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from free_ports import free_port

from controller.config.loader import load_site
from controller.domain.site import Device, Site
from simulators.demo.unplug import unplug as unplug_command
from simulators.host import Host, HostSettings
from simulators.scenario import load_scenario
from simulators.world import World

SITE = Path(__file__).parents[2] / "site_configs" / "demo_primary.yaml"
pytestmark = pytest.mark.socket


def site_on_free_ports(keep: tuple[str, ...]) -> Site:
    """The demo site with a few of its devices."""

    def moved(device: Device) -> Device:
        return dataclasses.replace(device, endpoint=f"127.0.0.1:{free_port()}")

    site = load_site(SITE)
    return dataclasses.replace(site, devices=tuple(moved(item) for item in site.devices if item.id in keep))


def host(path: Path, *, speed: float = 50.0, duration_s: float = 1e9) -> Host:
    scenario = dataclasses.replace(load_scenario("demo_primary"), faults=())
    plant = World(site_on_free_ports(("MT1", "PVA")), scenario, 1)
    return Host(plant, HostSettings(speed, duration_s, 0, str(path)), lambda _: None)


def port_of(serving: Host, device: str) -> int:
    row = next(row for row in serving.endpoints.table() if row.device == device)
    return int(row.address.split(":")[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def appeared(path: Path) -> bool:
    return path.exists()


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(200):
        if appeared(path):
            return await asyncio.open_unix_connection(str(path), limit=1 << 20)
        await asyncio.sleep(0.02)
    raise AssertionError("the status socket did not appear")


async def message(reader: asyncio.StreamReader, key: str) -> dict[str, Any]:
    """The next line that has ``key``."""
    while True:
        line = await asyncio.wait_for(reader.readline(), 5.0)
        assert line, "the status socket closed"
        found: dict[str, Any] = json.loads(line)
        if key in found:
            return found


async def test_it_publishes_takes_faults_closes_a_killed_port_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "status"
    serving = host(path)
    running = asyncio.create_task(serving.run())
    reader, writer = await connect(path)
    status = await message(reader, "truth")
    assert 10e3 < status["truth"]["bus_u_v"]["BB"] < 12e3
    assert status["truth"]["unit_available_w"]["BAT1"] is None
    assert {item["id"] for item in status["score"]["limits"]} >= {"N3.voltage"}
    for command, ok in (
        ({"fault": "silent", "device": "MT1", "for_s": 600}, True),
        ({"kill": "PVA"}, True),
        ({"fault": "asleep", "device": "MT1"}, False),
        ({"kill": "NOBODY"}, False),
    ):
        writer.write(json.dumps(command).encode() + b"\n")
        assert (await message(reader, "ok"))["ok"] is ok
    later = await message(reader, "truth")
    assert later["t_s"] > status["t_s"]
    assert serving.world.devices["MT1"].silent
    assert listens(port_of(serving, "MT1"))
    assert not listens(port_of(serving, "PVA"))
    serving.stop()
    assert (await message(reader, "final"))["final"] is True
    await running
    writer.close()
    assert not path.exists()
    assert not listens(port_of(serving, "MT1"))


async def test_a_plug_is_pulled_and_put_back_from_another_terminal(tmp_path: Path) -> None:
    path = tmp_path / "status"
    serving = host(path)
    running = asyncio.create_task(serving.run())
    reader, writer = await connect(path)

    async def unplug(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, unplug_command, [*arguments, "--socket", str(path)])

    listed = await unplug()
    assert "MT1" in listed.output
    assert "PVA" in listed.output
    assert (await unplug("PVA")).output == "PVA falls silent\n"
    assert serving.world.devices["PVA"].silent
    pulled = await message(reader, "faults")
    while not pulled["faults"]:
        pulled = await message(reader, "faults")
    assert (pulled["faults"][0]["device"], pulled["faults"][0]["end_s"]) == ("PVA", None)
    assert (await unplug("PVA", "--back")).output == "PVA is well again\n"
    assert not serving.world.devices["PVA"].silent
    again = await unplug("PVA", "--back")
    assert (again.exit_code, again.output) == (1, "Error: nothing is wrong with PVA that could be mended\n")
    unknown = await unplug("T9")
    assert "no device or unit is called 'T9'; expected one of MT1, PVA" in unknown.output
    serving.stop()
    await running
    writer.close()
    assert "nobody listens at" in (await unplug("PVA")).output


async def test_it_ends_exactly_when_its_duration_is_over(tmp_path: Path) -> None:
    serving = host(tmp_path / "status", speed=2000.0, duration_s=300.5)
    final = await asyncio.wait_for(serving.run(), 10.0)
    assert final["t_s"] == pytest.approx(300.5)
    assert final["score"]["duration_s"] == pytest.approx(300.5)


async def test_a_machine_that_cannot_keep_up_holds_the_site_clock_back_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    serving = host(tmp_path / "status", speed=90_000.0, duration_s=3000.0)
    serving._say = said.append
    final = await asyncio.wait_for(serving.run(), 20.0)
    assert serving.world.steps == 3000
    assert final["score"]["duration_s"] == pytest.approx(3000.0)
    assert said == ["this machine cannot keep up with speed 90000: the site clock is held back"]


async def test_a_port_that_is_taken_is_named_and_no_other_stays_open(tmp_path: Path) -> None:
    serving = host(tmp_path / "status")
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", port_of(serving, "PVA")))
        squatter.listen()
        with pytest.raises(OSError, match=str(port_of(serving, "PVA"))):
            await serving.run()
    assert not listens(port_of(serving, "MT1"))
