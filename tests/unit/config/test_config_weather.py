"""Where the weather forecast comes from: what the block comes to, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.finding import SiteError
from controller.config.loader import parse_site
from controller.domain.site import Site
from controller.domain.weather import WeatherService

SITE = Path(__file__).resolve().parents[3] / "site_configs" / "demo_primary.yaml"
BLOCK = {"url": "https://platform.example/v1/forecast?key=1", "latitude": "52.1", "longitude": "-1.5"}


def site_with(**changes: str) -> Site:
    lines = "".join(f"    {key}: {value}\n" for key, value in (BLOCK | changes).items())
    return parse_site(SITE.read_text("utf-8") + f"\nweather:\n  forecast:\n{lines}", "with a forecast")


def test_minutes_and_hours_become_seconds() -> None:
    found = site_with(poll_min="15", stale_h="6", resolution="minutely_15", wind="wind_speed_120m").weather_service
    names = ("shortwave_radiation", "wind_speed_120m", "temperature_2m")
    assert found == WeatherService(BLOCK["url"], 52.1, -1.5, 900.0, 86_400.0, 21_600.0, True, names)
    assert found is not None
    assert (found.block, found.step_s) == ("minutely_15", 900)


def test_without_the_block_nobody_is_asked() -> None:
    assert parse_site(SITE.read_text("utf-8"), "without").weather_service is None


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"url": "http://platform.example/v1/forecast"}, "weather.forecast.url", "https://"),
        ({"latitude": "95"}, "weather.forecast.latitude", "-90…90"),
        ({"cert_file": "/etc/gridedge/box.crt"}, "weather.forecast", "cert_file with key_file"),
        ({"wind": "temperature_2m"}, "weather.forecast.wind", "three different names"),
        ({"poll_min": "120", "stale_h": "1"}, "weather.forecast.poll_min", "at most stale_h 1"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(changes: dict[str, str], path: str, expected: str) -> None:
    with pytest.raises(SiteError) as caught:
        site_with(**changes)
    assert path in str(caught.value)
    assert expected in str(caught.value)
