"""Decodes the same blocks of many devices at once, with the very numbers that :mod:`drivers.modbus.decode` finds.

The data of a device are a record with a field for every number type whose values follow each other in the network's
order; from other orders the bytes are gathered into it. Then scale factors, sentinels and plausible ranges are
whole-array operations. With few devices it is their number that counts: what would change nothing is left out. A test
holds the results against those of the point-by-point way, bit by bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.modbus.blocks import Block
from drivers.modbus.decode import SF_HIGH, SF_LOW
from drivers.modbus.values import wire_order
from drivers.profile import PointSpec
from drivers.profile_checks import registers

_DTYPES = {
    "int16": ">i2",
    "uint16": ">u2",
    "int32": ">i4",
    "uint32": ">u4",
    "int64": ">i8",
    "uint64": ">u8",
    "float32": ">f4",
    "float64": ">f8",
}
_POWERS = np.array([10.0 ** float(exponent) for exponent in range(SF_LOW, SF_HIGH + 1)])
BYTES = "bytes"
"""The field of a record that is the whole of it."""
ROWS_MAX = 64
"""For so many devices at most bounds are written out row by row; more would cost more memory than they save time."""

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Kind:
    """The columns of one number type: the field of a record that holds them, and the raw values that mean nothing."""

    field: str
    dtype: np.dtype[np.generic]
    columns: slice
    start: int
    gather: NDArray[np.intp] | None
    """The bytes of a row in the order of the columns; None where they stand so from ``start`` on, in ``field``."""
    sentinels: tuple[tuple[int, NDArray[np.generic]], ...]

    def gathered(self, rows: NDArray[np.void]) -> NDArray[np.generic]:
        """Raw numbers, one row per device."""
        return np.ascontiguousarray(rows[BYTES][:, self.gather]).view(self.dtype)


class _Bounds(NamedTuple):
    """What every row is multiplied by, added to and held against: one row that numpy repeats, or as many as there are.

    Arrays of one shape are worked on three times as fast, as long as they are small.
    """

    scale: Floats
    offset: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, specs: Sequence[PointSpec], rows: int) -> _Bounds:
        """``rows`` times the same."""
        largest = sys.float_info.max  # keeps infinities out where there is no range
        return cls(
            _repeated([spec.scale for spec in specs], rows),
            _repeated([spec.offset for spec in specs], rows),
            _repeated([-largest if spec.low is None else spec.low for spec in specs], rows),
            _repeated([largest if spec.high is None else spec.high for spec in specs], rows),
        )

    def first(self, rows: int) -> _Bounds:
        """The same with fewer rows."""
        return _Bounds(*(array[:rows] for array in self))


class BulkPlan:
    """How to decode ``blocks`` that were all answered; ``names`` are the columns of the result, by number type."""

    def __init__(self, blocks: Sequence[Block], byte_order: str) -> None:
        self.size = sum(2 * block.count for block in blocks)
        places = _places(blocks)
        order: list[str] = []
        kinds: list[_Kind] = []
        for kind in _DTYPES:
            mine = [spec for block in blocks for spec in block.points if spec.type == kind]
            # Columns with sentinels last, so that one comparison serves them all; a second one only where more are.
            mine.sort(key=lambda spec: len(spec.missing))
            if mine:
                kinds.append(_kind(kind, mine, len(order), places, byte_order))
                order += [spec.name for spec in mine]
        self._kinds = tuple(kinds)
        self._record = _record(kinds, self.size)
        self.names = tuple(order)
        self.specs = tuple(places[name].spec for name in order)
        self.block_of = tuple(places[name].block for name in order)
        column = {name: index for index, name in enumerate(order)}
        scaled = [(index, column[spec.sf]) for index, spec in enumerate(self.specs) if spec.sf is not None]
        self._scaled = np.array([index for index, _ in scaled], dtype=np.intp)
        self._factors = np.array([factor for _, factor in scaled], dtype=np.intp)
        self._rescaled = any(spec.scale != 1.0 for spec in self.specs)
        self._shifted = any(spec.offset for spec in self.specs)
        self._scales = bool(self._rescaled or self._shifted or scaled)
        self._sentinels = [
            (index, first, slice(kind.columns.start + first, kind.columns.stop), sentinels)
            for index, kind in enumerate(kinds)
            for first, sentinels in kind.sentinels
        ]
        self._row, self._most = _Bounds.of(self.specs, 1), _Bounds.of(self.specs, ROWS_MAX)
        self._count, self._bounds = 1, self._row

    @np.errstate(all="ignore")  # infinities and NaN are found by comparing
    def decode(self, payloads: Iterable[bytes]) -> tuple[Floats, list[bool]]:
        """SI values, one row per device, and in which rows all of them are good.

        Good is what is implemented, scaled, finite and plausible. Negative zero is left as it came.
        """
        rows = np.frombuffer(b"".join(payloads), self._record)
        count = len(rows)
        if count != self._count:
            self._count, self._bounds = count, self._most.first(count) if count <= ROWS_MAX else self._row
        bounds = self._bounds
        raws = [rows[kind.field] if kind.gather is None else kind.gathered(rows) for kind in self._kinds]
        values = raws[0].astype(np.float64) if len(raws) == 1 else self._beside(raws, count)
        if self._scales:
            self._scale(values, bounds)
        good = values >= bounds.low
        good &= values <= bounds.high
        for kind, first, columns, sentinels in self._sentinels:
            good[:, columns] &= raws[kind][:, first:] != sentinels
        if b"\0" not in good.tobytes():
            return values, [True] * count
        whole: list[bool] = np.logical_and.reduce(good, axis=1).tolist()
        return values, whole

    def _beside(self, raws: Iterable[NDArray[np.generic]], count: int) -> Floats:
        values = np.empty((count, len(self.specs)))
        for kind, raw in zip(self._kinds, raws, strict=True):
            values[:, kind.columns] = raw
        return values

    def _scale(self, values: Floats, bounds: _Bounds) -> None:
        """Raw numbers × scale × 10^sf + offset, in this order; NaN for a scale factor that cannot be."""
        exponents = values[:, self._factors] if self._scaled.size else None
        if self._rescaled:
            values *= bounds.scale
        if exponents is not None:
            known = (exponents >= SF_LOW) & (exponents <= SF_HIGH)
            places = np.where(known, exponents, 0.0).astype(np.intp) - SF_LOW
            values[:, self._scaled] *= np.where(known, _POWERS[places], np.nan)
        if self._shifted:
            values += bounds.offset


@dataclass(frozen=True, slots=True)
class _Place:
    """A point, the block it is read in, and its first byte in the joined data of all blocks."""

    spec: PointSpec
    block: int
    start: int


def _places(blocks: Sequence[Block]) -> dict[str, _Place]:
    out: dict[str, _Place] = {}
    base = 0
    for index, block in enumerate(blocks):
        out |= {spec.name: _Place(spec, index, base + 2 * (spec.address - block.address)) for spec in block.points}
        base += 2 * block.count
    return out


def _kind(kind: str, mine: Sequence[PointSpec], first: int, places: dict[str, _Place], byte_order: str) -> _Kind:
    dtype = np.dtype(_DTYPES[kind])
    gather: list[int] = []
    for spec in mine:
        order = wire_order(bytes(range(2 * registers(spec))), spec, byte_order)
        gather += [places[spec.name].start + place for place in order]
    ordered = gather == list(range(gather[0], gather[-1] + 1))
    return _Kind(
        kind,
        dtype,
        slice(first, first + len(mine)),
        gather[0],
        None if ordered else np.array(gather, dtype=np.intp),
        tuple(_sentinels(mine, dtype)),
    )


def _record(kinds: Iterable[_Kind], size: int) -> np.dtype[np.void]:
    """What the ``size`` bytes of one device are."""
    ordered = [kind for kind in kinds if kind.gather is None]
    counts = [kind.columns.stop - kind.columns.start for kind in ordered]
    return np.dtype(
        {
            "names": [BYTES, *(kind.field for kind in ordered)],
            "formats": [(np.uint8, size), *((kind.dtype, count) for kind, count in zip(ordered, counts, strict=True))],
            "offsets": [0, *(kind.start for kind in ordered)],
            "itemsize": size,
        }
    )


def _sentinels(specs: Sequence[PointSpec], dtype: np.dtype[np.generic]) -> list[tuple[int, NDArray[np.generic]]]:
    """Rounds of comparison: from which column on, and the raw value of each column in that round."""
    rounds: list[tuple[int, NDArray[np.generic]]] = []
    for turn in range(max(len(spec.missing) for spec in specs)):
        first = next(index for index, spec in enumerate(specs) if len(spec.missing) > turn)
        rounds.append((first, np.array([spec.missing[turn] for spec in specs[first:]], dtype=dtype)))
    return rounds


def _repeated(row: Sequence[float], rows: int) -> Floats:
    return np.tile(np.array(row, dtype=np.float64), (rows, 1))
