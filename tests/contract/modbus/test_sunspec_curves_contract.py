"""Curves of a SunSpec inverter, changed in a device whose registers pysunspec2 wrote and reads back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from hostile_modbus_server import HostileServer, hostile, mbap
from hypothesis import given
from hypothesis import strategies as st
from sunspec2.device import Device as SunSpecModels

from drivers.sunspec.adopt import CurveError, plan_curve
from drivers.sunspec.curves import read_curve
from drivers.sunspec.curves_command import curves

pytestmark = pytest.mark.socket

CURVES = {705: ("V", "Var"), 706: ("V", "W"), 712: ("W", "Var")}
BEFORE = {705: ((92, 30), (97, 0), (103, 0), (107, -30)), 706: ((106, 100), (110, 0)), 712: ((20, 0), (100, -44))}
AFTER = {
    705: ((90.5, 44), (98, 0), (102, 0), (109.5, -44)),
    706: ((105, 100), (108, 50), (110, 20)),
    712: ((0, 0), (50, -10), (100, -33)),
}


def inverter(model_id: int, read_only: tuple[int, ...] = (1, 1, 0)) -> SunSpecModels:
    """A device with curves of four points in one model, after the common one; tenths, but for watts in 712."""
    (x, y), by = CURVES[model_id], 1 if model_id == 712 else 10
    corners = [{x: round(by * a), y: round(10 * b)} for a, b in BEFORE[model_id]]
    fields = {"DeptRef": 1, "Pri": 1, "VRef": 1000, "VRefAutoEna": 0, "RspTms": 10}
    points = [*corners, *[{x: 0, y: 0}] * (4 - len(corners))]
    held = [{**fields, "ActPt": len(corners) if flag else 0, "ReadOnly": flag, "Pt": points} for flag in read_only]
    head = {"Ena": 0, "AdptCrvReq": 0, "AdptCrvRslt": 1, "NPt": 4, "NCrv": len(read_only), "RvrtTms": 0, "RvrtCrv": 0}
    factors = {"V_SF": -1, "W_SF": 0, "DeptRef_SF": -1, "RspTms_SF": 0}
    device = SunSpecModels()
    common = {"ID": 1, "Mn": "M", "Md": "X", "SN": "1"}
    device._set_dict({"models": [common, {"ID": model_id, **head, **factors, "Crv": held}]})
    return device


def registers_of(device: SunSpecModels, model_id: int) -> bytes:
    return bytes(device.models[model_id][0].get_mb())


class Inverter:
    """Adopts what it is asked to: copies that curve into the first one. ``answers`` are results before the last."""

    def __init__(self, model_id: int, result: int = 1, answers: tuple[int, ...] = (), **options: object) -> None:
        self.model_id = model_id
        self.device = inverter(model_id, **options)  # type: ignore[arg-type]
        self.image = bytearray(b"SunS" + bytes(self.device.get_mb()) + b"\xff\xff\0\0")
        self.at = self.image.index(struct.pack(">H", model_id))
        self.writes: list[tuple[int, bytes]] = []
        self.answers = list(answers)
        self.result = result
        group = self.device.models[model_id][0].groups["Crv"]
        self.sizes = len(group[0].get_mb())
        self.first = len(registers_of(self.device, model_id)) - len(group) * self.sizes

    def __call__(self, frame: bytes) -> tuple[bytes]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        function, address, count = struct.unpack_from(">BHH", frame, 7)
        start = 2 * (address - 40000)
        if start < 0 or start + 2 * count > len(self.image):
            return (mbap(transaction, unit, bytes((function | 0x80, 2))),)
        if function == 16:
            self.image[start : start + 2 * count] = frame[13:]
            self.writes.append(((start - self.at) // 2, frame[13:]))
            if start == self.at + 6:
                self.adopt(int.from_bytes(frame[13:], "big"))
            return (mbap(transaction, unit, frame[7:12]),)
        if start == self.at + 8 and count == 1:
            result = self.answers.pop(0) if self.answers else self.result
            self.image[start : start + 2] = result.to_bytes(2, "big")
        return (mbap(transaction, unit, bytes((function, 2 * count)) + self.image[start : start + 2 * count]),)

    def adopt(self, index: int) -> None:
        if self.result == 1:
            begin = self.at + self.first
            other = begin + (index - 1) * self.sizes
            curve = bytearray(self.image[other : other + self.sizes])
            self.image[begin : begin + self.sizes] = curve
        self.image[self.at + 8 : self.at + 10] = self.result.to_bytes(2, "big")

    def in_force(self) -> tuple[bool, tuple[tuple[float, float], ...]]:
        """What pysunspec2 reads out of the registers."""
        model = self.device.models[self.model_id][0]
        size = len(model.get_mb())
        model.set_mb(data=bytes(self.image[self.at : self.at + size]))
        found = model.get_dict(computed=True)
        x, y = CURVES[self.model_id]
        curve = found["Crv"][0]
        return found["Ena"] == 1, tuple((point[x], point[y]) for point in curve["Pt"][: curve["ActPt"]])


async def asked(inverter: Callable[[bytes], tuple[bytes]], *arguments: str) -> tuple[Result, HostileServer]:
    async with hostile(*[inverter] * 400) as server:
        result = await asyncio.to_thread(CliRunner().invoke, curves, [server.endpoint, *arguments])
    return result, server


def text(corners: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:g}:{y:g}" for x, y in corners)


@pytest.mark.parametrize("model_id", CURVES)
async def test_the_curve_in_force_is_shown_and_nothing_is_written(model_id: int) -> None:
    device = Inverter(model_id)
    said, _ = await asked(device)
    assert (said.exit_code, said.output) == (0, f"{model_id} not enabled: {text(BEFORE[model_id])}\n")
    assert not device.writes


@pytest.mark.parametrize("model_id", CURVES)
async def test_another_curve_is_in_force_afterwards_as_pysunspec2_reads_it(model_id: int) -> None:
    device = Inverter(model_id, answers=(0,))
    said, _ = await asked(device, "--set", str(model_id), text(AFTER[model_id]), "--yes-write", "--enable")
    assert said.exit_code == 0, said.output
    assert device.in_force() == (True, AFTER[model_id])
    assert said.output.splitlines()[-1] == f"in force: {model_id} enabled: {text(AFTER[model_id])}"
    assert (3, b"\0\3") in device.writes, "the third curve is the only one that may be written"


async def test_without_consent_it_only_says_what_it_would_write() -> None:
    device = Inverter(705)
    said, _ = await asked(device, "--set", "705", text(AFTER[705]))
    assert said.exit_code == 1
    assert "would write curve 3" in said.output
    assert not device.writes


async def test_an_inverter_that_refuses_keeps_its_curve_and_that_is_said() -> None:
    device = Inverter(705, result=2)
    said, _ = await asked(device, "--set", "705", text(AFTER[705]), "--yes-write")
    assert said.exit_code == 1
    assert "refused to adopt curve 3" in said.output
    assert device.in_force() == (False, BEFORE[705])


async def test_an_inverter_that_dies_when_it_is_to_adopt_is_said_to_be_in_an_unknown_state() -> None:
    device = Inverter(705)

    def dies(frame: bytes) -> tuple[bytes, ...]:
        return () if (3, b"\0\3") in device.writes else device(frame)

    said, _ = await asked(dies, "--set", "705", text(AFTER[705]), "--yes-write")
    assert said.exit_code == 1
    assert "whether curve 3 is in force now is not known, ask again" in said.output
    assert "Traceback" not in said.output


async def test_an_inverter_that_takes_writes_and_does_not_keep_them_is_not_asked_to_adopt() -> None:
    device = Inverter(705)

    def forgetful(frame: bytes) -> tuple[bytes]:
        if frame[7] == 16:
            device.writes.append((0, frame[13:]))
            return (mbap(int.from_bytes(frame[:2], "big"), frame[6], frame[7:12]),)
        return device(frame)

    said, _ = await asked(forgetful, "--set", "705", text(AFTER[705]), "--yes-write")
    assert said.exit_code == 1
    assert "holds something else" in said.output
    assert b"\0\3" not in [words for _, words in device.writes]


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ("92:44", "1 corners; expected 2 to 4"),
        ("90:1 91:1 92:1 93:1 94:1", "5 corners; expected 2 to 4"),
        ("98:0 92:44", "do not go from left to right"),
        ("92:44 98:9999", "Var 9999 % cannot be said with a scale of 10^-1"),
    ],
)
async def test_what_no_register_can_hold_is_refused_before_anything_is_written(corners: str, words: str) -> None:
    device = Inverter(705)
    said, _ = await asked(device, "--set", "705", corners, "--yes-write")
    assert said.exit_code == 1
    assert words in said.output
    assert not device.writes


async def test_an_inverter_whose_curves_cannot_be_written_is_left_alone() -> None:
    device = Inverter(706, read_only=(1, 1, 1))
    said, _ = await asked(device, "--set", "706", text(AFTER[706]), "--yes-write")
    assert "none of its 3 curves of model 706 can be written" in said.output
    assert not device.writes


@given(st.binary(max_size=200), st.sampled_from(sorted(CURVES)))
def test_no_registers_make_a_plan_that_reaches_beyond_the_model(noise: bytes, model_id: int) -> None:
    good = registers_of(inverter(model_id), model_id)
    data = good[:4] + noise[: len(good) - 4] + good[4 + len(noise) :]
    try:
        plan = plan_curve(model_id, data, AFTER[model_id][:2])
    except CurveError:
        return
    assert all(offset >= 0 and 2 * offset + len(words) <= len(data) for offset, words in plan.writes)
    assert read_curve(model_id, data) is not None
