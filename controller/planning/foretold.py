"""A weather forecast as the box keeps it: by quarter hour, in SI, with the instant at which it was new. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.weather import QUANTITIES
from controller.planning.calendar import QUARTER_S

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

SAME = np.array([1.0, 0.1, 0.1])
"""Two forecasts whose values differ by less everywhere are one: rounding and interpolation, not news."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """Means of quarter hours from ``start_utc_s`` on (row, quantity), first heard ``issued_utc_s``.

    ``heard_utc_s`` is when this copy came; both UTC seconds since 1970.
    """

    heard_utc_s: float
    issued_utc_s: float
    start_utc_s: int
    value: Array

    @property
    def end_utc_s(self) -> float:
        """Where it ends."""
        return self.start_utc_s + QUARTER_S * len(self.value)

    def at(self, start_utc_s: Array) -> Array:
        """Rows (k, quantity) of the quarter hours that begin at these instants; NaN outside."""
        row = np.floor((start_utc_s - self.start_utc_s) / QUARTER_S).astype(np.int64)
        inside = (row >= 0) & (row < len(self.value))
        found = np.full((len(row), QUANTITIES), np.nan)
        found[inside] = self.value[row[inside]]
        return found


def says_the_same(one: Foretold, other: Foretold) -> bool:
    """Whether they agree wherever both say something of what comes after both were heard."""
    begins_s = max(one.start_utc_s, other.start_utc_s, one.heard_utc_s, other.heard_utc_s)
    common = np.arange(np.ceil(begins_s / QUARTER_S) * QUARTER_S, min(one.end_utc_s, other.end_utc_s), QUARTER_S)
    return bool(len(common)) and bool((np.abs(one.at(common) - other.at(common)) < SAME).all())


@dataclass(frozen=True, slots=True)
class Heard:
    """Forecasts in the order in which they were heard; one in which nothing changes for ``stale_s`` counts no more."""

    known: tuple[Foretold, ...] = ()
    stale_s: float = 0.0

    def in_force(self, at_utc_s: float) -> Foretold | None:
        """The one that counted at an instant; None before the first was heard, and when it was too old."""
        after = bisect_right(self.known, at_utc_s, key=lambda one: one.heard_utc_s)
        if after == 0 or not 0.0 <= at_utc_s - self.known[after - 1].issued_utc_s <= self.stale_s:
            return None
        return self.known[after - 1]

    def of(self, start_utc_s: Array, at_utc_s: float) -> Array:
        """What was known at an instant of the quarter hours that begin at others: (k, quantity), NaN = nothing."""
        found = self.in_force(at_utc_s)
        return np.full((len(start_utc_s), QUANTITIES), np.nan) if found is None else found.at(start_utc_s)


NOTHING_HEARD = Heard()
