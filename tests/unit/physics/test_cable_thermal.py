"""Short-time overload of a cable."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.cable_thermal import Cable, conductor_c, emergency_load_pu

XLPE = Cable(rated_c=90.0, emergency_c=105.0, time_constant_s=4 * 3600.0)


def test_at_rated_load_the_conductor_ends_at_its_rated_temperature() -> None:
    assert conductor_c(XLPE, 0.0, 1.0, 15.0, 100 * XLPE.time_constant_s) == pytest.approx(90.0)


@given(prior=st.floats(0.0, 1.0), ambient_c=st.floats(-10.0, 30.0), duration_s=st.floats(60.0, 1e5))
def test_the_emergency_load_brings_the_conductor_to_its_emergency_temperature_on_time(
    prior: float, ambient_c: float, duration_s: float
) -> None:
    load_pu = emergency_load_pu(XLPE, prior, ambient_c, duration_s)
    assert conductor_c(XLPE, prior, load_pu, ambient_c, duration_s) == pytest.approx(105.0, abs=1e-6)


def test_an_endless_emergency_allows_only_what_the_higher_temperature_allows() -> None:
    assert emergency_load_pu(XLPE, 0.5, 15.0, 1e9) == pytest.approx(math.sqrt(90.0 / 75.0))


def test_a_hotter_conductor_has_more_resistance_and_so_carries_less() -> None:
    counted = Cable(90.0, 105.0, 4 * 3600.0, resistance_ratio=1.05)
    plain = emergency_load_pu(XLPE, 0.8, 15.0, 3600.0)
    assert emergency_load_pu(counted, 0.8, 15.0, 3600.0) == pytest.approx(plain / math.sqrt(1.05))


def test_a_cable_that_was_far_too_hot_gets_nothing() -> None:
    assert emergency_load_pu(XLPE, 3.0, 15.0, 600.0) == 0.0


def test_numbers_that_are_none_and_cables_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="ambient_c is nan"):
        emergency_load_pu(XLPE, 0.5, math.nan, 600.0)
    with pytest.raises(ValueError, match="below the rated"):
        emergency_load_pu(XLPE, 0.5, 95.0, 600.0)
    with pytest.raises(ValueError, match="duration_s is 0"):
        emergency_load_pu(XLPE, 0.5, 15.0, 0.0)
    with pytest.raises(ValueError, match="expected at least rated_c"):
        Cable(rated_c=90.0, emergency_c=80.0, time_constant_s=3600.0)
    with pytest.raises(ValueError, match="at least 1"):
        Cable(rated_c=90.0, emergency_c=105.0, time_constant_s=3600.0, resistance_ratio=0.9)
