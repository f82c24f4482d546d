"""The programme's solver behind its checks: refused data, known optima, soft rows, multipliers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.programme import Programme, solve_whole
from controller.control.qp import Solution, solve

NAMES = ("h", "f", "low", "high", "a", "b", "penalty")


def problem() -> dict[str, np.ndarray]:
    """min ½(x² + y²) − 2x − y  in 0…1 with x + y ≤ 1: the optimum is (1, 0)."""
    return {
        "h": np.ones(2),
        "f": np.array([-2.0, -1.0]),
        "low": np.zeros(2),
        "high": np.ones(2),
        "a": np.array([[1.0, 1.0]]),
        "b": np.array([1.0]),
        "penalty": np.array([50.0]),
    }


def solved(**changes: np.ndarray) -> Solution:
    data = {**problem(), **changes}
    return solve(*(data[name] for name in NAMES))


def test_a_small_programme_has_its_known_optimum() -> None:
    s = solved()
    assert s.ok
    assert s.x == pytest.approx([1.0, 0.0], abs=1e-3)
    assert s.violation == pytest.approx([0.0], abs=1e-3)


def test_a_row_that_binds_has_its_price_and_one_that_does_not_has_none() -> None:
    a, b = np.array([[1.0, 1.0], [1.0, 0.0]]), np.array([0.5, 5.0])
    s = solved(a=a, b=b, penalty=np.full(2, 50.0), f=np.array([-2.0, -2.0]))
    assert s.x == pytest.approx([0.25, 0.25], abs=2e-3)
    assert s.multiplier == pytest.approx([1.75, 0.0], abs=5e-3)


def test_rows_that_cannot_be_kept_are_broken_by_as_little_as_possible() -> None:
    s = solved(a=np.array([[-1.0, -1.0]]), b=np.array([-3.0]))
    assert s.ok
    assert s.x == pytest.approx([1.0, 1.0])
    assert s.violation == pytest.approx([1.0], abs=1e-3)
    assert s.multiplier[0] >= 45.0


def test_the_dearer_row_is_kept_when_two_contradict_each_other() -> None:
    a, b = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.2, -0.8])
    s = solved(a=a, b=b, penalty=np.array([10.0, 400.0]))
    assert s.ok
    assert s.x[0] == pytest.approx(0.8, abs=0.02)
    assert s.violation == pytest.approx([0.6, 0.0], abs=0.02)


def test_without_rows_the_box_decides() -> None:
    s = solved(a=np.empty((0, 2)), b=np.empty(0), penalty=np.empty(0), f=np.array([-5.0, 5.0]))
    assert s.ok
    assert s.x == pytest.approx([1.0, 0.0])
    assert s.multiplier.shape == (0,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_data_that_is_no_number_is_not_solved(name: str, bad: float) -> None:
    data = problem()
    data[name].flat[0] = bad
    s = solved(**data)
    assert not s.ok


@pytest.mark.parametrize("name", ["h", "f", "b", "a"])
def test_a_failed_solve_leaves_a_point_inside_the_box(name: str) -> None:
    data = problem()
    data[name].flat[0] = np.nan
    data["low"] = np.array([0.2, 0.0])
    with np.errstate(invalid="ignore"):
        s = solved(**data)
    assert s.x.tolist() == [0.2, 0.0]


def test_a_box_that_is_upside_down_is_not_solved() -> None:
    assert not solved(low=np.array([0.5, 0.0]), high=np.array([0.4, 1.0])).ok


WRONG = [
    ("h", np.ones(3)),
    ("low", np.zeros(1)),
    ("high", np.ones(3)),
    ("a", np.ones((1, 3))),
    ("a", np.ones((2, 2))),
    ("b", np.ones(2)),
    ("penalty", np.ones(2)),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_arrays_that_do_not_fit_are_a_fault_of_the_programmer(name: str, value: np.ndarray) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        solved(**{name: value})


@settings(max_examples=100)
@given(st.integers(1, 8), st.integers(0, 12), st.integers(0, 2**31))
def test_an_answer_is_inside_its_box_and_says_how_far_rows_are_broken(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low = -rng.random(n)
    data = {
        "h": 0.05 + rng.random(n),
        "f": rng.standard_normal(n),
        "low": low,
        "high": low + rng.random(n),
        "a": rng.standard_normal((m, n)),
        "b": rng.standard_normal(m),
        "penalty": 10.0 + 50.0 * rng.random(m),
    }
    s = solved(**data)
    assert s.ok
    assert ((data["low"] <= s.x) & (s.x <= data["high"])).all()
    assert s.violation == pytest.approx(np.maximum(data["a"] @ s.x - data["b"], 0.0))
    assert (s.multiplier >= 0.0).all()
    assert cost(data, s.x) <= min(cost(data, x) for x in trial_points(data, rng)) + 1e-6


def cost(data: dict[str, np.ndarray], x: np.ndarray) -> float:
    """The programme's cost with the rows' prices (and their small quadratic share) for what is broken."""
    over = np.maximum(data["a"] @ x - data["b"], 0.0)
    quadratic = 0.5 * (data["h"] * x * x).sum() + data["f"] @ x
    return float(quadratic + data["penalty"] @ over + 0.5 * 1e-3 * (over * over).sum())


def trial_points(data: dict[str, np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    span = data["high"] - data["low"]
    return [data["low"] + rng.random(len(span)) * span for _ in range(30)]


def test_where_the_solver_begins_changes_the_time_and_not_the_optimum() -> None:
    rng = np.random.default_rng(5)
    n, m = 12, 20
    a, b = rng.standard_normal((m, n)), rng.uniform(-0.2, 0.5, m)
    p = Programme(np.full(n, 0.5), rng.standard_normal(n), np.full(n, -1.0), np.ones(n), a, b, np.full(m, 30.0))
    plain = solve_whole(p)
    assert plain.ok
    assert (plain.multiplier > 0.0).any()
    for guess in (plain.multiplier, np.ones(m), rng.uniform(0.0, 50.0, m) * (rng.random(m) < 0.5)):
        guessed = solve_whole(p, guess)
        assert guessed.ok
        assert guessed.x == pytest.approx(plain.x, abs=1e-9)
        assert guessed.multiplier == pytest.approx(plain.multiplier, abs=1e-6)
