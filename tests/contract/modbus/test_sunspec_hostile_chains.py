"""SunSpec devices whose chain of models or scale factors cannot be: no value is good, and the reason is told."""

from __future__ import annotations

import asyncio
import re
import struct
import time

import pytest
from hostile_modbus_server import mbap
from test_sunspec_device_contract import EXTRA_MODEL, Registers, example, image_of, opened, serving

from controller.domain.measurement import Quality
from drivers.sunspec.chain import MODELS_MAX

pytestmark = pytest.mark.socket

BASE = 40000
COMMON = 2 + 2 + 66  # registers of the marker and of model 1: where the second model begins
HOPELESS_S = 2.0  # a walk of 100 models on a busy machine


def header(model: int, length: int) -> bytes:
    return struct.pack(">HH", model, length)


def honest() -> bytes:
    return image_of(example())


def second_is(new: bytes) -> bytes:
    """The example with the header of its second model replaced."""
    at = 2 * COMMON
    return honest()[:at] + new + honest()[at + len(new) :]


def twice(model: int) -> bytes:
    """The example with one of its models once more at the end."""
    body = bytes(example().models[model][0].get_mb())
    return honest()[:-4] + body + honest()[-4:]


CHAINS: dict[str, tuple[bytes, str]] = {
    "no end marker": (honest()[:-4], "the SunSpec chain breaks off at .* exception 2"),
    "zeros for an end marker": (honest()[:-4] + bytes(400), "has model 0 of length 0"),
    "a model of length 0": (second_is(header(701, 0)), "has model 701 of length 0"),
    "a model of length 65535": (second_is(header(701, 0xFFFF)), "has length 65535 and leaves the registers"),
    "a model up to the last register": (second_is(header(701, 65534 - BASE - COMMON)), "leaves the registers"),
    "a length that points into a model": (second_is(header(701, 7)), "length 7, too short for W"),
    "a model more than once": (twice(701), "the device has 2 models 701"),
    "the marker with its words swapped": (b"nSSu" + honest()[4:], "no SunSpec marker"),
    "the marker alone": (b"SunS", "the SunSpec chain breaks off"),
    "an end at once": (b"SunS" + header(0xFFFF, 0), "the device has no model 701"),
    "a model too short": (b"SunS" + header(701, 4) + bytes(8) + header(0xFFFF, 0), "too short for"),
}


@pytest.mark.parametrize("name", CHAINS)
async def test_a_chain_that_cannot_be_gives_no_value_and_says_why(name: str) -> None:
    image, reason = CHAINS[name]
    async with serving(Registers(BASE, image)) as server:
        device = opened(server)
        until = time.monotonic() + HOPELESS_S
        while True:
            point = (await device.poll())["p_w"]
            assert not point.usable
            if re.search(reason, point.reason):
                break
            assert time.monotonic() < until, point.reason
            await asyncio.sleep(0.02)
        assert server.used_at_once_max == 1
        await device.aclose()


async def test_a_chain_without_end_is_given_up_after_a_hundred_models_and_not_walked_without_pause() -> None:
    def everywhere(frame: bytes) -> tuple[bytes]:
        transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
        (address,) = struct.unpack_from(">H", frame, 8)
        words = b"SunS" if address == BASE else header(65001, 1)
        return (mbap(transaction, unit, b"\x03\x04" + words),)

    async with serving(everywhere) as server:
        device = opened(server)
        said = set()
        for _ in range(4):
            said.add((await device.poll())["p_w"].reason)
        assert any(f"more than {MODELS_MAX} models" in reason for reason in said)
        assert len(server.frames) <= 2 * (MODELS_MAX + 3), "it rests between two walks"
        await device.aclose()


FACTORS = {"one too many": 11, "one too few": -11, "not implemented": -32768, "the largest": 32767}


@pytest.mark.parametrize("name", FACTORS)
async def test_a_scale_factor_that_cannot_be_makes_the_value_bad_and_no_other(name: str) -> None:
    registers = Registers(BASE, image_of(example(m701={"W": 1000, "W_SF": 0})))
    async with serving(registers) as server:
        device = opened(server)
        assert (await device.poll())["p_w"].value == -1000.0
        registers.load(BASE, image_of(example(m701={"W": 1000, "W_SF": FACTORS[name]})))
        points = await device.poll()
        assert points["p_w"].quality is Quality.BAD
        assert "expected -10 to 10" in points["p_w"].reason
        assert points["f_hz"].usable
        registers.load(BASE, image_of(example(m701={"W": 1000, "W_SF": 0})))
        assert (await device.poll())["p_w"].value == -1000.0
        await device.aclose()


async def test_models_that_move_at_any_poll_are_never_read_at_their_old_place() -> None:
    places = [
        image_of(example(m701={"W": 1000, "W_SF": 0})),
        image_of(example(m701={"W": 1000, "W_SF": 0}), EXTRA_MODEL),
    ]
    registers = Registers(BASE, places[0])
    async with serving(registers) as server:
        device = opened(server)
        good = 0
        for turn in range(24):
            registers.load(BASE, places[turn // 3 % 2])
            point = (await device.poll())["p_w"]
            assert not point.usable or point.value == -1000.0
            good += point.usable
            await asyncio.sleep(0.04)
        assert good >= 4
        await device.aclose()
