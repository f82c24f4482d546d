"""A transformer that carries more than its nameplate when it is cold and less when it is hot, judged by the true one.

The simulated transformer integrates its own differential equations with its own, seeded, characteristics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from loop_kit import HOUR_S, site_of

from controller.clock import ManualClock
from controller.control.cycle import step
from controller.control.reasons import dump_memory, restore_memory
from controller.control.state import ControlState, initial_state
from controller.domain.record import CycleRecord, LimitState
from controller.runtime.loop_sync import VirtualLoop
from simulators.adapters.in_process import InProcessField
from simulators.faults import Fault, FaultKind
from simulators.scenario import Scenario, load_scenario
from simulators.world import World

SITE = site_of("cold_transformer")
T1 = SITE.topology.transformers[0]
SEED = 5
SETTLED_S = 120.0
HOT_SPOT_C_MAX = 110.0
# A hot night with fresh wind: the true transformer begins in balance with all that the wind gives, a little too hot.
HEAT_WAVE: dict[str, Any] = {
    "day_of_year": 190, "ambient_c": {0.0: 40.0}, "wind_m_s": {0.0: 10.0}, "starts_open": True
}  # fmt: skip


class Course:
    """The site and its controller, a second at a time."""

    def __init__(self, scenario: Scenario, memory: Mapping[str, Any] | None = None, gap_s: float = 0.0) -> None:
        self.world = World(SITE, scenario, SEED)
        started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=scenario.day_of_year - 1, seconds=scenario.start_s)
        self.clock = ManualClock(0.0, started)
        self.records: list[CycleRecord] = []
        self.true_a: list[float] = []
        self.true_hot_spot_c: list[float] = []
        self.true_frac: list[float] = []
        self.begin(memory or {}, gap_s)

    def begin(self, memory: Mapping[str, Any], gap_s: float) -> None:
        """A controller that has just started, with what the last one remembered."""
        state, events = restore_memory(initial_state(SITE), memory, gap_s, self.clock.now_s())
        assert events == []
        field = InProcessField(self.world, SITE.devices)
        self.loop: VirtualLoop[ControlState] = VirtualLoop(SITE, field, step, state, clock=self.clock)

    def run(self, seconds: float) -> Course:
        for _ in range(round(seconds)):
            record = self.loop.tick()
            assert record is not None
            self.records.append(record)
            self.world.step(1.0)
            self.clock.advance(1.0)
            truth = self.world.truth()
            self.true_a.append(truth.branch_i_a["T1"])
            self.true_hot_spot_c.append(truth.hot_spot_c["T1"])
            self.true_frac.append(float(self.world.score.fractions(self.world.state_row)[0]))
        return self

    def restart(self) -> Course:
        """A new process, at once, with the memory as it comes out of its file."""
        self.begin(json.loads(json.dumps(dump_memory(self.loop.state), allow_nan=False)), 0.0)
        return self

    @property
    def t1(self) -> LimitState:
        return next(x for x in self.records[-1].limits if x.element == "T1")


@cache
def quiet_night() -> dict[str, Any]:
    """What a controller remembers that has watched the transformer at its fail-safe load through a cold night."""
    course = Course(replace(load_scenario("cold_transformer"), wind_m_s={0.0: 3.0}))
    memory = dump_memory(course.run(5).loop.state)
    cold = {"top_oil_c": 8.0, "rise_fast_k": 4.0, "rise_slow_k": 2.0}
    memory["transformer.T1"] |= {"state": cold, "hottest": cold, "coldest": cold}
    return memory


@cache
def gale() -> Course:
    return Course(load_scenario("cold_transformer"), quiet_night()).run(600.0)


@cache
def heat_wave() -> Course:
    return Course(replace(load_scenario("cold_transformer"), **HEAT_WAVE)).run(900.0)


def test_a_cold_transformer_carries_more_than_its_nameplate_and_stays_cool_enough() -> None:
    course = gale()
    late_a = np.array(course.true_a[int(SETTLED_S) :])
    assert late_a.mean() > 1.2 * T1.i_rated_a, f"seed {SEED}"
    assert max(course.true_hot_spot_c) < HOT_SPOT_C_MAX
    assert course.t1.high > 1.2 * T1.i_rated_a
    assert course.t1.cause == "T1.load_cap"


def test_a_hot_transformer_carries_less_than_its_nameplate() -> None:
    course = heat_wave()
    assert course.true_a[0] > T1.i_rated_a
    assert course.true_hot_spot_c[0] > HOT_SPOT_C_MAX
    late_a = np.array(course.true_a[int(SETTLED_S) :])
    assert late_a.max() < T1.i_rated_a, f"seed {SEED}"
    assert course.t1.high < T1.i_rated_a
    assert course.t1.cause in ("T1.hot_spot", "T1.top_oil")


def test_the_true_temperatures_are_never_too_high_in_the_cold() -> None:
    assert max(gale().true_frac[int(SETTLED_S) :]) <= 1.0, f"seed {SEED}"


def test_a_transformer_that_begins_too_hot_cools_down_and_is_within_its_limits_in_a_quarter_of_an_hour() -> None:
    hot_spot_c = np.array(heat_wave().true_hot_spot_c[int(SETTLED_S) :: 60])
    assert (np.diff(hot_spot_c) < 0.0).all(), f"seed {SEED}"
    assert heat_wave().true_frac[-1] <= 1.0, f"seed {SEED}"


@pytest.mark.parametrize("course", [gale, heat_wave])
def test_the_record_says_how_warm_it_is_and_the_truth_agrees(course: Any) -> None:
    """The oil is measured; the hot spot is the model's, on the safe side of the true one."""
    done = course()
    facts = done.t1.facts
    assert facts["top_oil_c"] == pytest.approx(done.world.truth().top_oil_c["T1"], abs=5.0)
    assert -1.0 < facts["hot_spot_c"] - done.true_hot_spot_c[-1] < 12.0


def test_the_limit_is_used_and_not_only_kept() -> None:
    done = gale()
    late_a = np.array(done.true_a[int(SETTLED_S) :])
    assert late_a.max() > 0.95 * done.t1.high


def test_a_day_cut_in_two_by_a_restart_keeps_the_same_limits() -> None:
    whole = gale()
    cut = Course(load_scenario("cold_transformer"), quiet_night()).run(300.0).restart().run(300.0)

    def limits(course: Course) -> np.ndarray:
        return np.array([[x.high for x in r.limits] for r in course.records[300 + int(SETTLED_S) :]])

    assert np.allclose(limits(whole), limits(cut), rtol=5e-3)


def test_without_its_memory_the_same_transformer_gets_no_more_than_its_nameplate_until_it_is_known() -> None:
    course = Course(load_scenario("cold_transformer")).run(300.0)
    assert course.t1.high <= T1.i_rated_a * (1.0 + 1e-9)
    assert np.array(course.true_a[int(SETTLED_S) :]).max() <= 1.01 * T1.i_rated_a
    unknown = Course(load_scenario("cold_transformer"), quiet_night(), math.nan).run(60.0)
    assert unknown.t1.high <= T1.i_rated_a * (1.0 + 1e-9)


def test_losing_the_meter_of_the_transformer_brings_it_back_to_its_nameplate() -> None:
    course = Course(load_scenario("cold_transformer"), quiet_night()).run(200.0)
    assert course.true_a[-1] > 1.1 * T1.i_rated_a
    course.world.inject(Fault(FaultKind.SILENT, "MT1", for_s=HOUR_S))
    course.run(60.0)
    assert course.t1.high == pytest.approx(T1.i_rated_a)
    assert course.true_a[-1] <= T1.i_rated_a
