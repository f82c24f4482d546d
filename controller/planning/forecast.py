"""What the next two days may bring: the usual day, plus what is left of today's deviation from it, with quantiles.

The deviation of a quarter hour ahead is predicted from the present one, from its mean over the last hours and from that
of the same quarter hour a day before, each with a coefficient per horizon; coefficients and errors are those that
would have served best in the past (ridge regression toward typical ones, then the quantiles of what it missed), so a
wind park learns that its deviation lasts half a day and a roof that its deviation does not. Where a forecast of the
weather is in force, ``planning.weather_forecast`` goes on from here.
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


@dataclass(frozen=True, slots=True)
class Basis:
    """What the history alone says of every quarter hour ahead, in units of the spread that is usual then.

    ``mean`` and ``spread`` (quarter, n); ``features`` (feature, quarter, n) with their ``coefficient`` (horizon,
    feature, n) and the quantiles of ``error`` (level, horizon, n), which ``at`` (quarter, horizon) interpolates.
    """

    first_quarter: int
    levels: tuple[float, ...]
    mean: Array
    spread: Array
    features: Array
    at: Array
    coefficient: Array
    error: Array


def forecast(history: History, quarters: int, levels: tuple[float, ...] = LEVELS) -> Forecast:
    """Quantiles of the present quarter hour and the following ones, ``quarters`` in all.

    Raises ValueError before anything was seen.
    """
    basis = basis_of(history, quarters, levels)
    return in_bounds(history, basis, deviation_of(basis, basis.features, basis.coefficient, basis.error))


def basis_of(history: History, quarters: int, levels: tuple[float, ...]) -> Basis:
    """Everything that the forecast is made of. Raises ValueError before anything was seen."""
    if history.next_quarter is None:
        raise ValueError("a forecast before anything was seen; expected at least one look at the site")
    first = history.next_quarter
    mean, spread = history.expected(first + np.arange(quarters))
    now = np.clip((history.recent - mean[0]) / spread[0], -DEVIATION_MAX, DEVIATION_MAX)
    now = np.where(np.isfinite(now), now, history.slow_now)
    coefficient, error = _learned(history, levels)
    steady = (np.tile(x, (quarters, 1)) for x in (now, history.slow_now))
    features = np.stack([*steady, _day_before(history, now, quarters)])
    return Basis(first, levels, mean, spread, features, _between(quarters), coefficient, error)


def deviation_of(basis: Basis, features: Array, coefficient: Array, error: Array) -> Array:
    """Quantiles (level, quarter, n) of the deviation, in units of the spread."""
    centre = np.einsum("kb,bfn,fkn->kn", basis.at, coefficient, features)
    return np.asarray(centre[None] + np.einsum("kb,lbn->lkn", basis.at, error))


def in_bounds(history: History, basis: Basis, deviation: Array) -> Forecast:
    """The forecast that such a deviation makes, inside what is possible."""
    value = np.clip(basis.mean + basis.spread * deviation, history.prior.low, history.prior.high)
    return Forecast(basis.first_quarter, basis.levels, value)


def _day_before(history: History, now: Array, quarters: int) -> Array:
    """Deviation (quarter, n) of the same quarter hour in the last day that is known; 0 where nobody saw it."""
    past = np.vstack([history.deviation[-SLOTS:], now[None]])
    row = len(past) - 1 + _a_day_back(np.arange(quarters))
    return np.where((row >= 0)[:, None], np.nan_to_num(past[np.maximum(row, 0)]), 0.0)


def _a_day_back(horizon: NDArray[np.int64]) -> NDArray[np.int64]:
    """From now to the quarter hour that lies whole days before the one at this horizon, and not in the future."""
    return np.asarray(horizon - SLOTS * np.maximum(np.ceil(horizon / SLOTS), 1).astype(np.int64))


def _between(quarters: int) -> Array:
    """(quarters, horizons + 1): weights that interpolate linearly between now and the horizons."""
    knots = np.array([0, *HORIZONS], dtype=float)
    return np.stack([np.interp(np.arange(quarters), knots, row) for row in np.eye(len(knots))], axis=1)


def typical_coefficients(horizon: float, prior: Prior) -> tuple[Array, Array]:
    """Share of the present and of the lasting deviation that is expected to be left after so many quarter hours."""
    quick: Array = np.exp(-horizon / prior.memory_quarters)
    return quick, (1.0 - quick) * prior.lasting_share * np.exp(-horizon / LASTING_QUARTERS)


def _learned(history: History, levels: tuple[float, ...]) -> tuple[Array, Array]:
    """Coefficients (horizon, feature, n) and error quantiles (level, horizon, n); the first is now itself."""
    n = history.deviation.shape[1]
    coefficients = [np.stack([np.ones(n), np.zeros(n), np.zeros(n)])]
    errors = [np.zeros((len(levels), n))]
    first = (history.next_quarter or 0) - len(history.deviation)
    _, spread = history.expected(first + np.arange(len(history.deviation)))
    for horizon in HORIZONS:
        coefficient, error = _at(history, spread, horizon, levels)
        coefficients.append(coefficient)
        errors.append(error)
    return np.stack(coefficients), np.stack(errors, axis=1)


def past_pairs(history: History, horizon: int) -> tuple[Array, Array, int]:
    """Features (feature, t, n), what came so much later (t, n), and the row of the history that the first is of."""
    back = int(_a_day_back(np.array([horizon]))[0])
    start = max(-back, 0)
    z, slow = history.deviation, history.slow
    end = max(len(z) - horizon, start)
    features = np.stack([z[start:end], slow[start:end], z[start + back : end + back]])
    return features, z[start + horizon : end + horizon], start


def _at(history: History, spread: Array, horizon: int, levels: tuple[float, ...]) -> tuple[Array, Array]:
    """Coefficients (feature, n) and error quantiles (level, n) at one horizon; ``spread`` (t, n) of the past."""
    a, b = typical_coefficients(horizon, history.prior)
    typical = np.stack([a, b, np.zeros_like(a)])
    features, later, _ = past_pairs(history, horizon)
    known = np.isfinite(features).all(axis=0) & np.isfinite(later)
    x, y = np.where(known, features, 0.0), np.where(known, later, 0.0)
    gram = np.einsum("ftn,gtn->nfg", x, x) + PRIOR_SAMPLES * np.eye(len(x))
    rest = np.einsum("ftn,tn->nf", x, y - np.einsum("fn,ftn->tn", typical, x))
    coefficient = typical + np.linalg.solve(gram, rest[:, :, None])[:, :, 0].T
    missed = np.where(known, y - np.einsum("fn,ftn->tn", coefficient, x), np.nan)
    weight = spread[len(spread) - len(later) :] ** 2
    prior = np.sqrt(np.maximum(1.0 - (a + b) ** 2, ERROR_MIN**2))
    normal = np.array([NormalDist().inv_cdf(q) for q in levels])[:, None] * prior
    return coefficient, blended_quantiles(missed, weight, normal, levels)


def blended_quantiles(missed: Array, weight: Array, before: Array, levels: tuple[float, ...]) -> Array:
    """Quantiles (level, n) of past errors (t, n; NaN = unknown), blended with ``before`` while they are few.

    Their middle is that of all errors. How far they lie from it is that of errors that count by ``weight`` (t, n): a
    roof's nights, in which nothing can be missed, say how wrong the middle is, but not how well its days are known.
    """
    known = np.isfinite(missed)
    if not known.any():
        return before
    counts = np.where(known, weight, 0.0)
    total, squares = counts.sum(axis=0), (counts**2).sum(axis=0)
    count = total**2 / np.where(squares > 0.0, squares, 1.0)  # of equal ones that would say as much (Kish, 1965)
    share = count / (count + PRIOR_SAMPLES)
    middle = _weighted_quantiles(missed, known.astype(float), (0.5,))
    around = _weighted_quantiles(missed, counts, levels) - _weighted_quantiles(missed, counts, (0.5,))
    return np.asarray(share * (middle + around) + (1.0 - share) * before)


def _weighted_quantiles(value: Array, weight: Array, levels: tuple[float, ...]) -> Array:
    """Quantiles (level, n) of the values (t, n) with a weight above 0, linear between them; 0 where there are none."""
    out = np.zeros((len(levels), value.shape[1]))
    for k in range(value.shape[1]):
        used = np.flatnonzero(weight[:, k] > 0.0)
        if len(used):
            used = used[np.argsort(value[used, k], kind="stable")]
            w = weight[used, k]
            place = np.concatenate([[0.0], np.cumsum((w[1:] + w[:-1]) / 2.0)])
            out[:, k] = np.interp(np.array(levels) * place[-1], place, value[used, k])
    return out
