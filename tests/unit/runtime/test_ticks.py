"""Who is late skips and counts."""

from __future__ import annotations

import math

import pytest

from controller.runtime.ticks import Ticks, on_grid


def test_instants_lie_on_the_grid() -> None:
    ticks = Ticks(5.0, 0.1)
    seen = []
    for _ in range(4):
        seen.append(round(ticks.due_s, 6))
        assert ticks.is_due(ticks.due_s)
        assert ticks.done(ticks.due_s + 0.01) == 0
    assert seen == [5.0, 5.1, 5.2, 5.3]


@pytest.mark.parametrize(("late_s", "missed"), [(0.99, 0), (1.0, 1), (1.5, 1), (10.2, 10)])
def test_late_instants_are_skipped_and_counted_and_the_phase_is_kept(late_s: float, missed: int) -> None:
    ticks = Ticks(0.0, 1.0)
    assert ticks.done(late_s) == missed
    assert ticks.missed == missed
    assert ticks.due_s == missed + 1.0


def test_rounding_of_many_small_steps_neither_skips_nor_repeats() -> None:
    ticks, now_s, used = Ticks(0.0, 1.0), 0.0, 0
    for _ in range(100_000):
        if ticks.is_due(now_s):
            ticks.done(now_s)
            used += 1
        now_s += 0.1
    assert (used, ticks.missed) == (10_000, 0)


def test_using_an_instant_a_hair_early_is_not_a_miss() -> None:
    ticks = Ticks(1.0, 1.0)
    assert ticks.done(0.9999999) == 0
    assert ticks.due_s == 2.0


@pytest.mark.parametrize("period_s", [0.0, -1.0, math.nan, math.inf])
def test_a_period_that_is_none_is_refused(period_s: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Ticks(0.0, period_s)


@pytest.mark.parametrize(
    ("now_s", "period_s", "phase_frac", "expected_s"),
    [(0.0, 1.0, 0.0, 0.0), (7.3, 1.0, 0.0, 7.0), (7.3, 1.0, 0.4, 6.4), (7.5, 1.0, 0.4, 7.4), (0.0, 2.0, 0.4, -1.2)],
)
def test_everybody_shares_one_grid(now_s: float, period_s: float, phase_frac: float, expected_s: float) -> None:
    assert on_grid(now_s, period_s, phase_frac) == pytest.approx(expected_s)
