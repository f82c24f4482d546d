"""What reasons allow single units: ranges of active power, narrowed to what all of them leave.

A range is a cap on the magnitude in each direction; one that leaves out zero also asks for that much. Where two do not
meet, the one nearer to standing still wins and the clash is kept: nobody makes a unit do more than another allows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.owner import Owner

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UnitRange:
    """What one reason allows one unit (index in ``site.units``): ``low_w`` ≤ P ≤ ``high_w``, load convention.

    ``q_var`` is a reactive set point asked for (NaN: none). ``note`` and ``left_s`` (seconds until it ends by itself,
    NaN: not known) are for the record.
    """

    unit: int
    owner: Owner
    cause: str
    low_w: float = -math.inf
    high_w: float = math.inf
    q_var: float = math.nan
    note: str = ""
    left_s: float = math.nan


@dataclass(frozen=True, slots=True)
class Sold:
    """What one unit does beyond ``above_w`` (a magnitude) is sold: it restricts nothing, but limits take it first.

    ``note`` and ``left_s`` as of :class:`UnitRange`.
    """

    unit: int
    owner: Owner
    cause: str
    above_w: float
    note: str = ""
    left_s: float = math.nan


@dataclass(frozen=True, slots=True)
class UnitRanges:
    """The ranges in force; arrays and tuples in the site's order of units.

    ``q_var`` is NaN where nobody asks for one. ``by`` holds every range that shaped a unit's, highest priority first,
    ``clashes`` the units whose ranges did not meet, in words. ``sold`` holds at most one of each unit.
    """

    low_w: Array
    high_w: Array
    q_var: Array
    by: tuple[tuple[UnitRange, ...], ...]
    clashes: tuple[tuple[int, str], ...] = ()
    sold: tuple[Sold, ...] = ()


def unrestricted(n: int) -> UnitRanges:
    """Nobody restricts any of ``n`` units."""
    return UnitRanges(np.full(n, -np.inf), np.full(n, np.inf), np.full(n, np.nan), ((),) * n)


def combine(n: int, ranges: Sequence[UnitRange]) -> UnitRanges:
    """What all of ``ranges`` leave to each of ``n`` units; a bound that is not a number allows nothing."""
    if not ranges:
        return unrestricted(n)
    low, high, q = np.full(n, -np.inf), np.full(n, np.inf), np.full(n, np.nan)
    by: list[list[UnitRange]] = [[] for _ in range(n)]
    clashes: list[tuple[int, str]] = []
    for wanted in sorted(ranges, key=lambda r: r.owner.priority):
        k = wanted.unit
        met, lower, upper = _meet((float(low[k]), float(high[k])), (_closed(wanted.low_w), _closed(wanted.high_w)))
        if not met and by[k]:
            clashes.append((k, f"{by[k][-1].cause} and {wanted.cause} do not meet; {_words(lower, upper)} is kept"))
        low[k], high[k] = lower, upper
        q[k] = wanted.q_var if math.isnan(q[k]) else q[k]
        by[k].append(wanted)
    return UnitRanges(low, high, q, tuple(tuple(x) for x in by), tuple(clashes))


def most_sold(sold: Sequence[Sold]) -> tuple[Sold, ...]:
    """Of every unit the one that leaves it least; one that begins at no magnitude sells nothing."""
    found: dict[int, Sold] = {}
    for one in sold:
        if 0.0 <= one.above_w < math.inf and (one.unit not in found or one.above_w < found[one.unit].above_w):
            found[one.unit] = one
    return tuple(found[k] for k in sorted(found))


def _closed(bound_w: float) -> float:
    return 0.0 if math.isnan(bound_w) else bound_w


def _meet(one: tuple[float, float], other: tuple[float, float]) -> tuple[bool, float, float]:
    """Whether two ranges meet, and what is left of them: nothing met, the bound nearer to zero."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    if low <= high:
        return True, low, high
    if low > 0.0 > high:
        return False, 0.0, 0.0
    nearest = low if abs(low) < abs(high) else high
    return False, nearest, nearest


def _words(low_w: float, high_w: float) -> str:
    return f"{low_w / 1e3:.4g} kW" if low_w == high_w else f"{low_w / 1e3:.4g}…{high_w / 1e3:.4g} kW"
