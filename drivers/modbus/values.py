"""Registers to SI values and back, for one point.

value = raw × scale × 10^sf + offset
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from drivers.profile import PointSpec
from drivers.profile_checks import raw_range, registers

_FORMATS = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}


class EncodeError(ValueError):
    """A value does not fit into its registers; nothing may be sent."""


def wire_order(data: bytes, spec: PointSpec, byte_order: str) -> bytes:
    """Swap between big-endian and the order in which the device keeps words and bytes (its own inverse)."""
    if byte_order == "little":
        data = b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))
    if spec.word_order == "low_first":
        data = b"".join(data[i : i + 2] for i in range(len(data) - 2, -2, -2))
    return data


def raw_reader(spec: PointSpec, first: int, byte_order: str) -> Callable[[bytes], float]:
    """A function that takes the raw number of ``spec`` out of a block that starts at register ``first``.

    It returns an exact int for integer types, so that sentinels of 64 bits can be told apart.
    """
    layout = struct.Struct(_FORMATS[spec.type])
    start = 2 * (spec.address - first)
    end = start + layout.size

    def straight(data: bytes) -> float:
        number: float = layout.unpack_from(data, start)[0]
        return number

    def swapped(data: bytes) -> float:
        number: float = layout.unpack(wire_order(data[start:end], spec, byte_order))[0]
        return number

    return straight if byte_order == "big" and spec.word_order == "high_first" else swapped


def encode_value(spec: PointSpec, value: float, exponent: int, byte_order: str, *, floor: bool = False) -> bytes:
    """The bytes that write ``value`` (SI) to ``spec``; ``floor`` rounds towards less instead of to the nearest.

    Raises :class:`EncodeError` when the value is not finite, out of the point's range, or not representable.
    """
    if (spec.low is not None and value < spec.low) or (spec.high is not None and value > spec.high):
        raise EncodeError(f"{spec.name} is {value:g}; expected {spec.low} to {spec.high}")
    raw = (value - spec.offset) / (spec.scale * 10.0**exponent)
    if not math.isfinite(raw):
        raise EncodeError(f"{spec.name} is {value}; expected a finite number")
    if spec.type in ("float32", "float64"):
        return wire_order(_pack_float(spec, raw), spec, byte_order)
    number = _floor(raw, spec.scale) if floor else round(raw)
    low, high = raw_range(spec.type)
    if not low <= number <= high or number in spec.missing:
        raise EncodeError(
            f"{spec.name} is {value:g}, raw {number}; expected a raw {spec.type} other than {spec.missing}"
        )
    return wire_order(number.to_bytes(2 * registers(spec), "big", signed=low < 0), spec, byte_order)


def _pack_float(spec: PointSpec, raw: float) -> bytes:
    try:
        return struct.pack(_FORMATS[spec.type], raw)
    except OverflowError:
        raise EncodeError(f"{spec.name} is {raw:g}; expected a number that fits {spec.type}") from None


def _floor(raw: float, scale: float) -> int:
    """Round so that the SI value gets smaller; a hair of tolerance keeps exact values exact."""
    return math.floor(raw + 1e-6) if scale > 0.0 else math.ceil(raw - 1e-6)
