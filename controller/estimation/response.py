"""Proof of response: a unit that was told to give way and does not move is deaf and gets no credit.

The distance between what a unit does and what it may do must shrink; after dead time, measurement delay and two
cycles at least a fifth of what its ramp and lag allow must be done. Credit returns when it obeys.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.actuator import UnitArrays

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_FRAC = 0.015  # of rated power: sensor bias, smoothed noise and one write dead-band
SMOOTHING = 0.5
LARGE = 2.0  # a gap this many tolerances wide is no noise and is not smoothed
PROGRESS_MIN_FRAC = 0.2
REBASE_FRAC = 0.5  # of the gap: who has done this much is on the way, and is judged anew from there
LIMITED_S = 120.0
LAG_ALLOWANCE = 1.6  # units are slower than their data sheet by up to this factor


@dataclass(frozen=True, slots=True)
class Response:
    """Per unit: how far off it is (smoothed), since when (inf = it obeys), how far off it was and what it did then,
    and the verdict.

    ``deaf`` units get no credit at all. A battery that does less than it may, but in the right direction, is nearly
    full or empty: for a while it gets credit only for what it does.
    """

    gap_w: Array
    since_s: Array
    gap_then_w: Array
    output_then_w: Array
    deaf: BoolArray
    limited_until_s: Array
    limited_sign: Array

    def limited(self, now_s: float) -> Array:
        """Per unit: sign of the power (load convention) in which it cannot give more now; 0 = not known."""
        return np.where(now_s < self.limited_until_s, self.limited_sign, 0.0)


def initial_response(n: int) -> Response:
    """Everybody obeys until shown otherwise."""
    zero = np.zeros(n)
    return Response(zero, np.full(n, np.inf), zero, zero, np.zeros(n, dtype=bool), np.full(n, -np.inf), zero)


def observe(
    previous: Response,
    measured_w: Array,
    set_low_w: Array,
    set_high_w: Array,
    now_s: float,
    units: UnitArrays,
) -> Response:
    """Update with the newest measured powers (NaN = unknown: state is kept).

    ``set_low_w``/``set_high_w`` span the set points of the time that commands and readings need on their way (load
    convention): whoever is between them may still be on the move.
    """
    beyond = np.maximum(measured_w - set_high_w, set_low_w - measured_w)
    above_cap = np.where(units.sign > 0.0, measured_w - set_high_w, set_low_w - measured_w)
    raw = np.where(units.is_battery, beyond, above_cap)
    known = np.isfinite(raw)
    tolerance = TOLERANCE_FRAC * units.p_rated_w
    smoothed = previous.gap_w + SMOOTHING * (raw - previous.gap_w)
    gap = np.where(known, np.where(raw > LARGE * tolerance, raw, smoothed), previous.gap_w)
    off = known & (gap > tolerance)
    toward = np.where(measured_w > set_high_w, 1.0, -1.0)
    done = (previous.output_then_w - measured_w) * toward / np.maximum(previous.gap_then_w, 1.0)
    starting = off & (~np.isfinite(previous.since_s) | (done > REBASE_FRAC))
    since = np.where(starting, now_s, np.where(known & ~off, np.inf, previous.since_s))
    gap_then = np.where(starting, gap, previous.gap_then_w)
    output_then = np.where(starting, measured_w, previous.output_then_w)
    moving_s = np.maximum(now_s - since, 0.0)
    by_lag = 1.0 - np.exp(-moving_s / (LAG_ALLOWANCE * units.tau_p_s))
    possible = np.minimum(by_lag, moving_s * units.ramp_down_w_per_s / np.maximum(gap_then, 1.0))
    failed = off & ~starting & (possible > PROGRESS_MIN_FRAC) & (done < PROGRESS_MIN_FRAC * possible)
    recovered = known & (~off | (done > 2.0 * PROGRESS_MIN_FRAC))
    silent = failed | (previous.deaf & ~recovered)
    low, high = np.minimum(set_low_w, 0.0), np.maximum(set_high_w, 0.0)
    short = silent & units.is_battery & (measured_w <= high) & (measured_w >= low)
    return Response(
        gap_w=gap,
        since_s=since,
        gap_then_w=gap_then,
        output_then_w=output_then,
        deaf=silent & ~short,
        limited_until_s=np.where(short, now_s + LIMITED_S, previous.limited_until_s),
        limited_sign=np.where(short, np.sign(set_low_w + set_high_w), previous.limited_sign),
    )
