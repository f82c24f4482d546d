"""A weather service's forecasts of a weather that is known: runs every few hours, whose errors grow with the horizon.

What is wrong with a forecast is its level and its timing, both smooth over half a day; half of their variance all runs
have in common, the rest is each run's own. Gusts and single clouds are in no forecast. The figures are typical of what
services publish about themselves, not fitted to any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.seeds import stream

Array = NDArray[np.float64]

QUARTER_S = 900.0
RUN_S = 3 * 3600.0
LATE_S = 3600.0
"""A run is out so long after the instant that it starts from."""
FAR_S = 48 * 3600.0
KNOT_S = 6 * 3600.0
KNOTS = 16  # of one run: three days and a half
COMMON_FRAC = 0.5
FIRST, LAST = 0, 1
TIMING_S = (600.0, 3600.0)
LEVEL = {"sun": (0.06, 0.2), "wind": (0.5, 1.5), "air": (0.5, 1.5)}
"""Standard deviations at no and at two days' distance: of the share of a clear sky, m/s, K. They grow like its root."""
INDEX_MAX = 1.05


@dataclass(frozen=True, slots=True)
class Weather:
    """Quarter hours from ``start_utc_s`` on: sun of a clear sky (W/m²), the share of it that arrives, wind, air."""

    start_utc_s: float
    clear_w_per_m2: Array
    index: Array
    wind_m_per_s: Array
    air_c: Array


class Foreteller:
    """The forecasts of one weather; the same for the same seed, whoever asks and when."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self._weather, self._seed = weather, seed
        self._middle_s = weather.start_utc_s + QUARTER_S * (np.arange(len(weather.index)) + 0.5)

    def foretell(self, issued_utc_s: float, starts_utc_s: Array, lasts_s: float) -> Array:
        """Means of the periods that begin there: sun, wind and air, a column each, as known at ``issued_utc_s``."""
        run = np.floor((issued_utc_s - LATE_S) / RUN_S)
        looks = max(int(lasts_s // QUARTER_S), 1)
        parts = lasts_s * (np.arange(looks) + 0.5) / looks
        return np.asarray(np.mean([self._at(run, starts_utc_s + part) for part in parts], axis=0))

    def _at(self, run: float, utc_s: Array) -> Array:
        far = np.sqrt(np.clip((utc_s - run * RUN_S) / FAR_S, 0.0, 1.0))
        weather = self._weather
        late_s = _grown(TIMING_S, far) * self._error("timing", run, utc_s)
        level = {name: _grown(span, far) * self._error(name, run, utc_s) for name, span in LEVEL.items()}
        index, wind, air = (
            np.interp(utc_s + late_s, self._middle_s, course)
            for course in (weather.index, weather.wind_m_per_s, weather.air_c)
        )
        clear = np.interp(utc_s, self._middle_s, weather.clear_w_per_m2)
        sun = clear * np.clip(index + level["sun"], 0.0, INDEX_MAX)
        return np.stack([sun, np.maximum(wind + level["wind"], 0.0), air + level["air"]], axis=1)

    def _error(self, name: str, run: float, utc_s: Array) -> Array:
        """Standard normal at every instant, smooth over ``KNOT_S``; partly this run's own."""
        first = int(run * RUN_S // KNOT_S) - 1
        own = np.array(_drawn(self._seed, f"{name}.run.{run:.0f}", KNOTS))
        common = np.array([_drawn(self._seed, f"{name}.{first + k}", 1)[0] for k in range(KNOTS)])
        both = np.sqrt(COMMON_FRAC) * common + np.sqrt(1.0 - COMMON_FRAC) * own
        place = np.clip(utc_s / KNOT_S - first, 0.0, KNOTS - 1.001)
        left = place.astype(np.intp)
        part = place - left
        drawn = (1.0 - part) * both[left] + part * both[left + 1]
        return np.asarray(drawn / np.hypot(1.0 - part, part))


@lru_cache(maxsize=4096)
def _drawn(seed: int, name: str, count: int) -> tuple[float, ...]:
    """So many standard normal numbers of that name."""
    return tuple(stream(seed, name).standard_normal(count).tolist())


def _grown(span: tuple[float, float], far: Array) -> Array:
    """From the first value to the second, as far as the horizon is."""
    return np.asarray(span[FIRST] + (span[LAST] - span[FIRST]) * far)
