"""The stand-in's weather forecasts are wrong as real ones are: more the further ahead, and smoothly."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.foreteller import LATE_S, QUARTER_S, RUN_S, Foreteller, Weather
from simulators.scenario import Scenario, load_scenario
from simulators.seeds import stream
from simulators.units import pv
from simulators.units.course import DAY_S
from simulators.weather_of_days import place_of, weather_of_days

SEED = 3
DAY_QUARTERS = 96


def steady(days: int) -> Weather:
    """The same wind, sun and air all the time: whatever differs is error."""
    ones = np.ones(days * DAY_QUARTERS)
    return Weather(0.0, 800.0 * ones, 0.6 * ones, 9.0 * ones, 10.0 * ones)


def test_errors_grow_with_the_horizon_to_what_is_stated() -> None:
    sky = Foreteller(steady(200), SEED)
    issued_s = LATE_S + RUN_S * np.arange(0.0, 1200.0, 4.0)
    near, far = (
        np.concatenate([sky.foretell(t, np.array([t - LATE_S + ahead_s]), 60.0) for t in issued_s.tolist()])
        for ahead_s in (900.0, 47 * 3600.0)
    )
    print(f"seed {SEED}: wind ±{near[:, 1].std():.2f} and ±{far[:, 1].std():.2f} m/s")
    assert near[:, 1].std() == pytest.approx(0.57, abs=0.08)
    assert far[:, 1].std() == pytest.approx(1.5, abs=0.2)
    assert far[:, 0].std() > 2.0 * near[:, 0].std()
    assert abs(far[:, 1].mean() - 9.0) < 0.15


def test_a_run_says_the_same_to_whoever_asks_until_the_next_one_is_out() -> None:
    sky, again = Foreteller(steady(5), SEED), Foreteller(steady(5), SEED)
    out_s = LATE_S + 8 * RUN_S
    starts_s = out_s + QUARTER_S * np.arange(96)
    first = sky.foretell(out_s, starts_s, QUARTER_S)
    assert np.array_equal(first, again.foretell(out_s + RUN_S - 1.0, starts_s, QUARTER_S))
    assert np.array_equal(first[40:], sky.foretell(out_s, starts_s[40:], QUARTER_S))
    assert not np.allclose(first, sky.foretell(out_s + RUN_S, starts_s, QUARTER_S))


def test_no_gust_and_no_single_cloud_is_in_it() -> None:
    """Between two quarter hours the forecast wind changes by the course of the day and no more."""
    day = load_scenario("a_day_in_the_life")
    weather = weather_of_days([day] * 3, 0.0)
    seen = Foreteller(weather, SEED).foretell(DAY_S, DAY_S + QUARTER_S * np.arange(96.0), QUARTER_S)
    assert np.abs(np.diff(weather.wind_m_per_s)).max() < 0.8
    assert np.abs(np.diff(seen[:, 1])).max() < 1.2


def test_the_clouds_to_expect_are_the_mean_of_those_that_come() -> None:
    cover = np.full(DAY_S, 0.4)
    come = np.mean([pv.cloud_field(cover, stream(seed, "clouds")).mean() for seed in range(4)])
    assert pv.expected_clouds(np.array([0.4]))[0] == pytest.approx(come, abs=0.02)


def test_the_place_is_where_the_sun_of_the_scenario_is_highest_at_noon_of_its_clock() -> None:
    assert place_of(Scenario(latitude_deg=52.0), "Europe/London", datetime(2026, 4, 10, tzinfo=UTC)) == (52.0, 15.0)
    assert place_of(Scenario(latitude_deg=52.0), "Europe/London", datetime(2026, 1, 10, tzinfo=UTC)) == (52.0, 0.0)
