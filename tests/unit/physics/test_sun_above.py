"""How much sun there could be, against the worked examples of a textbook and the published example of an almanac."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controller.physics.sun_above import SOLAR_CONSTANT_W_PER_M2, extraterrestrial_w_per_m2


def test_the_day_s_sun_above_the_air_is_that_of_the_textbook() -> None:
    """Duffie and Beckman, example 1.10.1: 33.8 MJ/m² on 15 April at 43° north (with a solar constant of 1367 W/m²)."""
    begins_s = datetime(2026, 4, 15, tzinfo=UTC).timestamp()
    found = extraterrestrial_w_per_m2(begins_s + 60.0 * np.arange(1440.0), 43.0, 0.0)
    assert found.mean() * 86_400.0 / 1e6 * 1367.0 / SOLAR_CONSTANT_W_PER_M2 == pytest.approx(33.8, rel=0.01)


def test_an_hour_s_sun_above_the_air_is_that_of_the_textbook() -> None:
    """Duffie and Beckman, example 1.10.2: 3.79 MJ/m² between 10 and 11 o'clock solar time of that day.

    In the middle of April the equation of time is below half a minute, so the hour of Greenwich is solar time.
    """
    begins_s = datetime(2026, 4, 15, 10, tzinfo=UTC).timestamp()
    found = extraterrestrial_w_per_m2(begins_s + 10.0 * np.arange(360.0), 43.0, 0.0)
    assert found.mean() * 3600.0 / 1e6 * 1367.0 / SOLAR_CONSTANT_W_PER_M2 == pytest.approx(3.79, rel=0.01)


def test_the_sun_stands_where_the_almanac_of_nrel_says() -> None:
    """Reda and Andreas, NREL/TP-560-34302, example: Golden, 17 October 2003, 12:30:30 UTC-7, zenith 50.11162°."""
    at_s = (datetime(2003, 10, 17, 12, 30, 30, tzinfo=UTC) + timedelta(hours=7)).timestamp()
    (found,) = extraterrestrial_w_per_m2(np.array([at_s]), 39.742476, -105.1786)
    assert np.degrees(np.arccos(found / (SOLAR_CONSTANT_W_PER_M2 * 1.0053))) == pytest.approx(50.11162, abs=0.3)


def test_there_is_none_in_the_polar_night() -> None:
    begins_s = datetime(2026, 12, 21, tzinfo=UTC).timestamp()
    assert not extraterrestrial_w_per_m2(begins_s + 900.0 * np.arange(96.0), 75.0, 20.0).any()


def test_a_place_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="latitude_deg is nan"):
        extraterrestrial_w_per_m2(np.zeros(1), float("nan"), 0.0)
