"""What weather means for a series, learned from what forecasts of the near future said and what then came.

A solar unit gives a share of the irradiance on the horizontal that depends on the hour of the day: which way its panels
face, and what shades them, shows in that share by itself. A wind farm follows a curve that never falls with the wind.
Both begin as typical ones. All else is related to how much warmer and brighter it is than usual at that hour.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.weather import AIR, SUN, WIND
from controller.planning.calendar import SLOTS
from controller.planning.weather_past import WeatherPast

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

SUN_PER_RATED_W_PER_M2 = 1150.0
"""Irradiance on the horizontal at which a typical unit is at its rating; counts for a bright day's worth of it."""
SUN_SQUARES = 16.0 * 500.0**2
ALIKE_SLOTS = 3.0  # quarter hours over which the share of the sun hardly changes
BINS_M_PER_S = np.arange(0.0, 41.0, 1.0)
BIN_COUNTS = 4.0
CUT_IN_M_PER_S, RATED_M_PER_S = 3.0, 12.5
WARMER_K, BRIGHTER_W_PER_M2 = 5.0, 200.0


def means(past: WeatherPast, value: Array, foretold: Array, slot: IntArray) -> tuple[Array, Array]:
    """What the weather ``foretold`` (…, quantity) at ``slot`` (…) means: two tables (…, n).

    Of a solar unit or wind farm the power to expect, and 0; of all else how much warmer and brighter than usual.
    ``value`` (t, n) is what came in the past.
    """
    first = np.zeros((*slot.shape, len(past.drives)))
    second = np.zeros_like(first)
    warmer, brighter = _beyond_usual(past, foretold, slot)
    for series, quantity in enumerate(past.drives):
        if quantity == SUN:
            first[..., series] = _sunny(past, value[:, series], series, foretold[..., SUN], slot)
        elif quantity == WIND:
            first[..., series] = _windy(past, value[:, series], series, foretold[..., WIND])
        else:
            first[..., series], second[..., series] = warmer, brighter
    return first, second


def _sunny(past: WeatherPast, came: Array, series: int, sun: Array, slot: IntArray) -> Array:
    """Power of a solar unit, W."""
    then = past.foretold[:, 0, SUN]
    most = past.most[series]
    known = np.isfinite(then) & np.isfinite(came) & (came < 0.98 * most)
    at = past.quarter[known] % SLOTS
    squares, products = _by_slot(at, then[known] ** 2), _by_slot(at, then[known] * came[known])
    typical = most / SUN_PER_RATED_W_PER_M2
    overall = (products.sum() + SUN_SQUARES * typical) / (squares.sum() + SUN_SQUARES)
    squares, products = _around(squares), _around(products)
    share = (products + SUN_SQUARES * overall) / (squares + SUN_SQUARES)
    return np.asarray(np.clip(share[slot] * sun, 0.0, most))


def _by_slot(slot: IntArray, value: Array) -> Array:
    """Sums per quarter hour of the day."""
    return np.bincount(slot, value, SLOTS).astype(np.float64)


def _around(by_slot: Array) -> Array:
    """Sums with the neighbouring quarter hours, weighted by how alike they are."""
    apart = np.abs(np.arange(SLOTS)[:, None] - np.arange(SLOTS))
    apart = np.minimum(apart, SLOTS - apart)
    return np.asarray(np.exp(-((apart / ALIKE_SLOTS) ** 2)) @ by_slot)


def _windy(past: WeatherPast, came: Array, series: int, wind: Array) -> Array:
    """Power of a wind farm, W."""
    then = past.foretold[:, 0, WIND]
    known = np.isfinite(then) & np.isfinite(came)
    weight = np.maximum(1.0 - np.abs(then[known, None] - BINS_M_PER_S), 0.0)  # shared by the two bins around
    typical = past.most[series] * np.clip(BINS_M_PER_S**3 - CUT_IN_M_PER_S**3, 0.0, None)
    typical = np.minimum(typical / (RATED_M_PER_S**3 - CUT_IN_M_PER_S**3), past.most[series])
    count = BIN_COUNTS + weight.sum(axis=0)
    mean = (BIN_COUNTS * typical + weight.T @ came[known]) / count
    curve = never_falling(mean, count)
    return np.where(np.isfinite(wind), np.interp(np.nan_to_num(wind), BINS_M_PER_S, curve), np.nan)


def never_falling(value: Array, weight: Array) -> Array:
    """The nearest course that never falls, in weighted least squares: pool adjacent violators.

    Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions, section 1.2.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, length
    for one, its in zip(value.tolist(), weight.tolist(), strict=True):
        pool = (one, its, 1)
        while pools and pools[-1][0] >= pool[0]:
            before = pools.pop()
            total = before[1] + pool[1]
            mean = (before[0] * before[1] + pool[0] * pool[1]) / total
            pool = (mean, total, before[2] + pool[2])
        pools.append(pool)
    return np.concatenate([np.full(length, mean) for mean, _, length in pools])


def _beyond_usual(past: WeatherPast, foretold: Array, slot: IntArray) -> tuple[Array, Array]:
    """How much warmer and brighter than usual at that hour, in typical differences."""
    usual = {quantity: _usual(past, quantity) for quantity in (AIR, SUN)}
    return (
        (foretold[..., AIR] - usual[AIR][slot]) / WARMER_K,
        (foretold[..., SUN] - usual[SUN][slot]) / BRIGHTER_W_PER_M2,
    )


def _usual(past: WeatherPast, quantity: int) -> Array:
    """What forecasts said in the past of each quarter hour of a day, on average; NaN while they said nothing."""
    then = past.foretold[:, 0, quantity]
    known = np.isfinite(then)
    at = past.quarter[known] % SLOTS
    count, total = _around(_by_slot(at, np.ones(len(at)))), _around(_by_slot(at, then[known]))
    return np.where(count > 1e-3, total / np.maximum(count, 1e-3), np.nan)
