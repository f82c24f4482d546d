"""What consuming units can be counted on to take: vehicles come, want energy, and leave. Pure.

How many vehicles are plugged in and how much energy they want is learned by quarter hour and kind of day like every
other series (:mod:`controller.planning.history`), where the hub reports it, and so is what one vehicle takes and
brings. A hub that reports neither is known by what it takes while nobody holds it back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import SLOTS, Calendar
from controller.planning.forecast import Forecast, forecast
from controller.planning.history import History, Prior, learn_quarter, new_history, see

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SURE_LEVEL = 0.2
"""Counted on is what four of five futures bring."""
QUARTER_H = 0.25
SMALLEST_W = 3700.0  # of one vehicle: one phase of 16 A
WANTED_H_MAX = 12.0  # a full hub wants no more than so many hours of its rating
MEMORY_QUARTERS, SPREAD_FRAC = 16.0, 0.25
FORGET = 0.01  # per quarter hour: how soon a smaller largest power of one vehicle is believed
LEARN = 0.1  # per arrival
KINDS = (0, 0, 0, 0, 1, 2, 3)
"""Monday to Thursday are alike; before and after the weekend people drive otherwise."""
ARRIVED = 0.5  # vehicles more than before


@dataclass(frozen=True, slots=True)
class Uptake:
    """One unit's coming quarter hours, magnitudes, W.

    ``unasked_w`` is what it takes if nobody asks anything of it, ``most_w`` what it can take at once. ``wanted_wh`` is
    what its vehicles want now (infinite where nobody says), ``stay_frac`` the share of those plugged in a quarter hour
    before that are still there, ``joins_wh`` what newcomers want.
    """

    unasked_w: Array
    most_w: Array
    wanted_wh: float
    stay_frac: Array
    joins_wh: Array

    def taken_w(self, allowed_w: Array) -> Array:
        """What it takes under these caps (NaN: as much as unasked), W; who has left or is full takes no more."""
        left_wh, out = self.wanted_wh, np.zeros(len(self.most_w))
        for k, allowed in enumerate(np.where(np.isfinite(allowed_w), allowed_w, self.unasked_w).tolist()):
            if math.isfinite(left_wh):
                left_wh = left_wh * float(self.stay_frac[k]) + float(self.joins_wh[k])
            out[k] = max(min(allowed, float(self.most_w[k]), left_wh / QUARTER_H), 0.0)
            left_wh -= out[k] * QUARTER_H
        return out


@dataclass(frozen=True, slots=True)
class Plugged:
    """One look at n hubs: power taken (W), vehicles plugged in and energy they want (Wh), NaN where nobody says.

    ``held`` where somebody keeps a hub from taking all that it could.
    """

    power_w: Array
    count: Array
    wanted_wh: Array
    held: BoolArray


@dataclass(frozen=True, slots=True)
class Hubs:
    """What was learned of n hubs: series of vehicles and wanted energy, and what one vehicle takes and brings.

    ``each_w`` and ``each_wh`` are 0 before a vehicle was seen. ``last`` is the quarter hour before.
    """

    history: History
    rated_w: Array
    each_w: Array
    each_wh: Array
    last: Plugged


def new_hubs(calendar: Calendar, rated_w: Array) -> Hubs:
    """Nothing seen yet: no vehicle is counted on."""
    n = len(rated_w)
    high = np.concatenate([rated_w / SMALLEST_W, rated_w * WANTED_H_MAX])
    flat = np.ones((SLOTS, 2 * n))
    everywhere = np.ones(2 * n)
    prior = Prior(
        mean=0.0 * flat,
        spread=SPREAD_FRAC * high * flat,
        low=np.zeros(2 * n),
        high=high,
        memory_quarters=MEMORY_QUARTERS * everywhere,
        lasting_share=everywhere,
        daily=np.ones(2 * n, dtype=bool),
    )
    unknown = np.full(n, np.nan)
    nobody = Plugged(unknown, unknown, unknown, np.zeros(n, dtype=bool))
    return Hubs(new_history(replace(calendar, kinds=KINDS), prior), rated_w, np.zeros(n), np.zeros(n), nobody)


def learn_hubs(hubs: Hubs, quarter: int, seen: Plugged) -> Hubs:
    """After one complete quarter hour."""
    history = learn_quarter(hubs.history, quarter, np.concatenate([seen.count, seen.wanted_wh]))
    return replace(hubs, history=history, each_w=_each_w(hubs, seen), each_wh=_each_wh(hubs, seen), last=seen)


def _each_w(hubs: Hubs, seen: Plugged) -> Array:
    """The most that one vehicle takes; believed at once when more, slowly when less."""
    known = (seen.count >= ARRIVED) & np.isfinite(seen.power_w) & ~seen.held
    found = np.where(known, seen.power_w / np.where(known, seen.count, 1.0), 0.0)
    later = np.maximum(found, hubs.each_w + FORGET * (found - hubs.each_w))
    return np.where(known, later, hubs.each_w)


def _each_wh(hubs: Hubs, seen: Plugged) -> Array:
    """What one newcomer brings: how much more is wanted, and what was given meanwhile."""
    rise = seen.count - hubs.last.count
    brought = seen.wanted_wh - hubs.last.wanted_wh + seen.power_w * QUARTER_H
    known = (rise >= ARRIVED) & (brought > 0.0)
    found = np.where(known, brought / np.where(known, rise, 1.0), 0.0)
    later = np.where(hubs.each_wh > 0.0, hubs.each_wh + LEARN * (found - hubs.each_wh), found)
    return np.where(known, later, hubs.each_wh)


def uptakes(hubs: Hubs, now: Plugged, at_s: float, unasked: Forecast, series: list[int]) -> list[Uptake]:
    """What can be counted on, per hub; ``unasked`` forecasts what each takes by itself, in its ``series``."""
    level, quarters = unasked.levels.index(SURE_LEVEL), unasked.value.shape[1]
    history = see(hubs.history, at_s, np.concatenate([now.count, now.wanted_wh]))
    sure = forecast(history, quarters, unasked.levels).value[level]
    return [_uptake(hubs, now, k, unasked.value[level][:, at], sure[:, k]) for k, at in enumerate(series)]


def _uptake(hubs: Hubs, now: Plugged, k: int, unasked_w: Array, count: Array) -> Uptake:
    """``count`` is how many vehicles are counted on; a hub that does not say how many there are takes as usual."""
    quarters = len(unasked_w)
    if not np.isfinite(now.count[k]) or hubs.each_w[k] <= 0.0:
        return Uptake(unasked_w, unasked_w, np.inf, np.ones(quarters), np.zeros(quarters))
    before = np.concatenate([now.count[k : k + 1], count[:-1]])
    stay = np.where(before > 0.0, np.minimum(count / np.where(before > 0.0, before, 1.0), 1.0), 0.0)
    joins_wh = np.maximum(count - before, 0.0) * hubs.each_wh[k]
    most_w = np.minimum(count * hubs.each_w[k], hubs.rated_w[k])
    wanted_wh = float(now.wanted_wh[k]) if np.isfinite(now.wanted_wh[k]) else np.inf
    return Uptake(np.minimum(unasked_w, most_w), most_w, wanted_wh, stay, joins_wh)
