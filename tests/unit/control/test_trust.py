"""Who is counted on for others' rises, and when an excess counts as one that stays."""

from __future__ import annotations

import numpy as np
import pytest
import test_access as station_kit

from controller.control.persistence import EXTRA_MAX_FRAC, Persistence, initial_persistence, persist
from controller.control.trust import UNPROVEN_SHARE, Trust, initial_trust, lent_share, observe_trust

RATED_W = np.array([1e6])
HEARD = np.array([False])


def asked_then(output_kw: list[float], cap_kw: float, trust: Trust | None = None) -> Trust:
    """Trust in a 1 MW generator that showed these outputs one after the other under one cap."""
    trust = initial_trust(1) if trust is None else trust
    for kw in output_kw:
        off_w = np.array([max(kw - cap_kw, 0.0) * 1e3])
        trust = observe_trust(trust, np.array([-kw * 1e3]), off_w, RATED_W, HEARD)
    return trust


def test_nobody_is_trusted_before_it_has_moved() -> None:
    assert lent_share(initial_trust(1)) == pytest.approx([UNPROVEN_SHARE])
    assert not asked_then([800.0, 800.0, 800.0], 500.0).proven.any()


def test_who_came_down_to_its_cap_when_told_is_trusted() -> None:
    trust = asked_then([800.0, 700.0, 560.0, 505.0], 500.0)
    assert trust.proven.all()
    assert lent_share(trust) == pytest.approx([1.0])


def test_a_cap_just_below_the_output_proves_nothing() -> None:
    assert not asked_then([800.0, 780.0], 780.0).proven.any()


def test_trust_is_lost_with_the_first_silence() -> None:
    proven = asked_then([800.0, 500.0], 500.0)
    assert not observe_trust(proven, np.array([-5e5]), np.zeros(1), RATED_W, np.array([True])).proven.any()


def exchange(lent: float, room_pu: float = 0.0) -> tuple[float, float]:
    """How far the cheap PV is sent down and the dear WIND up when WIND could give 2 MW more; W."""
    problem, resources, q_max_var = station_kit.exchange_problem(lent, room_pu)
    plan = station_kit.dispatch(problem, resources, np.eye(3, 2), q_max_var, station_kit.DEFAULT)
    return float(plan.down_w[1]), float(plan.up_w[0])


def test_an_exchange_rises_no_further_than_what_the_other_half_has_earned() -> None:
    _, trusted_up_w = exchange(1.0)
    down_w, up_w = exchange(UNPROVEN_SHARE)
    assert up_w < 0.4 * trusted_up_w
    assert up_w <= UNPROVEN_SHARE * down_w * 1.01


def test_room_that_is_there_is_used_without_any_trust() -> None:
    _, up_w = exchange(UNPROVEN_SHARE, room_pu=0.15)
    assert up_w >= 0.15 / 1e-7 - 1e3


def persisted(course: list[float]) -> Persistence:
    memory = initial_persistence(1)
    for second, excess in enumerate(course):
        memory = persist(memory, np.array([excess]), float(second), 1.0)
    return memory


def test_an_excess_that_falls_as_fast_as_ramps_allow_is_left_alone() -> None:
    falling = persisted([0.27, 0.26, 0.21, 0.15, 0.10, 0.05, 0.02])
    assert falling.extra_frac == pytest.approx([0.0])


def test_an_excess_that_stays_takes_room_away_until_it_goes() -> None:
    staying = persisted([0.02] * 10)
    assert 0.0 < staying.extra_frac[0] <= EXTRA_MAX_FRAC
    assert staying.insist.all()


def test_a_large_excess_is_not_waited_for() -> None:
    assert persisted([0.0, 0.2]).insist.all()
    assert not persisted([0.0, 0.01]).insist.any()
