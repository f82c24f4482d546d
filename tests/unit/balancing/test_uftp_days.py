"""Settlement periods when the clocks change: none is lost, none comes twice, wherever a country changes them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from controller.balancing.uftp.values import Day, day_of

CHANGES = [
    ("Europe/London", date(2026, 3, 29), 900, 92),
    ("Europe/London", date(2026, 10, 25), 900, 100),
    ("Europe/London", date(2026, 10, 25), 1800, 50),
    ("Europe/Amsterdam", date(2026, 3, 29), 900, 92),
    ("Europe/Amsterdam", date(2026, 10, 25), 900, 100),
    ("Africa/Cairo", date(2026, 4, 24), 900, 92),  # midnight itself is skipped
    ("Africa/Cairo", date(2026, 10, 29), 900, 100),  # midnight nearly comes twice
    ("Australia/Lord_Howe", date(2026, 10, 4), 900, 94),  # half an hour
]


@pytest.mark.parametrize(("zone", "day", "isp_s", "isps"), CHANGES)
def test_every_instant_of_the_days_around_it_lies_in_one_period(zone: str, day: date, isp_s: int, isps: int) -> None:
    days = [Day(day + timedelta(days=k), isp_s, zone, "point") for k in (-1, 0, 1, 2)]
    assert days[1].isps == isps
    starts_s = [each.isp_start_utc_s(isp) for each in days[:3] for isp in range(1, each.isps + 1)]
    assert starts_s == [starts_s[0] + isp_s * k for k in range(len(starts_s))]
    assert days[3].start_utc_s == starts_s[-1] + isp_s
    for each in days[:3]:
        for isp in range(1, each.isps + 1):
            start_s = each.isp_start_utc_s(isp)
            for at_s in (start_s, start_s + isp_s - 0.5):
                assert (day_of(at_s, isp_s, zone, "point").period, each.isp_at(at_s)) == (each.period, isp)
