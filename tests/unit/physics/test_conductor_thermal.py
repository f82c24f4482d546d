"""Overhead conductors: IEEE 738 and CIGRE 601, beyond their worked examples (see the acceptance tests)."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.conductor_cigre601 import Cigre601Site, heat_balance
from controller.physics.conductor_thermal import (
    Conductor,
    Sun,
    Surroundings,
    ampacity_a,
    solar_gain_w_per_m,
    steady_conductor_c,
)

DRAKE = Conductor(diameter_m=0.02812, r25_ohm_per_m=7.283e-5, r75_ohm_per_m=8.688e-5, emissivity=0.8, absorptivity=0.8)
JUNE_MORNING = Sun(latitude_deg=30.0, azimuth_deg=90.0, solar_time=datetime.fromisoformat("2016-06-10T11:00"))


def test_the_drake_example_of_ieee_738_carries_1025_amperes() -> None:
    solar = solar_gain_w_per_m(DRAKE, 0.0, JUNE_MORNING)
    assert solar == pytest.approx(22.44, abs=0.01)
    assert ampacity_a(DRAKE, Surroundings(40.0, 0.61, 90.0), solar, 100.0) == pytest.approx(1025.0, abs=1.0)


def test_there_is_no_sun_at_night() -> None:
    midnight = Sun(30.0, 90.0, datetime.fromisoformat("2016-06-10T00:00"))
    assert solar_gain_w_per_m(DRAKE, 0.0, midnight) == 0.0


@given(wind=st.floats(0.0, 20.0), more=st.floats(0.0, 5.0), ambient_c=st.floats(-20.0, 45.0))
def test_more_wind_never_means_less_current(wind: float, more: float, ambient_c: float) -> None:
    calm, windy = Surroundings(ambient_c, wind, 90.0), Surroundings(ambient_c, wind + more, 90.0)
    assert ampacity_a(DRAKE, windy, 10.0, 75.0) >= ampacity_a(DRAKE, calm, 10.0, 75.0)


@given(current_a=st.floats(0.0, 1200.0), ambient_c=st.floats(-20.0, 45.0))
def test_temperature_and_current_are_inverse_to_each_other(current_a: float, ambient_c: float) -> None:
    air = Surroundings(ambient_c, 0.61, 90.0)
    at_c = steady_conductor_c(DRAKE, air, 0.0, current_a)
    assert ampacity_a(DRAKE, air, 0.0, at_c) == pytest.approx(current_a, abs=0.5)


def test_the_sun_alone_warms_an_idle_conductor_above_the_air() -> None:
    air = Surroundings(20.0, 0.61, 90.0)
    assert 21.0 < steady_conductor_c(DRAKE, air, 22.0, 0.0) < 40.0


def test_a_conductor_colder_than_the_air_carries_nothing() -> None:
    assert ampacity_a(DRAKE, Surroundings(40.0, 0.61, 90.0), 0.0, 40.0) == 0.0


def test_a_current_beyond_the_search_is_refused_and_not_guessed() -> None:
    with pytest.raises(ValueError, match=r"above 400\.0 °C"):
        steady_conductor_c(DRAKE, Surroundings(40.0, 0.0, 90.0), 22.0, 10_000.0)


def test_unknown_weather_is_refused() -> None:
    with pytest.raises(ValueError, match="wind_m_per_s is nan"):
        Surroundings(20.0, math.nan, 90.0)
    with pytest.raises(ValueError, match="ambient_c is inf"):
        Surroundings(math.inf, 0.6, 90.0)
    with pytest.raises(ValueError, match="solar_w_per_m is nan"):
        ampacity_a(DRAKE, Surroundings(20.0, 0.6, 90.0), math.nan, 75.0)
    with pytest.raises(ValueError, match="diameter_m is 0"):
        Conductor(0.0, 7e-5, 8e-5, 0.8, 0.8)


def test_both_standards_agree_within_a_tenth_on_the_same_span() -> None:
    air = Surroundings(40.0, 0.61, 90.0)
    ieee = ampacity_a(DRAKE, air, solar_gain_w_per_m(DRAKE, 0.0, JUNE_MORNING), 100.0)
    cigre = heat_balance(DRAKE, air, JUNE_MORNING, Cigre601Site(strand_diameter_m=4.4e-3), 100.0).ampacity_a
    assert cigre == pytest.approx(ieee, rel=0.1)
