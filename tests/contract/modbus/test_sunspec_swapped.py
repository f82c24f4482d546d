"""Two inverters of one model that have changed addresses: each answers rightly, and for the other one."""

from __future__ import annotations

import asyncio

import pytest
from hostile_modbus_server import HostileServer, Step, mbap
from test_sunspec_device_contract import Registers, example, image_of, opened, serving

from controller.domain.command import OutcomeState
from controller.domain.measurement import Measurement, Quality
from drivers.modbus import device as device_module
from drivers.sunspec.device import SunSpecDevice

pytestmark = pytest.mark.socket

BASE = 40000
SERIAL = BASE + 2 + 50


def inverter(serial: str, watts: int) -> bytes:
    device = example(m701={"W": watts, "W_SF": 0})
    device.models[1][0].points["SN"].set_value(serial)
    return image_of(device)


MINE, OTHERS, NAMELESS = inverter("A-1001", 1000), inverter("A-1002", 2000), inverter("", 2000)


class Swapped(Registers):
    """Registers behind connections that can be cut, as when somebody changes two addresses; ``refuses`` the serial."""

    def __init__(self, image: bytes) -> None:
        super().__init__(BASE, image)
        self.cut = False
        self.refuses = 0

    def __call__(self, frame: bytes) -> tuple[Step, ...]:  # type: ignore[override]
        if self.cut:
            self.cut = False
            return ("rst",)
        if self.refuses and int.from_bytes(frame[8:10], "big") == SERIAL:
            return (mbap(int.from_bytes(frame[:2], "big"), frame[6], bytes((frame[7] | 0x80, self.refuses))),)
        return super().__call__(frame)


async def shown(device: SunSpecDevice, wanted: str = "") -> Measurement:
    """The power as soon as it is good, or not good for the reason that is wanted; never that of the other inverter."""
    for _ in range(100):
        point = (await device.poll())["p_w"]
        assert not point.usable or point.value == -1000.0
        if wanted in point.reason if wanted else point.usable:
            return point
        await asyncio.sleep(0.02)
    pytest.fail(f"{wanted or 'good'} was never said, but {point}")


@pytest.mark.parametrize("other", [OTHERS, NAMELESS], ids=["another one", "one without a number"])
async def test_an_inverter_that_took_the_address_of_another_one_is_neither_believed_nor_commanded(other: bytes) -> None:
    registers = Swapped(MINE)
    async with serving(registers) as server:
        device = opened(server)
        await shown(device)
        registers.load(BASE, other)
        registers.cut = True
        point = await shown(device, "serial number reads")
        assert point.quality is Quality.BAD
        assert point.reason.endswith("expected 'A-1001'")
        outcome = await device.write({"generation_w_max": 100.0}, 60.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.FAILED
        assert not registers.writes
        registers.load(BASE, MINE)
        await shown(device)
        assert server.used_at_once_max == 1
        await device.aclose()


async def test_units_that_a_gateway_swaps_while_the_connection_stands_are_told_apart_at_the_next_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "IDENTITY_S", 0.0)
    registers = Swapped(MINE)
    async with serving(registers) as server:
        device = opened(server)
        await shown(device)
        registers.load(BASE, OTHERS)
        await shown(device, "serial number reads 'A-1002'; expected 'A-1001'")
        await device.aclose()


async def test_only_the_inverter_of_the_site_file_is_believed_from_the_start() -> None:
    for image, refuses in ((OTHERS, 0), (NAMELESS, 0), (MINE, 2)):
        registers = Swapped(image)
        registers.refuses = refuses
        async with serving(registers) as server:
            device = opened(server, serial_number="A-1001")
            await shown(device, "expected 'A-1001'")
            registers.load(BASE, MINE)
            registers.refuses = 0
            await shown(device)
            await device.aclose()


async def test_an_inverter_without_a_number_or_too_busy_to_say_it_is_read_as_ever() -> None:
    registers = Swapped(inverter("", 1000))
    async with serving(registers) as server:
        device = opened(server)
        await shown(device)
        registers.refuses = 6
        registers.cut = True
        await shown(device, "exception 6")
        registers.refuses = 0
        await shown(device)
        await device.aclose()


def frames_for_serial(server: HostileServer) -> int:
    return sum(int.from_bytes(frame[8:10], "big") == SERIAL for frame in server.frames)


async def test_the_number_is_asked_for_once_with_every_proof_and_not_with_every_poll() -> None:
    async with serving(Swapped(MINE)) as server:
        device = opened(server)
        await shown(device)
        for _ in range(5):
            await shown(device)
        assert frames_for_serial(server) == 1
        await device.aclose()
