"""What the next two days may bring: the usual day, plus what is left of today's deviation from it, with quantiles.

The deviation of a quarter hour ahead is predicted from the present one and from its mean over the last hours, each
with a coefficient per horizon; coefficients and errors are those that would have served best in the past (ridge
regression toward typical ones, then the quantiles of what it missed), so a wind park learns that its deviation lasts
half a day and a roof that its deviation does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import SLOTS
from controller.planning.history import DEVIATION_MAX, History, Prior

Array = NDArray[np.float64]

HORIZONS = (1, 2, 4, 8, 16, 32, 64, 96, 192)  # quarter hours at which errors are learned; linear between
LEVELS = (0.03, 0.2, 0.5, 0.8, 0.97)
PRIOR_SAMPLES = 1.0 * SLOTS
LASTING_QUARTERS = 40.0  # memory of the lasting part before anything is learned
ERROR_MIN = 0.05  # of the spread


@dataclass(frozen=True, slots=True)
class Forecast:
    """Quantiles ``value`` (level, quarter, series) of the quarter hours from ``first_quarter`` on."""

    first_quarter: int
    levels: tuple[float, ...]
    value: Array


def forecast(history: History, quarters: int, levels: tuple[float, ...] = LEVELS) -> Forecast:
    """Quantiles of the present quarter hour and the following ones, ``quarters`` in all.

    Raises ValueError before anything was seen.
    """
    if history.next_quarter is None:
        raise ValueError("a forecast before anything was seen; expected at least one look at the site")
    first = history.next_quarter
    mean, spread = history.expected(first + np.arange(quarters))
    now = np.clip((history.recent - mean[0]) / spread[0], -DEVIATION_MAX, DEVIATION_MAX)
    now = np.where(np.isfinite(now), now, history.slow_now)
    coefficient, error = _learned(history, levels)
    at = _between(quarters)
    centre = np.einsum("kb,bfn,fn->kn", at, coefficient, np.stack([now, history.slow_now]))
    deviation = centre[None] + np.einsum("kb,lbn->lkn", at, error)
    value = np.clip(mean + spread * deviation, history.prior.low, history.prior.high)
    return Forecast(first, levels, value)


def _between(quarters: int) -> Array:
    """(quarters, horizons + 1): weights that interpolate linearly between now and the horizons."""
    knots = np.array([0, *HORIZONS], dtype=float)
    return np.stack([np.interp(np.arange(quarters), knots, row) for row in np.eye(len(knots))], axis=1)


def typical_coefficients(horizon: float, prior: Prior) -> tuple[Array, Array]:
    """Share of the present and of the lasting deviation that is expected to be left after so many quarter hours."""
    quick: Array = np.exp(-horizon / prior.memory_quarters)
    return quick, (1.0 - quick) * prior.lasting_share * np.exp(-horizon / LASTING_QUARTERS)


def _learned(history: History, levels: tuple[float, ...]) -> tuple[Array, Array]:
    """Coefficients (horizon, 2, n) and error quantiles (level, horizon, n) from now (which knows itself) onward."""
    n = history.deviation.shape[1]
    coefficients = [np.stack([np.ones(n), np.zeros(n)])]
    errors = [np.zeros((len(levels), n))]
    for horizon in HORIZONS:
        coefficient, error = _at(history, horizon, levels)
        coefficients.append(coefficient)
        errors.append(error)
    return np.stack(coefficients), np.stack(errors, axis=1)


def _at(history: History, horizon: int, levels: tuple[float, ...]) -> tuple[Array, Array]:
    """Coefficients (2, n) and error quantiles (level, n) at one horizon."""
    a, b = typical_coefficients(horizon, history.prior)
    now, slow, later = history.deviation[:-horizon], history.slow[:-horizon], history.deviation[horizon:]
    known = np.isfinite(now) & np.isfinite(later)
    x, s, y = (np.where(known, v, 0.0) for v in (now, slow, later))
    xx, xs, ss = ((p * q).sum(axis=0) for p, q in ((x, x), (x, s), (s, s)))
    xy, sy = ((p * (y - a * x - b * s)).sum(axis=0) for p in (x, s))
    xx, ss = xx + PRIOR_SAMPLES, ss + PRIOR_SAMPLES
    det = xx * ss - xs**2
    first, second = a + (ss * xy - xs * sy) / det, b + (xx * sy - xs * xy) / det
    missed = np.where(known, y - first * x - second * s, np.nan)
    prior = np.sqrt(np.maximum(1.0 - (a + b) ** 2, ERROR_MIN**2))
    return np.stack([first, second]), _quantiles(missed, known.sum(axis=0), prior, levels)


def _quantiles(missed: Array, count: Array, prior: Array, levels: tuple[float, ...]) -> Array:
    """Quantiles (level, n) of past errors, blended with a normal one of spread ``prior`` while they are few."""
    normal = np.array([NormalDist().inv_cdf(q) for q in levels])[:, None] * prior
    share = count / (count + PRIOR_SAMPLES)
    if not len(missed):
        return normal
    filled = np.where(count > 0, missed, 0.0)
    past = np.nanquantile(filled, levels, axis=0)
    return np.asarray(share * past + (1.0 - share) * normal)
