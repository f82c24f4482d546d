"""Contract limits by the calendar: when they hold, in the site's own time, and what they do then."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import core_kit as kit
import pytest

from controller.control.cycle import step
from controller.control.state import initial_state
from controller.domain.connection import Calendar, CalendarCap, Connection
from controller.domain.snapshot import Snapshot
from controller.limits.calendar import holds

EVENING = Calendar(from_min=16 * 60, to_min=20 * 60)
NIGHT = Calendar(from_min=22 * 60, to_min=6 * 60, days=frozenset({4}))  # begins on Fridays
WINTER = Calendar(season=((11, 1), (2, 28)))
SUMMER = Calendar(season=((5, 1), (8, 31)))
WORKS = Calendar(first=date(2026, 5, 4), last=date(2026, 5, 8), from_min=8 * 60, to_min=17 * 60)

# 2026-05-08 is a Friday
HOLDS = [
    (Calendar(), "2026-01-01 00:00", True),
    (EVENING, "2026-01-01 15:59:59", False),
    (EVENING, "2026-01-01 16:00", True),
    (EVENING, "2026-01-01 19:59:59", True),
    (EVENING, "2026-01-01 20:00", False),
    (NIGHT, "2026-05-08 21:59", False),
    (NIGHT, "2026-05-08 22:00", True),
    (NIGHT, "2026-05-09 05:59", True),
    (NIGHT, "2026-05-09 06:00", False),
    (NIGHT, "2026-05-08 05:00", False),
    (NIGHT, "2026-05-09 22:00", False),
    (WINTER, "2026-11-01 00:00", True),
    (WINTER, "2026-02-28 23:59", True),
    (WINTER, "2026-03-01 00:00", False),
    (WINTER, "2026-10-31 00:00", False),
    (SUMMER, "2026-08-31 00:00", True),
    (SUMMER, "2026-09-01 00:00", False),
    (WORKS, "2026-05-03 12:00", False),
    (WORKS, "2026-05-04 08:00", True),
    (WORKS, "2026-05-08 16:59", True),
    (WORKS, "2026-05-09 12:00", False),
]


@pytest.mark.parametrize(("when", "local", "expected"), HOLDS)
def test_a_calendar_holds_when_a_person_would_say_so(when: Calendar, local: str, expected: bool) -> None:
    assert holds(when, datetime.fromisoformat(local)) is expected


def site_with(*caps: CalendarCap, timezone: str = "Europe/London"):
    return kit.site(connection=Connection(caps=caps), timezone=timezone)


def export_at(site, utc_s: float) -> tuple[float, str]:
    """The export limit in force and its cause at an instant."""
    _, record = step(site, initial_state(site), Snapshot(0.0, {}, utc_s))
    found = next(x for x in record.limits if x.id == "export")
    return found.high, found.cause


# in summer London is an hour ahead of UTC; the clock goes back on 2026-10-25 at 01:00 UTC
LOCAL = [
    (datetime(2026, 7, 1, 14, 59, tzinfo=UTC), 9e6),
    (datetime(2026, 7, 1, 15, 0, tzinfo=UTC), 4e6),
    (datetime(2026, 12, 1, 15, 59, tzinfo=UTC), 9e6),
    (datetime(2026, 12, 1, 16, 0, tzinfo=UTC), 4e6),
    (datetime(2026, 10, 24, 15, 0, tzinfo=UTC), 4e6),
    (datetime(2026, 10, 25, 15, 0, tzinfo=UTC), 9e6),
]


@pytest.mark.parametrize(("utc", "high_w"), LOCAL)
def test_the_times_are_those_of_the_site(utc: datetime, high_w: float) -> None:
    site = site_with(CalendarCap("evening", "export", 4e6, EVENING))
    assert export_at(site, utc.timestamp())[0] == high_w


def test_while_nobody_knows_the_time_every_cap_holds_and_the_tightest_wins() -> None:
    caps = (CalendarCap("a", "export", 4e6, EVENING), CalendarCap("b", "export", 2e6, WINTER))
    assert export_at(site_with(*caps), math.nan) == (2e6, "contract.b")


def test_a_cap_wider_than_the_limit_changes_nothing() -> None:
    assert export_at(site_with(CalendarCap("a", "export", 99e6, Calendar())), 1.8e9) == (9e6, "rating")


def test_a_unit_is_capped_while_its_contract_says_so_and_not_after() -> None:
    site = site_with(CalendarCap("wind", "WIND", 1e6, Calendar(from_min=0, to_min=1)), timezone="UTC")
    plant = kit.Plant(site, {"WIND": 4e6, "PV": 1e6, "HUB": 1e6})
    loop = kit.Loop(plant)
    midnight_s = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    inner = plant.snapshot
    plant.snapshot = lambda *_: Snapshot(plant.now_s, inner().points, midnight_s + plant.now_s)  # type: ignore[method-assign]
    capped = loop.run(40)
    setpoint = next(s for s in capped.setpoints if s.unit == "WIND")
    assert (setpoint.p_w, setpoint.owner, setpoint.causes) == (pytest.approx(-1e6), "contract", ("contract.wind",))
    loop.run(60)
    assert plant.p_w("WIND") == pytest.approx(-4e6, rel=0.01)
    told = [e.name for r in loop.records for e in r.events if e.subject == "wind"]
    assert told == ["contract.begun", "contract.ended"]
