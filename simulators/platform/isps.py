"""Settlement periods (ISPs) of a local day, as a market participant counts them. Number 1 begins at midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from simulators.market.model import DAY_S

ISP_S = 900


def start_utc_s(day: date, zone: str, isp: int) -> float:
    """Beginning of an ISP, UTC seconds since 1970; periods are counted on through a change of the clocks."""
    midnight = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
    return (midnight + timedelta(seconds=ISP_S * (isp - 1))).timestamp()


def count(day: date, zone: str) -> int:
    """How many ISPs a day has: 96, or 92 and 100 where the clocks change."""
    lasts_s = start_utc_s(day + timedelta(days=1), zone, 1) - start_utc_s(day, zone, 1)
    return round(lasts_s / ISP_S)


def clock_s(utc_s: float, zone: str) -> float:
    """Clock time there, seconds after midnight."""
    local = datetime.fromtimestamp(utc_s, ZoneInfo(zone))
    return local.hour * 3600.0 + local.minute * 60.0 + local.second + local.microsecond * 1e-6


def inside(clock: float, start: float, end: float) -> bool:
    """Whether a clock time lies in a window that may go over midnight; one without length is a whole day."""
    return (clock - start) % DAY_S < ((end - start) % DAY_S or DAY_S)
