"""Frozen meters are found, quiet ones are left alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from controller.domain.measurement import Measurement, Quality
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import (
    CHANCE,
    LEARN_SAMPLES,
    SAME_HIGH,
    SAME_LOW,
    SAME_PRIOR,
    FreezeWatch,
    initial_watch,
    watch,
)
from controller.estimation.readings import sample

POINTS = ("unit.X.p_w", "unit.X.q_var")
FOUND_WITHIN = 12  # samples


def snapshot(now_s: float, values: Sequence[float], quality: Quality = Quality.GOOD, age_s: float = 0.0) -> Snapshot:
    readings = zip(POINTS, values, strict=True)
    return Snapshot(now_s, {name: Measurement(v, quality, now_s - age_s, now_s) for name, v in readings})


def feed(values: Iterable[Sequence[float]], before: FreezeWatch | None = None, from_s: float = 0.0) -> list[bool]:
    """Whether the element counts as frozen after each sample."""
    return [is_frozen(state) for state in states(values, before, from_s)]


def is_frozen(state: FreezeWatch) -> bool:
    return bool(state.frozen[0])


def look(before: FreezeWatch, seen: Snapshot) -> FreezeWatch:
    taken = sample(POINTS, seen)
    return watch(before, taken.value[None, :], taken.at_s[None, :])


def states(values: Iterable[Sequence[float]], before: FreezeWatch | None, from_s: float) -> list[FreezeWatch]:
    state, out = before or initial_watch(1, len(POINTS)), []
    for k, reading in enumerate(values):
        state = look(state, snapshot(from_s + k, reading))
        out.append(state)
    return out


def live(count: int, seed: int = 5) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return [(float(p), float(q)) for p, q in 1e5 + 200.0 * rng.standard_normal((count, 2))]


@pytest.mark.parametrize("lived", [10, 60, 300, 1000])
def test_a_meter_that_always_moved_and_stops_is_found_within_a_dozen_samples(lived: int) -> None:
    alive = states(live(lived), None, 0.0)[-1]
    assert not is_frozen(alive)
    assert feed([live(lived)[-1]] * FOUND_WITHIN, alive, lived)[-1]


def test_a_meter_that_moves_again_is_believed_again_with_that_sample() -> None:
    stopped = states([*live(60), *[live(60)[-1]] * 30], None, 0.0)[-1]
    assert is_frozen(stopped)
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
        state = look(state, snapshot(59.0, live(60)[-1]))
    assert not is_frozen(state)


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD, Quality.MISSING, Quality.UNCERTAIN])
def test_a_reading_that_is_not_good_says_nothing_about_freezing(quality: Quality) -> None:
    state = states(live(60), None, 0.0)[-1]
    for k in range(100):
        state = look(state, snapshot(60.0 + k, live(60)[-1], quality))
    assert not is_frozen(state)


def test_a_charger_that_idled_at_zero_and_now_charges_evenly_is_not_frozen() -> None:
    charging = [(7000.0 + 100.0 * (k // 30), 0.0) for k in range(300)]
    assert not any(feed([*[(0.0, 0.0)] * 600, *charging]))


def test_a_lively_meter_that_was_idle_over_night_is_still_found_within_a_dozen_samples() -> None:
    morning = states([*live(300), *[(0.0, 0.0)] * 10_000, *live(5)], None, 0.0)[-1]
    assert feed([live(5)[-1]] * FOUND_WITHIN, morning, 11_000.0)[-1]


class OneMeter:
    """The rule for one element, reading by reading, without arrays."""

    def __init__(self) -> None:
        self.last: tuple[float, ...] | None = None
        self.same, self.frac, self.seen, self.at_s = 0, SAME_PRIOR, 0, -math.inf

    def look(self, values: Sequence[float], at_s: float) -> bool:
        """Whether it is frozen after this sample."""
        if not all(math.isnan(v) for v in values) and at_s > self.at_s:
            self._take(tuple("none" if math.isnan(v) else v for v in values))  # type: ignore[arg-type]
            self.at_s = at_s
        usual = min(max(self.frac, SAME_LOW), SAME_HIGH)
        return self.same * math.log(usual) < math.log(CHANCE)

    def _take(self, values: tuple[float, ...]) -> None:
        moving = [any(v not in ("none", 0.0) for v in x) for x in (values, self.last or ())]
        repeated, idle = values == self.last, not all(moving)
        if idle and repeated and not self.seen:
            self.frac = SAME_HIGH
        elif not idle and not repeated:
            self.seen = min(self.seen + self.same + 1, LEARN_SAMPLES)
            self.frac += (self.same - (self.same + 1) * self.frac) / max(self.seen, self.same + 1)
        self.same = self.same + 1 if repeated and not idle else 0
        self.last = values


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_elements_at_once_are_judged_as_each_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elements, quantities, samples = 40, 3, 400
    coarse = np.where(np.arange(elements) % 4 == 0, 50.0, 1e-6)[:, None]
    state, plain = initial_watch(elements, quantities), [OneMeter() for _ in range(elements)]
    truth = rng.standard_normal((elements, quantities)) * 100.0
    found = 0
    for k in range(samples):
        stuck = (np.arange(elements) % 5 == 1) & (k > 200)
        truth = np.where(stuck[:, None], truth, truth + 10.0 * rng.standard_normal(truth.shape))
        value = coarse * np.round(truth / coarse)
        value[np.arange(elements) % 7 == 2] *= float(k % 100 > 40)
        value[rng.random(value.shape) < 0.01] = np.nan
        at_s = np.full(value.shape, float(k - (k % 3 == 0)))
        state = watch(state, value, at_s)
        each = [meter.look(row, at) for meter, row, at in zip(plain, value.tolist(), at_s[:, 0].tolist(), strict=True)]
        assert state.frozen.tolist() == each, f"seed {seed}, sample {k}"
        found += sum(each)
    assert found > 100
