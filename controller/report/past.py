"""What a store remembers of a span of time, as arrays: one row per period, NaN where nothing was stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.balancing.national.sales import Sale
from controller.history.batch import Happening
from controller.history.chain import Verdict, verify
from controller.history.store import StoreError, curtailments

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Past:
    """One span of one site. ``start_utc_s`` are the periods' beginnings (s since 1970), ``period_s`` their length.

    ``mean`` and ``high`` are by point name and in the unit of the name, in the house's signs; ``ledger`` holds the
    entries of the record of curtailments that lie inside, ``proof`` is about all of them from the first ever written.
    Of a recording there is no ``proof``: the entries were only now made of it. ``lost_s`` is how much of the span
    nobody recorded. ``sales`` is what the national market was offered.
    """

    site: str
    period_s: float
    start_utc_s: Array
    mean: Mapping[str, Array]
    high: Mapping[str, Array]
    events: tuple[Happening, ...]
    ledger: tuple[Mapping[str, str], ...]
    proof: Verdict | None
    lost_s: float
    sales: tuple[Sale, ...] = ()

    def of(self, point: str) -> Array:
        """Means of a point; NaN throughout when it was never recorded."""
        return self.mean.get(point, np.full(len(self.start_utc_s), np.nan))

    def most(self, point: str) -> Array:
        """Highest values of a point in every period."""
        return self.high.get(point, np.full(len(self.start_utc_s), np.nan))

    @property
    def hours(self) -> float:
        """Length of one period, h."""
        return self.period_s / 3600.0


class NothingStored(ValueError):
    """The span holds no period; says what there is."""


def read_past(db: sqlite3.Connection, from_utc_s: float, to_utc_s: float) -> Past:
    """Read the span ``from_utc_s`` ≤ start < ``to_utc_s``. Raises NothingStored."""
    span = (from_utc_s, to_utc_s)
    periods = db.execute(
        "SELECT DISTINCT start_utc_s, period_s FROM period WHERE start_utc_s >= ? AND start_utc_s < ? ORDER BY 1", span
    ).fetchall()
    if not periods:
        raise NothingStored(f"nothing is stored from {from_utc_s:.0f} to {to_utc_s:.0f} s since 1970")
    starts = np.array([row[0] for row in periods], dtype=np.float64)
    mean, high = _points(db, span, {int(start): k for k, start in enumerate(starts)})
    ledger = tuple(curtailments(db))
    events = db.execute(
        "SELECT utc_s, name, subject, text FROM event WHERE utc_s >= ? AND utc_s < ? ORDER BY utc_s, id", span
    )
    period_s = float(periods[0][1])
    return Past(
        site=site_stored(db),
        period_s=period_s,
        start_utc_s=starts,
        mean=mean,
        high=high,
        events=tuple(Happening(*row) for row in events),
        ledger=tuple(row for row in ledger if _inside(row, starts[0], starts[-1] + period_s)),
        proof=verify(ledger),
        lost_s=max(float(starts[-1] - starts[0]) + period_s - len(starts) * period_s, 0.0),
    )


def site_stored(db: sqlite3.Connection) -> str:
    """Name of the site that a store is of. Raises StoreError."""
    row = db.execute("SELECT value FROM about WHERE key = 'site'").fetchone()
    if row is None:
        raise StoreError("the store does not say of which site it is; expected one written by `gridedge station`")
    name = str(row[0])
    if Path(name).name != name:  # what stands in a store must not choose the file that is read
        raise StoreError(f"the store is of a site {name!r}, which is no name; expected a bare one, or --site")
    return name


def span_stored(db: sqlite3.Connection) -> tuple[float, float]:
    """First and last instant of which anything is stored. Raises NothingStored."""
    first, last = db.execute("SELECT min(start_utc_s), max(start_utc_s + period_s) FROM period").fetchone()
    if first is None:
        raise NothingStored("the store is empty; expected periods written by `gridedge station`")
    return float(first), float(last)


def _points(
    db: sqlite3.Connection, span: tuple[float, float], place: Mapping[int, int]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Means and highest values of every point; the parts of a period are weighed by how many values each has."""
    count = len(place)
    weight: dict[str, Array] = {}
    total: dict[str, Array] = {}
    high: dict[str, Array] = {}
    rows = db.execute(
        "SELECT name, start_utc_s, n, mean, high FROM sample JOIN point ON point.id = sample.point"
        " WHERE start_utc_s >= ? AND start_utc_s < ?",
        span,
    )
    for name, start, n, mean, most in rows:
        if not all(isinstance(number, int | float) for number in (n, mean, most)):
            raise ValueError(f"sample of {name} at {start} is {n!r}, {mean!r}, {most!r}; expected three numbers")
        k = place[int(start)]
        if name not in weight:
            weight[name], total[name], high[name] = np.zeros(count), np.zeros(count), np.full(count, np.nan)
        weight[name][k] += n
        total[name][k] += n * mean
        high[name][k] = np.fmax(high[name][k], most)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: total[name] / weight[name] for name in weight}, high


def _inside(row: Mapping[str, str], first_s: float, last_s: float) -> bool:
    start_s = np.datetime64(row["from_utc"].rstrip("Z"), "s").astype(np.int64)
    return bool(first_s <= start_s < last_s)
