"""Proof of response: who does not do what it was told gets no credit.

Every unit is followed by an envelope: the most and the least that an obeying unit could still be doing, however slow
it is. A first-order lag with a ramp limit is monotone in its set point and in its pace (comparison principle), so a
unit that obeys at two thirds of the slowest credible pace stays inside whatever its targets do; no false alarm comes
from targets that move. Outside the envelope a unit is deaf until it has moved as told, and not as the sky did: while it
gives all that it says it has, or is below its cap without saying what it has, it has proven nothing. A unit that stays
below both its cap and what it says it could give is *behind*: it may hold an older, lower cap and would jump when it
hears again, so its word on what it has is not believed until it rises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.actuator import UnitArrays

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_FRAC = 0.015  # of the readings' scale: sensor bias, smoothed noise and one write dead-band
READING_FRAC = 0.005  # of the readings' scale: how far the larger of two readings in a row may be too small
LATE_FRAC = 0.0075  # of the readings' scale: noise alone, where a unit is compared with its own earlier readings
SMOOTHING = 0.5
LARGE = 2.0  # a gap this many tolerances wide is no noise and is not smoothed
LAG_ALLOWANCE = 1.6  # units are slower than their data sheet by up to this factor
PACE_MIN_FRAC = 0.65  # of the slowest credible pace: slower than this is not obeying
PROGRESS_FRAC = 0.5  # of what it owes: a deaf unit that has done this much hears again
AT_CAP = 3.0  # tolerances below its cap: farther down it is not the cap that decides
BACK_FRAC = 0.6  # of the tolerance: so near its set point it hears again too
LIMITED_S = 120.0
BEHIND_FRAC = 0.06  # of rated power below cap and reported availability, which is a model's word, not a meter's
RISEN_FRAC = 0.02  # of rated power: a unit that was behind and rises by this much follows again


@dataclass(frozen=True, slots=True)
class Response:
    """Per unit: the envelope ``high_w``/``low_w``, the last readings, how far outside it is (smoothed), the verdicts.

    Powers count in the direction of the set point: magnitudes of what a cap holds, load convention for a battery.
    ``deaf`` units get no credit at all; ``then_w``/``owed_w`` are what one did when it was found and what was still to
    be done (signed). A battery that does less than it may, but in the right direction, is nearly full or empty: for a
    while it gets credit only for what it does. ``behind`` units stay below their cap for no reason they give.
    """

    high_w: Array
    low_w: Array
    last_w: Array
    smooth_w: Array
    gap_w: Array
    deaf: BoolArray
    then_w: Array
    owed_w: Array
    behind: BoolArray
    behind_gap_w: Array
    behind_at_w: Array
    limited_until_s: Array
    limited_sign: Array

    def limited(self, now_s: float) -> Array:
        """Per unit: sign of the power (load convention) in which it cannot give more now; 0 = not known."""
        return np.where(now_s < self.limited_until_s, self.limited_sign, 0.0)


def initial_response(units: UnitArrays) -> Response:
    """Everybody obeys until shown otherwise."""
    n = len(units.sign)
    zero, no = np.zeros(n), np.zeros(n, dtype=bool)
    low = np.where(units.is_battery, -units.p_rated_w, 0.0)
    never = np.full(n, -np.inf)
    return Response(units.p_rated_w, low, zero, zero, zero, no, zero, zero, no, zero, zero, never, zero)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the units shows; load convention, NaN where nothing new was read.

    ``set_low_w``/``set_high_w`` span the set points that may have been in force since the last look: those of the time
    that commands and readings need on their way. ``avail_w`` is what units say they could give (magnitude).
    """

    measured_w: Array
    set_low_w: Array
    set_high_w: Array
    avail_w: Array
    dt_s: float
    now_s: float


def observe(previous: Response, look: Look, units: UnitArrays) -> Response:
    """Update with the newest measured powers; where there is none the verdict stands."""
    way = units.way
    measured = look.measured_w * way
    told_low = np.where(way > 0.0, look.set_low_w, -look.set_high_w)
    told_high = np.where(way > 0.0, look.set_high_w, -look.set_low_w)
    high, low = _envelope(previous, told_low, told_high, look.dt_s, units)
    known = np.isfinite(measured)
    smooth = np.where(known, previous.smooth_w + SMOOTHING * (measured - previous.smooth_w), previous.smooth_w)
    spare = np.where(units.is_battery, np.inf, look.avail_w - measured)
    gap, deaf, then, owed = _obedience(previous, measured, smooth, (told_low, told_high), (high, low), spare, units)
    until_s, sign, short = previous.limited_until_s, previous.limited_sign, deaf & units.is_battery
    if some(short):
        short &= (measured <= np.maximum(told_high, 0.0)) & (measured >= np.minimum(told_low, 0.0))
        until_s = np.where(short, look.now_s + LIMITED_S, until_s)
        sign = np.where(short, np.sign(look.set_low_w + look.set_high_w), sign)
    doubt = READING_FRAC * units.reading_scale_w
    last = np.where(known, measured, previous.last_w)
    seen_high, seen_low = np.fmax(measured, previous.last_w) + doubt, np.fmin(measured, previous.last_w) - doubt
    most, least = np.maximum(seen_high, told_high), np.minimum(seen_low, told_low)
    anew = previous.deaf & ~deaf  # judged from where it is now
    behind, behind_gap, behind_at = _behind(previous, measured, smooth, np.minimum(low, look.avail_w), units)
    return Response(
        high_w=np.where(known, np.where(anew, most, np.minimum(high, most)), high),
        low_w=np.where(known & units.is_battery, np.where(anew, least, np.maximum(low, least)), low),
        last_w=last,
        smooth_w=smooth,
        gap_w=gap,
        deaf=deaf & ~short,
        then_w=then,
        owed_w=owed,
        behind=behind,
        behind_gap_w=behind_gap,
        behind_at_w=behind_at,
        limited_until_s=until_s,
        limited_sign=sign,
    )


def _envelope(
    previous: Response, told_low: Array, told_high: Array, dt_s: float, units: UnitArrays
) -> tuple[Array, Array]:
    """The envelope ``dt_s`` later: it opens at once and closes at the slowest pace."""
    share = 1.0 - np.exp(-dt_s * PACE_MIN_FRAC / (LAG_ALLOWANCE * units.tau_p_s))
    rise, fall = units.rise_w_per_s * PACE_MIN_FRAC * dt_s, units.fall_w_per_s * PACE_MIN_FRAC * dt_s
    closing = np.maximum(previous.high_w - np.minimum((previous.high_w - told_high) * share, fall), told_high)
    opening = np.minimum(previous.low_w + np.minimum((told_low - previous.low_w) * share, rise), told_low)
    return closing, opening


def _obedience(
    previous: Response,
    measured: Array,
    smooth: Array,
    told: tuple[Array, Array],
    envelope: tuple[Array, Array],
    spare: Array,
    units: UnitArrays,
) -> tuple[Array, BoolArray, Array, Array]:
    """How far each unit is outside its envelope, whether it is deaf, what it did when found and what it owed then."""
    told_low, told_high = told
    high, low = envelope
    tolerance = TOLERANCE_FRAC * units.reading_scale_w
    known = np.isfinite(measured)
    late = LATE_FRAC * units.reading_scale_w
    above = measured - np.maximum(high + late, told_high + tolerance)
    below = np.where(units.is_battery, np.minimum(low - late, told_low - tolerance) - measured, -np.inf)
    outside = np.maximum(np.maximum(above, below), -late)  # how far inside it was is soon forgotten
    smoothed = previous.gap_w + SMOOTHING * (outside - previous.gap_w)
    gap = np.where(known, np.where(outside > LARGE * tolerance, outside, smoothed), previous.gap_w)
    found = known & (gap > 0.0) & ~previous.deaf
    then, owed = previous.then_w, previous.owed_w
    if some(found):
        then = np.where(found, measured, then)
        owed = np.where(found, np.where(measured > told_high, told_high, told_low) - measured, owed)
    if not some(previous.deaf):
        return gap, found, then, owed
    # What has no more to give is held by nature; what does not say so (NaN) may be.
    hears = known & ~(spare <= tolerance) & _hears(previous, smooth, told, tolerance, units)
    hears &= np.isfinite(spare) | units.is_battery | _stays(previous, measured, smooth, told_high, tolerance)
    return np.where(previous.deaf & hears, -late, gap), found | (previous.deaf & ~hears), then, owed


def _hears(
    previous: Response, smooth: Array, told: tuple[Array, Array], tolerance: Array, units: UnitArrays
) -> BoolArray:
    """Who is near enough to what it was told, or has done the better part of what it owed when it was found."""
    told_low, told_high = told
    beyond = np.where(units.is_battery, np.maximum(smooth - told_high, told_low - smooth), smooth - told_high)
    with np.errstate(divide="ignore", invalid="ignore"):
        done = np.where(previous.owed_w != 0.0, (smooth - previous.then_w) / previous.owed_w, 0.0)
    out: BoolArray = (beyond <= BACK_FRAC * tolerance) | (done > PROGRESS_FRAC)
    return out


def _stays(previous: Response, measured: Array, smooth: Array, cap_w: Array, tolerance: Array) -> BoolArray:
    """Who sits at its cap: to be below it proves nothing, for the sun may have gone."""
    still, below = np.abs(measured - previous.last_w) <= tolerance, cap_w - smooth
    out: BoolArray = still & (below <= AT_CAP * tolerance) & (below >= -BACK_FRAC * tolerance)
    return out


def _behind(
    previous: Response, measured: Array, smooth: Array, could: Array, units: UnitArrays
) -> tuple[BoolArray, Array, Array]:
    """Who stays below ``could`` (what cap and reported availability allow), how far, and what it did when found."""
    known = np.isfinite(measured) & np.isfinite(could) & ~units.is_battery
    short = previous.behind_gap_w + SMOOTHING * (could - measured - previous.behind_gap_w)
    gap = np.where(known, short, previous.behind_gap_w)
    found = known & (gap > BEHIND_FRAC * units.p_rated_w) & ~previous.behind
    if not (some(found) or some(previous.behind)):
        return previous.behind, gap, previous.behind_at_w
    risen = smooth > previous.behind_at_w + RISEN_FRAC * units.p_rated_w
    behind = found | (previous.behind & ~(np.isfinite(measured) & risen))
    return behind, gap, np.where(found, smooth, previous.behind_at_w)
