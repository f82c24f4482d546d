"""What is typical of demand and of generation before a site has shown a day of its own.

Series of a site, in this order: active and reactive power that nobody controls at every bus but the source's (load
convention), then what every unit could give or take (magnitude; storage: always 0).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.unit import Unit, UnitKind
from controller.estimation.layout import Layout
from controller.planning.calendar import SLOTS
from controller.planning.history import Prior

Array = NDArray[np.float64]

DEMAND_SPREAD_FRAC, REACTIVE_SPREAD_FRAC = 0.12, 0.06  # of the bus' largest demand
WIND_MEAN_FRAC, WIND_SPREAD_FRAC = 0.4, 0.25
SUN_MEAN_FRAC, SUN_SPREAD_FRAC = 0.75, 0.2  # of the rating, times the shape of a clear day: fine days are what matters
OTHER_MEAN_FRAC, OTHER_SPREAD_FRAC = 0.5, 0.25
MEMORY_QUARTERS, WIND_MEMORY_QUARTERS = 6.0, 40.0  # a cloud or a kettle, and a front
SUNRISE_H, SUNSET_H = 6.0, 19.0

HOUR = (np.arange(SLOTS) + 0.5) * 24.0 / SLOTS


def household_shape() -> Array:
    """Demand per quarter hour over its daily mean: low at night, a rise in the morning, a peak in the evening."""
    morning, evening = np.exp(-(((HOUR - 8.0) / 2.0) ** 2)), np.exp(-(((HOUR - 19.0) / 2.5) ** 2))
    shape = 0.6 + 0.3 * morning + 0.6 * evening
    return np.asarray(shape / shape.mean())


def clear_day_shape() -> Array:
    """Irradiance per quarter hour over its noon value, at an equinox."""
    angle = np.pi * (HOUR - SUNRISE_H) / (SUNSET_H - SUNRISE_H)
    return np.where((HOUR > SUNRISE_H) & (HOUR < SUNSET_H), np.maximum(np.sin(angle), 0.0), 0.0)


def site_prior(layout: Layout, hour_known: bool) -> Prior:
    """The prior of a site's series; without a known hour of the day every shape is flat."""
    demand = household_shape() if hour_known else np.ones(SLOTS)
    sun = clear_day_shape() if hour_known else None
    expected, size = layout.expected_w, layout.load_scale_w
    low, high = layout.load_box
    spread = np.concatenate([DEMAND_SPREAD_FRAC * size, REACTIVE_SPREAD_FRAC * size])
    units = [_unit(u, demand, sun) for u in layout.site.units]
    windy = [u.kind is UnitKind.WIND for u in layout.site.units]
    sunny = [u.kind is UnitKind.PV for u in layout.site.units]
    memory = np.where(windy, WIND_MEMORY_QUARTERS, MEMORY_QUARTERS)
    rated = np.array([0.0 if u.storage is not None else u.p_rated_w for u in layout.site.units])
    return Prior(
        mean=np.hstack([demand[:, None] * expected, *(m[:, None] for m, _ in units)]),
        spread=np.hstack([np.repeat(spread[None], SLOTS, axis=0), *(s[:, None] for _, s in units)]),
        low=np.concatenate([low, np.zeros(len(units))]),
        high=np.concatenate([high, rated]),
        memory_quarters=np.concatenate([np.full(len(expected), MEMORY_QUARTERS), memory]),
        lasting_share=np.concatenate([np.ones(len(expected)), np.where(windy, 0.0, 1.0)]),
        daily=np.concatenate([np.ones(len(expected), dtype=bool), ~np.array(windy, dtype=bool)]),
        sunny=np.concatenate([np.zeros(len(expected), dtype=bool), np.array(sunny, dtype=bool)]),
    )


def _unit(unit: Unit, demand: Array, sun: Array | None) -> tuple[Array, Array]:
    """Mean and spread per slot of what one unit could give or take, W."""
    flat = np.ones(SLOTS)
    if unit.storage is not None:
        return 0.0 * flat, 0.0 * flat
    if unit.kind is UnitKind.PV and sun is not None:
        mean, spread = SUN_MEAN_FRAC * sun, SUN_SPREAD_FRAC * sun
    elif unit.kind in (UnitKind.WIND, UnitKind.PV):
        mean, spread = WIND_MEAN_FRAC * flat, WIND_SPREAD_FRAC * flat
    elif unit.kind.consumes:
        mean, spread = OTHER_MEAN_FRAC * demand, OTHER_SPREAD_FRAC * flat
    else:
        mean, spread = OTHER_MEAN_FRAC * flat, OTHER_SPREAD_FRAC * flat
    return unit.p_rated_w * mean, unit.p_rated_w * spread
