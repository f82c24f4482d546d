"""What weather forecasts have said in the past, beside what then came: from this the box learns what they are worth.

For every quarter hour that was learned, what the forecast in force at its beginning said of it and of those at the
horizons at which errors are learned, and what was expected of every series then without any forecast of the weather.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.unit import UnitKind
from controller.domain.weather import AIR, QUANTITIES, SUN, WIND
from controller.estimation.layout import Layout
from controller.planning.forecast import HORIZONS
from controller.planning.history import KEEP_QUARTERS, History

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

KNOTS = np.array([0, *HORIZONS])
"""Quarter hours ahead of which forecasts are kept: now, and where errors are learned."""


@dataclass(frozen=True, slots=True)
class WeatherPast:
    """Row for row beside ``History.deviation``; replaced whole, never changed.

    ``drives`` (n) is the quantity that a series follows, ``most`` (n) its upper end; ``foretold`` (t, horizon,
    quantity), NaN where no forecast was in force; ``mean`` and ``spread`` (t, n) as expected then; ``quarter`` (t).
    """

    drives: IntArray
    most: Array
    foretold: Array
    mean: Array
    spread: Array
    quarter: IntArray


def new_weather_past(drives: IntArray, most: Array) -> WeatherPast:
    """Nothing seen yet."""
    nothing, table = np.empty((0, len(drives))), np.empty((0, len(KNOTS), QUANTITIES))
    return WeatherPast(drives, most, table, nothing, nothing, np.empty(0, dtype=np.int64))


def drives_of(layout: Layout) -> IntArray:
    """What each series of a site follows: solar units the sun, wind farms the wind, everything else the air."""
    of_kind = {UnitKind.PV: SUN, UnitKind.WIND: WIND}
    units = [of_kind.get(unit.kind, AIR) for unit in layout.site.units]
    return np.array([AIR] * (2 * layout.n_w) + units, dtype=np.int64)


def beside(past: WeatherPast, history: History, quarter: int, foretold: Array) -> WeatherPast:
    """After the quarter hour that ``history`` is about to learn; ``foretold`` (horizon, quantity) when it began."""
    mean, spread = history.expected(np.array([quarter]))
    return replace(
        past,
        foretold=np.concatenate([past.foretold, foretold[None]])[-KEEP_QUARTERS:],
        mean=np.vstack([past.mean, mean])[-KEEP_QUARTERS:],
        spread=np.vstack([past.spread, spread])[-KEEP_QUARTERS:],
        quarter=np.append(past.quarter, quarter)[-KEEP_QUARTERS:],
    )
