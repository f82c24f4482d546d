"""What a site has learned about its own days: quarter-hourly profiles, and how it strayed from them.

Each series (demand at a bus, what a unit could give) has an expected value and a spread for every quarter hour of a
working day and of a day off. Both start from a typical shape and move toward what is seen, quickly at first, later by
a tenth per day. What is kept besides is the deviation of every past quarter hour from what was expected of it then,
in units of the spread of then, so that the errors of a forecast can be learned without having known the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

RATE_MIN = 0.1
SPREAD_MIN_FRAC = 0.01  # of the scale: a series is never better known than this
DEVIATION_MAX = 6.0
SLOW_QUARTERS = 24.0  # memory of the slow part of the deviation: six hours
KEEP_QUARTERS = 28 * SLOTS
RECENT_S = 300.0  # memory of what "now" is
SMOOTH_MEAN = np.array([0.0, 0.25, 0.5, 0.25, 0.0])  # over neighbouring quarter hours
SMOOTH_VARIANCE = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected of n series before anything was seen.

    Mean and spread per slot (96, n), range (n), for how many quarter hours (n) a deviation stays what it is, and what
    share (n) of the mean deviation of the last hours it then turns into; which of them know the hour of the day at all
    (``daily``), and which go by the sun and not by the clocks on the wall (``sunny``); and how many days all of it
    counts for.
    """

    mean: Array
    spread: Array
    low: Array
    high: Array
    memory_quarters: Array
    lasting_share: Array
    daily: BoolArray
    days: float = 1.0
    sunny: BoolArray = field(default_factory=lambda: np.zeros(1, dtype=bool))

    @property
    def scale(self) -> Array:
        """Size of each series."""
        return np.maximum(self.high - self.low, 1e-9)


@dataclass(frozen=True, slots=True)
class History:
    """Everything learned so far; replaced whole, never changed.

    ``mean`` (kind, 96, n) by kind of day, ``variance`` (96, n), ``seen`` (kind, 96, n) days; ``deviation`` and ``slow``
    (t, n) per past quarter hour, oldest first (NaN = not seen), ``next_quarter`` the one that is being collected in
    ``total`` and ``weight``, ``recent`` the last minutes' mean.
    """

    calendar: Calendar
    prior: Prior
    mean: Array
    variance: Array
    seen: Array
    deviation: Array
    slow: Array
    next_quarter: int | None
    total: Array
    weight: Array
    recent: Array
    now_s: float

    @property
    def slow_now(self) -> Array:
        """Slow part of the deviation after the last complete quarter hour (0 where nothing was seen)."""
        return self.slow[-1] if len(self.slow) else np.zeros(self.recent.shape)

    def expected(self, quarters: IntArray) -> tuple[Array, Array]:
        """Mean and spread (k, n) of the given quarter hours as known now, smoothed over their neighbours."""
        kinds = np.array([self.calendar.day_type(int(q)) for q in quarters], dtype=np.intp)[:, None]
        clock = np.array([self.calendar.by_clock(int(q)) for q in quarters], dtype=np.int64)
        mean, variance = self._around(kinds, clock)
        if self.calendar.changes:
            by_sun = self._around(kinds, quarters)
            mean, variance = (np.where(self.prior.sunny, *both) for both in zip(by_sun, (mean, variance), strict=True))
        mean = np.where(self.prior.daily, mean, self.mean.mean(axis=(0, 1)))
        variance = np.where(self.prior.daily, variance, self.variance.mean(axis=0))
        return mean, np.maximum(np.sqrt(variance), SPREAD_MIN_FRAC * self.prior.scale)

    def _around(self, kinds: NDArray[np.intp], quarters: IntArray) -> tuple[Array, Array]:
        """Mean and variance (k, n) of these slots, with their neighbours'."""
        around = (quarters[:, None] % SLOTS + np.arange(-2, 3)) % SLOTS
        mean = np.einsum("kmn,m->kn", self.mean[kinds, around], SMOOTH_MEAN)
        return mean, np.einsum("kmn,m->kn", self.variance[around], SMOOTH_VARIANCE)


def new_history(calendar: Calendar, prior: Prior) -> History:
    """Nothing seen yet."""
    n, kinds = prior.low.shape[0], max(calendar.kinds) + 1
    return History(
        calendar=calendar,
        prior=prior,
        mean=np.repeat(prior.mean[None], kinds, axis=0),
        variance=prior.spread**2,
        seen=np.zeros((kinds, SLOTS, n)),
        deviation=np.empty((0, n)),
        slow=np.empty((0, n)),
        next_quarter=None,
        total=np.zeros(n),
        weight=np.zeros(n),
        recent=np.full(n, np.nan),
        now_s=-np.inf,
    )


def see(history: History, now_s: float, value: Array) -> History:
    """After one more look at all series (NaN = unknown); complete quarter hours are learned on the way.

    Looks that come out of order are ignored.
    """
    if now_s <= history.now_s:
        return history
    quarter = history.calendar.quarter(now_s)
    if history.next_quarter is not None and quarter > history.next_quarter:
        history = _learn(history, history.next_quarter, quarter)
    dt_s = min(now_s - history.now_s, QUARTER_S)
    known = np.isfinite(value)
    share = 1.0 - np.exp(-dt_s / RECENT_S)
    blended = np.where(np.isfinite(history.recent), history.recent + share * (value - history.recent), value)
    return replace(
        history,
        next_quarter=quarter,
        total=history.total + np.where(known, value, 0.0) * dt_s,
        weight=history.weight + np.where(known, dt_s, 0.0),
        recent=np.where(known, blended, history.recent),
        now_s=now_s,
    )


def _learn(history: History, complete: int, quarter: int) -> History:
    """Close the quarter hour ``complete``; those that nobody saw until ``quarter`` count as unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(history.weight > 0.0, history.total / history.weight, np.nan)
    history = learn_quarter(history, complete, value)
    for missed in range(max(complete + 1, quarter - KEEP_QUARTERS), quarter):
        history = learn_quarter(history, missed, np.full(value.shape, np.nan))
    return replace(history, total=np.zeros_like(history.total), weight=np.zeros_like(history.weight))


def learn_quarter(history: History, quarter: int, value: Array) -> History:
    """After one complete quarter hour with these means (n; NaN = unknown)."""
    mean, spread = (x[0] for x in history.expected(np.array([quarter])))
    deviation = np.clip((value - mean) / spread, -DEVIATION_MAX, DEVIATION_MAX)
    before = history.slow_now
    slow = before + np.where(np.isfinite(deviation), (deviation - before) / SLOW_QUARTERS, 0.0)
    deviations, slows = np.vstack([history.deviation, deviation]), np.vstack([history.slow, slow])
    history = replace(history, deviation=deviations[-KEEP_QUARTERS:], slow=slows[-KEEP_QUARTERS:])
    slot = np.where(history.prior.sunny, quarter, history.calendar.by_clock(quarter)) % SLOTS
    return _with_profile(history, history.calendar.day_type(quarter), np.broadcast_to(slot, value.shape), value)


def _with_profile(history: History, kind: int, slot: IntArray, value: Array) -> History:
    """Profiles after a value in the slot (n) of each series; a kind of day that was never seen follows the others."""
    known, each = np.isfinite(value), np.arange(len(value))
    mean, variance, seen = history.mean.copy(), history.variance.copy(), history.seen.copy()
    here = (kind, slot, each)
    rate = np.where(known, np.maximum(1.0 / (history.prior.days + seen[here] + 1.0), RATE_MIN), 0.0)
    step = np.where(known, value - mean[here], 0.0)
    variance[slot, each] += rate * (step**2 * (1.0 - rate) - variance[slot, each])
    mean[here] += rate * step
    seen[here] += known
    mean[:, slot, each] = np.where(seen[:, slot, each] == 0.0, mean[here], mean[:, slot, each])
    return replace(history, mean=mean, variance=variance, seen=seen)
