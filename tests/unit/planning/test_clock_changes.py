"""When the clocks change, people get up by the clock and the sun does not: neither profile moves by an hour."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import forecast
from controller.planning.history import History, Prior, learn_quarter, new_history, see
from controller.planning.lookback import calendar_at

LONDON = ZoneInfo("Europe/London")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
PEOPLE, SUN = 0, 1


def at_s(day: date, hour: float) -> float:
    """So many real hours after local midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=LONDON).timestamp() + 3600.0 * hour


def local(utc_s: float) -> datetime:
    return datetime.fromtimestamp(utc_s, LONDON)


def demand(utc_s: float) -> float:
    """People want 8 instead of 2 from seven to eight by the clock, but at the weekend from ten to eleven."""
    now = local(utc_s)
    return 8.0 if now.hour == (10 if now.weekday() >= 5 else 7) else 2.0


def sun(utc_s: float) -> float:
    """It stands highest at noon by Greenwich."""
    return max(float(np.cos((utc_s / 3600.0 % 24.0 - 12.0) / 12.0 * np.pi)), 0.0) * 10.0


def taught(calendar: Calendar, until_s: float, days: int = 28) -> History:
    flat = np.ones((SLOTS, 2))
    two = np.ones(2)
    prior = Prior(3.0 * flat, flat, 0.0 * two, 10.0 * two, 6.0 * two, two, two > 0, 1.0, np.array([False, True]))
    history = new_history(calendar, prior)
    last = calendar.quarter(until_s)
    for quarter in range(last - days * SLOTS, last):
        middle_s = calendar.start_s(quarter) + QUARTER_S / 2.0
        history = learn_quarter(history, quarter, np.array([demand(middle_s), sun(middle_s)]))
    return history


@pytest.mark.parametrize(("day", "quarters"), [(SPRING, 92), (AUTUMN, 100), (date(2026, 6, 1), 96)])
def test_a_day_has_as_many_quarter_hours_as_it_is_long_and_all_are_of_that_day(day: date, quarters: int) -> None:
    calendar = calendar_at(at_s(day, 12.0), "Europe/London")
    first, following = calendar.quarter(at_s(day, 0.0)), calendar.quarter(at_s(day + timedelta(days=1), 0.0))
    assert following - first == quarters
    for quarter in range(first - SLOTS, following + SLOTS):
        now = local(calendar.start_s(quarter))
        assert calendar.by_clock(quarter) % SLOTS == 4 * now.hour + now.minute // 15
        assert calendar.day_type(quarter) == (now.weekday() >= 5)


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("days_later", [0, 1, 2, 10])
def test_neither_profile_moves_by_an_hour(day: date, days_later: int) -> None:
    """Before the change, on its day and after it; the day is judged that nobody has seen yet."""
    day = day + timedelta(days=days_later)
    now_s = at_s(day, 0.0)
    calendar = calendar_at(now_s, "Europe/London")
    history = taught(calendar, now_s)
    first, following = calendar.quarter(now_s), calendar.quarter(at_s(day + timedelta(days=1), 0.0))
    expected, _ = history.expected(np.arange(first, following))
    middle_s = calendar.start_s(first) + QUARTER_S * (np.arange(following - first) + 0.5)
    for series, truth in ((PEOPLE, demand), (SUN, sun)):
        came = np.array([truth(s) for s in middle_s.tolist()])
        right = np.abs(expected[:, series] - came).mean()
        shifted = [np.abs(np.roll(expected[:, series], hour) - came).mean() for hour in (-4, 4)]
        assert right < 0.5 * min(shifted), (series, right, shifted)


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_a_forecast_that_reaches_over_the_change_goes_by_the_new_clock_behind_it(day: date) -> None:
    now_s = at_s(day - timedelta(days=1), 12.0)
    calendar = calendar_at(now_s, "Europe/London")
    history = taught(calendar, now_s)
    history = see(history, now_s + 1.0, np.array([demand(now_s), sun(now_s)]))
    middle = forecast(history, SLOTS).value[2]
    # Without the present hour, in which the sun stands high too.
    people, highest = (calendar.start_s(calendar.quarter(now_s) + 4 + int(np.argmax(x))) for x in middle[4:].T)
    assert (local(people).date(), local(people).hour) == (day, 10)
    assert highest % 86_400.0 / 3600.0 == pytest.approx(12.0, abs=1.0)


def test_learning_goes_on_when_the_clocks_change() -> None:
    before, after = (calendar_at(at_s(AUTUMN, hour), "Europe/London") for hour in (0.0, 24.0))
    assert (after.midnight_s - before.midnight_s) % 86_400.0 == 0.0
    nobody = calendar_at(at_s(AUTUMN, 0.0), "UTC")
    assert nobody.changes == ((0, 0),)
    assert calendar_at(at_s(AUTUMN, 0.0), "Asia/Kathmandu").changes == ((0, 0),)
