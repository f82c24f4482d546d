"""Proof of response for reactive power: who takes its order for Q and does not give it gets no credit for it.

The same envelope as for active power (:mod:`controller.estimation.response`), with two sides for everybody: a
first-order lag that obeys, however slow it is, stays between the most and the least that the orders of the last while
allow. Active power comes first in every unit, so one that has no room for its Q beside P (P² + Q² ≤ S²) owes no more
than that. What is not owed is not missed: an order within the tolerance proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.actuator import UnitArrays
from controller.estimation.response import (
    LAG_ALLOWANCE,
    LATE_FRAC,
    PACE_MIN_FRAC,
    PROGRESS_FRAC,
    SMOOTHING,
)

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_FRAC = 0.02  # of the readings' scale: sensor bias, smoothed noise and one write dead-band
P_DOUBT_FRAC = 0.03  # of rated power: how far P may be from its reading when it pushes Q aside


@dataclass(frozen=True, slots=True)
class ReactiveResponse:
    """Per unit, var (load convention): the envelope, the smoothed reading, how far outside it is, the verdict.

    ``then_var`` is what a ``deaf`` one did when it was found.
    """

    high_var: Array
    low_var: Array
    smooth_var: Array
    gap_var: Array
    deaf: BoolArray
    then_var: Array


def initial_reactive(units: UnitArrays) -> ReactiveResponse:
    """Everybody obeys until shown otherwise, and may still be doing anything."""
    zero = np.zeros(len(units.sign))
    return ReactiveResponse(units.q_max_var, -units.q_max_var, zero, zero, zero > 0.0, zero)


def owed(low_var: Array, high_var: Array, p_w: Array, units: UnitArrays) -> tuple[Array, Array]:
    """The span of orders widened by what P leaves no room for: least and most that one who obeys may do, var."""
    p_most_w = np.abs(p_w) + P_DOUBT_FRAC * units.p_rated_w
    room = np.sqrt(np.maximum(units.s_rated_va**2 - p_most_w**2, 0.0))
    low, high = (np.minimum(np.maximum(x, -room), room) for x in (low_var, high_var))
    return np.minimum(low_var, low), np.maximum(high_var, high)


def observe_reactive(
    previous: ReactiveResponse, measured_var: Array, told_low: Array, told_high: Array, dt_s: float, units: UnitArrays
) -> ReactiveResponse:
    """Update with the newest readings (NaN: the verdict stands); ``told_*`` span what is owed (:func:`owed`), var."""
    share = 1.0 - np.exp(-dt_s * PACE_MIN_FRAC / (LAG_ALLOWANCE * units.tau_q_s))
    high = np.maximum(previous.high_var - (previous.high_var - told_high) * share, told_high)
    low = np.minimum(previous.low_var + (told_low - previous.low_var) * share, told_low)
    known = np.isfinite(measured_var) & (units.q_max_var > 0.0)
    smooth = np.where(
        known, previous.smooth_var + SMOOTHING * (measured_var - previous.smooth_var), previous.smooth_var
    )
    tolerance, late = TOLERANCE_FRAC * units.reading_scale_w, LATE_FRAC * units.reading_scale_w
    above = measured_var - np.maximum(high + late, told_high + tolerance)
    below = np.minimum(low - late, told_low - tolerance) - measured_var
    outside = np.clip(np.maximum(above, below), -late, 0.5 * late)  # one wrong sample accuses nobody
    gap = np.where(known, previous.gap_var + SMOOTHING * (outside - previous.gap_var), previous.gap_var)
    found = known & (gap > 0.0) & ~previous.deaf
    if not (some(found) or some(previous.deaf)):
        return ReactiveResponse(high, low, smooth, gap, previous.deaf, previous.then_var)
    anew = previous.deaf & known & _hears(smooth, previous.then_var, told_low, told_high, tolerance)
    return ReactiveResponse(
        high_var=np.where(anew, np.maximum(measured_var, told_high), high),  # judged from where it is now
        low_var=np.where(anew, np.minimum(measured_var, told_low), low),
        smooth_var=smooth,
        gap_var=np.where(anew, -late, gap),
        deaf=found | (previous.deaf & ~anew),
        then_var=np.where(found, measured_var, previous.then_var),
    )


def _hears(smooth: Array, then: Array, told_low: Array, told_high: Array, tolerance: Array) -> BoolArray:
    """Who has done the better part of its way to what it is told now from what it did when it was found.

    To be where an order happens to be is no proof: only a move shows who hears.
    """
    way = np.minimum(np.maximum(then, told_low), told_high) - then
    needed = np.maximum(PROGRESS_FRAC * np.abs(way), tolerance)
    out: BoolArray = (smooth - then) * np.sign(way) > needed
    return out
