"""The slow loop of a small station: what it sees, when it speaks, and that its rows agree with the power flow."""

from __future__ import annotations

from dataclasses import replace

import core_planning_kit as kit
import numpy as np
import pytest

from controller.planning.calendar import Calendar
from controller.planning.outlook import Offsets, Scenario, room
from controller.planning.planner import LIFE_S, new_planner, observe, plan_storage

NOON_S = 43200.0


def test_held_units_that_do_not_report_are_taken_to_be_like_their_kin() -> None:
    layout, state = kit.station(reports_b=False, available_a_w=2.4e6, output_w=(1.0e6, 1.0e6))
    seen = kit.series(layout, state, held=(True, True))
    assert seen[-3:].tolist() == pytest.approx([2.4e6, 1.6e6, 0.0])
    free = kit.series(layout, state, held=(True, False))
    assert free[-2] == pytest.approx(1.0e6)


def test_a_planner_that_has_seen_nothing_says_nothing() -> None:
    layout, state = kit.station()
    assert plan_storage(new_planner(layout, Calendar()), state) is None


def test_before_a_sunny_noon_room_is_wanted_and_the_plan_expires() -> None:
    layout, state = kit.station(output_w=(2.7e6, 1.8e6), available_a_w=2.7e6)
    state = replace(state, now_s=NOON_S - 7200.0)
    planner = observe(new_planner(layout, Calendar()), state, np.array([False, False, True]))
    plan = plan_storage(planner, state)
    assert plan is not None
    assert plan.expires_at_s == state.now_s + LIFE_S
    price = plan.price_of("BAT", state.now_s)
    assert price is not None
    assert price.at(0.9) < -20.0


def test_at_the_end_of_a_known_course_missing_energy_has_its_price() -> None:
    layout, state = kit.station(output_w=(0.0, 0.0), available_a_w=0.0, soc_frac=0.2, deficit_eur_per_mwh=100.0)
    state = replace(state, now_s=NOON_S)
    planner = observe(new_planner(layout, Calendar()), state, np.array([False, False, True]))
    open_end, ending = plan_storage(planner, state), plan_storage(planner, state, NOON_S + 600.0)
    assert open_end is not None
    assert ending is not None
    assert ending.prices[0].at(0.2) > 50.0 > open_end.prices[0].at(0.2)


def test_the_same_past_gives_the_same_plan_bit_by_bit() -> None:
    layout, state = kit.station(output_w=(2.7e6, 1.8e6), available_a_w=2.7e6)
    planner = observe(new_planner(layout, None), state, np.array([False, False, True]))
    assert plan_storage(planner, state) == plan_storage(planner, state)


def test_rows_of_a_limit_agree_with_the_power_flow() -> None:
    """A step of storage and of curtailment changes the room of a thermal row as the AC solution says, to 1 %."""
    layout, _ = kit.station()
    n_w = layout.n_w
    scenario = Scenario(np.zeros((1, 2 * n_w)), np.array([[2.8e6, 1.9e6, 0.0]]))
    units = np.array([-2.8e6, -1.9e6, 0.0, 0.0, 0.0, 0.0])
    grid = layout.grid.linearise(layout.injection(np.concatenate([np.zeros(2 * n_w), units])))
    offsets = Offsets(np.zeros(layout.grid.n_bus), np.zeros(2 * layout.n_branch + 2))
    rows = room(layout, grid, scenario, offsets)
    tightest = int(rows.room.argmin())
    moved = np.array([0.4e6, 0.0, 0.3e6])
    after = Scenario(scenario.injection, scenario.available_w - np.array([0.4e6, 0.0, 0.0]))
    charged = after.injection.copy()
    charged[0, int(layout.unit_bus[2])] += 0.3e6
    relief = -float(rows.effect_p[tightest] @ moved)
    again = room(layout, grid, Scenario(charged, after.available_w), offsets)
    assert float(again.room.min() - rows.room.min()) == pytest.approx(relief, rel=0.01)
