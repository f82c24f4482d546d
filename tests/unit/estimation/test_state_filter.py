"""The Kalman filter against a textbook one that computes everything anew in every step."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation.partition import Partition
from controller.estimation.state_filter import (
    JUMP_SIGMA,
    Evidence,
    FilterState,
    Motion,
    Sight,
    correct,
    initial_filter,
    predict,
    sight_sigma,
    variance,
)

Array = np.ndarray
LONG = 30
STILL = Motion(np.array([0.01, 0.01]), np.zeros(2), np.zeros(2))
METERS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
NOISE_VAR = np.array([0.04, 0.09, 0.16])
JUMP_VAR = np.array([100.0, 100.0])
WHOLE = Partition.whole(2, 3)
SIGHT = Sight((METERS,), np.empty((0, 2)))


def nothing(n: int) -> Evidence:
    """No direct reading of any of ``n`` states."""
    return Evidence(np.full(n, np.nan), np.ones(n))


def covariance(state: FilterState, part: Partition = WHOLE) -> Array:
    """The whole matrix that the filter keeps in pieces."""
    out = -state.shared @ state.shared.T
    for i, block in zip(part.states, state.blocks, strict=True):
        out[np.ix_(i, i)] += block
    return out


class Textbook:
    """Kalman 1960, no shortcuts."""

    def __init__(self, x0: Array, sigma0: Array) -> None:
        self.x, self.cov = x0.copy(), np.diag(sigma0**2)

    def step(self, motion: Motion, dt_s: float, h: Array, y: Array, r_var: Array) -> Array:
        self.cov = self.cov + np.diag(motion.variance_rate * dt_s)
        gain = self.cov @ h.T @ np.linalg.inv(h @ self.cov @ h.T + np.diag(r_var))
        self.x = self.x + gain @ (y - h @ self.x)
        self.cov = self.cov - gain @ h @ self.cov
        return gain


def take(state: FilterState, rows: list[int], y: Array, dt_s: float = 1.0) -> tuple[FilterState, bool]:
    """One cycle of the filter under test with the meters ``rows`` present."""
    state = predict(state, WHOLE, STILL, dt_s)
    innovation = np.full(3, np.nan)
    innovation[rows] = y - METERS[rows] @ state.x
    return correct(state, WHOLE, SIGHT, Evidence(innovation, NOISE_VAR), nothing(2), nothing(2), JUMP_VAR)


def fresh() -> FilterState:
    return initial_filter(np.zeros(2), np.full(2, 10.0), WHOLE)


def test_two_meters_of_one_quantity_are_weighed_by_what_they_are_worth() -> None:
    part = Partition.whole(1, 2)
    state = initial_filter(np.zeros(1), np.array([1e3]), part)
    rows = Evidence(np.array([10.0, 16.0]), np.array([1.0, 2.0]))
    sight = Sight((np.ones((2, 1)),), np.empty((0, 1)))
    after, _ = correct(state, part, sight, rows, nothing(1), nothing(1), np.array([1.0]))
    assert after.x[0] == pytest.approx((10.0 / 1.0 + 16.0 / 2.0) / (1.0 / 1.0 + 1.0 / 2.0), rel=1e-5)
    assert variance(after, part)[0] == pytest.approx(1.0 / (1.0 + 0.5), rel=1e-5)


def test_a_meter_and_a_set_point_of_one_unit_are_weighed_like_two_meters() -> None:
    one, two = Evidence(np.array([3.0, np.nan]), np.array([1.0, 1.0])), Evidence(np.array([6.0, 2.0]), np.full(2, 4.0))
    direct, _ = correct(fresh(), WHOLE, SIGHT, nothing(3), one, two, JUMP_VAR)
    sight = Sight((np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),), np.empty((0, 2)))
    rows = Evidence(np.array([3.0, 6.0, 2.0]), np.array([1.0, 4.0, 4.0]))
    as_rows, _ = correct(fresh(), WHOLE, sight, rows, nothing(2), nothing(2), JUMP_VAR)
    assert direct.x == pytest.approx(as_rows.x, rel=1e-12)
    assert covariance(direct) == pytest.approx(covariance(as_rows), rel=1e-9)


def test_every_step_is_that_of_a_textbook_filter() -> None:
    rng = np.random.default_rng(11)
    state, reference = fresh(), Textbook(np.zeros(2), np.full(2, 10.0))
    rows = [0, 1, 2]
    for _ in range(12):
        y = METERS @ np.array([3.0, -2.0]) + 0.1 * rng.standard_normal(3)
        state, jumped = take(state, rows, y)
        reference.step(STILL, 1.0, METERS, y, NOISE_VAR)
        assert not jumped
        assert state.x == pytest.approx(reference.x, rel=1e-9)
        assert covariance(state) == pytest.approx(reference.cov, rel=1e-9)


def run_pattern(patterns: list[tuple[list[int], int]]) -> tuple[FilterState, Textbook]:
    """The filter and the textbook through patterns of present meters."""
    state, reference = fresh(), Textbook(np.zeros(2), np.full(2, 10.0))
    for rows, steps in patterns:
        for _ in range(steps):
            y = METERS[rows] @ np.array([1.0, 2.0])
            state, _ = take(state, rows, y)
            reference.step(STILL, 1.0, METERS[rows], y, NOISE_VAR[rows])
    return state, reference


PATTERNS = [
    [([0, 1, 2], LONG + 5), ([0, 2], 1), ([0, 1, 2], 1)],
    [([0, 1], 1), ([2], 1)] * 30,
    [([2], 200)],
    [([0, 1], 1), ([], 40), ([1], 3)],
]


@pytest.mark.parametrize("patterns", PATTERNS)
def test_meters_that_come_and_go_leave_the_filter_as_sure_as_the_textbook(
    patterns: list[tuple[list[int], int]],
) -> None:
    state, reference = run_pattern([p for p in patterns if p[0]])
    assert state.x == pytest.approx(reference.x, rel=1e-9)
    assert covariance(state) == pytest.approx(reference.cov, rel=1e-9)


def test_variance_grows_second_by_second_where_no_meter_is_left() -> None:
    state, _ = take(fresh(), [0, 1, 2], np.zeros(3))
    seen = []
    for _ in range(5):
        state, _ = take(state, [], np.zeros(0))
        seen.append(variance(state, WHOLE)[0])
    assert np.diff(seen) == pytest.approx(np.full(4, STILL.variance_rate[0]), rel=1e-9)


def test_variance_grows_for_the_state_that_the_remaining_meter_does_not_see() -> None:
    state, _ = take(fresh(), [0, 1, 2], np.zeros(3))
    before = variance(state, WHOLE)[1]
    for _ in range(120):
        state, _ = take(state, [0], np.zeros(1))
    assert variance(state, WHOLE)[1] == pytest.approx(before + 1.2, rel=0.02)
    assert variance(state, WHOLE)[0] < 0.1


def test_a_jump_is_believed_at_once() -> None:
    state, _ = run_pattern([([0, 1, 2], 40)])
    jumped_to = METERS @ np.array([9.0, 2.0])
    state, jumped = take(state, [0, 1, 2], jumped_to)
    assert jumped
    assert state.x == pytest.approx([9.0, 2.0], abs=0.05)


def test_a_wobble_inside_the_noise_is_not_a_jump() -> None:
    state, _ = run_pattern([([0, 1, 2], 40)])
    y = METERS @ np.array([1.0, 2.0]) + np.array([0.5 * JUMP_SIGMA * 0.2, 0.0, 0.0])
    state, jumped = take(state, [0, 1, 2], y)
    assert not jumped
    assert abs(state.x[0] - 1.0) < 0.5


def test_only_a_meter_can_prove_a_jump_and_a_model_cannot() -> None:
    state = predict(run_pattern([([0, 1, 2], 40)])[0], WHOLE, STILL, 1.0)
    said, quiet = Evidence(np.array([50.0, 0.0]), np.full(2, 0.04)), nothing(3)
    assert not correct(state, WHOLE, SIGHT, quiet, nothing(2), said, JUMP_VAR)[1]
    assert correct(state, WHOLE, SIGHT, quiet, said, nothing(2), JUMP_VAR)[1]


def test_an_unseen_state_drifts_back_to_what_is_usual() -> None:
    usual = Motion(np.zeros(2), np.array([0.01, 0.0]), np.array([5.0, 0.0]))
    state = initial_filter(np.zeros(2), np.ones(2), WHOLE)
    assert predict(state, WHOLE, usual, 1e4).x[0] == pytest.approx(5.0)
    assert predict(state, WHOLE, usual, 1e4).x[1] == 0.0


def test_the_deviation_of_a_sum_counts_what_its_parts_share() -> None:
    state = FilterState(np.zeros(2), (np.array([[4.0, -4.0], [-4.0, 4.0]]),), np.empty((2, 0)))
    (own,), shared = sight_sigma(state, WHOLE, Sight((np.array([[1.0, 1.0], [1.0, 0.0]]),), np.empty((0, 2))))
    assert own == pytest.approx([0.0, 2.0])
    assert not len(shared)
