"""The weather around the site: measured while a good reading is fresh and possible, otherwise the season's hard end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.domain import points
from controller.domain.measurement import Measurement
from controller.domain.snapshot import Snapshot
from controller.domain.thermal import DesignWeather

FRESH_S = 60.0  # air is slower than any poll; a device's own stale limit is shorter
BELOW_DESIGN_K_MAX = 35.0  # colder than the month's design temperature by more: a broken sensor, not a cold night
AMBIENT_POSSIBLE_C = 60.0
WIND_POSSIBLE_M_PER_S = 60.0
SOLAR_POSSIBLE_W_PER_M2 = 1500.0


@dataclass(frozen=True, slots=True)
class Air:
    """Ambient temperature as it counts for heating, the coldest it can be, and whether it was measured."""

    ambient_c: float
    coldest_c: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Wind:
    """Speed, the direction it comes from (degrees east of north, NaN when unknown), and whether it was measured."""

    speed_m_per_s: float
    from_deg: float
    measured: bool


class WeatherWatch:
    """Reads the weather out of snapshots for one site."""

    def __init__(self, design: DesignWeather, timezone: str) -> None:
        self.design = design
        self._zone = _zone(timezone)

    def day(self, utc_s: float) -> tuple[int, int] | None:
        """Month and day at the site; None when nobody knows the time."""
        if not math.isfinite(utc_s):
            return None
        local = datetime.fromtimestamp(utc_s, self._zone)
        return local.month, local.day

    def year(self, utc_s: float) -> int | None:
        """Year at the site; None when nobody knows the time."""
        return datetime.fromtimestamp(utc_s, self._zone).year if math.isfinite(utc_s) else None

    def design_ambient_c(self, utc_s: float) -> float:
        """The month's design temperature, °C; the hottest of the year when nobody knows the month."""
        day = self.day(utc_s)
        return max(self.design.ambient_c) if day is None else self.design.ambient_c[day[0] - 1]

    def air(self, snapshot: Snapshot, point: str = points.ambient("temp_c"), design_c: float | None = None) -> Air:
        """Ambient temperature from ``point``; ``design_c`` takes the place of the season's (None: the season's)."""
        assumed_c = self.design_ambient_c(snapshot.utc_s) if design_c is None else design_c
        coldest_c = assumed_c - BELOW_DESIGN_K_MAX
        measured_c = fresh(snapshot, point)
        if coldest_c <= measured_c <= AMBIENT_POSSIBLE_C:
            return Air(measured_c, measured_c, measured=True)
        return Air(assumed_c, coldest_c, measured=False)

    def wind(self, snapshot: Snapshot) -> Wind:
        """Wind at its sensor; the design wind when there is no good reading."""
        speed, from_deg = fresh(snapshot, points.ambient("wind_m_per_s")), fresh(snapshot, points.ambient("wind_deg"))
        if 0.0 <= speed <= WIND_POSSIBLE_M_PER_S:
            return Wind(speed, from_deg if 0.0 <= from_deg <= 360.0 else math.nan, measured=True)
        return Wind(self.design.wind_m_per_s, math.nan, measured=False)

    def solar_w_per_m2(self, snapshot: Snapshot) -> float:
        """Measured irradiance on the horizontal; NaN when there is no good reading."""
        value = fresh(snapshot, points.ambient("solar_w_per_m2"))
        return max(value, 0.0) if -20.0 <= value <= SOLAR_POSSIBLE_W_PER_M2 else math.nan


def fresh(snapshot: Snapshot, point: str) -> float:
    """The value of ``point`` when it is good, finite and young; NaN otherwise."""
    found: Measurement | None = snapshot.points.get(point)
    if found is None or not found.usable or not snapshot.now_s - found.measured_at_s <= FRESH_S:
        return math.nan
    return found.value


def _zone(timezone: str) -> tzinfo:
    """The site's zone; UTC on a machine without time zone data, where a season may begin some hours off."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
