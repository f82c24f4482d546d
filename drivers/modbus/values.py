"""Registers to SI values and back, for one point.

value = raw × scale × 10^sf + offset
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

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


def block_layout(specs: Sequence[PointSpec], first: int, byte_order: str) -> struct.Struct:
    """Layout that takes the numbers of ``specs`` (ordered, not overlapping) out of a block from register ``first``.

    Numbers come out exact (an int for integer types); points that need :func:`swapped` come out as bytes.
    """
    layout, at = ">", first
    for spec in specs:
        code = f"{2 * registers(spec)}s" if needs_swap(spec, byte_order) else _FORMATS[spec.type][1:]
        layout += "xx" * (spec.address - at) + code
        at = spec.address + registers(spec)
    return struct.Struct(layout)


def needs_swap(spec: PointSpec, byte_order: str) -> bool:
    """True when the device keeps the words or bytes of ``spec`` in another order than the network's."""
    return byte_order != "big" or spec.word_order != "high_first"


def swapped(spec: PointSpec, data: bytes, byte_order: str) -> float:
    """The number of a point whose ``data`` stand in the device's own order."""
    number: float = struct.unpack(_FORMATS[spec.type], wire_order(data, spec, byte_order))[0]
    return number


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
