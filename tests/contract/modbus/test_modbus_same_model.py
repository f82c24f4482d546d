"""Meters of one model behind one gateway: who has the place of another one is found out, and costs nobody else."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hostile_peer import Ask, Peer, Step, on_socket

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from drivers.modbus import device as device_module
from drivers.modbus.device import ModbusDevice
from drivers.modbus.fleet import SLOW_AFTER_S, Fleet
from drivers.modbus.lines import Lines
from drivers.profile_loader import parse_profile

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.25
KIND, SERIAL, POWER, LIMIT = 40, 60, 100, 200
TABLE = """
id: numbered
kind: meter
title: a meter that tells its kind and its serial number
protocol: modbus
source: made for this test
read: {registers_max: 10, gap_max: 0}
defaults: {type: uint16, unit: W, ref: none}
serial_number: {at: 60, type: uint32, missing: [0xFFFFFFFF], ref: none}
points:
  kind: {at: 40, unit: "1"}
  p_w: {at: 100}
  limit_w: {at: 200, access: rw}
commands:
  generation_w_max: {point: limit_w}
identity: {kind: 7}
"""
PROFILE = parse_profile(TABLE, "numbered")


class Gateway:
    """Which meter answers for which unit: its serial number, from which its power follows."""

    def __init__(self, **units: int) -> None:
        self.serial_of = {int(name.removeprefix("u")): serial for name, serial in units.items()}
        self.kind_of: dict[int, int] = {}
        self.serial_answer: tuple[Step, ...] | None = None
        self.refusal = 0
        self.proofs = self.writes = 0

    def __call__(self, ask: Ask) -> tuple[Step, ...]:
        function, address, count = struct.unpack_from(">BHH", ask.pdu)
        if function == 16:
            self.writes += 1
            return (ask.right,)
        serial = self.serial_of.get(ask.unit, self.serial_of.get(0, 0))  # 0: whatever unit is asked for
        if address == SERIAL:
            self.proofs += 1
            if self.serial_answer is not None:
                return self.serial_answer
            if self.refusal:
                return (ask.framed(bytes((function | 0x80, self.refusal))),)
        words = {
            KIND: (self.kind_of.get(ask.unit, 7),),
            SERIAL: divmod(serial, 0x10000),
            POWER: (serial % 1000,),
            LIMIT: (500,),
        }[address]
        assert len(words) == count
        return (ask.framed(struct.pack(f">BB{count}H", function, 2 * count, *words)),)


class Behind:
    """Devices of the site, by unit, on one line to the gateway."""

    def __init__(self, peer: Peer, told: dict[int, str]) -> None:
        self.clock = SystemClock()
        lines = Lines(self.clock, random.Random(7))
        self.devices = {
            unit: ModbusDevice(
                Device(
                    f"M{unit}",
                    "modbus",
                    peer.endpoint,
                    unit,
                    "numbered",
                    {},
                    None,
                    0.1,
                    5.0,
                    TIMEOUT_S,
                    serial_number=serial,
                ),
                PROFILE,
                self.clock,
                lines=lines,
            )
            for unit, serial in told.items()
        }

    async def power(self, unit: int, wanted: str = "", within_s: float = 4.0) -> Measurement:
        """The power as soon as it is good, or is not good for the wanted reason."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        while True:
            point = (await self.devices[unit].poll())["p_w"]
            if wanted in point.reason if wanted else point.usable:
                return point
            assert loop.time() < until_s, f"{wanted or 'good'} was never said, but {point}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def behind(gateway: Gateway, **told: str) -> AsyncIterator[Behind]:
    """``told`` is what the site file says of each unit's serial number."""
    async with on_socket(itertools.repeat(gateway, 5000)) as peer:
        found = Behind(peer, {int(name.removeprefix("u")): serial for name, serial in told.items()})
        yield found
        for device in found.devices.values():
            await device.aclose()


async def test_two_meters_that_are_exchanged_behind_a_gateway_are_believed_for_each_other_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "IDENTITY_S", 0.0)
    for told in ({"u1": "", "u2": ""}, {"u1": "10001", "u2": "10002"}):
        gateway = Gateway(u1=10001, u2=10002)
        async with behind(gateway, **told) as site:
            assert [(await site.power(unit)).value for unit in (1, 2)] == [1.0, 2.0]
            gateway.serial_of = {1: 10002, 2: 10001}
            for unit, shown, right in ((1, "10002", "10001"), (2, "10001", "10002")):
                point = await site.power(unit, f"serial number reads '{shown}'; expected '{right}'")
                assert point.quality is Quality.BAD
            outcome = await site.devices[1].write({"generation_w_max": 100.0}, 60.0, {"generation_w_max": 0.0})
            assert outcome.state is OutcomeState.FAILED
            assert not gateway.writes
            gateway.serial_of = {1: 10001, 2: 10002}
            assert [(await site.power(unit)).value for unit in (1, 2)] == [1.0, 2.0]
            assert site.devices[1].counts()["connects"] == 1


async def test_a_meter_that_answers_for_any_unit_is_believed_for_its_own_where_the_site_file_says_which() -> None:
    async with behind(Gateway(u0=10002), u1="10001", u2="10002", u3="10003") as site:
        assert (await site.power(2)).value == 2.0
        for unit in (1, 3):
            await site.power(unit, f"serial number reads '10002'; expected '1000{unit}'")
        assert (await site.power(2)).value == 2.0


async def test_devices_that_are_polled_together_prove_their_numbers_between_two_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "IDENTITY_S", 0.2)
    gateway = Gateway(u1=10001)
    async with behind(gateway, u1="") as site:
        await site.power(1)
        said: list[Measurement] = []
        fleet = Fleet([site.devices[1]], site.clock, lambda readings: said.append(readings["M1"]["p_w"]))
        async with asyncio.timeout(4.0), asyncio.TaskGroup() as group:
            while gateway.proofs < 3:
                fleet.tick(group)
                await asyncio.sleep(5.0 * SLOW_AFTER_S)
            assert all(point.value == 1.0 for point in said)
            gateway.serial_of = {1: 10009}
            changed = len(said)
            while "expected '10001'" not in said[-1].reason:
                fleet.tick(group)
                await asyncio.sleep(5.0 * SLOW_AFTER_S)
        assert sum(point.usable for point in said[changed:]) <= 6, "what is proved holds for 0.2 s here"


@pytest.mark.parametrize("what", ["refuses", "silent", "has none"])
async def test_a_meter_that_tells_no_number_is_read_as_ever(what: str) -> None:
    gateway = Gateway(u1=10001)
    gateway.refusal = 2 if what == "refuses" else 0
    gateway.serial_answer = () if what == "silent" else None
    if what == "has none":
        gateway.serial_of = {1: 0xFFFF_FFFF}
    async with behind(gateway, u1="") as site:
        assert (await site.power(1)).usable
        asked = gateway.proofs
        site.devices[1].session.drop("once more", 1)
        assert (await site.power(1)).usable
        assert (gateway.proofs == asked) == (what == "silent"), "who is silent about it is not asked for ever"
    if what == "silent":
        return
    async with behind(gateway, u1="10001") as site:
        await site.power(1, "expected '10001'")


async def test_a_unit_that_is_not_what_it_should_be_costs_the_others_of_its_gateway_nothing() -> None:
    gateway = Gateway(u1=10001, u2=10002, u3=10003)
    gateway.kind_of = {2: 8}
    async with behind(gateway, u1="", u2="", u3="") as site:
        said: dict[str, list[Measurement]] = {device.id: [] for device in site.devices.values()}
        for device in site.devices.values():
            await device.poll()
        fleet = Fleet(
            list(site.devices.values()),
            site.clock,
            lambda readings: [said[name].append(reading["p_w"]) for name, reading in readings.items()] and None,
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                fleet.tick(group)
                await asyncio.sleep(0.05)
        assert all("expected 7" in point.reason for point in said["M2"])
        assert all(point.usable for name in ("M1", "M3") for point in said[name])
        assert min(len(said[name]) for name in ("M1", "M3")) >= 20
        counts = site.devices[1].counts()
        assert counts["connects"] == 1
        assert counts["rejected: refuted"] <= 6, "it is asked less and less"
