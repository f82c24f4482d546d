"""The model of a unit against the exact answer of a first-order lag with dead time and ramp limit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import core_kit as kit
import numpy as np
import pytest

from controller.domain.unit import Actuator, Unit, UnitKind
from controller.estimation.actuator import (
    HISTORY,
    SUBSTEPS,
    ActuatorState,
    CommandHistory,
    UnitArrays,
    advance,
    modelled_output_w,
)

RATED_W = 1e6


def exact(start: float, target: float, tau_s: float, rate_w_per_s: float, t_s: float) -> float:
    """A lag whose speed is limited: straight as long as the lag wants to be faster, exponential after that."""
    if t_s <= 0.0:
        return start
    direction, gap = math.copysign(1.0, target - start), abs(target - start)
    straight_s = max(gap / rate_w_per_s - tau_s, 0.0)
    if t_s < straight_s:
        return start + direction * rate_w_per_s * t_s
    left = gap - rate_w_per_s * straight_s
    return target - direction * left * math.exp(-(t_s - straight_s) / tau_s)


def near(start: float, target: float, tau_s: float, rate: float, t_s: float, substep_s: float, tolerance: float) -> Any:
    """The exact value, acting up to one sub-step of the model early."""
    values = [exact(start, target, tau_s, rate, t_s + early_s) for early_s in (0.0, substep_s)]
    return pytest.approx(0.5 * sum(values), abs=0.5 * abs(values[1] - values[0]) + tolerance)


def unit(kind: UnitKind, actuator: Actuator) -> Unit:
    return kit.unit("X", kind, "N1", RATED_W, actuator=actuator)


def respond(
    made: Unit,
    start_p: float,
    set_p_w: float,
    seconds: float,
    dt_s: float = 0.25,
    output_w: float = 0.0,
    q: float = 0.0,
) -> list[tuple[float, ActuatorState]]:
    """The model after each step when one set point was given at second zero."""
    units = UnitArrays.of(kit.site((made,)))
    history = CommandHistory(np.array([-np.inf]), np.array([[start_p * units.sign[0]]]), np.zeros((1, 1)))
    history = history.append(0.0, np.array([set_p_w]), np.array([q]))
    state = ActuatorState(0.0, np.array([start_p]), np.zeros(1))
    out = []
    for k in range(1, round(seconds / dt_s) + 1):
        state = advance(state, k * dt_s, history, units, np.array([output_w]))
        out.append((k * dt_s, state))
    return out


SLOW = Actuator(latency_s=1.0, tau_p_s=2.5, tau_q_s=0.8, ramp_up_w_per_s=1e9, ramp_down_w_per_s=1e9)
RAMPED = replace(SLOW, ramp_up_w_per_s=60e3, ramp_down_w_per_s=120e3)


def test_a_step_without_ramp_limit_is_the_exact_exponential_after_the_dead_time() -> None:
    for t_s, state in respond(unit(UnitKind.PV, SLOW), 1e6, -0.4e6, 12.0, output_w=-1e6):
        assert state.p[0] == near(1e6, 0.4e6, 2.5, 1e9, t_s - 1.0, 0.25 / SUBSTEPS, 1.0)


@pytest.mark.parametrize(("start", "target", "rate"), [(0.2e6, 0.9e6, 60e3), (0.9e6, 0.2e6, 120e3)])
def test_a_ramp_limited_step_is_exact_to_half_a_percent_of_the_rating(start: float, target: float, rate: float) -> None:
    for t_s, state in respond(unit(UnitKind.PV, RAMPED), start, -target, 30.0, output_w=-start):
        assert state.p[0] == near(start, target, 2.5, rate, t_s - 1.0, 0.25 / SUBSTEPS, 0.005 * RATED_W)


def test_reactive_power_follows_its_own_lag_after_the_same_dead_time() -> None:
    for t_s, state in respond(unit(UnitKind.PV, SLOW), 1e6, -1e6, 8.0, q=0.3e6):
        assert state.q_var[0] == near(0.0, 0.3e6, 0.8, 1e9, t_s - 1.0, 0.25 / SUBSTEPS, 1.0)


def test_a_dead_time_between_two_steps_is_off_by_less_than_a_quarter_of_a_cycle() -> None:
    odd = replace(SLOW, latency_s=0.83)
    for t_s, state in respond(unit(UnitKind.PV, odd), 1e6, -0.4e6, 12.0, dt_s=1.0, output_w=-1e6):
        assert state.p[0] == near(1e6, 0.4e6, 2.5, 1e9, t_s - 0.83, 1.0 / SUBSTEPS, 1.0)


def test_a_cap_written_below_the_output_takes_hold_at_the_output_and_not_at_the_old_cap() -> None:
    (_, state), *_ = [x for x in respond(unit(UnitKind.PV, SLOW), 1e6, -0.2e6, 1.5, output_w=-0.5e6) if x[0] > 1.0]
    assert state.p[0] == near(0.5e6, 0.2e6, 2.5, 1e9, 0.25, 0.25 / SUBSTEPS, 1.0)


def test_a_battery_ramps_up_toward_generation() -> None:
    """Its upward ramp is toward more generation: falling power in load convention."""
    uneven = replace(SLOW, tau_p_s=0.1, ramp_up_w_per_s=50e3, ramp_down_w_per_s=200e3)
    generating = respond(unit(UnitKind.BATTERY, uneven), 0.0, -0.8e6, 3.0)[-1][1]
    charging = respond(unit(UnitKind.BATTERY, uneven), 0.0, 0.8e6, 3.0)[-1][1]
    assert generating.p[0] == pytest.approx(-2.0 * 50e3, rel=0.05)
    assert charging.p[0] == pytest.approx(2.0 * 200e3, rel=0.05)


def test_caps_come_out_in_load_convention() -> None:
    site = kit.site()
    units = UnitArrays.of(site)
    state = ActuatorState(0.0, np.array([5e6, 4e6, -1e6, 0.5e6]), np.zeros(4))
    assert modelled_output_w(state, units).tolist() == [-5e6, -4e6, -1e6, 0.5e6]


def test_the_model_never_goes_back_in_time() -> None:
    made = unit(UnitKind.PV, SLOW)
    units = UnitArrays.of(kit.site((made,)))
    history = CommandHistory(np.array([-np.inf]), np.zeros((1, 1)), np.zeros((1, 1)))
    state = ActuatorState(10.0, np.array([3e5]), np.zeros(1))
    assert advance(state, 9.0, history, units, np.zeros(1)) is state


def history_of(*commands: tuple[float, float]) -> CommandHistory:
    history = CommandHistory(np.array([-np.inf]), np.array([[0.0]]), np.array([[0.0]]))
    for at_s, p_w in commands:
        history = history.append(at_s, np.array([p_w]), np.zeros(1))
    return history


@pytest.mark.parametrize(("at_s", "p_w"), [(-5.0, 0.0), (1.0, -1.0), (1.9, -1.0), (2.0, -2.0), (99.0, -3.0)])
def test_the_set_point_in_force_is_the_last_one_issued(at_s: float, p_w: float) -> None:
    history = history_of((1.0, -1.0), (2.0, -2.0), (3.0, -3.0))
    assert history.in_force(np.array([at_s]))[0][0] == p_w


def test_the_span_holds_what_was_in_force_at_its_beginning() -> None:
    history = history_of((1.0, -8.0), (2.0, -2.0), (3.0, -3.0))
    low, high = history.span(np.array([1.5]), 3.0)
    assert (low[0, 0], high[0, 0]) == (-8.0, -2.0)
    low, high = history.span(np.array([2.5]), 2.9)
    assert (low[0, 0], high[0, 0]) == (-2.0, -2.0)


def test_history_is_bounded_and_keeps_the_newest() -> None:
    history = history_of(*((float(k), -float(k)) for k in range(1, 3 * HISTORY)))
    assert len(history.issued_s) <= HISTORY + 1
    assert history.in_force(np.array([1e9]))[0][0] == -(3.0 * HISTORY - 1.0)
