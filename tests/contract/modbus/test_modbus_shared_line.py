"""Several units behind one endpoint: one connection, and the sick ones do not hold up the healthy."""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest
from hostile_modbus_server import HostileServer, Step, hostile, mbap

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import Fleet
from drivers.modbus.lines import Lines
from drivers.profile_loader import load_profile

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.25
REFUSED_AFTER_S = 0.1


def gateway(sick: dict[int, Callable[[bytes], Sequence[Step]]]) -> Callable[[bytes], Sequence[Step]]:
    """Every register of a unit holds its unit id, except that sick units do what they do."""

    def behave(frame: bytes) -> Sequence[Step]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        function, _, count = struct.unpack_from(">BHH", frame, 7)
        if unit in sick:
            return sick[unit](frame)
        if function == 16:
            return (mbap(transaction, unit, frame[7:12]),)
        return (mbap(transaction, unit, struct.pack(f">BB{count}H", function, 2 * count, *[unit] * count)),)

    return behave


def behind(server: HostileServer, units: Sequence[int]) -> dict[int, ModbusDevice]:
    lines, clock = Lines(SystemClock(), random.Random(11)), SystemClock()
    profile = load_profile("ev_hub")
    return {
        unit: ModbusDevice(
            Device(f"D{unit}", "modbus", server.endpoint, unit, profile.id, {}, None, 0.2, 1.0, TIMEOUT_S),
            profile,
            clock,
            lines=lines,
        )
        for unit in units
    }


async def close(devices: dict[int, ModbusDevice]) -> None:
    for device in devices.values():
        await device.aclose()


async def test_units_behind_one_gateway_share_one_connection_and_never_their_values() -> None:
    async with hostile(*[gateway({})] * 200) as server:
        devices = behind(server, (1, 2, 3, 4, 5))
        for _ in range(3):
            readings = await asyncio.gather(*(device.poll() for device in devices.values()))
            for unit, reading in zip(devices, readings, strict=True):
                assert reading["p_w"].value == unit * 65537.0
        assert (server.connections, server.used_at_once_max) == (1, 1)
        await devices[1].aclose()
        assert (await devices[2].poll())["p_w"].usable, "the connection stays for those who are left"
        await close(devices)


def refused_late(frame: bytes) -> Sequence[Step]:
    """A gateway that waits for its unit in vain, and says so before our time-out."""
    transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
    return (REFUSED_AFTER_S, mbap(transaction, unit, bytes((frame[7] | 0x80, 11))))


def swapped(frame: bytes) -> Sequence[Step]:
    """A gateway that gives one unit the answer of another."""
    transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
    (count,) = struct.unpack_from(">H", frame, 10)
    return (mbap(transaction, unit ^ 1, struct.pack(f">BB{count}H", frame[7], 2 * count, *[unit ^ 1] * count)),)


SICK: dict[str, Callable[[bytes], Sequence[Step]]] = {
    "silent": lambda _: (),
    "reset": lambda _: ("rst",),
    "zeros": lambda _: (b"\0" * 300,),
    "half a frame": lambda frame: (frame[:6],),
    "its gateway says so, late": refused_late,
    "somebody else's answer": swapped,
}


@pytest.mark.parametrize("sickness", SICK.values(), ids=list(SICK))
async def test_a_sick_unit_costs_the_others_one_time_out_in_a_while_and_never_a_value(
    sickness: Callable[[bytes], Sequence[Step]],
) -> None:
    async with hostile(*[gateway({3: sickness})] * 2000) as server:
        devices = behind(server, (1, 2, 3, 4))
        good: dict[int, int] = dict.fromkeys(devices, 0)
        started = time.monotonic()
        rounds = 40
        for _ in range(rounds):
            readings = await asyncio.gather(*(device.poll() for device in devices.values()))
            for unit, reading in zip(devices, readings, strict=True):
                point = reading["p_w"]
                assert not point.usable or point.value == unit * 65537.0
                good[unit] += point.usable
            await asyncio.sleep(0.02)
        assert good[3] == 0
        assert all(good[unit] == rounds for unit in (1, 2, 4)), good
        asked = sum(1 for frame in server.frames if frame[6] == 3)
        assert asked <= 3 + math.log2(1.0 + (time.monotonic() - started) / 0.1), "the lost are sought sparingly"
        assert server.used_at_once_max == 1
        await close(devices)


async def test_a_unit_that_comes_back_is_read_again_and_a_write_to_a_healthy_one_gets_through() -> None:
    sick: dict[int, Callable[[bytes], Sequence[Step]]] = {2: lambda _: ()}
    async with hostile(*[gateway(sick)] * 2000) as server:
        devices = behind(server, (1, 2))
        for _ in range(3):
            await asyncio.gather(*(device.poll() for device in devices.values()))
        outcome = await devices[1].write({"consumption_w_max": 1e4}, 30.0, {"consumption_w_max": 0.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        del sick[2]
        back_by = time.monotonic() + 2.5
        while not (await devices[2].poll())["p_w"].usable:
            assert time.monotonic() < back_by
            await asyncio.sleep(0.05)
        await close(devices)


def now_and_then(sick: Callable[[bytes], Sequence[Step]]) -> Callable[[bytes], Sequence[Step]]:
    """A unit that its gateway misses every third time."""
    asked = count()

    def behave(frame: bytes) -> Sequence[Step]:
        return sick(frame) if next(asked) % 3 == 1 else gateway({})(frame)

    return behave


@pytest.mark.parametrize("together", [False, True], ids=["each by itself", "polled together"])
async def test_a_unit_that_its_gateway_misses_now_and_then_takes_no_more_than_a_fifth_of_it(together: bool) -> None:
    """It is never missed twice in a row, and so never suspect; each time costs the others a tenth of a second."""
    async with hostile(*[gateway({3: now_and_then(refused_late)})] * 5000) as server:
        devices = behind(server, (1, 2, 3, 4))
        loop = asyncio.get_running_loop()
        good: dict[int, int] = dict.fromkeys(devices, 0)

        def take(readings: Mapping[str, Mapping[str, Measurement]]) -> None:
            for name, reading in readings.items():
                point = reading["p_w"]
                assert not point.usable or point.value == int(name[1:]) * 65537.0
                good[int(name[1:])] += point.usable

        async def poll(device: ModbusDevice, until: float) -> None:
            while loop.time() < until:
                take({device.id: await device.poll()})
                await asyncio.sleep(0.02)

        began = loop.time()
        async with asyncio.TaskGroup() as group:
            if together:
                fleet = Fleet(devices.values(), SystemClock(), take)
                while loop.time() < began + 2.5:
                    fleet.tick(group)
                    await asyncio.sleep(0.02)
            else:
                for device in devices.values():
                    group.create_task(poll(device, began + 2.5))
        took_s = loop.time() - began
        refused = next(iter(devices.values())).session.counters.exceptions
        assert refused >= 3, "it is still asked"
        assert good[3] >= 2
        assert REFUSED_AFTER_S * refused <= 0.2 * took_s + 2 * REFUSED_AFTER_S, (refused, took_s, good)
        assert min(good[unit] for unit in (1, 2, 4)) > 8 * refused, good
        await close(devices)
