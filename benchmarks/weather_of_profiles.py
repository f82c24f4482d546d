"""Forecasts of a weather that SimBench does not have, made of what other plants of the same region do. Synthetic.

The weather of solar profiles is the mean of four other plants (each over its own peak) as a share of their best day
within a fortnight, that of wind profiles the wind speed at which a typical curve gives the mean of five other farms;
both smoothed over two hours, for single clouds and gusts are in no forecast. On top of that come the errors of
``simulators.foreteller``: runs every three hours, level and timing, growing with the horizon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import QUARTER_S, SLOTS
from simulators.foreteller import LATE_S, RUN_S, Foreteller, Weather

Array = NDArray[np.float64]

SEED = 7
OTHERS = {"sun": ("PV2", "PV4", "PV6", "PV7"), "wind": ("WP1", "WP3", "WP5", "WP8", "WP11")}
SMOOTH = np.ones(8) / 8.0
FORTNIGHT = 15
CUT_IN, RATED = 3.0, 12.5
RESERVE = 12  # quarter hours more than asked for, so that one run serves until the next


class SyntheticForecasts:
    """What was foretold at every quarter hour of a year, by group (``sun`` or ``wind``) and mean of the others."""

    def __init__(self, group: str, others: Array) -> None:
        quarters = len(others)
        nothing = np.zeros(quarters)
        if group == "sun":
            best, share = _share_of_the_best(others)
            weather = Weather(0.0, 1000.0 * best, share, nothing, nothing)
        else:
            cubes = np.clip(others, 0.0, 1.0) * (RATED**3 - CUT_IN**3) + CUT_IN**3
            weather = Weather(0.0, nothing, nothing, np.convolve(np.cbrt(cubes), SMOOTH, "same"), nothing)
        self._foreteller = Foreteller(weather, SEED)
        self._run = -np.inf
        self._first, self._table = 0, np.empty((0, 3))

    def at(self, quarter: int, quarters: int) -> Array:
        """The forecast that is out when a quarter hour begins, of it and those that follow."""
        now_s = QUARTER_S * quarter
        run = (now_s - LATE_S) // RUN_S
        if run != self._run or len(self._table) < quarters + RESERVE:
            self._run, self._first = run, quarter
            starts_s = now_s + QUARTER_S * np.arange(quarters + RESERVE)
            self._table = self._foreteller.foretell(now_s, starts_s, QUARTER_S)
        row = quarter - self._first
        return self._table[row : row + quarters]


def _share_of_the_best(others: Array) -> tuple[Array, Array]:
    """The best of each quarter hour within a fortnight before and after, and the share of it that is reached."""
    days = others[: len(others) // SLOTS * SLOTS].reshape(-1, SLOTS)
    best = np.stack([days[max(k - FORTNIGHT, 0) : k + FORTNIGHT + 1].max(axis=0) for k in range(len(days))]).ravel()
    share = np.where(best > 0.01, others[: len(best)] / np.maximum(best, 0.01), 0.0)
    return best, np.clip(np.convolve(share, SMOOTH, "same"), 0.0, 1.0)
