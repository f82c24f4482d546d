"""Sensitivities are renewed a slice per cycle, and the old ones stay in use while a power flow has no solution."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.state import ControlState
from controller.domain.record import CycleRecord
from controller.estimation.layout import Layout
from controller.estimation.sensitivities import RELINEARISE_S, Sensitivities, first_sensitivities, refreshed
from controller.grid import model
from controller.grid.model import GridModel

SITE = kit.site()
LAYOUT = Layout(SITE, GridModel(SITE.topology))
IDLE, BUSY = LAYOUT.expected_w, LAYOUT.expected_w - 3e6
ABSURD = LAYOUT.expected_w + 900e6


def first() -> Sensitivities:
    return first_sensitivities(LAYOUT, IDLE, 0.0)


def test_a_small_network_is_linearised_anew_within_the_cycle_that_asks_for_it() -> None:
    after = refreshed(first(), LAYOUT, BUSY, 1.0)
    assert after.under_way is None
    assert (after.grid.grid.injection0 == BUSY).all()


def test_nothing_is_done_while_the_operating_point_stays() -> None:
    state = first()
    assert refreshed(state, LAYOUT, IDLE + 1e4, 1.0) is state
    assert refreshed(state, LAYOUT, IDLE + 1e4, RELINEARISE_S) is not state


def test_slices_over_several_cycles_come_to_what_one_computation_does(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = LAYOUT.grid.linearise(BUSY)
    for name, value in {"SLICE_PRODUCTS": 1.0, "PART_PRODUCTS": 0.0, "PART_BUSES": 2}.items():
        monkeypatch.setattr(model, name, value)
    state, cycles = refreshed(first(), LAYOUT, BUSY, 1.0), 1
    while state.under_way is not None:
        assert (state.grid.grid.injection0 == IDLE).all()
        state, cycles = refreshed(state, LAYOUT, BUSY + 1e5, 1.0 + cycles), cycles + 1
    assert cycles == 1 + -(-LAYOUT.grid.n_bus // 2) + 1  # the power flow, two buses each, the whole
    assert state.grid.grid.base == pytest.approx(at_once.base, rel=1e-9)
    assert state.grid.grid.jacobian == pytest.approx(at_once.jacobian, rel=1e-9, abs=1e-12)


def test_an_operating_point_without_a_power_flow_keeps_the_old_sensitivities_and_says_so() -> None:
    before = first()
    stuck = refreshed(before, LAYOUT, ABSURD, 1.0)
    assert (stuck.solved, stuck.under_way) == (False, None)
    assert stuck.grid is before.grid
    assert refreshed(stuck, LAYOUT, ABSURD + 1e4, 2.0) is stuck
    again = refreshed(stuck, LAYOUT, BUSY, 3.0)
    assert again.solved
    assert (again.grid.grid.injection0 == BUSY).all()


def with_solution(state: ControlState, solved: bool) -> ControlState:
    assert state.estimator is not None
    estimator = state.estimator
    return replace(state, estimator=replace(estimator, sensitivities=replace(estimator.sensitivities, solved=solved)))


def test_the_record_tells_when_the_network_model_has_no_solution_and_when_it_has_one_again() -> None:
    loop = kit.Loop(kit.Plant(SITE, {"WIND": 3e6, "PV": 2e6, "HUB": 0.3e6}))
    loop.run(8)

    def told(record: CycleRecord) -> list[str]:
        return [f"{e.name} {e.subject}" for e in record.events if e.name.startswith("grid.")]

    loop.state = with_solution(loop.state, solved=False)
    record = loop.run(1)
    assert told(record) == ["grid.no_solution network"]
    assert "sensitivities of the last operating point" in record.events[0].text
    assert np.isfinite([s.p_w for s in record.setpoints]).all()
    loop.state = with_solution(loop.state, solved=True)
    assert told(loop.run(1)) == ["grid.solved network"]
