"""How much a transformer may carry: the answer, put back into the model, just meets the limit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.transformer_characteristics import NORMAL_CYCLIC, Cooling, LoadingLimits, default_parameters
from controller.physics.transformer_limit import largest_load_pu
from controller.physics.transformer_thermal import ThermalState, cold_state, steady_state, step

HOUR_S = 3600.0
ONAF = default_parameters(Cooling.ONAF, loss_ratio=6.0)
WIDE = LoadingLimits(hot_spot_c_max=120.0, top_oil_c_max=105.0, load_pu_max=4.0)


def hottest(state: ThermalState, load_pu: float, ambient_c: float, horizon_s: float) -> tuple[float, float]:
    """Highest top-oil and hot-spot temperature on the way, by many small exact steps."""
    oil_c, hot_c = -math.inf, -math.inf
    for _ in range(500):
        state = step(ONAF, state, load_pu, ambient_c, horizon_s / 500)
        oil_c, hot_c = max(oil_c, state.top_oil_c), max(hot_c, state.hot_spot_c)
    return oil_c, hot_c


@given(before_pu=st.floats(0.0, 0.9), ambient_c=st.floats(-20.0, 40.0), horizon_s=st.floats(5 * 60.0, 24 * HOUR_S))
def test_the_largest_load_meets_a_limit_and_keeps_the_other(
    before_pu: float, ambient_c: float, horizon_s: float
) -> None:
    state = steady_state(ONAF, before_pu, ambient_c)
    load_pu = largest_load_pu(ONAF, state, ambient_c, WIDE, horizon_s)
    oil_c, hot_c = hottest(state, load_pu, ambient_c, horizon_s)
    assert oil_c <= WIDE.top_oil_c_max + 0.02
    assert hot_c <= WIDE.hot_spot_c_max + 0.02
    if load_pu < WIDE.load_pu_max:
        assert max(oil_c - WIDE.top_oil_c_max, hot_c - WIDE.hot_spot_c_max) > -0.05


def test_a_cool_transformer_may_carry_more_for_a_short_time_than_for_a_long_one() -> None:
    state = steady_state(ONAF, 0.3, 10.0)
    allowed = [largest_load_pu(ONAF, state, 10.0, WIDE, hours * HOUR_S) for hours in (0.25, 1.0, 4.0, 24.0)]
    assert allowed == sorted(allowed, reverse=True)
    assert allowed[0] > 1.3 * allowed[-1]


def test_the_overshoot_of_the_hot_spot_counts_and_not_only_the_end_of_the_horizon() -> None:
    state = cold_state(20.0)
    load_pu = largest_load_pu(ONAF, state, 20.0, LoadingLimits(98.0, 105.0, 4.0), 48 * HOUR_S)
    assert load_pu < 1.01
    _, hot_c = hottest(state, load_pu, 20.0, 48 * HOUR_S)
    assert hot_c == pytest.approx(98.0, abs=0.05)


@given(ambient_c=st.floats(-20.0, 40.0), warmer_k=st.floats(0.0, 20.0))
def test_warmer_air_never_allows_more_load(ambient_c: float, warmer_k: float) -> None:
    state = steady_state(ONAF, 0.7, ambient_c)
    cool = largest_load_pu(ONAF, state, ambient_c, WIDE, HOUR_S)
    assert largest_load_pu(ONAF, state, ambient_c + warmer_k, WIDE, HOUR_S) <= cool + 1e-9


def test_the_current_cap_holds_however_cool_the_transformer_is() -> None:
    assert largest_load_pu(ONAF, cold_state(-20.0), -20.0, NORMAL_CYCLIC, 60.0) == 1.5


def test_a_transformer_over_its_limit_gets_what_brings_it_back_in_time_and_no_hotter_meanwhile() -> None:
    hot = steady_state(ONAF, 1.25, 30.0)
    assert hot.hot_spot_c > WIDE.hot_spot_c_max
    load_pu = largest_load_pu(ONAF, hot, 30.0, WIDE, HOUR_S)
    _, hottest_c = hottest(hot, load_pu, 30.0, HOUR_S)
    assert 0.0 < load_pu < 1.25
    assert hottest_c <= hot.hot_spot_c
    assert step(ONAF, hot, load_pu, 30.0, HOUR_S).hot_spot_c <= WIDE.hot_spot_c_max + 0.02


def test_a_transformer_that_cannot_cool_down_in_time_gets_nothing() -> None:
    boiling = ThermalState(top_oil_c=150.0, rise_fast_k=0.0, rise_slow_k=0.0)
    assert largest_load_pu(ONAF, boiling, 40.0, WIDE, 60.0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_unknown_temperature_is_refused_and_never_widens_the_limit(bad: float) -> None:
    with pytest.raises(ValueError, match="ambient_c"):
        largest_load_pu(ONAF, cold_state(20.0), bad, WIDE, HOUR_S)
    with pytest.raises(ValueError, match="hot_spot_c"):
        largest_load_pu(ONAF, ThermalState(20.0, bad, 0.0), 20.0, WIDE, HOUR_S)
    with pytest.raises(ValueError, match="horizon_s"):
        largest_load_pu(ONAF, cold_state(20.0), 20.0, WIDE, bad)


def test_a_winding_slower_than_its_oil_is_refused() -> None:
    with pytest.raises(ValueError, match="tau_winding_s"):
        largest_load_pu(replace(ONAF, tau_winding_s=ONAF.tau_oil_s), cold_state(20.0), 20.0, WIDE, HOUR_S)
