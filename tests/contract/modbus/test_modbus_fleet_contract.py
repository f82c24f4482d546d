"""Many devices polled together: the same values as one by one, and nobody waits for the sick."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hostile_modbus_server import HostileServer, Step, good, hostile, mbap

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.modbus.codec import write_register
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.profile_loader import parse_profile

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.25
TABLE = """
id: three_blocks
kind: meter
title: Three blocks, the register a holds the number a
protocol: modbus
source: made for this test
read: {{registers_max: 10, gap_max: 0, turnaround_s: {turnaround}, outstanding_max: {outstanding}}}
defaults: {{type: uint16, unit: "1", ref: none}}
points:
  a: {{at: 100}}
  b: {{at: 200, high: 1000}}
  c: {{at: 300, type: uint32}}
"""
ONE_BLOCK = """
id: one_block
kind: meter
title: One block, the register a holds the number a
protocol: modbus
source: made for this test
defaults: {type: uint16, unit: "1", ref: none}
points:
  a: {at: 100}
  b: {at: 101, low: 0, high: 1000}
"""
VALUES = {"a": 100.0, "b": 200.0, "c": 300.0 * 65536 + 301}

Behave = Callable[[bytes], Sequence[Step]]


def right(frame: bytes) -> Sequence[Step]:
    return (good(frame),)


class Watched:
    """A fleet, and everything that it has said."""

    def __init__(self, devices: list[ModbusDevice]) -> None:
        self.said: list[tuple[str, Mapping[str, Measurement]]] = []
        self.devices = devices
        self.clock = SystemClock()
        self.fleet = Fleet(devices, self.clock, self.take)

    def take(self, readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        self.said += readings.items()

    async def round(self, group: asyncio.TaskGroup, wait_s: float = 0.06) -> dict[str, Mapping[str, Measurement]]:
        """One tick, and what was said soon after."""
        self.said.clear()
        self.fleet.tick(group)
        await asyncio.sleep(wait_s)
        return dict(self.said)


@asynccontextmanager
async def fleet_of(
    *scripts: Sequence[Behave], turnaround: float = 0.0, outstanding: int = 1, blocks: int = 3
) -> AsyncIterator[tuple[Watched, list[HostileServer]]]:
    """One server and one device for every script, connected by a first round."""
    text = TABLE.format(turnaround=turnaround, outstanding=outstanding) if blocks == 3 else ONE_BLOCK
    profile = parse_profile(text, "fleet")
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(hostile(*[right] * blocks, *script)) for script in scripts]
        devices = []
        for index, server in enumerate(servers):
            device = Device(f"D{index}", "modbus", server.endpoint, 1, profile.id, {}, None, 0.2, 1.0, TIMEOUT_S)
            devices.append(ModbusDevice(device, profile, SystemClock(), random.Random(index)))
        watched = Watched(devices)
        for device in devices:
            await device.poll()
        yield watched, servers
        for device in devices:
            await device.aclose()


async def test_devices_polled_together_say_what_they_say_alone() -> None:
    async with fleet_of(*[()] * 5) as (watched, servers), asyncio.TaskGroup() as group:
        for _ in range(3):
            said = await watched.round(group)
            assert set(said) == {f"D{index}" for index in range(5)}
            for reading in said.values():
                assert {name: point.value for name, point in reading.items()} == VALUES
                assert all(point.usable for point in reading.values())
        assert [server.connections for server in servers] == [1] * 5
        assert all(device.counters.ok == 4 and device.session.counters.answers == 12 for device in watched.devices)


async def test_a_silent_device_delays_nobody_and_is_told_within_its_time_out() -> None:
    async with fleet_of((), [lambda _: ()] * 9, ()) as (watched, _), asyncio.TaskGroup() as group:
        assert set(await watched.round(group)) == {"D0", "D2"}
        assert watched.fleet.tick(group) == ["D1"], "it is still busy"
        await asyncio.sleep(TIMEOUT_S)
        silent = [reading for name, reading in watched.said if name == "D1"]
        assert len(silent) == 1
        assert all("no answer within the time-out" in point.reason for point in silent[0].values())
        assert sum(1 for name, _ in watched.said if name == "D0") == 2


@pytest.mark.parametrize("blocks", [1, 3])
async def test_a_tick_that_overtakes_the_gathering_loses_no_answer_and_makes_none_younger(
    blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.modbus.fleet.GATHER_S", 10.0)  # as long as a loop that is late by more than a period
    async with fleet_of((), [lambda _: ()] * 9, blocks=blocks) as (watched, _), asyncio.TaskGroup() as group:
        await watched.round(group)
        assert not watched.said, "D1 is silent, so D0 waits for company"
        ticked_s = watched.clock.now_s()
        watched.fleet.tick(group)
        (name, reading), *others = watched.said
        assert (name, others) == ("D0", [])
        assert reading["a"].value == VALUES["a"]
        assert reading["a"].measured_at_s < ticked_s
        await asyncio.sleep(TIMEOUT_S)


FAULTS: dict[str, Behave] = {
    "rst": lambda _: ("rst",),
    "half a frame and fin": lambda f: (good(f)[:9], "fin"),
    "wrong transaction": lambda f: (mbap(0, 1, good(f)[7:]),),
    "another function": lambda f: (good(f)[:7] + b"\x04" + good(f)[8:],),
    "one byte too many": lambda f: (good(f) + b"\0",),
    "glued": lambda f: (good(f) * 2,),
    "garbage": lambda _: (random.Random(5).randbytes(300),),
}


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("outstanding", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_any_block_gives_no_wrong_value_and_the_device_is_read_again(
    fault: str, outstanding: int, at: int
) -> None:
    script = [*[right] * at, FAULTS[fault]]
    async with fleet_of(script, (), outstanding=outstanding) as (watched, servers), asyncio.TaskGroup() as group:
        said = await watched.round(group)
        assert {name: point.value for name, point in said["D1"].items()} == VALUES
        points = said["D0"]
        assert any(not point.usable and point.reason for point in points.values())
        assert all(point.value == VALUES[name] for name, point in points.items() if point.usable)
        recovered_by = time.monotonic() + 1.0
        while not all(point.usable for point in (await watched.round(group)).get("D0", {"": points["c"]}).values()):
            assert time.monotonic() < recovered_by
        assert servers[0].used_at_once_max == 1


def refuse(frame: bytes) -> tuple[bytes]:
    return (mbap(struct.unpack_from(">H", frame)[0], 1, bytes((frame[7] | 0x80, 2))),)


@pytest.mark.parametrize("fault", [*FAULTS, "refusal", "silence", "in two parts", "closed before"])
async def test_a_device_of_one_block_recovers_from_every_fault_and_is_counted_rightly(fault: str) -> None:
    special: dict[str, Behave] = {
        "refusal": refuse,
        "silence": lambda _: (),
        "in two parts": lambda f: (good(f)[:8], 0.01, good(f)[8:]),
        "closed before": lambda f: (good(f), "fin"),
    }
    script = [FAULTS.get(fault) or special[fault]]
    async with fleet_of(script, *[()] * 4, blocks=1) as (watched, _), asyncio.TaskGroup() as group:
        first = await watched.round(group, 0.02 + (TIMEOUT_S if fault == "silence" else 0.04))
        assert all(point.value == 100.0 + (name == "b") for name, point in first["D4"].items())
        assert all(point.value == 100.0 + (name == "b") for name, point in first["D0"].items() if point.usable)
        device = watched.devices[0]
        patience = time.monotonic() + 1.5
        while not all(
            point.usable for point in (await watched.round(group)).get("D0", {"a": first["D0"]["a"]}).values()
        ):
            assert time.monotonic() < patience
        failed, ok = device.counters.failed, device.counters.ok
        for _ in range(3):
            assert {name: point.value for name, point in (await watched.round(group))["D0"].items()} == {
                "a": 100.0,
                "b": 101.0,
            }
        assert (device.counters.failed, device.counters.ok) == (failed, ok + 3)


async def test_a_refused_block_does_not_hide_the_others() -> None:
    async with fleet_of([right, refuse]) as (watched, servers), asyncio.TaskGroup() as group:
        points = (await watched.round(group))["D0"]
        assert points["b"].reason == "exception 2 illegal data address"
        assert (points["a"].value, points["c"].value) == (VALUES["a"], VALUES["c"])
        assert servers[0].connections == 1
        assert watched.devices[0].session.counters.exceptions == 1


async def test_a_device_that_takes_several_requests_at_once_gets_them_and_may_answer_in_any_order() -> None:
    held: list[bytes] = []

    def gather(frame: bytes) -> Sequence[Step]:
        held.append(frame)
        return () if len(held) < 3 else (b"".join(good(other) for other in reversed(held)),)

    async with fleet_of([gather] * 3, outstanding=3) as (watched, _), asyncio.TaskGroup() as group:
        reading = (await watched.round(group))["D0"]
        assert {name: point.value for name, point in reading.items()} == VALUES


async def test_a_device_that_wants_a_pause_between_requests_gets_it() -> None:
    async with fleet_of((), turnaround=0.02) as (watched, _), asyncio.TaskGroup() as group:
        await asyncio.sleep(0.03)
        assert not await watched.round(group, 0.03), "three blocks take two pauses"
        await asyncio.sleep(0.03)
        assert {name: point.value for name, point in watched.said[0][1].items()} == VALUES


async def test_a_write_waits_for_the_poll_under_way_and_goes_before_the_next() -> None:
    async with fleet_of([lambda f: (0.05, good(f))]) as (watched, servers), asyncio.TaskGroup() as group:
        watched.fleet.tick(group)
        device = watched.devices[0]
        deadline = asyncio.get_running_loop().time() + 1.0
        await device.session.request(write_register(1, 7, 1), deadline, urgent=True)
        assert [frame[7] for frame in servers[0].frames[3:]] == [3, 3, 3, 6]
        assert {name: point.value for name, point in watched.said[0][1].items()} == VALUES
