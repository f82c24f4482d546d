"""What the weather means is learned from the box's own past, and a bad or missing forecast never makes it surer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.domain.weather import AIR, SUN, WIND
from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import forecast
from controller.planning.foretold import Foretold, Heard, says_the_same
from controller.planning.history import History, Prior, learn_quarter, new_history, see
from controller.planning.weather_curves import BINS_M_PER_S, means, never_falling
from controller.planning.weather_forecast import forecast_in_weather
from controller.planning.weather_past import KNOTS, WeatherPast, beside, new_weather_past

SEED = 4
AHEAD = 2 * SLOTS
HOUR = (np.arange(SLOTS) + 0.5) / 4.0
CLEAR = np.maximum(900.0 * np.sin(np.pi * (HOUR - 6.0) / 12.0), 0.0)
EVENING = np.clip(0.6 + 0.08 * (HOUR - 12.0), 0.2, 1.0) / 1000.0  # a roof that faces the evening
DRIVES = np.array([SUN, WIND, AIR])


def prior() -> Prior:
    """A roof, a wind farm and demand, of which nothing is known but that each lies between 0 and 1."""
    flat = np.ones((SLOTS, 3))
    daily = np.array([True, False, True])
    memory = np.array([6.0, 40.0, 6.0])
    return Prior(0.35 * flat, 0.25 * flat, np.zeros(3), np.ones(3), memory, np.array([1.0, 0.0, 1.0]), daily)


def course(days: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Weather (t, quantity) that changes from day to day, and what the series make of it (t, n)."""
    rng = np.random.default_rng(seed)
    cloud = np.repeat(rng.uniform(0.2, 1.0, days), SLOTS)
    drawn = rng.uniform(2.0, 14.0, 4 * days + 4)  # one every six hours
    wind = np.interp(np.arange(days * SLOTS), 24 * np.arange(len(drawn)), drawn)
    air = 10.0 + np.repeat(rng.normal(0.0, 5.0, days), SLOTS)
    weather = np.stack([cloud * np.tile(CLEAR, days), wind, air], axis=1)
    roof = weather[:, SUN] * np.tile(EVENING, days)
    farm = np.clip((wind - 3.0) / 8.0, 0.0, 1.0) ** 2
    demand = 0.5 - 0.015 * (air - 10.0)
    noise = rng.normal(0.0, 0.01, (len(wind), 3))
    return weather, np.clip(np.stack([roof, farm, demand], axis=1) + noise, 0.0, 1.0)


def error_of(rng: np.random.Generator, rows: int, share: float) -> np.ndarray:
    """Errors of a forecast: a factor of the sun, and what is added to wind and air."""
    return rng.normal(0.0, share, (rows, 3)) * np.array([1.0, 6.0, 4.0])


def told_at(weather: np.ndarray, quarter: int, share: float, ahead: np.ndarray) -> np.ndarray:
    """What a forecast of that quality says at a quarter hour of others; one error per origin and quantity."""
    found = weather[quarter + ahead].copy()
    error = error_of(np.random.default_rng([SEED, quarter // 12]), 1, share)[0]
    found[:, SUN] *= max(1.0 + error[0], 0.0)
    found[:, WIND] = np.maximum(found[:, WIND] + error[1], 0.0)
    found[:, AIR] += error[2]
    return found


def taught(days: int, share: float = 0.05, seed: int = SEED) -> tuple[History, WeatherPast, np.ndarray, np.ndarray]:
    """After so many days with forecasts of that quality: what was learned, and the whole course."""
    weather, value = course(days + 4, seed)
    history, past = new_history(Calendar(), prior()), new_weather_past(DRIVES, np.ones(3))
    for quarter in range(days * SLOTS):
        past = beside(past, history, quarter, told_at(weather, quarter, share, KNOTS))
        history = learn_quarter(history, quarter, value[quarter])
    now = days * SLOTS
    return see(history, now * QUARTER_S + 1.0, value[now]), past, weather, value


def test_without_a_forecast_in_force_the_history_alone_counts_to_the_last_digit() -> None:
    history, past, _, _ = taught(6)
    told = np.full((AHEAD, 3), np.nan)
    assert np.array_equal(forecast_in_weather(history, past, told, AHEAD).value, forecast(history, AHEAD).value)


def test_behind_the_end_of_a_forecast_the_history_alone_counts() -> None:
    history, past, weather, _ = taught(6)
    told = told_at(weather, 6 * SLOTS, 0.05, np.arange(AHEAD))
    told[SLOTS:] = np.nan
    found, alone = forecast_in_weather(history, past, told, AHEAD).value, forecast(history, AHEAD).value
    assert np.array_equal(found[:, SLOTS:], alone[:, SLOTS:])
    assert not np.allclose(found[:, 8:SLOTS], alone[:, 8:SLOTS])


def test_a_forecast_of_which_nothing_was_ever_learned_changes_nothing() -> None:
    history, past, weather, _ = taught(6)
    untold = replace(past, foretold=np.full_like(past.foretold, np.nan))
    found = forecast_in_weather(history, untold, told_at(weather, 6 * SLOTS, 0.05, np.arange(AHEAD)), AHEAD)
    assert found.value == pytest.approx(forecast(history, AHEAD).value)


def test_after_two_weeks_the_next_day_is_known_far_better_than_without_the_weather() -> None:
    missed, alone = [], []
    for seed in range(SEED, SEED + 5):
        history, past, weather, value = taught(14, seed=seed)
        now = 14 * SLOTS
        told = told_at(weather, now, 0.05, np.arange(AHEAD))
        came = value[now + np.arange(SLOTS, AHEAD)]
        with_it, without = forecast_in_weather(history, past, told, AHEAD), forecast(history, AHEAD)
        missed.append(np.abs(with_it.value[2, SLOTS:] - came).mean(axis=0))
        alone.append(np.abs(without.value[2, SLOTS:] - came).mean(axis=0))
    roof, farm, demand = np.mean(missed, axis=0) / np.mean(alone, axis=0)
    print(f"seeds {SEED}…{SEED + 4}: error over that without the weather {roof:.2f}, {farm:.2f}, {demand:.2f}")
    assert roof < 0.8
    assert farm < 0.3
    assert demand < 0.6


def test_the_quantiles_hold_what_they_promise_on_days_that_were_not_seen() -> None:
    inside = []
    for seed in range(20, 28):
        history, past, weather, value = taught(10, share=0.12, seed=seed)
        now = 10 * SLOTS
        told = told_at(weather, now, 0.12, np.arange(AHEAD))
        found = forecast_in_weather(history, past, told, AHEAD, (0.1, 0.5, 0.9)).value[:, 16::8]
        came = value[now + np.arange(16, AHEAD, 8)]
        lit = np.ones_like(came, dtype=bool)
        lit[:, 0] = weather[now + np.arange(16, AHEAD, 8), SUN] > 20.0
        inside.append(((came >= found[0]) & (came <= found[2]))[lit])
    share = np.concatenate(inside).mean()
    print(f"seeds 20…27: {share:.2f} within the 10 and 90 % quantiles")
    assert 0.72 < share < 0.92


def test_a_forecast_that_was_never_worth_anything_is_not_believed() -> None:
    """What it said was of another year: coefficients come out near none, and the quantiles no narrower."""
    history, past, _, _ = taught(14)
    other, _ = course(30, seed=99)
    lies = replace(past, foretold=np.stack([other[q + KNOTS] for q in past.quarter]))
    told = other[14 * SLOTS + np.arange(AHEAD)]
    found, alone = forecast_in_weather(history, lies, told, AHEAD).value, forecast(history, AHEAD).value
    width, before = (x[-1, 16:] - x[0, 16:] for x in (found, alone))
    assert width.mean() > 0.9 * before.mean()


def test_which_way_a_roof_faces_shows_in_its_share_of_the_sun() -> None:
    history, past, _, _ = taught(10)
    came = past.mean + past.spread * history.deviation
    sunny = np.array([[300.0, 0.0, 10.0], [300.0, 0.0, 10.0]])
    first, _ = means(past, came, sunny, np.array([36, 60]))  # nine in the morning, three in the afternoon
    assert first[0, 0] == pytest.approx(300.0 * EVENING[36], rel=0.15)
    assert first[1, 0] == pytest.approx(300.0 * EVENING[60], rel=0.15)


def test_more_wind_never_means_less_power() -> None:
    history, past, _, _ = taught(3)
    came = past.mean + past.spread * history.deviation
    gusts = np.zeros((len(BINS_M_PER_S), 3))
    gusts[:, WIND] = BINS_M_PER_S
    first, _ = means(past, came, gusts, np.zeros(len(gusts), dtype=np.int64))
    assert (np.diff(first[:, 1]) >= 0.0).all()
    assert first[0, 1] < 0.05
    assert first[12, 1] > 0.7


def test_adjacent_violators_are_pooled_as_in_the_book() -> None:
    """Barlow et al.: (1, 3, 2, 4) with equal weights becomes (1, 2.5, 2.5, 4)."""
    assert never_falling(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4)) == pytest.approx([1.0, 2.5, 2.5, 4.0])
    assert never_falling(np.array([5.0, 1.0]), np.array([1.0, 3.0])) == pytest.approx([2.0, 2.0])


def foretold(heard_s: float, issued_s: float, value: float = 1.0) -> Foretold:
    """A day from 0 on, the same all the time."""
    return Foretold(heard_s, issued_s, 0, np.full((SLOTS, 3), value))


def test_the_forecast_that_counted_is_the_last_one_heard_unless_it_was_too_old() -> None:
    heard = Heard((foretold(100.0, 100.0, 1.0), foretold(500.0, 100.0, 2.0), foretold(900.0, 900.0, 3.0)), 600.0)
    known = [heard.in_force(at_s) for at_s in (99.0, 100.0, 650.0, 800.0, 950.0, 1501.0)]
    assert [None if one is None else one.value[0, 0] for one in known] == [None, 1.0, 2.0, None, 3.0, None]


def test_outside_of_a_forecast_nothing_is_known() -> None:
    found = foretold(0.0, 0.0).at(np.array([-900.0, 0.0, 899.0, SLOTS * 900.0]))
    assert np.isfinite(found[:, 0]).tolist() == [False, True, True, False]


def test_two_forecasts_are_one_when_they_agree_about_what_is_to_come() -> None:
    one = foretold(0.0, 0.0)
    assert says_the_same(one, replace(one, heard_utc_s=1800.0, value=one.value + 0.05))
    assert not says_the_same(one, replace(one, heard_utc_s=1800.0, value=one.value + np.array([0.0, 0.2, 0.0])))
    late = one.value + np.where(np.arange(SLOTS)[:, None] < 2, 5.0, 0.0)  # only what has passed is another
    assert says_the_same(one, replace(one, heard_utc_s=1800.0, value=late))
