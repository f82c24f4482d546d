"""The weather forecast of the site file as a strict model."""

from __future__ import annotations

from typing import Literal

from controller.config.fields import Strict, about, number, text
from controller.config.schema_platform import FILE_PATH

_VARIABLE = ("a name of lower-case letters, digits and _", r"^[a-z][a-z0-9_]*$")


class WeatherServiceModel(Strict):
    """A service in the form of Open-Meteo's forecast API, which may be one's own; `gridedge station` asks it.

    What comes is judged (place, times, units, ranges, the height of the sun, a whole horizon) and refused whole when
    something is wrong; then, and when it is too old, the forecast goes by the history alone. What the weather means for
    units and loads the station learns from its own past forecasts.
    """

    url: str = text(
        "https://host/path, a query may follow", r"^https://[^\s/]+(/[^\s]*)?$", "Where it answers, as /v1/forecast."
    )
    ca_file: str | None = text(*FILE_PATH, "Authorities that may vouch for it (PEM); left out: the system's.", None)
    cert_file: str | None = text(*FILE_PATH, "Our certificate (PEM), with key_file, where it asks for one.", None)
    key_file: str | None = text(*FILE_PATH, "Private key of cert_file (PEM).", None)
    credentials: str | None = text(*FILE_PATH, "File with name and password (HTTP Basic), a line each.", None)
    latitude: float = number("degrees", -90, 90, "Place of the site, north positive.")
    longitude: float = number("degrees", -180, 180, "Place of the site, east positive.")
    poll_min: float = number("minutes", 1, 1440, "Period of asking.", 30.0)
    horizon_h: float = number("hours", 1, 96, "A forecast that ends sooner is refused.", 24.0)
    stale_h: float = number("hours", 0.5, 72, "One in which nothing changes for so long counts no more.", 12.0)
    resolution: Literal["hourly", "minutely_15"] = about("Which of its tables is asked for.", "hourly")
    irradiance: str = text(*_VARIABLE, "Its name of global irradiance on the horizontal, W/m².", "shortwave_radiation")
    wind: str = text(*_VARIABLE, "Its name of wind speed, best at hub height.", "wind_speed_80m")
    temperature: str = text(*_VARIABLE, "Its name of air temperature, °C.", "temperature_2m")
