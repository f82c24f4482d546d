"""What is learned from a site's own days: usual profiles, how long a deviation lasts, and honest quantiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import HORIZONS, blended_quantiles, forecast, typical_coefficients
from controller.planning.history import History, Prior, learn_quarter, new_history, see

SLOT = np.arange(SLOTS)
HUMP = np.exp(-(((SLOT - 48) / 12.0) ** 2))


def prior(n: int = 1, low: float = 0.0, high: float = 10.0) -> Prior:
    """A flat expectation of 3 ± 2."""
    shape = np.ones((SLOTS, n))
    return Prior(
        3.0 * shape, 2.0 * shape, np.full(n, low), np.full(n, high), np.full(n, 6.0), np.ones(n), np.ones(n, dtype=bool)
    )


def taught(values: np.ndarray, calendar: Calendar = Calendar(), n: int = 1) -> History:  # noqa: B008
    """A history that has seen these quarter hours (t,) or (t, n), one look each, and begins the next."""
    history = new_history(calendar, prior(n))
    for k, value in enumerate(values.reshape(len(values), n)):
        history = see(history, k * QUARTER_S + 1.0, value)
    return see(history, len(values) * QUARTER_S + 1.0, values.reshape(len(values), n)[-1])


def test_a_day_that_repeats_is_expected_to_repeat() -> None:
    day = 2.0 + 5.0 * HUMP
    seen = forecast(taught(np.tile(day, 14)), SLOTS)
    assert seen.value[2, 1:, 0] == pytest.approx(day[1:], abs=0.4)


def test_quantiles_lie_in_order_and_inside_what_is_possible() -> None:
    rng = np.random.default_rng(5)
    history = taught(np.clip(5.0 + 3.0 * rng.standard_normal(5 * SLOTS), 0.0, 10.0))
    value = forecast(history, 2 * SLOTS).value
    assert (np.diff(value, axis=0) >= -1e-9).all()
    assert value.min() >= 0.0
    assert value.max() <= 10.0


def test_the_quantiles_hold_what_they_promise_on_days_that_were_not_seen() -> None:
    """A first-order process around a daily profile: four of five outcomes within the 10 and 90 % quantiles."""
    rng = np.random.default_rng(11)
    noise = np.zeros(40 * SLOTS)
    for k in range(1, len(noise)):
        noise[k] = 0.95 * noise[k - 1] + 0.3 * rng.standard_normal()
    series = np.clip(4.0 + 2.0 * np.tile(HUMP, 40) + noise, 0.0, 10.0)
    history = taught(series[: 28 * SLOTS])
    inside = []
    for k in range(28 * SLOTS, 39 * SLOTS):
        history = see(history, k * QUARTER_S + 1.0, series[[k]])
        if k % 17 == 0:
            value = forecast(history, 33, (0.1, 0.9)).value[:, [4, 16, 32], 0]
            actual = series[[k + 4, k + 16, k + 32]]
            inside.append((actual >= value[0]) & (actual <= value[1]))
    assert 0.72 < np.mean(inside) < 0.88


def test_a_deviation_that_always_lasts_is_learned_to_last() -> None:
    """Days differ by a constant: typical coefficients would forget it, the site's own days do not."""
    level = np.repeat(np.random.default_rng(3).normal(0.0, 1.0, 28), SLOTS)
    history = taught(5.0 + level)
    calm = see(history, history.now_s + 0.25 * QUARTER_S, np.array([6.5]))
    for k in range(1, 24):
        calm = see(calm, history.now_s + k * QUARTER_S, np.array([6.5]))
    ahead = forecast(calm, 33).value[2, 32, 0]
    mean = calm.expected(np.array([calm.calendar.quarter(calm.now_s) + 32]))[0][0, 0]
    a, b = typical_coefficients(32, prior())
    assert ahead - mean > 1.3 * float(a[0] + b[0]) * (6.5 - mean)


def test_the_present_is_where_the_forecast_starts() -> None:
    history = taught(np.full(SLOTS, 3.0))
    jump = see(history, history.now_s + 1e4, np.array([8.0]))
    for _ in range(40):
        jump = see(jump, jump.now_s + 60.0, np.array([8.0]))
    value = forecast(jump, 8).value
    assert value[:, 0, 0] == pytest.approx(8.0, abs=0.1)
    assert value[2, 7, 0] < 8.0


def test_a_day_off_is_another_day_and_until_one_is_seen_like_the_others() -> None:
    monday = Calendar(0.0, 0)
    work, rest = np.full(SLOTS, 6.0), np.full(SLOTS, 1.0)
    five = taught(np.tile(work, 5), monday)
    assert forecast(five, SLOTS).value[2, -1, 0] == pytest.approx(6.0, abs=0.6)
    fortnight = taught(np.concatenate([np.tile(work, 5), np.tile(rest, 2)] * 3 + [np.tile(work, 5)]), monday)
    mean, _ = fortnight.expected(np.array([26 * SLOTS + 40, 28 * SLOTS + 40]))
    assert mean[:, 0] == pytest.approx([1.0, 6.0], abs=0.7)


def test_hours_that_nobody_saw_teach_nothing_and_harm_nothing() -> None:
    history = taught(np.tile(2.0 + 5.0 * HUMP, 5))
    later = see(history, history.now_s + 7 * QUARTER_S, np.array([np.nan]))
    assert np.isnan(later.deviation[-6:]).all()
    assert np.isfinite(forecast(later, SLOTS).value).all()


def test_a_series_that_was_never_known_keeps_its_typical_shape() -> None:
    values = np.stack([np.full(2 * SLOTS, 4.0), np.full(2 * SLOTS, np.nan)], axis=1)
    value = forecast(taught(values, n=2), SLOTS).value
    assert value[2, :, 1] == pytest.approx(np.full(SLOTS, 3.0))


def test_what_does_not_know_the_hour_is_expected_alike_at_every_hour() -> None:
    """Wind that blew at one noon is no reason to expect it at the next."""
    calm = replace(prior(), daily=np.zeros(1, dtype=bool))
    history = new_history(Calendar(), calm)
    for k in range(3 * SLOTS):
        history = learn_quarter(history, k, np.array([2.0 + 5.0 * HUMP[k % SLOTS]]))
    mean, spread = history.expected(np.arange(SLOTS))
    assert np.ptp(mean) == np.ptp(spread) == 0.0


def test_what_was_missed_at_this_hour_yesterday_is_expected_today() -> None:
    """A profile that moves every day (the sun in spring): the usual day lags, the day before does not."""
    days = [1.0 + 0.2 * d for d in range(25)]
    history = taught(np.concatenate([d * (1.0 + HUMP) for d in days]))
    noon = forecast(history, SLOTS).value[2, 48, 0]
    usual = history.expected(np.array([25 * SLOTS + 48]))[0][0, 0]
    truth = (1.0 + 0.2 * 25) * 2.0
    assert abs(noon - min(truth, 10.0)) < 0.5 * abs(usual - min(truth, 10.0))


def test_a_look_from_the_past_is_ignored() -> None:
    history = taught(np.full(10, 4.0))
    assert see(history, history.now_s - 1.0, np.array([9.0])) is history


def test_only_the_last_four_weeks_are_kept() -> None:
    history = new_history(Calendar(), prior())
    for k in range(30 * SLOTS):
        history = learn_quarter(history, k, np.array([3.0]))
    assert len(history.deviation) == len(history.slow) == 28 * SLOTS
    assert max(HORIZONS) < len(history.deviation)


def test_before_anything_was_seen_there_is_no_forecast() -> None:
    with pytest.raises(ValueError, match="before anything was seen"):
        forecast(new_history(Calendar(), prior()), 4)


def test_a_roof_s_nights_do_not_make_its_days_look_better_known_than_they_are() -> None:
    """Half of the outcomes of a cloudy month lie inside the middle half of the forecast; by day, where it counts."""
    rng = np.random.default_rng(5)
    sun = np.clip(np.sin((SLOT - 24) / 48.0 * np.pi), 0.0, None)
    sky = np.repeat(np.clip(rng.normal(0.6, 0.25, 60), 0.05, 1.0), SLOTS)
    series = 10.0 * np.tile(sun, 60) * sky
    history = taught(series[: 30 * SLOTS])
    inside = []
    for k in range(30 * SLOTS, 50 * SLOTS):
        history = see(history, k * QUARTER_S + 1.0, series[[k]])
        if k % SLOTS in (40, 48, 56):
            low, middle, high = forecast(history, SLOTS + 1, (0.25, 0.5, 0.75)).value[:, -1, 0]
            assert low <= middle <= high
            inside.append(low <= series[k + SLOTS] <= high)
    assert 0.35 < np.mean(inside) < 0.75, np.mean(inside)


def test_quantiles_with_equal_weights_are_the_usual_ones() -> None:
    missed = np.random.default_rng(1).normal(size=(400, 3))
    missed[::7, 1] = np.nan
    found = blended_quantiles(missed, np.full((400, 3), 2.5), np.zeros((3, 3)), (0.1, 0.5, 0.9))
    count = np.isfinite(missed).sum(axis=0)
    usual = np.nanquantile(missed, (0.1, 0.5, 0.9), axis=0) * count / (count + SLOTS)
    assert found == pytest.approx(usual)


def test_a_series_that_nobody_saw_keeps_what_was_thought_before() -> None:
    missed = np.full((50, 2), np.nan)
    missed[:, 0] = 1.0
    before = np.array([[-1.0, -1.0], [1.0, 1.0]])
    found = blended_quantiles(missed, np.ones((50, 2)), before, (0.1, 0.9))
    assert found[:, 1].tolist() == [-1.0, 1.0]
    assert (found[:, 0] > before[:, 0]).tolist() == [True, False]
