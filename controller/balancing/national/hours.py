"""When a day's bid is made, when the gate closes, and its window, by the site's clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from controller.domain.national import Tender


@dataclass(frozen=True, slots=True)
class Hours:
    """Of one day, UTC seconds since 1970."""

    at_utc_s: float
    gate_utc_s: float
    begins_utc_s: float
    ends_utc_s: float


def hours_of(tender: Tender, now_utc_s: float, zone: str) -> Hours:
    """Those of the local day that an instant lies in."""
    today = datetime.fromtimestamp(now_utc_s, UTC).astimezone(ZoneInfo(zone)).date()
    past_midnight = timedelta(days=0 if tender.end_s > tender.start_s else 1)
    return Hours(
        _utc_s(today, tender.at_s, zone),
        _utc_s(today, tender.gate_s, zone),
        _utc_s(today, tender.start_s, zone),
        _utc_s(today + past_midnight, tender.end_s, zone),
    )


def _utc_s(day: date, clock_s: float, zone: str) -> float:
    """A time that the clocks skip counts as the one an hour later, one that comes twice as the first."""
    minutes = round(clock_s / 60.0)
    return datetime.combine(day, time(minutes // 60, minutes % 60), ZoneInfo(zone)).timestamp()
