"""The forecast of a site's series where a forecast of the weather is in force.

Beside what the history alone goes by, the deviation of a quarter hour ahead is predicted from what the weather that is
foretold for it means for the series, and from what the weather foretold for now means. Coefficients start from those of
the history alone, with none for the weather, so that little experience changes little. Their errors are those on days
that had no part in them: a few days cannot make the quantiles narrower than they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.weather import AIR, SUN
from controller.planning.calendar import SLOTS
from controller.planning.forecast import (
    HORIZONS,
    LEVELS,
    PRIOR_SAMPLES,
    Basis,
    Forecast,
    basis_of,
    blended_quantiles,
    deviation_of,
    in_bounds,
    past_pairs,
)
from controller.planning.history import DEVIATION_MAX, History
from controller.planning.weather_curves import means
from controller.planning.weather_past import KNOTS, WeatherPast

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

DARK_W_PER_M2 = 1.0


def forecast_in_weather(
    history: History, past: WeatherPast, told: Array, quarters: int, levels: tuple[float, ...] = LEVELS
) -> Forecast:
    """Quantiles of the present quarter hour and the following ones, ``quarters`` in all.

    ``told`` (quarter, quantity) is the forecast in force for them; where it is NaN the history alone counts. Raises
    ValueError before anything was seen.
    """
    basis = basis_of(history, quarters, levels)
    alone = deviation_of(basis, basis.features, basis.coefficient, basis.error)
    came = past.mean + past.spread * history.deviation
    meant = _meaning(past, came, told, basis.first_quarter + np.arange(quarters))
    now = _deviation(meant.first[:1], basis.mean[:1], basis.spread[:1])
    features = np.concatenate([basis.features, _features(past, meant, now, basis.mean, basis.spread)])
    coefficient, error = _learned(basis, history, past, came)
    weathered = deviation_of(basis, features, coefficient, error)
    return in_bounds(history, basis, np.where(np.isfinite(weathered), weathered, alone))


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What weather means (…, n): the two tables of ``weather_curves.means``; NaN for a solar unit in the dark."""

    first: Array
    second: Array


def _meaning(past: WeatherPast, came: Array, foretold: Array, quarter: IntArray) -> _Meaning:
    first, second = means(past, came, foretold, quarter % SLOTS)
    dark = (foretold[..., SUN] < DARK_W_PER_M2)[..., None] & (past.drives == SUN)
    return _Meaning(np.where(dark, np.nan, first), second)


def _features(past: WeatherPast, meant: _Meaning, now: Array, mean: Array, spread: Array) -> Array:
    """Two features (feature, t, n): of what drives a unit, that of then and (``now``) that of the beginning."""
    driven = past.drives != AIR
    then = np.where(driven, _deviation(meant.first, mean, spread), meant.first)
    return np.stack([then, np.where(driven, np.nan_to_num(np.broadcast_to(now, then.shape)), meant.second)])


def _deviation(power: Array, mean: Array, spread: Array) -> Array:
    """In units of the spread; 0 is what is usual."""
    return np.asarray(np.clip((power - mean) / spread, -DEVIATION_MAX, DEVIATION_MAX))


def _learned(basis: Basis, history: History, past: WeatherPast, came: Array) -> tuple[Array, Array]:
    """Coefficients (horizon, feature, n) and error quantiles (level, horizon, n); the first is now itself."""
    nothing = np.zeros((len(KNOTS), 2, len(past.drives)))
    coefficient, error = np.concatenate([basis.coefficient, nothing], axis=1), basis.error.copy()
    meant = _meaning(past, came, past.foretold, past.quarter[:, None] + KNOTS)
    now = _deviation(meant.first[:, 0], past.mean, past.spread)
    for k, horizon in enumerate(HORIZONS, start=1):
        features, later, start = past_pairs(history, horizon)
        rows = slice(start, start + len(later))
        then = slice(start + horizon, start + horizon + len(later))
        here = _Meaning(meant.first[rows, k], meant.second[rows, k])
        told = _features(past, here, now[rows], past.mean[then], past.spread[then])
        day = past.quarter[then] // SLOTS
        x = np.concatenate([features, told])
        coefficient[k], error[:, k] = _fit(x, later, day, coefficient[k], basis.error[:, k], basis.levels)
    return coefficient, error


def _fit(
    features: Array, later: Array, day: IntArray, typical: Array, before: Array, levels: tuple[float, ...]
) -> tuple[Array, Array]:
    """Coefficients (feature, n), and quantiles (level, n) of the errors on days that had no part in them."""
    if not len(later):
        return typical, before
    known = np.isfinite(features).all(axis=0) & np.isfinite(later)
    x, y = np.where(known, features, 0.0), np.where(known, later, 0.0)
    left = y - np.einsum("fn,ftn->tn", typical, x)
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    gram = np.add.reduceat(np.einsum("ftn,gtn->tnfg", x, x), first)
    rest = np.add.reduceat(np.einsum("ftn,tn->tnf", x, left), first)
    ridge = PRIOR_SAMPLES * np.eye(len(x))
    without = np.linalg.solve(gram.sum(axis=0) - gram + ridge, (rest.sum(axis=0) - rest)[..., None])[..., 0]
    own = np.repeat(without, np.diff(np.append(first, len(day))), axis=0)
    missed = np.where(known, left - np.einsum("tnf,ftn->tn", own, x), np.nan)
    coefficient = typical + np.linalg.solve(gram.sum(axis=0) + ridge, rest.sum(axis=0)[..., None])[..., 0].T
    return coefficient, blended_quantiles(missed, np.ones_like(missed), before, levels)
