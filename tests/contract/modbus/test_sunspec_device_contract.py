"""What the controller may rely on when a SunSpec device is found out by itself, against pysunspec2's encodings."""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import pytest
from hostile_modbus_server import Behaviour, HostileServer, hostile, mbap
from sunspec2.device import Device as SunSpecModels

from controller.clock import SystemClock
from controller.domain.command import OutcomeState
from controller.domain.measurement import Quality
from controller.domain.site import Device
from drivers.profile_loader import load_profile
from drivers.registry import open_device
from drivers.sunspec.device import SunSpecDevice

pytestmark = pytest.mark.socket

EXAMPLE = json.loads((files("sunspec2") / "tests" / "test_data" / "device_1547.json").read_text("utf-8"))


class Registers:
    """Holding registers that can be replaced while the server runs; everything else is an illegal address."""

    def __init__(self, base: int, image: bytes) -> None:
        self.writes: list[tuple[int, bytes]] = []
        self.load(base, image)

    def load(self, base: int, image: bytes) -> None:
        self.base, self.image = base, bytearray(image)

    def __call__(self, frame: bytes) -> tuple[bytes]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        function, address, count = struct.unpack_from(">BHH", frame, 7)
        start = 2 * (address - self.base)
        if start < 0 or start + 2 * count > len(self.image):
            return (mbap(transaction, unit, bytes((function | 0x80, 2))),)
        if function == 16:
            data = frame[13:]
            self.writes.append((address, data))
            self.image[start : start + len(data)] = data
            return (mbap(transaction, unit, frame[7:12]),)
        data = bytes(self.image[start : start + 2 * count])
        return (mbap(transaction, unit, bytes((function, 2 * count)) + data),)


def example(**changes: dict[str, int]) -> SunSpecModels:
    """pysunspec2's IEEE 1547 example device; ``changes`` are raw values by model (``m701``)."""
    device = SunSpecModels()
    device._set_dict(EXAMPLE)
    for name, values in changes.items():
        for point, value in values.items():
            device.models[int(name[1:])][0].points[point].set_value(value)
    return device


def image_of(device: SunSpecModels, before: bytes = b"") -> bytes:
    return b"SunS" + before + bytes(device.get_mb()) + b"\xff\xff\x00\x00"


EXTRA_MODEL = struct.pack(">HH", 65001, 4) + bytes(8)


@asynccontextmanager
async def serving(registers: Behaviour) -> AsyncIterator[HostileServer]:
    async with hostile(*[registers] * 2000) as server:
        yield server


def opened(server: HostileServer, profile: str = "sunspec_der", serial_number: str = "") -> SunSpecDevice:
    device = Device(
        "D1",
        "modbus",
        server.endpoint,
        1,
        profile,
        {},
        None,
        poll_s=0.2,
        stale_s=1.0,
        timeout_s=0.5,
        serial_number=serial_number,
    )
    return SunSpecDevice(device, load_profile(profile), SystemClock(), random.Random(5))


def values_of(device: SunSpecModels, model_id: int, *points: str) -> list[float]:
    return [device.models[model_id][0].points[point].get_value(computed=True) for point in points]


async def test_values_are_those_that_pysunspec2_reads_from_the_same_registers() -> None:
    source = example(m701={"W": -731, "W_SF": 1, "Hz": 59993, "Hz_SF": -3, "LLV": 4805})
    async with serving(Registers(0, image_of(source))) as server:
        device = opened(server)
        points = await device.poll()
        assert set(points) == load_profile("sunspec_der").poll_names()
        power, frequency, voltage = values_of(source, 701, "W", "Hz", "LLV")
        assert points["p_w"].value == -power == 7310.0
        assert points["f_hz"].value == pytest.approx(frequency)
        assert points["u_v"].value == pytest.approx(voltage)
        assert points["w_max_w"].value == values_of(source, 702, "WMax")[0]
        assert device.chain is not None
        assert device.chain.base == 0
        await device.aclose()


async def test_a_scale_factor_that_changes_between_polls_is_used_with_the_value_it_belongs_to() -> None:
    registers = Registers(40000, image_of(example(m701={"W": 1000, "W_SF": 0})))
    async with serving(registers) as server:
        device = opened(server)
        assert (await device.poll())["p_w"].value == -1000.0
        registers.load(40000, image_of(example(m701={"W": 100, "W_SF": 1})))
        assert (await device.poll())["p_w"].value == -1000.0
        await device.aclose()


async def test_a_firmware_update_that_moves_the_models_gives_bad_values_and_then_right_ones_never_wrong_ones() -> None:
    registers = Registers(40000, image_of(example(m701={"W": 1000})))
    async with serving(registers) as server:
        device = opened(server)
        assert (await device.poll())["p_w"].value == -1000.0
        registers.load(40000, image_of(example(m701={"W": 2000}), before=EXTRA_MODEL))
        moved = await device.poll()
        assert moved["p_w"].quality is Quality.BAD, "although the connection stood all the time"
        assert not any(point.usable for point in moved.values())
        assert "the SunSpec models have moved: model_701_id" in moved["p_w"].reason
        assert await _next_usable(device) == -2000.0
        await device.aclose()


async def test_what_the_device_does_not_implement_is_missing_and_not_zero() -> None:
    source = example(m701={"W": 1000, "Var": -0x8000, "VA_SF": -0x8000})
    async with serving(Registers(40000, image_of(source))) as server:
        device = opened(server)
        points = await device.poll()
        assert points["p_w"].usable
        assert points["q_var"].quality is Quality.MISSING
        assert not points["s_va"].usable, "a value without its scale factor is no value"
        await device.aclose()


async def test_a_command_that_finds_the_models_beside_the_first_poll_finds_each_once() -> None:
    source = example(m701={"W": 1000}, m702={"WMax": 10000, "W_SF": 0}, m704={"WMaxLimPct_SF": -1, "WMaxLimPctEna": 0})
    async with serving(Registers(40000, image_of(source))) as server:
        device = opened(server)
        cap = {"generation_w_max": 1000.0}
        points, *outcomes = await asyncio.gather(device.poll(), *(device.write(cap, 30.0, cap) for _ in range(3)))
        found = [model.id for model in device.chain.models] if device.chain is not None else []
        assert len(found) == len(set(found)) > 5
        assert points["p_w"].value == -1000.0
        assert [outcome.state for outcome in outcomes] == [OutcomeState.ACKNOWLEDGED] * 3
        await device.aclose()


async def test_a_battery_that_gets_a_command_beside_its_first_poll_says_its_content() -> None:
    """A battery whose content nobody knows is left at rest, whatever was ordered of it."""
    source = example(m704={"WSet_SF": 0, "VarSet_SF": 0}, m713={"SoC": 425, "Pct_SF": -1})
    async with serving(Registers(40000, image_of(source))) as server:
        device = opened(server, "sunspec_battery")
        points, outcome = await asyncio.gather(device.poll(), device.write({"p_w": 1000.0}, 30.0, {"p_w": 1000.0}))
        assert points["soc_frac"].value == pytest.approx(0.425)
        assert outcome.state is OutcomeState.ACKNOWLEDGED
        await device.aclose()


async def test_a_device_without_the_models_of_a_command_says_which_it_lacks_and_is_sent_nothing() -> None:
    source = example()
    registers = Registers(40000, image_of(source))
    start = registers.image.index(struct.pack(">HH", 704, 65))
    registers.image[start : start + 2] = struct.pack(">H", 65004)
    async with serving(registers) as server:
        device = opened(server)
        assert (await device.poll())["p_w"].usable
        assert (await device.poll())["p_set_w"].quality is Quality.MISSING
        outcome = await device.write({"generation_w_max": 1000.0}, 30.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.UNSUPPORTED
        assert "the device has no model 704" in outcome.reason
        assert registers.writes == []
        await device.aclose()


async def test_something_that_is_no_sunspec_device_is_never_read_as_one() -> None:
    async with serving(Registers(40000, bytes(400))) as server:
        device = opened(server)
        points = await device.poll()
        assert all(not point.usable for point in points.values())
        assert "no SunSpec marker (40000: reads 0x00000000" in points["p_w"].reason
        await device.aclose()


async def test_the_cap_with_its_reversion_is_what_pysunspec2_reads_back() -> None:
    source = example(m702={"WMax": 10000, "W_SF": 0}, m704={"WMaxLimPct_SF": -1, "WMaxLimPctEna": 0})
    registers = Registers(40000, image_of(source))
    async with serving(registers) as server:
        device = opened(server)
        outcome = await device.write({"generation_w_max": 2500.0}, 60.0, {"generation_w_max": 1000.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        held = await device.poll()
        assert held["p_set_w"].value == -2500.0
        await device.aclose()
    start = registers.image.index(struct.pack(">HH", 704, 65))
    source.models[704][0].set_mb(data=bytes(registers.image[start : start + 134]))
    wanted = ("WMaxLimPct", "WMaxLimPctRvrt", "WMaxLimPctEna", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms")
    assert values_of(source, 704, *wanted) == [25.0, 10.0, 1, 1, 60]
    assert isinstance(open_device(_like(server), SystemClock()), SunSpecDevice)


async def _next_usable(device: SunSpecDevice) -> float:
    for _ in range(40):
        found = (await device.poll())["p_w"]
        if found.usable:
            return found.value
        await asyncio.sleep(0.05)  # the pause before a new connection
    pytest.fail(found.reason)


def _like(server: HostileServer) -> Device:
    return Device("D1", "modbus", server.endpoint, 1, "sunspec_der", {}, None, 1.0, 3.0, 0.5)


def with_heartbeat(beat: int) -> bytes:
    device = SunSpecModels()
    device._set_dict({"models": [*EXAMPLE["models"][:5], {"ID": 715, "DERHb": beat, "ControllerHb": 0}]})
    for point, value in {"WMaxLimPct_SF": -1, "WMaxLimPctEna": 0}.items():
        device.models[704][0].points[point].set_value(value)
    return image_of(device)


def fast(server: HostileServer, profile: str = "sunspec_der") -> SunSpecDevice:
    """The same on a clock that runs fifty times faster."""
    device = Device("D1", "modbus", server.endpoint, 1, profile, {}, None, poll_s=1.0, stale_s=3.0, timeout_s=25.0)
    return SunSpecDevice(device, load_profile(profile), SystemClock(50.0), random.Random(5))


async def test_our_heartbeat_counts_only_while_we_hold_a_lease() -> None:
    registers = Registers(40000, with_heartbeat(7))
    at_715 = 40000 + registers.image.index(struct.pack(">HH", 715, 7)) // 2
    async with serving(registers) as server:
        device = fast(server)
        assert (await device.poll())["der_heartbeat"].value == 7
        assert registers.writes == [], "whoever only looks is no controller"
        outcome = await device.write({"generation_w_max": 2500.0}, 5.0, {"generation_w_max": 0.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        registers.writes.clear()
        for _ in range(8):
            await device.poll()
            await asyncio.sleep(0.03)
        beats = [int.from_bytes(data, "big") for address, data in registers.writes if address == at_715 + 5]
        assert beats == list(range(1, len(beats) + 1))
        assert 2 <= len(beats) <= 5, "a lease of 5 s, a beat a second"
        await device.aclose()


async def test_a_device_whose_own_heartbeat_stands_still_is_not_believed() -> None:
    registers = Registers(40000, with_heartbeat(7))
    async with serving(registers) as server:
        device = fast(server)
        assert (await device.poll())["p_w"].usable
        await asyncio.sleep(0.25)
        stuck = await device.poll()
        assert stuck["p_w"].quality is Quality.BAD
        assert "DER heartbeat stands still at 7" in stuck["p_w"].reason
        registers.load(40000, with_heartbeat(8))
        assert (await device.poll())["p_w"].usable
        await device.aclose()


@pytest.mark.parametrize("p_w", [3000.0, -4500.0])
async def test_a_battery_of_2012_is_forced_by_two_opposite_rates(p_w: float) -> None:
    source = SunSpecModels()
    storage = {"ID": 124, "WChaMax": 6000, "WChaMax_SF": 0, "InOutWRte_SF": -2, "ChaState": 55, "ChaState_SF": 0}
    source._set_dict({"models": [EXAMPLE["models"][0], {"ID": 103, "W": 100, "W_SF": 0}, storage]})
    registers = Registers(0, image_of(source))
    async with serving(registers) as server:
        device = opened(server, "sunspec_storage")
        outcome = await device.write({"p_w": p_w}, 60.0, {"p_w": 0.0})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        points = await device.poll()
        assert points["p_set_w"].value == pytest.approx(p_w)
        assert points["soc_frac"].value == pytest.approx(0.55)
        await device.aclose()
    start = registers.image.index(struct.pack(">HH", 124, 24))
    source.models[124][0].set_mb(data=bytes(registers.image[start : start + 52]))
    share = 100.0 * p_w / 6000.0
    assert values_of(source, 124, "InWRte", "OutWRte", "StorCtl_Mod", "InOutWRte_RvrtTms") == [share, -share, 3, 60]


@pytest.mark.parametrize(
    ("command", "value", "revert", "point"),
    [
        ("p_w", 4000.0, -500.0, "WSet"),
        ("p_w", -2500.0, 0.0, "WSet"),
        ("q_var", 1200.0, 0.0, "VarSet"),
    ],
)
async def test_a_set_point_of_704_and_what_it_falls_back_to_are_what_pysunspec2_reads_back(
    command: str, value: float, revert: float, point: str
) -> None:
    source = example(m704={"WSet_SF": 0, "VarSet_SF": 0}, m713={"SoC": 425, "Pct_SF": -1})
    registers = Registers(40000, image_of(source))
    async with serving(registers) as server:
        device = opened(server, "sunspec_battery")
        outcome = await device.write({command: value}, 45.0, {command: revert})
        assert outcome.state is OutcomeState.ACKNOWLEDGED, outcome
        held = await device.poll()
        assert held["p_set_w" if command == "p_w" else "q_set_var"].value == value
        assert held["soc_frac"].value == pytest.approx(0.425)
        await device.aclose()
    start = registers.image.index(struct.pack(">HH", 704, 65))
    source.models[704][0].set_mb(data=bytes(registers.image[start : start + 134]))
    names = (point, f"{point}Rvrt", f"{point}Ena", f"{point}EnaRvrt", f"{point}RvrtTms", f"{point}Mod")
    assert values_of(source, 704, *names) == [-value, -revert, 1, 1, 45, 1 if command == "p_w" else 4]
