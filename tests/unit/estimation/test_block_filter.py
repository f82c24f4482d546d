"""The filter in blocks against one dense matrix: the same if nothing is forgotten, never surer if something is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from controller.estimation import state_filter
from controller.estimation.partition import Partition
from controller.estimation.state_filter import (
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
BLOCKS, STATES, OWN, SHARED = 4, 5, 3, 2  # blocks; states and rows of each; rows that all of them feed
N = BLOCKS * STATES
SHARED_ROWS = np.arange(BLOCKS * OWN, BLOCKS * OWN + SHARED)
PART = Partition(
    tuple(np.arange(N)[b::BLOCKS] for b in range(BLOCKS)),
    tuple(np.arange(b * OWN, (b + 1) * OWN) for b in range(BLOCKS)),
    SHARED_ROWS,
)


@dataclass
class Dense:
    """Kalman 1960 over everything at once."""

    x: Array
    cov: Array

    def step(self, motion: Motion, h: Array, y: Array, r_var: Array) -> None:
        keep = np.exp(-motion.return_rate)
        self.x = motion.mean + keep * (self.x - motion.mean)
        self.cov = self.cov * np.outer(keep, keep) + np.diag(motion.variance_rate)
        gain = self.cov @ h.T @ np.linalg.inv(h @ self.cov @ h.T + np.diag(r_var))
        self.x = self.x + gain @ (y - h @ self.x)
        self.cov = self.cov - gain @ h @ self.cov


class Course:
    """A random network of blocks, random readings with gaps; both filters go through the same."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        rng = self.rng
        self.sight = Sight(
            tuple(rng.standard_normal((OWN, STATES)) for _ in range(BLOCKS)), rng.standard_normal((SHARED, N))
        )
        self.h = np.zeros((BLOCKS * OWN + SHARED, N))
        for i, r, own in zip(PART.states, PART.rows, self.sight.own, strict=True):
            self.h[np.ix_(r, i)] = own
        self.h[SHARED_ROWS] = self.sight.shared
        self.motion = Motion(0.02 * rng.random(N), 1e-3 * rng.random(N), rng.standard_normal(N))
        self.row_var, self.meter_var = 0.1 + rng.random(len(self.h)), 0.1 + rng.random(N)
        self.blocks = initial_filter(np.zeros(N), np.full(N, 3.0), PART)
        self.dense = Dense(np.zeros(N), np.diag(np.full(N, 9.0)))
        self.truth = rng.standard_normal(N)

    def step(self, seen_frac: float) -> None:
        """One cycle in which that share of the rows and a tenth of the states are read."""
        rng = self.rng
        y = self.h @ self.truth + np.sqrt(self.row_var) * rng.standard_normal(len(self.h))
        y_direct = self.truth + np.sqrt(self.meter_var) * rng.standard_normal(N)
        y[rng.random(len(y)) > seen_frac] = np.nan
        y_direct[rng.random(N) > 0.1] = np.nan
        before = predict(self.blocks, PART, self.motion, 1.0)
        rows = Evidence(y - self.h @ before.x, self.row_var)
        meters = Evidence(y_direct - before.x, self.meter_var)
        nobody = Evidence(np.full(N, np.nan), np.ones(N))
        self.blocks, _ = correct(before, PART, self.sight, rows, meters, nobody, np.zeros(N))
        h, told = np.vstack([self.h, np.eye(N)]), np.concatenate([y, y_direct])
        new = np.isfinite(told)
        self.dense.step(self.motion, h[new], told[new], np.concatenate([self.row_var, self.meter_var])[new])


def covariance(state: FilterState) -> Array:
    out = -state.shared @ state.shared.T
    for i, block in zip(PART.states, state.blocks, strict=True):
        out[np.ix_(i, i)] += block
    return out


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_blocks_that_forget_nothing_are_the_dense_filter(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_filter, "SHARED_PER_ROW", 100)
    course = Course(seed)
    for _ in range(40):
        course.step(seen_frac=0.7)
        assert course.blocks.x == pytest.approx(course.dense.x, abs=1e-8)
        assert covariance(course.blocks) == pytest.approx(course.dense.cov, abs=1e-8)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("seen_frac", [0.1, 0.7])
def test_blocks_that_forget_are_hardly_less_sure_and_never_surer(seed: int, seen_frac: float) -> None:
    course = Course(seed)
    for _ in range(300):
        course.step(seen_frac)
        assert course.blocks.shared.shape[1] <= state_filter.SHARED_PER_ROW * SHARED
    lost = np.linalg.eigvalsh(covariance(course.blocks) - course.dense.cov)
    assert lost.min() > -1e-9
    ratio = np.sqrt(variance(course.blocks, PART) / np.diag(course.dense.cov))
    assert ratio.max() < 1.1, f"seed {seed}"
    wander = np.sqrt(np.diag(course.dense.cov))
    assert (np.abs(course.blocks.x - course.dense.x) < 0.3 * wander).all()


def test_the_deviation_of_what_rows_see_is_that_of_the_dense_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_filter, "SHARED_PER_ROW", 100)
    course = Course(4)
    for _ in range(5):
        course.step(0.5)
    own, shared = sight_sigma(course.blocks, PART, course.sight)
    expected = np.sqrt(np.diag(course.h @ course.dense.cov @ course.h.T))
    assert np.concatenate([*own, shared]) == pytest.approx(expected, rel=1e-6)


def test_a_jump_in_a_shared_row_is_seen_although_no_block_sees_it_alone() -> None:
    course = Course(5)
    for _ in range(5):
        course.step(1.0)
    state, told = course.blocks, np.full(len(course.h), np.nan)
    told[SHARED_ROWS[0]] = 1e3
    nobody = Evidence(np.full(N, np.nan), np.ones(N))
    after, jumped = correct(
        state, PART, course.sight, Evidence(told, course.row_var), nobody, nobody, np.full(N, 100.0)
    )
    assert jumped
    assert course.sight.shared[0] @ (after.x - state.x) == pytest.approx(1e3, rel=0.01)


def test_blocks_whose_common_knowledge_is_spoilt_go_on_without_it() -> None:
    course = Course(6)
    course.step(1.0)
    spoilt = FilterState(course.blocks.x, course.blocks.blocks, 100.0 * np.ones((N, 1)))
    told, nobody = np.full(len(course.h), 0.1), Evidence(np.full(N, np.nan), np.ones(N))
    after, _ = correct(spoilt, PART, course.sight, Evidence(told, course.row_var), nobody, nobody, np.ones(N))
    assert np.isfinite(after.x).all()
    assert (variance(after, PART) > 0.0).all()
