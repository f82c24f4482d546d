"""The Kalman filter against a textbook one that computes everything anew in every step."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation.state_filter import (
    JUMP_SIGMA,
    FilterState,
    Motion,
    correct,
    initial_filter,
    predict,
    row_sigma,
)

Array = np.ndarray
LONG = 30
STILL = Motion(np.array([0.01, 0.01]), np.zeros(2), np.zeros(2))
METERS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
NOISE_VAR = np.array([0.04, 0.09, 0.16])
JUMP_VAR = np.array([100.0, 100.0])


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
    state = predict(state, STILL, dt_s)
    h = METERS[rows]
    judged = np.ones(len(rows), dtype=bool)
    return correct(state, h, y - h @ state.x, NOISE_VAR[rows], JUMP_VAR, judged)


def fresh() -> FilterState:
    return initial_filter(np.zeros(2), np.full(2, 10.0))


def test_two_meters_of_one_quantity_are_weighed_by_what_they_are_worth() -> None:
    state = initial_filter(np.zeros(1), np.array([1e3]))
    h, y, r_var = np.ones((2, 1)), np.array([10.0, 16.0]), np.array([1.0, 2.0])
    after, _ = correct(state, h, y, r_var, np.array([1.0]), np.zeros(2, dtype=bool))
    assert after.x[0] == pytest.approx((10.0 / 1.0 + 16.0 / 2.0) / (1.0 / 1.0 + 1.0 / 2.0), rel=1e-5)
    assert after.cov[0, 0] == pytest.approx(1.0 / (1.0 + 0.5), rel=1e-5)


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
        assert state.cov == pytest.approx(reference.cov, rel=1e-9)


def run_pattern(patterns: list[tuple[list[int], int]]) -> tuple[FilterState, Textbook, Array]:
    """The filter and the textbook through patterns of present meters; also the textbook's last gain."""
    state, reference = fresh(), Textbook(np.zeros(2), np.full(2, 10.0))
    gain = np.empty(0)
    for rows, steps in patterns:
        for _ in range(steps):
            y = METERS[rows] @ np.array([1.0, 2.0])
            state, _ = take(state, rows, y)
            gain = reference.step(STILL, 1.0, METERS[rows], y, NOISE_VAR[rows])
    return state, reference, gain


@pytest.mark.parametrize("settled", [LONG + 5, 3 * LONG])
def test_the_first_gain_after_a_meter_went_belongs_to_the_meters_that_are_left(settled: int) -> None:
    state, _, gain = run_pattern([([0, 1, 2], settled), ([0, 2], 1)])
    assert state.gain.shape == gain.shape
    assert state.gain[0] == pytest.approx(gain[0], abs=0.25)
    state, _, _ = run_pattern([([0, 1, 2], settled), ([0, 2], 1), ([0, 1, 2], 1)])
    assert state.gain.shape == (2, 3)


def test_a_pattern_that_flips_every_step_never_uses_the_gain_of_the_other() -> None:
    state, reference, gain = run_pattern([([0, 1], 1), ([2], 1)] * 30)
    assert state.gain == pytest.approx(gain, rel=1e-6)
    assert state.cov == pytest.approx(reference.cov, rel=1e-6)


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 1], [2]])
def test_a_steady_filter_is_never_surer_than_the_textbook(rows: list[int]) -> None:
    """Shortcuts may cost sharpness; a variance that is too small would eat the margin of a limit."""
    for steps in (12, 29, 31, 61, 200):
        state, reference, _ = run_pattern([(rows, steps)])
        assert (np.diag(state.cov) >= 0.99 * np.diag(reference.cov)).all()


def test_a_steady_filter_is_about_as_sharp_as_the_textbook() -> None:
    state, reference, gain = run_pattern([([0, 1, 2], 10 * LONG)])
    assert np.diag(state.gain) == pytest.approx(np.diag(gain), rel=0.3)
    assert np.sqrt(np.diag(state.cov)) == pytest.approx(np.sqrt(np.diag(reference.cov)), rel=0.3)


def test_variance_grows_second_by_second_where_no_meter_is_left() -> None:
    state, _ = take(fresh(), [0, 1, 2], np.zeros(3))
    seen = []
    for _ in range(5):
        state, _ = take(state, [], np.zeros(0))
        seen.append(state.cov[0, 0])
    assert np.diff(seen) == pytest.approx(np.full(4, STILL.variance_rate[0]), rel=1e-9)


def test_variance_grows_for_the_state_that_the_remaining_meter_does_not_see() -> None:
    state, _ = take(fresh(), [0, 1, 2], np.zeros(3))
    before = state.cov[1, 1]
    for _ in range(120):
        state, _ = take(state, [0], np.zeros(1))
    assert state.cov[1, 1] == pytest.approx(before + 1.2, rel=0.02)
    assert state.cov[0, 0] < 0.1


def test_a_jump_is_believed_at_once() -> None:
    state, _, _ = run_pattern([([0, 1, 2], 40)])
    jumped_to = METERS @ np.array([9.0, 2.0])
    state, jumped = take(state, [0, 1, 2], jumped_to)
    assert jumped
    assert state.x == pytest.approx([9.0, 2.0], abs=0.05)


def test_a_wobble_inside_the_noise_is_not_a_jump() -> None:
    state, _, _ = run_pattern([([0, 1, 2], 40)])
    y = METERS @ np.array([1.0, 2.0]) + np.array([0.5 * JUMP_SIGMA * 0.2, 0.0, 0.0])
    state, jumped = take(state, [0, 1, 2], y)
    assert not jumped
    assert abs(state.x[0] - 1.0) < 0.5


def test_only_a_meter_can_prove_a_jump_and_a_model_cannot() -> None:
    state = predict(run_pattern([([0, 1, 2], 40)])[0], STILL, 1.0)
    innovation = np.array([50.0, 0.0, 0.0])
    nobody = np.zeros(3, dtype=bool)
    _, jumped = correct(state, METERS, innovation, NOISE_VAR, JUMP_VAR, nobody)
    assert not jumped


def test_an_unseen_state_drifts_back_to_what_is_usual() -> None:
    usual = Motion(np.zeros(2), np.array([0.01, 0.0]), np.array([5.0, 0.0]))
    state = initial_filter(np.zeros(2), np.ones(2))
    assert predict(state, usual, 1e4).x[0] == pytest.approx(5.0)
    assert predict(state, usual, 1e4).x[1] == 0.0


def test_the_deviation_of_a_sum_counts_what_its_parts_share() -> None:
    cov = np.array([[4.0, -4.0], [-4.0, 4.0]])
    assert row_sigma(cov, np.array([[1.0, 1.0], [1.0, 0.0]])) == pytest.approx([0.0, 2.0])
