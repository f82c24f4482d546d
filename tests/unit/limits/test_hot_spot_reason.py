"""What a transformer may carry by its temperatures: more when cold, less when hot, the rating when nothing is known."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import thermal_kit as kit
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.state import initial_state
from controller.domain.measurement import Quality
from controller.domain.thermal import TransformerThermal
from controller.estimation.transformer_state import parameters_of
from controller.limits.in_force import Arbiter, Situation, dump, restore
from controller.limits.transformer import HotSpot, HotSpotMemory, hot_spots
from controller.physics.transformer_thermal import steady_state, step
from controller.recording.format import state_from_tree, state_to_tree

HOUR_S = 3600.0
STEP_S = 30.0
OIL = "branch.T1.top_oil_c"
AIR = "ambient.temp_c"
PARAMETERS = parameters_of(kit.ONAN)


def reason(thermal: TransformerThermal = kit.ONAN, **changes: Any) -> HotSpot:
    (found,) = hot_spots(kit.site(thermal, **changes))
    return found


class Run:
    """One reason through time, half a minute at a step."""

    def __init__(self, watched: HotSpot, memory: HotSpotMemory | None = None) -> None:
        self.reason = watched
        self.memory = watched.initial(0.0) if memory is None else memory
        self.now_s = 0.0
        self.events: list[str] = []

    def go(self, hours: float, load_pu: float, points: Mapping[str, float] | None = None, **more: Any) -> Run:
        for _ in range(round(hours * HOUR_S / STEP_S)):
            self.now_s += STEP_S
            self.ask(kit.situation(self.now_s, load_pu, points, **more))
        return self

    def ask(self, here: Situation) -> None:
        self.memory, (self.proposal,), events = self.reason.propose(self.memory, here)
        self.events += [event.name for event in events]

    @property
    def limit_pu(self) -> float:
        assert self.proposal.high is not None
        return self.proposal.high / kit.I_RATED_A

    @property
    def cause(self) -> str:
        return self.proposal.cause

    @property
    def facts(self) -> Mapping[str, float]:
        return self.proposal.facts


def settled(load_pu: float, air_c: float, watched: HotSpot | None = None) -> Run:
    """A transformer that has carried that load in that air for ever, watched all the time, and is looked at once."""
    watched = reason() if watched is None else watched
    state = steady_state(watched.watch.parameters, load_pu, air_c)
    known = replace(watched.initial(0.0).warmth, state=state, hottest=state, coldest=state, ageing_day=0.0)
    return Run(watched, HotSpotMemory(known, measured_ambient=True)).go(STEP_S / HOUR_S, load_pu, {AIR: air_c})


def test_after_a_cold_start_the_transformer_counts_as_hot_as_rated_load_in_the_hottest_month_makes_it() -> None:
    run = Run(reason())
    run.ask(kit.situation(0.0, 0.2))
    hot = steady_state(PARAMETERS, 1.0, max(kit.MONTHS_C))
    assert run.facts["hot_spot_c"] == pytest.approx(hot.hot_spot_c)
    assert run.limit_pu < 1.2


STEADY = [
    # load, air °C: expected cause, and what the limit must be
    (0.3, -5.0, "T1.load_cap", lambda pu: pu == 1.5),
    (1.0, 12.0, "T1.hot_spot", lambda pu: 1.2 < pu < 1.5),
    (1.0, 20.0, "T1.hot_spot", lambda pu: 1.05 < pu < 1.3),
    (1.0, 40.0, "T1.hot_spot", lambda pu: 0.9 < pu < 1.0),
    (1.1, 40.0, "T1.hot_spot", lambda pu: 0.0 < pu < 0.9),
]


@pytest.mark.parametrize(("load_pu", "air_c", "cause", "right"), STEADY)
def test_a_cold_transformer_may_carry_more_than_its_rating_and_a_hot_one_less(
    load_pu: float, air_c: float, cause: str, right: Callable[[float], bool]
) -> None:
    run = settled(load_pu, air_c)
    assert right(run.limit_pu), run.limit_pu
    assert run.cause == cause


def test_the_load_that_is_allowed_can_be_held_for_the_horizon() -> None:
    """Checked by the exact recursion, minute by minute: the hot spot arrives at its limit and not above."""
    run = settled(0.8, 25.0)
    state, hottest_c = run.memory.warmth.state, 0.0
    for _ in range(30):
        state = step(PARAMETERS, state, run.limit_pu, 25.0, 60.0)
        hottest_c = max(hottest_c, state.hot_spot_c)
    assert hottest_c == pytest.approx(120.0, abs=0.2)


def test_top_oil_binds_where_it_is_the_weaker_part() -> None:
    run = settled(0.7, 20.0, reason(replace(kit.ONAN, top_oil_c_max=70.0)))
    assert run.cause == "T1.top_oil"


def test_following_the_limit_for_a_day_never_overheats_and_ends_at_the_hot_spot_limit() -> None:
    run = settled(0.3, 10.0)
    highest_c, load_pu = 0.0, run.limit_pu
    assert load_pu == pytest.approx(1.5)
    for _ in range(12 * 12):
        run.go(5 / 60, load_pu, {AIR: 10.0})
        load_pu = run.limit_pu
        highest_c = max(highest_c, run.facts["hot_spot_c"])
    assert 119.0 < highest_c <= 120.05
    assert 1.1 < load_pu < 1.35


def test_an_unmeasured_load_counts_as_rated_and_lifts_nothing() -> None:
    cold = settled(0.2, 0.0)
    assert cold.limit_pu == 1.5
    cold.go(STEP_S / HOUR_S, 0.2, {AIR: 0.0}, age_s=60.0)
    assert (cold.limit_pu, cold.cause) == (1.0, "T1.unproven")
    before_c = cold.facts["top_oil_c"]
    cold.go(2.0, 0.2, {AIR: 0.0}, age_s=60.0)
    assert cold.facts["top_oil_c"] > before_c + 20.0


@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.STALE, Quality.BAD, Quality.MISSING])
def test_air_that_is_not_measured_well_is_as_hot_as_its_month_can_be(quality: Quality) -> None:
    run = Run(reason()).go(1.0, 0.8, {AIR: 5.0}, utc_s=kit.JULY_S)
    assert (run.facts["ambient_c"], run.facts["ambient_measured"]) == (5.0, 1.0)
    run.go(0.1, 0.8, {AIR: 5.0}, utc_s=kit.JULY_S, quality=quality)
    assert (run.facts["ambient_c"], run.facts["ambient_measured"]) == (28.0, 0.0)
    assert run.events == ["ambient.measured", "ambient.assumed"]


def test_the_month_decides_what_is_assumed_and_without_a_date_the_hottest_does() -> None:
    for utc_s, expected_c in ((kit.JANUARY_S, 8.0), (kit.JULY_S, 28.0), (math.nan, 28.0)):
        assert Run(reason()).go(0.1, 0.5, utc_s=utc_s).facts["ambient_c"] == expected_c


def test_air_colder_than_its_month_can_be_is_a_broken_sensor() -> None:
    assert Run(reason()).go(0.1, 0.5, {AIR: -15.0}, utc_s=kit.JULY_S).facts["ambient_c"] == 28.0


def test_the_air_at_the_transformer_counts_before_the_air_at_the_site() -> None:
    both = {AIR: 10.0, "branch.T1.ambient_c": 19.0}
    assert Run(reason()).go(0.1, 0.5, both).facts["ambient_c"] == 19.0


def test_a_closed_room_is_warmer() -> None:
    roomy = replace(kit.ONAN, ambient_surcharge_k=10.0)
    assert Run(reason(roomy)).go(0.1, 0.5, {AIR: 10.0}).facts["ambient_c"] == 20.0


def test_a_measured_top_oil_takes_the_place_of_the_modelled_one() -> None:
    run = settled(0.9, 20.0)
    modelled_c, without = run.facts["top_oil_c"], run.limit_pu
    run.go(0.1, 0.9, {AIR: 20.0, OIL: modelled_c - 8.0})
    assert run.facts["top_oil_c"] == modelled_c - 8.0
    assert run.limit_pu > without


def test_when_its_sensor_falls_silent_the_oil_goes_on_from_where_it_was() -> None:
    run = settled(0.7, 20.0)
    modelled_c = run.facts["top_oil_c"]
    run.go(0.1, 0.7, {AIR: 20.0, OIL: modelled_c + 8.0}).go(STEP_S / HOUR_S, 0.7, {AIR: 20.0})
    assert run.facts["top_oil_c"] == pytest.approx(modelled_c + 8.0, abs=0.2)


@pytest.mark.parametrize("says_c", [-60.0, 0.0, 25.0, 200.0, 1e9])
def test_oil_that_the_model_cannot_explain_from_below_or_from_beyond_is_refused(says_c: float) -> None:
    run = settled(0.9, 20.0)
    modelled_c = run.facts["top_oil_c"]
    run.go(0.1, 0.9, {AIR: 20.0, OIL: says_c})
    assert run.facts["top_oil_c"] == pytest.approx(modelled_c, abs=0.5)
    assert run.events[-1] == "oil.refused"
    assert run.limit_pu <= 1.0


def test_oil_hotter_than_the_model_can_explain_counts_because_cooling_may_have_failed() -> None:
    run = settled(0.6, 20.0).go(0.1, 0.6, {AIR: 20.0, OIL: 101.0})
    assert run.facts["top_oil_c"] == 101.0
    assert run.limit_pu < 1.0
    assert run.events[-1] == "oil.refused"
    run.go(0.5, 0.6, {AIR: 20.0, OIL: 60.0})
    assert run.events[-1] == "oil.believed"


def test_an_oil_sensor_lifts_nothing_before_it_was_ever_tested() -> None:
    """Just after an unknown past almost any reading is possible."""
    run = Run(reason()).go(0.5, 0.3, {AIR: 5.0, OIL: 20.0})
    assert (run.limit_pu, run.cause) == (1.0, "T1.unproven")
    run.go(12.0, 0.3, {AIR: 5.0, OIL: 22.0})
    assert run.limit_pu == 1.5


def test_a_winding_sensor_can_prove_heat_but_not_cold() -> None:
    run = settled(0.7, 20.0)
    modelled_c = run.facts["hot_spot_c"]
    assert Run(run.reason, run.memory).go(0.0, 0.0).memory == run.memory
    run.go(0.1, 0.7, {AIR: 20.0, "branch.T1.hot_spot_c": modelled_c - 20.0})
    assert run.facts["hot_spot_c"] == pytest.approx(modelled_c, abs=0.2)
    run.go(0.1, 0.7, {AIR: 20.0, "branch.T1.hot_spot_c": modelled_c + 20.0})
    assert run.facts["hot_spot_c"] == pytest.approx(modelled_c + 20.0)


def test_a_day_at_98_degrees_costs_normal_paper_a_day_of_life() -> None:
    """Relative ageing rate 1 at 98 °C: IEC 60076-7; 1 day at 100 °C costs 1.26 days."""
    run = Run(reason())
    hot = replace(steady_state(PARAMETERS, 0.0, 78.0), top_oil_c=100.0)
    warmth = replace(run.memory.warmth, state=hot)
    aged = run.reason.watch._warm(warmth, 0.0, 100.0, 0.0)
    assert run.reason.watch.rate(aged.state) == pytest.approx(1.26, abs=0.001)


def test_life_lost_and_rate_are_shown_with_the_limit() -> None:
    run = settled(1.0, 20.0)
    before_s = run.facts["life_lost_s"]
    run.go(1.0, 1.0, {AIR: 20.0})
    assert run.facts["ageing_rate"] == pytest.approx(2.0 ** ((run.facts["hot_spot_c"] - 98.0) / 6.0))
    assert run.facts["life_lost_s"] - before_s == pytest.approx(HOUR_S * run.facts["ageing_rate"], rel=0.01)


@pytest.mark.parametrize(
    ("ageing_day", "highest_c"), [(0.0, 120.0), (0.8, 120.0), (0.9, 109.0), (1.0, 98.0), (9.0, 98.0)]
)
def test_an_ageing_budget_leads_the_hot_spot_back_to_normal_ageing(ageing_day: float, highest_c: float) -> None:
    run = settled(0.9, 25.0, reason(replace(kit.ONAN, ageing_rate_max=1.0)))
    warmth = replace(run.memory.warmth, ageing_day=ageing_day)
    run.memory = replace(run.memory, warmth=warmth, slot=-1)
    run.ask(kit.situation(run.now_s, 0.9, {AIR: 25.0}))
    state = run.memory.warmth.state
    hottest_c = max(step(PARAMETERS, state, run.limit_pu, 25.0, 60.0 * k).hot_spot_c for k in range(31))
    assert hottest_c == pytest.approx(highest_c, abs=0.2)


floats = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-60.0, 160.0)


@settings(max_examples=100, deadline=None)
@given(
    load_pu=floats, air_c=floats, oil_c=floats, hot_c=floats, age_s=floats, utc_s=st.sampled_from([math.nan, 1.78e9])
)
def test_whatever_is_read_the_limit_stays_within_cap_and_rating(
    load_pu: float, air_c: float, oil_c: float, hot_c: float, age_s: float, utc_s: float
) -> None:
    watched = reason()
    points = {AIR: air_c, OIL: oil_c, "branch.T1.hot_spot_c": hot_c}
    run = Run(watched)
    run.ask(kit.situation(60.0, load_pu, points, age_s=age_s, utc_s=utc_s))
    in_force = Arbiter(kit.site().limits).narrow((run.proposal,))
    assert 0.0 <= in_force.high[0] <= 1.5 * kit.I_RATED_A
    if not age_s <= 3.0 or not math.isfinite(load_pu):
        assert in_force.high[0] <= kit.I_RATED_A + 1e-9


@settings(max_examples=30, deadline=None)
@given(load_pu=st.floats(0.0, 1.3), air_c=st.floats(-5.0, 40.0), what=st.sampled_from(["air", "oil", "load", "date"]))
def test_losing_any_measurement_never_widens_the_limit(load_pu: float, air_c: float, what: str) -> None:
    """From a transformer in balance, whose oil sensor says what the model says."""
    run = settled(load_pu, air_c)
    oil_c = run.memory.warmth.state.top_oil_c
    run.go(0.1, load_pu, {AIR: air_c, OIL: oil_c}, utc_s=kit.JULY_S)
    points = {AIR: air_c, OIL: oil_c}
    points.pop({"air": AIR, "oil": OIL}.get(what, ""), None)
    age_s, utc_s = (100.0 if what == "load" else 0.5), (math.nan if what == "date" else kit.JULY_S)
    before_pu = run.limit_pu
    run.ask(kit.situation(run.now_s + 0.01, load_pu, points, age_s=age_s, utc_s=utc_s))
    assert run.limit_pu <= before_pu + (2e-3 if air_c <= 28.0 else 1.0)


def at_gap(run: Run, gap_s: float) -> tuple[Run, list[str]]:
    """The reason after a restart ``gap_s`` later, through the text of a file."""
    document = json.loads(json.dumps(dump([run.reason], {run.reason.key: run.memory}), allow_nan=False))
    kept, events = restore([run.reason], document, gap_s, run.now_s)
    again = Run(run.reason, kept.get(run.reason.key))
    again.now_s = run.now_s
    return again, [event.name for event in events]


def test_a_day_cut_in_two_by_a_restart_ends_like_one_in_one_piece() -> None:
    whole, first = Run(reason()), Run(reason())
    for hours, load_pu in ((6.0, 0.5), (3.0, 1.2)):
        whole.go(hours, load_pu, {AIR: 15.0})
        first.go(hours, load_pu, {AIR: 15.0})
    second, events = at_gap(first, 0.0)
    for hours, load_pu in ((4.0, 0.9), (3.0, 0.4)):
        whole.go(hours, load_pu, {AIR: 15.0})
        second.go(hours, load_pu, {AIR: 15.0})
    assert events == []
    assert second.limit_pu == whole.limit_pu
    assert second.facts == whole.facts


GAPS = [(0.0, 0.0, 0.01), (600.0, 2.0, 12.0), (6 * HOUR_S, 25.0, 80.0), (1e7, 60.0, 80.0)]


@pytest.mark.parametrize(("gap_s", "least_k", "most_k"), GAPS)
def test_an_unwatched_gap_counts_at_rated_load_in_the_hottest_month(
    gap_s: float, least_k: float, most_k: float
) -> None:
    run = settled(0.2, 5.0)
    again, _ = at_gap(run, gap_s)
    warmer_k = again.memory.warmth.state.top_oil_c - run.memory.warmth.state.top_oil_c
    assert least_k <= warmer_k <= most_k
    hot = again.reason.initial(0.0).warmth.state
    assert again.memory.warmth.state.top_oil_c <= hot.top_oil_c + 1e-6


@pytest.mark.parametrize("gap_s", [math.nan, -5.0])
def test_an_unknown_gap_makes_it_hot_and_keeps_what_the_paper_has_lost(gap_s: float) -> None:
    run = settled(0.2, 5.0)
    again, events = at_gap(run, gap_s)
    assert events == []
    assert again.memory.warmth.state == again.reason.initial(0.0).warmth.state
    assert again.memory.warmth.life_lost_s == run.memory.warmth.life_lost_s > 0.0


NONSENSE: list[Callable[[dict[str, Any]], object]] = [
    lambda d: d.pop("state"),
    lambda d: d.update(state=3),
    lambda d: d["state"].update(top_oil_c="warm"),
    lambda d: d["hottest"].update(top_oil_c=float("nan")),
    lambda d: d["coldest"].update(rise_fast_k=1e6),
    lambda d: d.update(coldest=d["hottest"], hottest=d["coldest"]),
    lambda d: d.update(life_lost_s=-1.0),
    lambda d: d.update(oil="slippery"),
    lambda d: d.update(ageing_day=True),
]


@pytest.mark.parametrize("spoil", NONSENSE)
def test_a_memory_that_makes_no_sense_is_refused_and_starts_hot(spoil: Callable[[dict[str, Any]], object]) -> None:
    run = Run(reason()).go(2.0, 0.2, {AIR: 5.0})
    document = json.loads(json.dumps(dump([run.reason], {run.reason.key: run.memory})))
    spoil(document[run.reason.key])
    kept, events = restore([run.reason], document, 0.0, 0.0)
    assert kept == {}
    assert [event.name for event in events] == ["memory.refused"]


def test_a_recording_holds_the_memory_to_the_last_bit() -> None:
    site = kit.site()
    state = initial_state(site)
    run = Run(reason()).go(1.0, 0.7, {AIR: 15.0})
    state = replace(state, reasons={run.reason.key: run.memory})
    tree = json.loads(json.dumps(state_to_tree(state)))
    assert state_from_tree(tree, state.engine).reasons == state.reasons
