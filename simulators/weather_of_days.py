"""The weather of simulated days as a service could know it: without gusts, without single clouds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from simulators.foreteller import Weather
from simulators.scenario import Scenario
from simulators.units import pv
from simulators.units.course import DAY_S, Array, by_hour

QUARTER_S = 900
HOUR_S = 3600.0


def weather_of_days(days: Sequence[Scenario], begins_utc_s: float) -> Weather:
    """One day after the other from a midnight of the site's clock on, by quarter hour."""
    clear = [pv.clear_sky_w_m2(day.day_of_year, day.latitude_deg) for day in days]
    cover = [np.clip(by_hour(day.cloud_frac), 0.0, 1.0) for day in days]
    depth = pv.PvSettings().cloud_depth_frac
    return Weather(
        begins_utc_s,
        _by_quarter(clear),
        1.0 - depth * pv.expected_clouds(_by_quarter(cover)),
        _by_quarter([np.maximum(by_hour(day.wind_m_s, 1800.0), 0.0) for day in days]),
        _by_quarter([by_hour(day.ambient_c) for day in days]),
    )


def place_of(day: Scenario, zone: str, at: datetime) -> tuple[float, float]:
    """Latitude and longitude at which the sun stands as in the scenario: highest at noon by the site's clock."""
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return day.latitude_deg, 15.0 * offset.total_seconds() / HOUR_S


def _by_quarter(courses: Sequence[Array]) -> Array:
    whole = np.concatenate(courses)
    return np.asarray(whole.reshape(len(courses) * DAY_S // QUARTER_S, QUARTER_S).mean(axis=1))
