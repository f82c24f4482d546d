"""Solving a large programme in rounds gives the optimum of the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.control import qp, sifting
from controller.control.programme import SLACK_RECIPROCAL, Expected, Programme, Solution, solve_whole
from controller.control.sifting import sift


def programme(n: int, m: int, seed: int) -> Programme:
    """Moves of units of very different size under rows of which some bind and a few cannot be kept."""
    rng = np.random.default_rng(seed)
    rated = rng.uniform(0.03, 1.0, n)
    a = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.2)
    low = np.where(rng.random(n) < 0.3, -rated, 0.0)
    high = np.where(rng.random(n) < 0.2, low, rated)
    b = np.where(rng.random(m) < 0.05, -0.3, rng.uniform(0.0, 2.0, m))
    return Programme(0.1 / rated, rng.standard_normal(n), low, high, a, b, rng.choice([60.0, 400.0], m))


def whole_and_sifted(p: Programme, per_family: int) -> tuple[Solution, Solution]:
    sifted = sift(p, np.arange(len(p.b)) // per_family)
    assert sifted is not None
    return solve_whole(p), sifted


@pytest.mark.parametrize("per_family", [1, 9])
@pytest.mark.parametrize("seed", range(8))
def test_rounds_come_to_the_optimum_of_the_whole(seed: int, per_family: int) -> None:
    whole, sifted = whole_and_sifted(programme(160, 300, seed), per_family)
    assert whole.ok
    assert sifted.x == pytest.approx(whole.x, abs=1e-7), f"seed {seed}"
    assert sifted.multiplier == pytest.approx(whole.multiplier, abs=1e-4)
    assert sifted.violation == pytest.approx(whole.violation, abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_meets_the_optimality_conditions(seed: int) -> None:
    """Karush-Kuhn-Tucker, with the price of a broken row."""
    p = programme(140, 200, seed)
    p.a[0], p.b[0] = -np.eye(140)[1], -p.high[1] - 0.5
    _, s = whole_and_sifted(p, 1)
    cost = p.h * s.x + p.f + p.a.T @ s.multiplier
    at_low, at_high = s.x <= p.low + 1e-9, s.x >= p.high - 1e-9
    assert np.abs(cost[~at_low & ~at_high]).max() < 1e-7
    assert (cost[at_low & ~at_high] > -1e-7).all()
    assert (cost[at_high & ~at_low] < 1e-7).all()
    broken = s.violation > 1e-6
    assert broken.any()
    price = p.penalty + s.violation / SLACK_RECIPROCAL
    assert s.multiplier[broken] == pytest.approx(price[broken], rel=1e-5)
    assert (s.multiplier[p.a @ s.x - p.b < -1e-6] < 1e-7).all()


def test_a_broken_row_that_nobody_can_mend_has_its_price_and_stops_nothing() -> None:
    p = programme(140, 100, 3)
    p.a[7] = 0.0
    p.b[7] = -2.0
    whole, sifted = whole_and_sifted(p, 1)
    assert sifted.x == pytest.approx(whole.x, abs=1e-7)
    assert sifted.multiplier[7] == pytest.approx(p.penalty[7] + 2.0 / SLACK_RECIPROCAL)


def test_rounds_that_come_to_no_end_give_way_to_the_whole_programme(monkeypatch: pytest.MonkeyPatch) -> None:
    p = programme(160, 300, 1)
    data = (p.h, p.f, p.low, p.high, p.a, p.b, p.penalty)
    monkeypatch.setattr(sifting, "ROUNDS_MAX", 1)
    assert sift(p, np.arange(300)) is None
    answer = qp.solve(*data)
    assert answer.ok
    assert answer.x == pytest.approx(solve_whole(p).x, abs=1e-9)


def test_a_small_programme_is_solved_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Solution:
        raise AssertionError

    monkeypatch.setattr(qp, "sift", never)
    p = programme(qp.LARGE, 50, 2)
    assert qp.solve(p.h, p.f, p.low, p.high, p.a, p.b, p.penalty).ok


def test_families_of_another_number_than_the_rows_are_a_fault_of_the_programmer() -> None:
    p = programme(10, 5, 1)
    with pytest.raises(ValueError, match="do not fit"):
        qp.solve(p.h, p.f, p.low, p.high, p.a, p.b, p.penalty, np.arange(4))


@pytest.mark.parametrize("seed", range(6))
def test_what_was_expected_changes_no_answer(seed: int) -> None:
    """Neither what a similar programme came to, nor that of one with more or fewer families of rows, nor nonsense."""
    p, family = programme(160, 300, seed), np.arange(300) // 9
    plain = sift(p, family)
    assert plain is not None
    before = programme(160, 300, seed + 50)
    of_before = sift(before, np.arange(300))
    assert of_before is not None
    rng = np.random.default_rng(seed)
    nonsense = rng.integers(-1, 2, 160).astype(np.int32), rng.uniform(0.0, 500.0, 34)
    wide = Expected.of(of_before, before.low, before.high, np.arange(300))
    narrow, nothing = replace(wide, prices=wide.prices[:5]), replace(wide, prices=np.zeros(34))
    for expected in (Expected.of(plain, p.low, p.high, family), wide, narrow, nothing, Expected(*nonsense)):
        other = sift(p, family, expected)
        assert other is not None
        assert other.x == pytest.approx(plain.x, abs=1e-9), f"seed {seed}"
        assert other.multiplier == pytest.approx(plain.multiplier, abs=1e-6)


def test_the_answer_itself_needs_one_round_as_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    p = programme(160, 60, 4)
    plain = sift(p, np.arange(60))
    assert plain is not None
    monkeypatch.setattr(sifting, "ROUNDS_MAX", 1)
    assert sift(p, np.arange(60)) is None
    again = sift(p, np.arange(60), Expected.of(plain, p.low, p.high, np.arange(60)))
    assert again is not None
    assert again.x == pytest.approx(plain.x, abs=1e-9)


def test_the_first_round_holds_the_rows_that_are_expected_to_bind_or_broken_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p, sizes = programme(160, 300, 2), list[int]()
    plain = sift(p, np.arange(300))
    assert plain is not None

    def counted(some: Programme, guess: np.ndarray | None = None) -> Solution:
        sizes.append(len(some.b))
        return solve_whole(some, guess)

    monkeypatch.setattr(sifting, "solve_whole", counted)
    sift(p, np.arange(300), Expected.of(plain, p.low, p.high, np.arange(300)))
    assert 0 < np.count_nonzero(plain.multiplier) <= sizes[0] < 150


def test_what_a_programme_with_other_moves_came_to_is_left_aside() -> None:
    """As when an order adds resources from one cycle to the next."""
    p = programme(140, 60, 1)
    data = (p.h, p.f, p.low, p.high, p.a, p.b, p.penalty, None)
    plain = qp.solve(*data)
    assert plain.ok
    other = Expected(np.ones(139, np.int32), np.ones(60))
    assert qp.solve(*data, other).x == pytest.approx(plain.x, abs=1e-12)
