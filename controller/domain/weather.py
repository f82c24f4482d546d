"""Where the station gets the weather forecast from, as the site file states it."""

from __future__ import annotations

from dataclasses import dataclass

QUANTITIES = 3
SUN, WIND, AIR = range(QUANTITIES)
"""Columns of every table of weather: irradiance on the horizontal (W/m²), wind speed (m/s), air temperature (°C)."""


@dataclass(frozen=True, slots=True)
class WeatherService:
    """A service in the form of Open-Meteo's forecast API, for one place (degrees, north and east positive).

    It is asked every ``poll_s``; ``names`` are its variables, in the order of the columns. A forecast that ends sooner
    than ``horizon_s`` from now is refused, one in which nothing has changed for ``stale_s`` counts no more.
    """

    url: str
    latitude_deg: float
    longitude_deg: float
    poll_s: float = 1800.0
    horizon_s: float = 24 * 3600.0
    stale_s: float = 12 * 3600.0
    quarters: bool = False
    names: tuple[str, str, str] = ("shortwave_radiation", "wind_speed_80m", "temperature_2m")
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    credentials_file: str | None = None

    @property
    def block(self) -> str:
        """Key of its table: quarter hours or hours."""
        return "minutely_15" if self.quarters else "hourly"

    @property
    def step_s(self) -> int:
        """Seconds from one row of the table to the next."""
        return 900 if self.quarters else 3600
