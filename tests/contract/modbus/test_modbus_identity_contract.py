"""Devices polled together prove again and again what they are, and nobody's values wait for it."""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hostile_modbus_server import HostileServer, Step, good, hostile, mbap

from controller.clock import SystemClock
from controller.domain.measurement import Measurement
from controller.domain.site import Device
from drivers.modbus.device import IDENTITY_S, ModbusDevice
from drivers.modbus.fleet import PROOFS_PART, SLOW_AFTER_S, Fleet
from drivers.profile_loader import parse_profile

pytestmark = pytest.mark.socket

MODEL = 40
TABLE = """
id: model_40
kind: meter
title: The register a holds the number a, and register 40 says which model this is
protocol: modbus
source: made for this test
read: {registers_max: 10, gap_max: 0}
defaults: {type: uint16, unit: "1", ref: none}
points:
  model: {at: 40}
  a: {at: 100}
"""
IDENTITY = f"identity: {{model: {MODEL}}}\n"
STEP_S = 3.0


class Skipping(SystemClock):
    """The site's clock, wound on by the test."""

    skipped_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.skipped_s


class Unit:
    """What a device answers: rightly until the test says otherwise."""

    def __init__(self) -> None:
        self.proofs = 0
        self.proof: Sequence[Step] | None = None
        self.model = MODEL

    def __call__(self, frame: bytes) -> Sequence[Step]:
        transaction, address = struct.unpack_from(">H", frame)[0], struct.unpack_from(">H", frame, 8)[0]
        if address != MODEL:
            return (good(frame),)
        self.proofs += 1
        return (mbap(transaction, 1, struct.pack(">BBH", 3, 2, self.model)),) if self.proof is None else self.proof


class Site:
    """A fleet whose clock runs 3 s between two rounds, what it has said, and who went the slow way."""

    def __init__(self, devices: list[ModbusDevice], units: list[Unit], clock: Skipping) -> None:
        self.devices, self.units, self.clock = devices, units, clock
        self.said: dict[str, Mapping[str, Measurement]] = {}
        self.fleet = Fleet(devices, clock, self.take)
        self.slow: Counter[str] = Counter()
        self.all_told = asyncio.Event()

    def take(self, readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        self.said.update(readings)
        if len(self.said) == len(self.devices):
            self.all_told.set()

    async def round(self, group: asyncio.TaskGroup) -> dict[str, Mapping[str, Measurement]]:
        """Tick, wait until every device has been told of, and give those time that act between two rounds."""
        self.clock.skipped_s += STEP_S
        self.said.clear()
        self.all_told.clear()
        assert not self.fleet.tick(group)
        async with asyncio.timeout(2.0):
            await self.all_told.wait()
            said = dict(self.said)
            await asyncio.sleep(2.0 * SLOW_AFTER_S)
            for device in self.devices:  # on a loaded machine a proof may still be under way
                await device.session.turns.take(asyncio.get_running_loop().time() + 1.0, urgent=False)
                device.session.turns.pass_on()
        return said


@asynccontextmanager
async def site(monkeypatch: pytest.MonkeyPatch, count: int, *, identity: str = IDENTITY) -> AsyncIterator[Site]:
    """``count`` devices, connected and proved, each with a server of its own."""
    clock, profile = Skipping(), parse_profile(TABLE + identity, "model_40")
    async with AsyncExitStack() as stack:
        units = [Unit() for _ in range(count)]
        servers: list[HostileServer] = [await stack.enter_async_context(hostile(*[unit] * 999)) for unit in units]
        devices = [
            ModbusDevice(
                Device(f"D{n}", "modbus", server.endpoint, 1, "model_40", {}, None, 0.2, 1.0, 0.25),
                profile,
                clock,
                random.Random(n),
            )
            for n, server in enumerate(servers)
        ]
        for device in devices:
            await device.poll()
            stack.push_async_callback(device.aclose)
        found = Site(devices, units, clock)
        poll = ModbusDevice.poll

        async def counted(device: ModbusDevice) -> Mapping[str, Measurement]:
            found.slow[device.id] += 1
            return await poll(device)

        monkeypatch.setattr(ModbusDevice, "poll", counted)
        yield found


async def test_devices_proved_in_one_moment_prove_it_again_a_few_at_a_time_and_never_take_the_way_of_the_sick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 2 * PROOFS_PART
    async with site(monkeypatch, count) as here, asyncio.TaskGroup() as group:
        proofs = [1] * count
        for _ in range(round(3.0 * IDENTITY_S / STEP_S)):
            said = await here.round(group)
            assert all(reading["a"].value == 100.0 and reading["model"].value == MODEL for reading in said.values())
            before, proofs = proofs, [unit.proofs for unit in here.units]
            assert sum(proofs) - sum(before) <= 1 + count // PROOFS_PART
            now_s = here.clock.now_s()
            assert all(now_s - device.identified[1] < IDENTITY_S for device in here.devices)
        assert min(proofs) >= 4, "three minutes, and each proof holds for one"
        assert not here.slow
        assert all(device.session.counters.connects == 1 for device in here.devices)


async def test_a_device_without_an_identity_is_never_taken_from_the_others_to_prove_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with site(monkeypatch, 3, identity="") as here, asyncio.TaskGroup() as group:
        for _ in range(3):
            here.clock.skipped_s += 2.0 * IDENTITY_S
            assert all(reading["a"].value == 100.0 for reading in (await here.round(group)).values())
        assert not here.slow


async def test_a_device_that_has_become_another_one_is_found_out_while_its_connection_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with site(monkeypatch, 2) as here, asyncio.TaskGroup() as group:
        here.units[0].model = 41
        rounds = 0
        while (reading := (await here.round(group))["D0"])["a"].usable:
            rounds += 1
            assert rounds * STEP_S < IDENTITY_S
        assert "identity: model reads 41; expected 40" in reading["a"].reason
        for _ in range(3):
            said = await here.round(group)
            assert not said["D0"]["a"].usable
            assert said["D1"]["a"].usable
        assert here.devices[0].session.counters.rejected["refuted"] >= 1
        assert set(here.slow) == {"D0"}


@pytest.mark.parametrize("trouble", ["silence", "refusal", "garbage"])
async def test_a_proof_that_fails_costs_the_device_itself_a_reading_at_most_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    async with site(monkeypatch, 2) as here, asyncio.TaskGroup() as group:
        here.units[0].proof = {"silence": (), "refusal": (mbap(1, 1, b"\x83\x06"),), "garbage": (bytes(300),)}[trouble]
        while here.units[0].proofs == 1:
            assert (await here.round(group))["D0"]["a"].usable
        here.units[0].proof = None
        await asyncio.sleep(0.3)  # longer than its time-out and its back-off
        usable = []
        for _ in range(round(IDENTITY_S / STEP_S)):
            said = await here.round(group)
            usable.append(said["D0"]["a"].usable)
            assert said["D1"]["a"].usable
        assert usable.count(False) <= 1
        assert usable[-1]
        assert here.units[0].proofs >= 3
        assert here.slow["D1"] == 0
