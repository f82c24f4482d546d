"""Frozen meters are found, quiet ones are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from controller.domain.measurement import Measurement, Quality
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import FreezeWatch, initial_watch, watch

POINTS = ("unit.X.p_w", "unit.X.q_var")
GROUPS = {"unit.X": POINTS}
FOUND_WITHIN = 12  # samples


def snapshot(now_s: float, values: Sequence[float], quality: Quality = Quality.GOOD, age_s: float = 0.0) -> Snapshot:
    readings = zip(POINTS, values, strict=True)
    return Snapshot(now_s, {name: Measurement(v, quality, now_s - age_s, now_s) for name, v in readings})


def feed(values: Iterable[Sequence[float]], before: FreezeWatch | None = None, from_s: float = 0.0) -> list[bool]:
    """Whether the element counts as frozen after each sample."""
    return [state.frozen("unit.X") for state in states(values, before, from_s)]


def states(values: Iterable[Sequence[float]], before: FreezeWatch | None, from_s: float) -> list[FreezeWatch]:
    state, out = before or initial_watch(), []
    for k, reading in enumerate(values):
        state = watch(state, GROUPS, snapshot(from_s + k, reading))
        out.append(state)
    return out


def live(count: int, seed: int = 5) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return [(float(p), float(q)) for p, q in 1e5 + 200.0 * rng.standard_normal((count, 2))]


@pytest.mark.parametrize("lived", [10, 60, 300, 1000])
def test_a_meter_that_always_moved_and_stops_is_found_within_a_dozen_samples(lived: int) -> None:
    alive = states(live(lived), None, 0.0)[-1]
    assert not alive.frozen("unit.X")
    assert feed([live(lived)[-1]] * FOUND_WITHIN, alive, lived)[-1]


def test_a_meter_that_moves_again_is_believed_again_with_that_sample() -> None:
    stopped = states([*live(60), *[live(60)[-1]] * 30], None, 0.0)[-1]
    assert stopped.frozen("unit.X")
    assert feed([(1.0, 2.0)], stopped, 90.0) == [False]


def test_a_meter_stays_found_however_long_it_is_frozen() -> None:
    frozen = feed([*live(60), *[live(60)[-1]] * 3000])
    assert all(frozen[60 + FOUND_WITHIN :])


def test_an_idle_charger_that_reads_zero_for_a_day_is_quiet_and_not_frozen() -> None:
    assert not any(feed([(0.0, 0.0)] * 10_000))


def test_a_unit_that_falls_idle_after_a_lively_day_is_quiet_and_not_frozen() -> None:
    assert not any(feed([*live(1000), *[(0.0, 0.0)] * 1000]))


def test_a_coarse_register_that_changes_now_and_then_is_not_frozen() -> None:
    assert not any(feed([(100.0 * (1 + k // 5), 0.0) for k in range(2000)]))


def test_one_moving_quantity_is_enough_to_show_that_the_meter_lives() -> None:
    assert not any(feed([(q, 3.0) for _, q in live(500)]))


def test_the_same_answer_read_twice_is_not_a_repetition() -> None:
    """Only newly sampled readings count: a slow meter polled fast must not look frozen."""
    state = states(live(60), None, 0.0)[-1]
    for _ in range(100):
        state = watch(state, GROUPS, snapshot(59.0, live(60)[-1]))
    assert not state.frozen("unit.X")


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD, Quality.MISSING, Quality.UNCERTAIN])
def test_a_reading_that_is_not_good_says_nothing_about_freezing(quality: Quality) -> None:
    state = states(live(60), None, 0.0)[-1]
    for k in range(100):
        state = watch(state, GROUPS, snapshot(60.0 + k, live(60)[-1], quality))
    assert not state.frozen("unit.X")


def test_a_charger_that_idled_at_zero_and_now_charges_evenly_is_not_frozen() -> None:
    charging = [(7000.0 + 100.0 * (k // 30), 0.0) for k in range(300)]
    assert not any(feed([*[(0.0, 0.0)] * 600, *charging]))


def test_a_lively_meter_that_was_idle_over_night_is_still_found_within_a_dozen_samples() -> None:
    morning = states([*live(300), *[(0.0, 0.0)] * 10_000, *live(5)], None, 0.0)[-1]
    assert feed([live(5)[-1]] * FOUND_WITHIN, morning, 11_000.0)[-1]
