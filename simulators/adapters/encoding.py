"""From SI values to Modbus registers and back, by a device profile. Pure: no socket, no clock.

    raw = (value − offset) / (scale × 10^sf), rounded for integer types

A value that its registers cannot hold (too large, NaN, infinite) is written as "not implemented": the point's first
``missing`` value, else the SunSpec one of its type (0x8000…, 0xFFFF…, NaN). A saturated number would be a lie that
looks like a measurement.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.profile import PointSpec, Profile

_INTEGERS = {
    "int16": (1, True),
    "uint16": (1, False),
    "int32": (2, True),
    "uint32": (2, False),
    "int64": (4, True),
    "uint64": (4, False),
}
_FLOATS = {"float32": (2, ">f", ">2H"), "float64": (4, ">d", ">4H")}
_EXPONENTS = range(-10, 11)  # what a SunSpec ``sunssf`` may hold
_DEFAULT_EXPONENT = 0


class WriteRefusedError(Exception):
    """The registers of a write do not fit the profile: ``address`` is unknown or read-only, or a value is cut."""

    def __init__(self, text: str, *, address_is_wrong: bool) -> None:
        super().__init__(text)
        self.address_is_wrong = address_is_wrong


@dataclass(frozen=True, slots=True)
class _Cell:
    """One point in its table: ``start`` and ``words`` in registers."""

    spec: PointSpec
    start: int
    words: int

    @property
    def end(self) -> int:
        return self.start + self.words


def word_count(spec: PointSpec) -> int:
    """Registers that a point takes."""
    if spec.type == "string":
        return spec.length
    if spec.type in _FLOATS:
        return _FLOATS[spec.type][0]
    if spec.type in _INTEGERS:
        return _INTEGERS[spec.type][0]
    raise ValueError(f"point {spec.name} has type {spec.type!r}; expected int16 … uint64, float32, float64 or string")


def encode(spec: PointSpec, value: float, exponent: int = 0, byte_order: str = "big") -> tuple[int, ...]:
    """Registers of ``value`` (SI) at scale factor ``10^exponent``, in the order they stand in the device."""
    if spec.type == "string":
        return (0,) * spec.length
    raw = (value - spec.offset) / (spec.scale * 10.0**exponent)
    words = _float_words(spec, raw) if spec.type in _FLOATS else _integer_words(spec, raw)
    return _ordered(spec, words, byte_order)


def decode(spec: PointSpec, registers: Sequence[int], exponent: int = 0, byte_order: str = "big") -> float:
    """SI value of the registers of one point; NaN where they say "not implemented"."""
    words = _ordered(spec, tuple(registers), byte_order)
    if spec.type in _FLOATS:
        _, value_code, word_code = _FLOATS[spec.type]
        raw: float = struct.unpack(value_code, struct.pack(word_code, *words))[0]
    else:
        raw = _integer(spec, words)
    return raw * spec.scale * 10.0**exponent + spec.offset


def _ordered(spec: PointSpec, words: tuple[int, ...], byte_order: str) -> tuple[int, ...]:
    if spec.word_order == "low_first":
        words = words[::-1]
    if byte_order == "little":
        words = tuple((word >> 8) | ((word & 0xFF) << 8) for word in words)
    return words


def _float_words(spec: PointSpec, raw: float) -> tuple[int, ...]:
    _, value_code, word_code = _FLOATS[spec.type]
    try:
        packed = struct.pack(value_code, raw)
    except OverflowError:
        packed = struct.pack(value_code, math.nan)
    return struct.unpack(word_code, packed)


def _integer_words(spec: PointSpec, raw: float) -> tuple[int, ...]:
    count, _ = _INTEGERS[spec.type]
    low, high = _integer_range(spec.type)
    number = round(raw) if math.isfinite(raw) else high + 1
    if not low <= number <= high:
        number = _missing(spec)
    return struct.unpack(f">{count}H", (number & ((1 << 16 * count) - 1)).to_bytes(2 * count, "big"))


def _integer(spec: PointSpec, words: tuple[int, ...]) -> float:
    count, signed = _INTEGERS[spec.type]
    number = int.from_bytes(struct.pack(f">{count}H", *words), "big", signed=signed)
    mask = (1 << 16 * count) - 1
    sentinels = {sentinel & mask for sentinel in spec.missing} or {_missing(spec)}
    return math.nan if number & mask in sentinels else float(number)


def _integer_range(type_name: str) -> tuple[int, int]:
    count, signed = _INTEGERS[type_name]
    bits = 16 * count
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _missing(spec: PointSpec) -> int:
    """The raw "not implemented" value, as an unsigned number."""
    count, signed = _INTEGERS[spec.type]
    mask = (1 << 16 * count) - 1
    if spec.missing:
        return spec.missing[0] & mask
    return 1 << 16 * count - 1 if signed else mask


class RegisterMap:
    """All registers of one device type.

    Readable are the points and the gaps between them that the profile's ``read.gap_max`` lets a client bridge (they
    read 0); ``read.forbidden`` ranges and everything else are unknown addresses.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._cells: dict[str, list[_Cell]] = {}
        for spec in profile.points:
            self._cells.setdefault(spec.table, []).append(_Cell(spec, spec.address, word_count(spec)))
        for cells in self._cells.values():
            cells.sort(key=lambda cell: cell.start)
        self._starts = {table: [cell.start for cell in cells] for table, cells in self._cells.items()}
        self._longest = max((cell.words for cells in self._cells.values() for cell in cells), default=1)
        self._blocks = {table: self.blocks(table) for table in ("holding", "input")}
        self._scaled = _points_by_scale_factor(profile)
        self._smallest = {sf: _smallest_exponent(specs) for sf, specs in self._scaled.items()}

    def blocks(self, table: str) -> list[tuple[int, int]]:
        """Readable ranges of ``table`` as (start, count), ascending."""
        merged: list[list[int]] = []
        for cell in self._cells.get(table, []):
            if merged and cell.start - merged[-1][1] <= self.profile.read.gap_max:
                merged[-1][1] = max(merged[-1][1], cell.end)
            else:
                merged.append([cell.start, cell.end])
        return [(a, b - a) for start, end in merged for a, b in _without(start, end, self.profile.read.forbidden)]

    def readable(self, table: str, address: int, count: int) -> bool:
        """True when every register of the range may be read in one request."""
        return any(start <= address and address + count <= start + size for start, size in self._blocks[table])

    def read(self, table: str, address: int, count: int, values: Mapping[str, float]) -> list[int]:
        """``count`` registers from ``address``; ``values`` (SI by point name) may lack points."""
        out = [0] * count
        exponents: dict[str, int] = {}
        for cell in self._touching(table, address, count):
            words = self._encode(cell.spec, values, exponents)
            first = max(cell.start, address)
            last = min(cell.end, address + count)
            out[first - address : last - address] = words[first - cell.start : last - cell.start]
        return out

    def writes(
        self, address: int, registers: Sequence[int], values: Mapping[str, float], table: str = "holding"
    ) -> list[tuple[str, float]]:
        """What a register write means: (point, SI value) in register order; NaN for a "not implemented" value.

        Raises :class:`WriteRefusedError` when a register is unknown or read-only, or a value is written in part.
        """
        out: list[tuple[str, float]] = []
        position, end = address, address + len(registers)
        while position < end:
            cell = self._writable(table, position, end)
            exponent = 0 if cell.spec.sf is None else self.exponent(cell.spec.sf, values)
            words = registers[position - address : cell.end - address]
            out.append((cell.spec.name, decode(cell.spec, words, exponent, self.profile.byte_order)))
            position = cell.end
        return out

    def exponent(self, sf: str, values: Mapping[str, float]) -> int:
        """Power of ten of a scale-factor point.

        What the device says; else the finest one that holds the plausible range of every point scaled by it, and the
        present values. Real devices keep theirs for life, so give a range (or a value) where points are scaled.
        """
        stated = values.get(sf, math.nan)
        if math.isfinite(stated):
            return round(stated)
        needed = (_fitting_exponent(spec, values.get(spec.name, math.nan)) for spec in self._scaled.get(sf, ()))
        return max(self._smallest.get(sf, _DEFAULT_EXPONENT), *needed, _EXPONENTS[0])

    def _encode(self, spec: PointSpec, values: Mapping[str, float], exponents: dict[str, int]) -> tuple[int, ...]:
        if spec.name in self._scaled:
            return encode(spec, float(self.exponent(spec.name, values)), 0, self.profile.byte_order)
        if spec.sf is not None and spec.sf not in exponents:
            exponents[spec.sf] = self.exponent(spec.sf, values)
        value = values.get(spec.name, self.profile.identity.get(spec.name, math.nan))
        return encode(spec, value, exponents[spec.sf] if spec.sf else 0, self.profile.byte_order)

    def _touching(self, table: str, address: int, count: int) -> list[_Cell]:
        cells = self._cells.get(table, [])
        starts = self._starts.get(table, [])
        low = bisect_right(starts, address - self._longest)
        high = bisect_right(starts, address + count - 1)
        return [cell for cell in cells[low:high] if cell.end > address]

    def _writable(self, table: str, position: int, end: int) -> _Cell:
        found = [cell for cell in self._cells.get(table, []) if cell.start == position and "w" in cell.spec.access]
        if not found:
            inside = any(cell.start < position < cell.end for cell in self._cells.get(table, []))
            text = f"{table} register {position} of profile {self.profile.id} is not the start of a writable point"
            raise WriteRefusedError(text, address_is_wrong=not inside)
        if found[0].end > end:
            text = f"write ends at register {end - 1}, inside point {found[0].spec.name}"
            raise WriteRefusedError(text, address_is_wrong=False)
        return found[0]


def _points_by_scale_factor(profile: Profile) -> dict[str, list[PointSpec]]:
    out: dict[str, list[PointSpec]] = {}
    for spec in profile.points:
        if spec.sf is not None:
            out.setdefault(spec.sf, []).append(spec)
    return out


def _smallest_exponent(specs: Sequence[PointSpec]) -> int:
    """The finest exponent at which every stated range fits; 0 when no point states a range."""
    edges = [(spec, edge) for spec in specs for edge in (spec.low, spec.high) if edge is not None]
    return max((_fitting_exponent(spec, edge) for spec, edge in edges), default=_DEFAULT_EXPONENT)


def _fitting_exponent(spec: PointSpec, value: float) -> int:
    """The smallest exponent at which ``value`` fits the integer type of ``spec``, sentinel excluded."""
    if spec.type not in _INTEGERS or not math.isfinite(value):
        return _EXPONENTS[0]
    low, high = _integer_range(spec.type)
    raw = (value - spec.offset) / spec.scale
    lowest = low + 1 if low < 0 else low  # the most negative number is the sentinel of signed types
    return next((e for e in _EXPONENTS if lowest <= round(raw / 10.0**e) < high), _EXPONENTS[-1])


def _without(start: int, end: int, forbidden: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """[start, end) minus the forbidden (first, last) ranges, both ends of which are forbidden."""
    parts = [(start, end)]
    for first, last in forbidden:
        parts = [
            (a, b) for low, high in parts for a, b in ((low, min(high, first)), (max(low, last + 1), high)) if a < b
        ]
    return parts
