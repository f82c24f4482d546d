"""The transformer's thermal model: what must be true of any transformer, beyond the published examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.physics.transformer_ageing import Paper, ageing_rate, loss_of_life_s
from controller.physics.transformer_characteristics import CHARACTERISTICS, Cooling, default_parameters
from controller.physics.transformer_thermal import (
    ThermalParameters,
    ThermalState,
    cold_state,
    difference_step,
    hot_spot_rise_k,
    state_at_top_oil,
    steady_state,
    step,
    top_oil_rise_k,
    with_measured_top_oil,
)

ONAN = default_parameters(Cooling.ONAN, loss_ratio=6.0)
MINUTE_S = 60.0
loads_pu = st.floats(-2.0, 2.0)
ambients_c = st.floats(-25.0, 40.0)
coolings = st.sampled_from(list(Cooling))


@pytest.mark.parametrize("cooling", list(Cooling))
def test_at_rated_load_the_rises_are_those_of_the_heat_run(cooling: Cooling) -> None:
    parameters = default_parameters(cooling, loss_ratio=6.0)
    assert top_oil_rise_k(parameters, 1.0) == pytest.approx(60.0)
    assert hot_spot_rise_k(parameters, 1.0) == pytest.approx(parameters.hot_spot_gradient_k)


def test_without_load_the_iron_still_warms_the_oil_but_not_the_winding() -> None:
    state = steady_state(ONAN, 0.0, 20.0)
    assert state.top_oil_c == pytest.approx(20.0 + 60.0 * (1.0 / 7.0) ** 0.8)
    assert state.hot_spot_c == pytest.approx(state.top_oil_c)


@given(cooling=coolings, load_pu=loads_pu, ambient_c=ambients_c)
def test_reverse_power_heats_like_forward_power(cooling: Cooling, load_pu: float, ambient_c: float) -> None:
    parameters = default_parameters(cooling, loss_ratio=6.0)
    assert steady_state(parameters, load_pu, ambient_c) == steady_state(parameters, -load_pu, ambient_c)


@given(cooling=coolings, load_pu=loads_pu, ambient_c=ambients_c, cut=st.floats(0.0, 1.0), dt_s=st.floats(0.0, 1e6))
def test_one_long_step_is_the_same_as_two_short_ones(
    cooling: Cooling, load_pu: float, ambient_c: float, cut: float, dt_s: float
) -> None:
    parameters = default_parameters(cooling, loss_ratio=6.0)
    start = steady_state(parameters, 0.5, 10.0)
    whole = step(parameters, start, load_pu, ambient_c, dt_s)
    first = step(parameters, start, load_pu, ambient_c, cut * dt_s)
    halves = step(parameters, first, load_pu, ambient_c, dt_s - cut * dt_s)
    assert halves.hot_spot_c == pytest.approx(whole.hot_spot_c, abs=1e-9)
    assert halves.top_oil_c == pytest.approx(whole.top_oil_c, abs=1e-9)


@given(cooling=coolings, load_pu=loads_pu, ambient_c=ambients_c)
def test_a_steady_transformer_stays_as_it_is(cooling: Cooling, load_pu: float, ambient_c: float) -> None:
    parameters = default_parameters(cooling, loss_ratio=6.0)
    steady = steady_state(parameters, load_pu, ambient_c)
    assert step(parameters, steady, load_pu, ambient_c, 1234.5).hot_spot_c == pytest.approx(steady.hot_spot_c)


def test_a_sudden_load_makes_the_hot_spot_overshoot_its_final_value_over_the_oil() -> None:
    after = step(ONAN, cold_state(20.0), 1.0, 20.0, 60 * MINUTE_S)
    assert after.hot_spot_c - after.top_oil_c > ONAN.hot_spot_gradient_k


def test_difference_equations_approach_the_exact_solution_as_the_step_shrinks() -> None:
    exact = step(ONAN, cold_state(20.0), 1.2, 20.0, 3600.0).hot_spot_c
    errors_k = []
    for dt_s in (240.0, 60.0, 15.0):
        state = cold_state(20.0)
        for _ in range(round(3600.0 / dt_s)):
            state = difference_step(ONAN, state, 1.2, 20.0, dt_s)
        errors_k.append(abs(state.hot_spot_c - exact))
    assert errors_k[0] > errors_k[1] > errors_k[2]
    assert errors_k[2] < 0.1


def test_difference_equations_refuse_a_step_that_the_standard_forbids() -> None:
    with pytest.raises(ValueError, match="half the winding time constant"):
        difference_step(ONAN, cold_state(20.0), 1.0, 20.0, ONAN.tau_winding_s)


def test_a_measured_oil_temperature_replaces_the_modelled_one_only() -> None:
    state = with_measured_top_oil(steady_state(ONAN, 1.0, 20.0), 66.0)
    assert state.top_oil_c == 66.0
    assert state.hot_spot_c == pytest.approx(66.0 + ONAN.hot_spot_gradient_k)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_temperature_is_computed_from_a_number_that_is_none(bad: float) -> None:
    for call in (
        lambda: step(ONAN, cold_state(20.0), bad, 20.0, 60.0),
        lambda: step(ONAN, cold_state(20.0), 1.0, bad, 60.0),
        lambda: step(ONAN, cold_state(20.0), 1.0, 20.0, bad),
        lambda: steady_state(ONAN, bad, 20.0),
        lambda: state_at_top_oil(bad),
        lambda: ageing_rate(Paper.NORMAL, bad),
    ):
        with pytest.raises(ValueError, match="expected a finite number"):
            call()


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="go back in time"):
        step(ONAN, cold_state(20.0), 1.0, 20.0, -1.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [("tau_oil_s", 0.0), ("loss_ratio", -1.0), ("k21", 0.5), ("k22", math.nan)],
)
def test_parameters_of_no_transformer_are_refused(key: str, value: float) -> None:
    values = {name: getattr(ONAN, name) for name in ThermalParameters.__dataclass_fields__}
    with pytest.raises(ValueError, match=r"k21|expected a finite number above 0"):
        ThermalParameters(**{**values, key: value})


def test_the_characteristics_without_a_second_source_say_so() -> None:
    unconfirmed = {cooling for cooling, column in CHARACTERISTICS.items() if not column.confirmed}
    assert unconfirmed == set(Cooling) - {Cooling.DISTRIBUTION, Cooling.ONAN, Cooling.ONAF}


def test_paper_ages_at_its_rated_rate_at_its_rated_temperature() -> None:
    assert ageing_rate(Paper.NORMAL, 98.0) == 1.0
    assert ageing_rate(Paper.UPGRADED, 110.0) == 1.0
    assert ageing_rate(Paper.NORMAL, 104.0) == pytest.approx(2.0)


def test_a_day_at_100_degrees_costs_normal_paper_a_quarter_of_a_day_more() -> None:
    day_s = 86400.0
    assert loss_of_life_s(Paper.NORMAL, [100.0], [day_s]) / day_s == pytest.approx(1.26, abs=0.005)


def test_hot_spot_is_oil_plus_the_difference_of_its_two_parts() -> None:
    assert ThermalState(top_oil_c=60.0, rise_fast_k=40.0, rise_slow_k=15.0).hot_spot_c == 85.0
