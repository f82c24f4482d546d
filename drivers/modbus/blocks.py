"""Which registers to read in one request.

A point is never split. A point and its scale factor are read in one request whenever the device's rules allow it, so
that a device which changes its scale factors cannot be misread; after that, few requests count before few registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drivers.profile import PointSpec, ReadRules
from drivers.profile_checks import registers


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: ``count`` registers of ``table`` from ``address``, and the points that lie in them."""

    table: str
    address: int
    count: int
    points: tuple[PointSpec, ...]


def plan_blocks(points: Iterable[PointSpec], rules: ReadRules) -> tuple[Block, ...]:
    """The read requests that cover ``points``, in order of table and address.

    Raises ``ValueError`` when a point cannot be read within ``rules``.
    """
    tables: dict[str, list[PointSpec]] = {}
    for spec in points:
        tables.setdefault(spec.table, []).append(spec)
    blocks: list[Block] = []
    for table in sorted(tables):
        blocks.extend(_plan_table(sorted(tables[table], key=lambda spec: spec.address), rules))
    return tuple(blocks)


_Cost = tuple[int, int, int]  # points apart from their scale factor, requests, registers


def _plan_table(specs: Sequence[PointSpec], rules: ReadRules) -> list[Block]:
    """Cheapest cut of the ordered points into blocks, by dynamic programming over the last block."""
    best: list[tuple[_Cost, int]] = [((0, 0, 0), 0)]
    for end in range(1, len(specs) + 1):
        options = []
        for start in range(end - 1, -1, -1):
            if not _allowed(specs[start:end], rules):
                break
            (apart, requests, size), own = best[start][0], _count(specs[start:end])
            options.append(((apart + _apart(specs[start:end]), requests + 1, size + own), start))
        if not options:
            spec = specs[end - 1]
            raise ValueError(f"point {spec.name} at {spec.address} cannot be read within the read rules of the profile")
        best.append(min(options))
    blocks = []
    end = len(specs)
    while end:
        start = best[end][1]
        part = tuple(specs[start:end])
        blocks.append(Block(part[0].table, part[0].address, _count(part), part))
        end = start
    return blocks[::-1]


def _count(part: Sequence[PointSpec]) -> int:
    return part[-1].address + registers(part[-1]) - part[0].address


def _apart(part: Sequence[PointSpec]) -> int:
    names = {spec.name for spec in part}
    return sum(1 for spec in part if spec.sf is not None and spec.sf not in names)


def _allowed(part: Sequence[PointSpec], rules: ReadRules) -> bool:
    first, last = part[0].address, part[0].address + _count(part) - 1
    if last - first + 1 > rules.registers_max:
        return False
    if any(low <= last and first <= high for low, high in rules.forbidden):
        return False
    return all(b.address - a.address - registers(a) <= rules.gap_max for a, b in pairwise(part))
