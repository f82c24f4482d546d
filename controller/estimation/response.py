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

TOLERANCE_FRAC = 0.025  # of rated power: sensor error plus one write dead-band
PROGRESS_MIN_FRAC = 0.2
LAG_ALLOWANCE = 1.6  # units are slower than their data sheet by up to this factor


@dataclass(frozen=True, slots=True)
class Response:
    """Per unit: since when it disobeys (inf = it does not), how far off it was then, and whether it is deaf."""

    since_s: Array
    gap_then_w: Array
    deaf: BoolArray


def initial_response(n: int) -> Response:
    """Everybody obeys until shown otherwise."""
    return Response(np.full(n, np.inf), np.zeros(n), np.zeros(n, dtype=bool))


def observe(
    previous: Response,
    measured_w: Array,
    set_low_w: Array,
    set_high_w: Array,
    now_s: float,
    units: UnitArrays,
    excused: BoolArray,
) -> Response:
    """Update with the newest measured powers (NaN = unknown: state is kept).

    ``set_low_w``/``set_high_w`` span the set points of the time that commands and readings need on their way (load
    convention): whoever is between them may still be on the move. ``excused`` marks units that cannot follow for a
    reason we know.
    """
    beyond = np.maximum(measured_w - set_high_w, set_low_w - measured_w)
    above_cap = np.where(units.sign > 0.0, measured_w - set_high_w, set_low_w - measured_w)
    gap = np.where(units.is_battery, beyond, above_cap)
    known = np.isfinite(gap)
    off = known & ~excused & (gap > TOLERANCE_FRAC * units.p_rated_w)
    starting = off & ~np.isfinite(previous.since_s)
    since = np.where(starting, now_s, np.where(known & ~off, np.inf, previous.since_s))
    gap_then = np.where(starting, gap, previous.gap_then_w)
    done = (gap_then - gap) / np.maximum(gap_then, 1.0)
    moving_s = np.maximum(now_s - since, 0.0)
    by_lag = 1.0 - np.exp(-moving_s / (LAG_ALLOWANCE * units.tau_p_s))
    possible = np.minimum(by_lag, moving_s * units.ramp_down_w_per_s / np.maximum(gap_then, 1.0))
    failed = off & (possible > PROGRESS_MIN_FRAC) & (done < PROGRESS_MIN_FRAC * possible)
    recovered = known & (~off | (done > 2.0 * PROGRESS_MIN_FRAC))
    return Response(since, gap_then, np.where(failed, True, previous.deaf & ~recovered))
