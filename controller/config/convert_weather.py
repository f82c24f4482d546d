"""The weather forecast from field units to SI. Nothing is checked here; that happened before."""

from __future__ import annotations

from controller.config.schema import SiteFile
from controller.domain.weather import WeatherService

_MINUTE_S, _HOUR_S = 60.0, 3600.0


def to_weather_service(file: SiteFile) -> WeatherService | None:
    """Where the weather forecast comes from; None when there is none."""
    block = file.weather.forecast
    if block is None:
        return None
    return WeatherService(
        url=block.url,
        latitude_deg=block.latitude,
        longitude_deg=block.longitude,
        poll_s=block.poll_min * _MINUTE_S,
        horizon_s=block.horizon_h * _HOUR_S,
        stale_s=block.stale_h * _HOUR_S,
        quarters=block.resolution == "minutely_15",
        names=(block.irradiance, block.wind, block.temperature),
        ca_file=block.ca_file,
        cert_file=block.cert_file,
        key_file=block.key_file,
        credentials_file=block.credentials,
    )
