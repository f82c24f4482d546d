"""Decodes the same blocks of many devices at once, with the very numbers that :mod:`drivers.modbus.decode` finds.

One gather per number type brings every word and byte order into the network's; then scale factors, sentinels and
plausible ranges are whole-array operations. A test holds the results against those of the point-by-point way, bit by
bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Kind:
    """The columns of one number type: where their bytes stand in a row, and the raw values that mean nothing."""

    dtype: np.dtype[np.generic]
    columns: NDArray[np.intp]
    gather: NDArray[np.intp] | slice
    sentinels: tuple[tuple[int, NDArray[np.generic]], ...]

    def raw(self, rows: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Raw numbers, one row per device."""
        return np.ascontiguousarray(rows[:, self.gather]).view(self.dtype)


class BulkPlan:
    """How to decode ``blocks`` that were all answered; ``names`` are the columns of the result."""

    def __init__(self, blocks: Sequence[Block], byte_order: str) -> None:
        self.specs = tuple(spec for block in blocks for spec in block.points)
        self.names = tuple(spec.name for spec in self.specs)
        self.block_of = tuple(index for index, block in enumerate(blocks) for _ in block.points)
        self.size = sum(2 * block.count for block in blocks)
        starts = _starts(blocks)
        self._kinds = tuple(
            _kind(kind, self.specs, starts, byte_order) for kind in _DTYPES if any(s.type == kind for s in self.specs)
        )
        self._scale = np.array([spec.scale for spec in self.specs])
        self._offset = np.array([spec.offset for spec in self.specs])
        self._low = np.array([-sys.float_info.max if s.low is None else s.low for s in self.specs])
        self._high = np.array([sys.float_info.max if s.high is None else s.high for s in self.specs])
        column = {name: index for index, name in enumerate(self.names)}
        scaled = [(index, column[spec.sf]) for index, spec in enumerate(self.specs) if spec.sf is not None]
        self._scaled = np.array([index for index, _ in scaled], dtype=np.intp)
        self._factors = np.array([factor for _, factor in scaled], dtype=np.intp)

    def decode(self, payloads: Iterable[bytes]) -> tuple[Floats, Truths]:
        """SI values, and where they are good: implemented, scaled, finite and plausible. One row per device."""
        rows = np.frombuffer(b"".join(payloads), np.uint8).reshape(-1, self.size)
        values = np.empty((len(rows), len(self.specs)))
        missing: list[tuple[NDArray[np.intp], Truths]] = []
        with np.errstate(all="ignore"):  # infinities and NaN are found below, by comparing
            for kind in self._kinds:
                raw = kind.raw(rows)
                values[:, kind.columns] = raw
                for first, sentinels in kind.sentinels:
                    missing.append((kind.columns[first:], raw[:, first:] == sentinels))
            values = self._scaled_values(values)
            good = (values >= self._low) & (values <= self._high)
        for columns, found in missing:
            good[:, columns] &= ~found
        return values, good

    def _scaled_values(self, raw: Floats) -> Floats:
        """raw × scale × 10^sf + offset, in this order; NaN for a scale factor that cannot be."""
        values: Floats = raw * self._scale
        if self._scaled.size:
            exponents = raw[:, self._factors]
            known = (exponents >= SF_LOW) & (exponents <= SF_HIGH)
            places = np.where(known, exponents, 0.0).astype(np.intp) - SF_LOW
            values[:, self._scaled] *= np.where(known, _POWERS[places], np.nan)
        values += self._offset
        return values


def _starts(blocks: Sequence[Block]) -> dict[str, int]:
    """First byte of every point in the joined data of all blocks."""
    out: dict[str, int] = {}
    base = 0
    for block in blocks:
        out |= {spec.name: base + 2 * (spec.address - block.address) for spec in block.points}
        base += 2 * block.count
    return out


def _kind(kind: str, specs: Sequence[PointSpec], starts: dict[str, int], byte_order: str) -> _Kind:
    dtype = np.dtype(_DTYPES[kind])
    # Columns with sentinels last, so that one comparison serves them all; a second one only where there are more.
    mine = sorted((i for i, spec in enumerate(specs) if spec.type == kind), key=lambda i: len(specs[i].missing))
    gather: list[int] = []
    for index in mine:
        spec = specs[index]
        order = wire_order(bytes(range(2 * registers(spec))), spec, byte_order)
        gather += [starts[spec.name] + place for place in order]
    span = slice(gather[0], gather[-1] + 1)
    whole = gather == list(range(gather[0], gather[-1] + 1))
    return _Kind(
        dtype,
        np.array(mine, dtype=np.intp),
        span if whole else np.array(gather, dtype=np.intp),
        tuple(_sentinels([specs[index] for index in mine], dtype)),
    )


def _sentinels(specs: Sequence[PointSpec], dtype: np.dtype[np.generic]) -> list[tuple[int, NDArray[np.generic]]]:
    """Rounds of comparison: from which column on, and the raw value of each column in that round."""
    rounds: list[tuple[int, NDArray[np.generic]]] = []
    for turn in range(max(len(spec.missing) for spec in specs)):
        first = next(index for index, spec in enumerate(specs) if len(spec.missing) > turn)
        rounds.append((first, np.array([spec.missing[turn] for spec in specs[first:]], dtype=dtype)))
    return rounds
