"""What sick devices may take from healthy ones: their work is bounded and never falls into the round of the others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
from hostile_modbus_server import HostileServer, good, hostile

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.modbus import fleet as fleet_module
from drivers.modbus.codec import read_registers
from drivers.modbus.device import ModbusDevice
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.fleet import SLOW_AFTER_S, Fleet
from drivers.modbus.link import DISCARD_BYTES_MAX, Link, LinkError
from drivers.modbus.session import Session
from drivers.profile_loader import parse_profile

pytestmark = pytest.mark.socket

TABLE = """
id: one_register
kind: meter
title: One register
protocol: modbus
source: made for this test
defaults: {type: uint16, unit: "1", ref: none}
points:
  a: {at: 100}
"""
TIMEOUT_S = 0.25


class Sink:
    """A transport that only notes that it was given up."""

    aborted = False

    def write(self, data: bytes) -> None:
        raise AssertionError(f"nothing is sent, but {data!r} was")

    def abort(self) -> None:
        self.aborted = True


class Mute(Sink):
    """Takes what is sent and does nothing with it."""

    def write(self, data: bytes) -> None:
        """Forget it."""


def device_at(server: HostileServer, name: str) -> ModbusDevice:
    about = Device(name, "modbus", server.endpoint, 1, "one_register", {}, None, 0.1, 1.0, TIMEOUT_S)
    return ModbusDevice(about, parse_profile(TABLE, "one_register"), SystemClock(), random.Random(1))


async def test_a_line_that_floods_before_it_is_asked_is_given_up_after_some_kilobytes() -> None:
    link, sink = Link(rtu=True), Sink()
    link.connection_made(sink)
    link.discard_until = asyncio.get_running_loop().time() + 100.0
    taken = 0
    while link.usable:
        taken += len(link.get_buffer(-1))
        link.buffer_updated(len(link.get_buffer(-1)))
        assert taken <= DISCARD_BYTES_MAX + 1024
    assert sink.aborted
    assert link.fault is not None
    assert link.fault.reason == "flood"


async def test_a_lost_connection_is_over_even_if_whoever_hears_of_it_fails() -> None:
    def fail(found: bytes | Exception) -> None:
        raise ValueError(str(found))

    link = Link(rtu=False)
    link.connection_made(Mute())
    link.begin(read_registers(1, 3, 0, 1), 1, fail)
    with pytest.raises(ValueError, match="the connection was lost"):
        link.connection_lost(None)
    assert link.closed.done(), "the next connection waits for it, and so does the end of the process"


async def test_a_gateway_that_floods_is_left_alone_for_longer_and_longer() -> None:
    async with hostile(greeting=bytes(DISCARD_BYTES_MAX * 4)) as server:
        session = Session(Endpoint.parse(f"rtu+tcp://{server.endpoint}"), SystemClock().now_s, settle_s=0.2)
        loop = asyncio.get_running_loop()
        with pytest.raises(LinkError):
            await session.request(read_registers(1, 3, 0, 1), loop.time() + 0.5)
        with pytest.raises(LinkError, match="bytes came before anything was asked for"):
            await session.request(read_registers(1, 3, 0, 1), loop.time() + 0.5)
        await session.aclose()
        assert server.connections == 1


async def test_the_sick_are_neither_asked_nor_given_up_in_the_moment_in_which_the_healthy_are_asked() -> None:
    """A time-out is two periods here: given up at once, the silent would fall on a tick."""
    told_at: list[float] = []
    asked_at: list[float] = []
    ticks: list[float] = []
    loop = asyncio.get_running_loop()

    def silent(_: bytes) -> tuple[()]:
        asked_at.append(loop.time())
        return ()

    def take(readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        told_at.extend(loop.time() for name in readings if name == "D5")

    async with AsyncExitStack() as stack:
        well = [await stack.enter_async_context(hostile()) for _ in range(5)]
        mute = await stack.enter_async_context(hostile(lambda frame: (good(frame),), *[silent] * 99))
        devices = [device_at(server, f"D{number}") for number, server in enumerate([*well, mute])]
        for device in devices:
            await device.poll()
        fleet = Fleet(devices, SystemClock(), take)
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                ticks.append(loop.time())
                fleet.tick(group)
                await asyncio.sleep(TIMEOUT_S / 2.0)
        for device in devices:
            await device.aclose()
    assert told_at[0] - ticks[0] >= TIMEOUT_S + SLOW_AFTER_S
    assert len(asked_at) > 1
    for asked in asked_at[1:]:
        assert asked - max(tick for tick in ticks if tick <= asked) >= SLOW_AFTER_S
    assert all(device.counters.ok >= 6 for device in devices[:5])


async def test_many_that_fall_silent_in_one_moment_are_given_up_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A switch that fails takes 200 devices with it; to give them up in one go held the loop for 9 ms."""
    monkeypatch.setattr(fleet_module, "SWEEP_MAX", 2)
    loop = asyncio.get_running_loop()
    turn = 0
    given_up = Counter[int]()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if given_up.total() < 5:
            loop.call_soon(next_turn)

    async with AsyncExitStack() as stack:
        mute = [
            await stack.enter_async_context(hostile(lambda frame: (good(frame),), *[lambda _: ()] * 99))
            for _ in range(5)
        ]
        devices = [device_at(server, f"D{number}") for number, server in enumerate(mute)]
        for device in devices:
            await device.poll()
            stack.push_async_callback(device.aclose)
        fleet = Fleet(devices, SystemClock(), lambda readings: given_up.update({turn: len(readings)}))
        async with asyncio.TaskGroup() as group, asyncio.timeout(4.0):
            fleet.tick(group)
            await asyncio.sleep(TIMEOUT_S / 2.0)
            next_turn()
            while given_up.total() < 5:  # noqa: ASYNC110 - the turns of the loop are what is counted
                await asyncio.sleep(0.02)
    assert max(given_up.values()) == 2
    assert len(given_up) == 3


async def test_a_device_that_has_only_lost_its_connection_is_polled_again_before_any_sick_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    polled: list[str] = []
    poll = ModbusDevice.poll

    async def noted(device: ModbusDevice) -> Mapping[str, Measurement]:
        polled.append(device.id)
        return await poll(device)

    async with AsyncExitStack() as stack:
        mute = [await stack.enter_async_context(hostile(*[lambda _: ()] * 99)) for _ in range(3)]
        idle = await stack.enter_async_context(hostile(lambda frame: (good(frame), "fin")))
        devices = [device_at(server, f"D{number}") for number, server in enumerate([*mute, idle])]
        for device in devices:
            await device.poll()
            stack.push_async_callback(device.aclose)
        assert devices[3].session.link is not None
        await devices[3].session.link.closed
        monkeypatch.setattr(ModbusDevice, "poll", noted)
        told = asyncio.Event()

        def take(readings: Mapping[str, Mapping[str, Measurement]]) -> None:
            if "D3" in readings and readings["D3"]["a"].usable:
                told.set()

        fleet = Fleet(devices, SystemClock(), take)
        async with asyncio.TaskGroup() as group, asyncio.timeout(2.0):
            fleet.tick(group)
            await told.wait()
    assert polled[0] == "D3"
