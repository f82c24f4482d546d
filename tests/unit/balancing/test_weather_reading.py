"""An answer of the service as its own documentation shows it, in local time and km/h, is understood."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from controller.balancing.weather.reading import Refused, read_forecast
from controller.domain.weather import AIR, SUN, WIND, WeatherService
from controller.physics.sun_above import extraterrestrial_w_per_m2

NOON = datetime(2026, 6, 20, 10, 0, tzinfo=UTC)  # of summer time in Berlin
BERLIN = WeatherService("", 52.52, 13.41)
DAYS = 3


def answer(offset_h: int = 2, **more: Any) -> bytes:
    """Three days from local midnight on, as with ``timezone=Europe/Berlin`` and no unit asked for."""
    local = [datetime(2026, 6, 20, tzinfo=UTC) + timedelta(hours=h) for h in range(24 * DAYS)]
    utc_s = np.array([(x - timedelta(hours=2)).timestamp() for x in local])
    within = utc_s[:, None] - 3600.0 * (np.arange(4) + 0.5) / 4.0
    sun = 0.6 * extraterrestrial_w_per_m2(within, 52.52, 13.41).mean(axis=1)
    hourly = {
        "time": [x.strftime("%Y-%m-%dT%H:%M") for x in local],
        "shortwave_radiation": sun.round(1).tolist(),
        "wind_speed_80m": [18 + h % 24 for h in range(24 * DAYS)],
        "temperature_2m": [15.0 + 0.1 * (h % 24) for h in range(24 * DAYS)],
    }
    units = {"time": "iso8601", "shortwave_radiation": "W/m²", "wind_speed_80m": "km/h", "temperature_2m": "°C"}
    document = {
        "latitude": 52.52, "longitude": 13.419998, "generationtime_ms": 0.09, "utc_offset_seconds": 3600 * offset_h,
        "timezone": "Europe/Berlin", "timezone_abbreviation": "CEST", "elevation": 38.0, "hourly_units": units,
        "hourly": hourly,
    }  # fmt: skip
    return json.dumps(document | more).encode()


def read(body: bytes) -> Any:
    return read_forecast(body, BERLIN, NOON.timestamp())


def test_local_times_and_kilometres_per_hour_become_utc_and_metres_per_second() -> None:
    found = read(answer())
    assert found.start_utc_s == datetime(2026, 6, 19, 22, tzinfo=UTC).timestamp()
    noon = found.at(np.array([NOON.timestamp()]))[0]
    assert noon[WIND] == pytest.approx(30.125 / 3.6)  # 12 o'clock local: 30 km/h, and an eighth of the way to 31
    assert noon[AIR] == pytest.approx(16.2125)


def test_the_sun_of_an_hour_is_that_of_the_hour_before_its_time_and_follows_its_height() -> None:
    found = read(answer())
    hour = found.at(NOON.timestamp() - 6 * 3600.0 + 900.0 * np.arange(4))[:, SUN]
    within = NOON.timestamp() - 6 * 3600.0 + 60.0 * np.arange(60)
    assert hour.mean() == pytest.approx(0.6 * extraterrestrial_w_per_m2(within, 52.52, 13.41).mean(), rel=0.01)
    assert (np.diff(hour) > 20.0).all()  # six in the morning: it rises


def test_an_offset_that_is_missing_shows_by_the_sun() -> None:
    with pytest.raises(Refused, match="another place or zone"):
        read(answer(utc_offset_seconds=-6 * 3600))


def test_rows_behind_the_horizon_may_be_empty_and_are_cut_off() -> None:
    document = json.loads(answer())
    document["hourly"]["wind_speed_80m"][-10:] = [None] * 10
    found = read(json.dumps(document).encode())
    assert len(found.value) == 4 * (24 * DAYS - 11)
    assert np.isfinite(found.value).all()


@pytest.mark.parametrize("unit", ["m/s", "km/h", "mp/h", "kn"])
def test_wind_is_read_in_every_unit_that_the_service_has(unit: str) -> None:
    document = json.loads(answer())
    document["hourly_units"]["wind_speed_80m"] = unit
    scale = {"m/s": 1.0, "km/h": 1 / 3.6, "mp/h": 0.44704, "kn": 0.514444}[unit]
    found = read(json.dumps(document).encode())
    assert found.value[0, WIND] == pytest.approx(18.125 * scale, rel=1e-5)
