"""Late readings are compared with what was estimated of their own instant, and an error is corrected once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.estimation.hindsight import (
    KEPT_S,
    Moment,
    Past,
    Told,
    corrected_late,
    modelled_then,
    remembered,
    states_then,
)
from controller.estimation.lateness import Lateness
from controller.estimation.partition import Partition
from controller.estimation.state_filter import Evidence, FilterState, Sight, initial_filter

N = 2  # one unit: its P and Q
WHOLE = Partition.whole(N, 0)
BLIND = Sight((np.empty((0, N)),), np.empty((0, N)))
NONE = Evidence(np.empty(0), np.empty(0))


def lateness(unit_s: float, network_s: float = 0.0) -> Lateness:
    none = np.zeros(1)
    return Lateness(0.0, none, none, none, none, none, none > 0.0, 0.0, np.array([unit_s]), network_s)


def moment(at_s: float, x: float) -> Moment:
    return Moment(at_s, np.full(N, x), np.full(N, 10.0 * x), np.array([x]))


def test_a_reading_between_two_cycles_is_compared_with_what_lies_between_them() -> None:
    past = (moment(0.0, 0.0), moment(1.0, 2.0), moment(2.0, 6.0))
    then = states_then(past, np.full(N, 7.0), lateness(1.5), 3.0)
    assert then.units == pytest.approx([4.0, 4.0])
    assert then.network == pytest.approx([7.0, 7.0])
    modelled = modelled_then(past, np.array([0.5]))
    assert modelled is not None
    assert modelled.ravel() == pytest.approx([10.0, 10.0])


def test_before_there_is_a_past_its_beginning_stands_for_it() -> None:
    assert states_then((moment(2.0, 5.0),), np.full(N, 7.0), lateness(4.0), 3.0).units == pytest.approx([5.0, 5.0])
    assert modelled_then((), np.array([0.0])) is None


def test_the_past_is_bounded_whatever_the_cycle() -> None:
    past: Past = ()
    for k in range(500):
        past = remembered(past, moment(0.2 * k, 0.0))
    assert past[-1].at_s - past[0].at_s <= KEPT_S + 0.2 + 1e-9


@pytest.mark.parametrize("late_s", [1.0, 2.0, 5.0])
def test_an_error_that_a_late_reading_shows_is_corrected_once_and_not_again(late_s: float) -> None:
    truth, state, past = 100.0, initial_filter(np.zeros(N), np.full(N, 3.0), WHOLE), ()
    late, way = lateness(late_s), []
    for k in range(40):
        then = states_then(past, state.x, late, float(k))
        told = Told(
            NONE,
            Evidence(truth - then.units, np.full(N, 4.0)),
            Evidence(np.full(N, np.nan), np.ones(N)),
            np.full(N, 9.0),
        )
        wide = FilterState(state.x, (state.blocks[0] + np.eye(N),), state.shared)
        state, _, past = corrected_late(wide, WHOLE, BLIND, told, np.ones(N), late, past, float(k))
        past = remembered(past, replace(moment(float(k), 0.0), x=state.x))
        way.append(float(state.x[0]))
    assert max(way) <= truth + 1e-6
    assert way[-1] == pytest.approx(truth, abs=0.1)


def test_a_late_reading_counts_less_than_a_punctual_one() -> None:
    start = initial_filter(np.zeros(N), np.full(N, 3.0), WHOLE)
    told = Told(
        NONE, Evidence(np.full(N, 5.0), np.full(N, 4.0)), Evidence(np.full(N, np.nan), np.ones(N)), np.full(N, 9.0)
    )
    moved = [
        float(corrected_late(start, WHOLE, BLIND, told, np.ones(N), lateness(s), (), 0.0)[0].x[0])
        for s in (0.5, 2.0, 5.0)
    ]
    assert moved[0] > moved[1] > moved[2] > 0.0


def test_a_late_reading_from_before_a_jump_says_next_to_nothing_of_what_is_now() -> None:
    start = initial_filter(np.zeros(N), np.full(N, 3.0), WHOLE)
    told = Told(
        NONE, Evidence(np.full(N, 5.0), np.full(N, 4.0)), Evidence(np.full(N, np.nan), np.ones(N)), np.full(N, 900.0)
    )
    calm = (moment(0.0, 0.0), moment(1.0, 0.0))
    jumped = (calm[0], replace(calm[1], jumped=True))
    moved = [
        float(corrected_late(start, WHOLE, BLIND, told, np.ones(N), lateness(2.0), past, 2.0)[0].x[0])
        for past in (calm, jumped)
    ]
    assert 0.0 < moved[1] < 0.1 * moved[0]
