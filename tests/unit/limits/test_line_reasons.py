"""What lines may carry: by the season, by the weather, by what a cable carried before; never more on missing data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import core_kit
import pytest
import thermal_kit as kit
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.limit import Limit, LimitKind
from controller.domain.measurement import Quality
from controller.domain.site import Site
from controller.domain.thermal import CableThermal, DesignWeather, Overhead, Season
from controller.limits.cable import CableMemory, CableRating, cable_ratings
from controller.limits.in_force import Arbiter, Reason, Situation, dump, restore
from controller.limits.overhead import OverheadMemory, OverheadRating, overhead_ratings
from controller.limits.season import Seasons, seasons
from controller.physics.cable_thermal import Cable, conductor_c
from controller.physics.sunshine import normal_w_per_m2_max

STATIC_A = 500.0
HOUR_S = 3600.0
AIR, WIND, WIND_FROM, SUN = (f"ambient.{q}" for q in ("temp_c", "wind_m_per_s", "wind_deg", "solar_w_per_m2"))
# Drake, as in the worked example of IEEE 738; the example's sun is 22.44 W/m on the conductor.
DRAKE = Overhead(0.02812, 7.283e-5, 8.688e-5, 100.0, azimuth_deg=90.0, wind_share_frac=1.0, load_pu_max=3.0)
EXAMPLE_SUN_W_PER_M2 = 22.44 / (0.8 * 0.02812)
XLPE = CableThermal(90.0, 105.0, 20.0, 4 * HOUR_S, 1.05, HOUR_S, 10 * HOUR_S, 1.4)


def utc_s(month: int, day: int, hour: int = 12, year: int = 2026) -> float:
    return datetime(year, month, day, hour, tzinfo=UTC).timestamp()


DESIGN = DesignWeather()


def site(limit: Limit, weather: DesignWeather = DESIGN, **line: Any) -> Site:
    topology = core_kit.topology()
    first = replace(topology.lines[0], **line)
    topology = replace(topology, lines=(first, *topology.lines[1:]))
    return core_kit.site(limits=(limit,), topology=topology, weather=weather, timezone="Europe/London")


class Run:
    """One reason through time; the load is that of L1, per unit of 500 A."""

    def __init__(self, reason: Reason[Any]) -> None:
        self.reason, self.memory, self.now_s = reason, reason.initial(0.0), 0.0
        self.events: list[str] = []

    def ask(self, step_s: float, load_pu: float = 0.0, points: Mapping[str, float] | None = None, **more: Any) -> Run:
        self.now_s += step_s
        here = kit.situation(self.now_s, 0.0, points, **more)
        here.estimate.branch_ip_a[0] = load_pu * STATIC_A
        self.look(here)
        return self

    def look(self, here: Situation) -> None:
        self.memory, (self.proposal,), events = self.reason.propose(self.memory, here)
        self.events += [event.name for event in events]

    def go(self, seconds: float, load_pu: float, points: Mapping[str, float] | None = None, **more: Any) -> Run:
        for _ in range(round(seconds / 20.0)):
            self.ask(20.0, load_pu, points, **more)
        return self

    @property
    def high_a(self) -> float:
        assert self.proposal.high is not None
        return self.proposal.high


# Seasons ------------------------------------------------------------------------------------------------------------

WINTER = Season("winter", (((12, 1), (2, 31)),), 600.0)
SUMMER = Season("summer", (((5, 1), (8, 31)),), 430.0)
HEAT = Season("heat", (((7, 1), (7, 31)),), 400.0)
REST = Season("L1", (), STATIC_A)
SEASONAL = Limit("L1.thermal", LimitKind.THERMAL, "L1", 600.0, rated=400.0, seasons=(WINTER, SUMMER, HEAT, REST))

DAYS = [
    (utc_s(1, 15), 600.0, "season.winter"),
    (utc_s(12, 1, 0), 600.0, "season.winter"),
    (utc_s(11, 30, 23), 500.0, "season.L1"),
    (utc_s(4, 30, 22), 500.0, "season.L1"),
    (utc_s(4, 30, 23), 430.0, "season.summer"),  # midnight in London is 23:00 UTC in summer
    (utc_s(8, 31, 22), 430.0, "season.summer"),
    (utc_s(8, 31, 23), 500.0, "season.L1"),
    (utc_s(7, 15), 400.0, "season.heat"),
    (math.nan, 400.0, "season.unknown"),
]


@pytest.mark.parametrize(("at_s", "rated_a", "cause"), DAYS)
def test_the_season_at_the_site_decides_and_without_a_date_the_lowest_of_the_year(
    at_s: float, rated_a: float, cause: str
) -> None:
    (reason,) = seasons(site(SEASONAL))
    run = Run(reason).ask(1.0, utc_s=at_s)
    assert (run.high_a, run.proposal.cause) == (rated_a, cause)


def test_a_year_with_gaps_rests_on_its_lowest_rating() -> None:
    limit = replace(SEASONAL, seasons=(WINTER, SUMMER))
    run = Run(Seasons(site(limit))).ask(1.0, utc_s=utc_s(10, 1))
    assert (run.high_a, run.proposal.cause) == (400.0, "season.unknown")


def test_a_site_without_seasons_has_no_such_reason() -> None:
    assert list(seasons(site(replace(SEASONAL, seasons=())))) == []


# Overhead lines -----------------------------------------------------------------------------------------------------

OVERHEAD_LIMIT = Limit("L1.thermal", LimitKind.THERMAL, "L1", 3 * STATIC_A, rated=STATIC_A)


def overhead(over: Overhead = DRAKE, weather: DesignWeather = DESIGN) -> OverheadRating:
    (found,) = overhead_ratings(site(OVERHEAD_LIMIT, weather, overhead=over))
    return found


def settled_a(points: Mapping[str, float], over: Overhead = DRAKE, **more: Any) -> float:
    """The rating after hours of the same weather."""
    return Run(overhead(over)).go(2 * HOUR_S, 0.0, points, **more).high_a


EXAMPLE = {AIR: 40.0, WIND: 0.61, WIND_FROM: 180.0}


def test_the_worked_example_of_ieee_738_comes_out() -> None:
    """1025 A: Drake at 100 °C, 40 °C air, 0.61 m/s across, 22.44 W/m of sun."""
    reason = overhead(weather=DesignWeather(solar_w_per_m2=EXAMPLE_SUN_W_PER_M2))
    assert Run(reason).go(2 * HOUR_S, 0.0, EXAMPLE).high_a == pytest.approx(1025.0, abs=2.0)


WEATHER = [
    ({AIR: 30.0}, 1.0),  # colder air
    ({WIND: 3.0}, 1.0),  # more wind
    ({SUN: 0.0}, 1.0),  # night
    ({AIR: 45.0}, -1.0),
    ({WIND: 0.0}, -1.0),
    ({WIND_FROM: 90.0}, -1.0),  # along the line
    ({SUN: 1100.0}, -1.0),
]


@pytest.mark.parametrize(("change", "sign"), WEATHER)
def test_the_rating_follows_the_weather(change: Mapping[str, float], sign: float) -> None:
    assert (settled_a({**EXAMPLE, **change}) - settled_a(EXAMPLE)) * sign > 1.0


@pytest.mark.parametrize("from_deg", [0.0, 180.0, 360.0])
def test_wind_from_either_side_cools_alike(from_deg: float) -> None:
    assert settled_a({**EXAMPLE, WIND_FROM: from_deg}) == pytest.approx(settled_a(EXAMPLE))


def test_wind_of_unknown_direction_counts_as_along_the_line() -> None:
    along = settled_a({**EXAMPLE, WIND_FROM: 90.0})
    assert settled_a({AIR: 40.0, WIND: 0.61}) == pytest.approx(along)
    assert settled_a(EXAMPLE, replace(DRAKE, azimuth_deg=None)) == pytest.approx(along)


def test_better_weather_is_believed_slowly_and_worse_at_once() -> None:
    run = Run(overhead()).go(2 * HOUR_S, 0.0, EXAMPLE)
    calm_a = run.high_a
    gust_a = run.go(60.0, 0.0, {**EXAMPLE, WIND: 10.0}).high_a
    assert calm_a < gust_a < calm_a + 0.15 * (settled_a({**EXAMPLE, WIND: 10.0}) - calm_a)
    assert run.go(20.0, 0.0, EXAMPLE).high_a == pytest.approx(calm_a, rel=1e-4)


@pytest.mark.parametrize("quality", [Quality.UNCERTAIN, Quality.STALE, Quality.BAD, Quality.MISSING])
def test_without_a_thermometer_the_static_rating_is_never_exceeded(quality: Quality) -> None:
    cold = {AIR: 0.0, WIND: 5.0, WIND_FROM: 0.0, SUN: 0.0}
    run = Run(overhead()).go(2 * HOUR_S, 0.0, cold)
    assert run.high_a > 2.0 * STATIC_A
    run.ask(1.0, 0.0, cold, quality=quality)
    assert (run.high_a, run.proposal.cause) == (STATIC_A, "L1.unproven")


def test_lost_wind_and_sun_are_the_design_weather() -> None:
    design = DesignWeather(wind_m_per_s=0.5, wind_angle_deg=45.0, solar_w_per_m2=1000.0)
    at_design = overhead(weather=design)
    lost_a = Run(at_design).go(2 * HOUR_S, 0.0, {AIR: 40.0}).high_a
    stated = {AIR: 40.0, WIND: 0.5, WIND_FROM: 45.0}
    assert lost_a == pytest.approx(Run(at_design).go(2 * HOUR_S, 0.0, stated).high_a)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.floats(-50.0, 1200.0), min_size=4, max_size=4))
def test_no_weather_reading_lifts_the_limit_above_its_cap_or_breaks_it(values: list[float]) -> None:
    run = Run(overhead()).ask(1.0, 0.0, dict(zip((AIR, WIND, WIND_FROM, SUN), values, strict=True)))
    in_force = Arbiter((OVERHEAD_LIMIT,)).narrow((run.proposal,))
    assert 0.0 <= in_force.high[0] <= 3 * STATIC_A


@given(st.floats(0.0, 1300.0), st.floats(0.0, 100.0))
def test_the_sun_on_a_conductor_is_never_less_than_on_the_ground(horizontal: float, more: float) -> None:
    assert horizontal <= normal_w_per_m2_max(horizontal) <= normal_w_per_m2_max(horizontal + more)


@pytest.mark.parametrize(("gap_s", "kept"), [(0.0, True), (600.0, True), (601.0, False), (math.nan, False)])
def test_the_weather_of_before_is_remembered_over_a_short_gap_only(gap_s: float, kept: bool) -> None:
    run = Run(overhead()).go(2 * HOUR_S, 0.0, EXAMPLE)
    document = json.loads(json.dumps(dump([run.reason], {run.reason.key: run.memory})))
    memories, events = restore([run.reason], document, gap_s, 0.0)
    memory: OverheadMemory = memories[run.reason.key]
    assert events == []
    assert (memory.held_a, memory.measured) == ((run.memory.held_a, True) if kept else (STATIC_A, False))


# Cables -------------------------------------------------------------------------------------------------------------

CABLE_LIMIT = Limit("L1.thermal", LimitKind.THERMAL, "L1", 1.4 * STATIC_A, rated=STATIC_A)


def cable(thermal: CableThermal = XLPE) -> CableRating:
    (found,) = cable_ratings(site(CABLE_LIMIT, cable=thermal))
    return found


NO_EMERGENCY = replace(XLPE, emergency_s_per_year=0.0)


def cool(thermal: CableThermal, heat_pu: float, used_s: float = 0.0) -> Run:
    run = Run(cable(thermal))
    run.memory = CableMemory(0.0, heat_pu, used_s, 2026, returning=used_s >= thermal.emergency_s_per_year)
    return run


def test_after_a_cold_start_a_cable_counts_as_hot_as_its_rating_makes_it() -> None:
    run = Run(cable()).ask(1.0, 1.0)
    assert run.high_a == pytest.approx(STATIC_A, rel=1e-3)
    assert run.proposal.facts["conductor_c"] == pytest.approx(90.0, abs=0.1)


@pytest.mark.parametrize("prior_pu", [0.0, 0.4, 0.8, 1.0])
def test_the_load_that_is_allowed_warms_the_cable_to_its_limit_within_the_horizon(prior_pu: float) -> None:
    model = Cable(90.0, 90.0, 4 * HOUR_S)
    run = cool(NO_EMERGENCY, prior_pu**2).ask(0.001, prior_pu)
    ends_c = conductor_c(model, prior_pu, run.high_a / STATIC_A, 20.0, HOUR_S)
    assert ends_c == pytest.approx(90.0, abs=0.05)


def test_following_the_limit_ends_at_the_rated_temperature_and_the_rating() -> None:
    run = cool(NO_EMERGENCY, 0.0).ask(1.0)
    assert run.high_a > 1.4 * STATIC_A
    for _ in range(24 * 180):
        run.ask(20.0, min(run.high_a / STATIC_A, 1.4))
        assert run.proposal.facts["conductor_c"] <= 90.1
    assert run.high_a == pytest.approx(STATIC_A, rel=0.01)


def test_an_emergency_lasts_as_long_as_its_owner_allows_and_not_longer() -> None:
    run = cool(replace(XLPE, emergency_s_per_year=2 * HOUR_S), 0.9)
    above_s, highest_c = 0.0, 0.0
    run.ask(1.0, 1.0, utc_s=utc_s(6, 1))
    for _ in range(12 * 180):
        run.ask(20.0, min(run.high_a / STATIC_A, 1.4), utc_s=utc_s(6, 1))
        highest_c = max(highest_c, run.proposal.facts["conductor_c"])
        above_s += 20.0 * (run.proposal.facts["conductor_c"] > 90.5)
    assert 95.0 < highest_c <= 105.1
    assert 1.5 * HOUR_S < above_s < 2 * HOUR_S + 120.0
    assert run.proposal.facts["conductor_c"] < 90.6
    assert run.events == ["cable.emergency", "cable.normal"]
    assert run.high_a == pytest.approx(STATIC_A, rel=0.02)


def test_a_new_year_brings_new_hours() -> None:
    run = cool(XLPE, 0.8, used_s=10 * HOUR_S).ask(1.0, 0.8, utc_s=utc_s(12, 31, 23))
    assert run.proposal.cause == "L1.conductor"
    run.ask(1.0, 0.8, utc_s=utc_s(1, 1, 1, 2027))
    assert run.proposal.cause == "L1.emergency"


@pytest.mark.parametrize(("load_pu", "age_s"), [(0.1, 60.0), (math.nan, 0.5), (0.1, math.inf), (0.1, math.nan)])
def test_an_unmeasured_cable_counts_as_fully_loaded_and_gets_no_more_than_its_rating(
    load_pu: float, age_s: float
) -> None:
    run = cool(NO_EMERGENCY, 0.0).ask(1.0, load_pu, age_s=age_s)
    assert (run.high_a, run.proposal.cause) == (STATIC_A, "L1.unproven")
    run.go(4 * HOUR_S, load_pu, age_s=age_s)
    assert run.proposal.facts["conductor_c"] == pytest.approx(20.0 + 70.0 * (1.0 - math.exp(-1.0)), abs=0.5)


@pytest.mark.parametrize(
    ("gap_s", "heat_pu"), [(0.0, 0.25), (4 * HOUR_S, 1 - 0.75 / math.e), (math.nan, 1.0), (-1.0, 1.0)]
)
def test_an_unwatched_gap_counts_at_rated_load_and_an_unknown_one_as_endless(gap_s: float, heat_pu: float) -> None:
    run = cool(XLPE, 0.25, used_s=HOUR_S)
    document = json.loads(json.dumps(dump([run.reason], {run.reason.key: run.memory})))
    memories, _ = restore([run.reason], document, gap_s, 7.0)
    assert memories[run.reason.key] == CableMemory(7.0, pytest.approx(heat_pu), HOUR_S, 2026, returning=False)


NONSENSE: list[tuple[Callable[[], Reason[Any]], dict[str, Any]]] = [
    (cable, {"heat_pu": -1.0, "emergency_s": 0.0, "year": 2026}),
    (cable, {"heat_pu": 1.0, "emergency_s": 1e12, "year": 2026}),
    (cable, {"heat_pu": 1.0, "emergency_s": 0.0}),
    (overhead, {"held_a": -1.0, "measured": 1.0}),
    (overhead, {"held_a": True, "measured": 1.0}),
    (overhead, {"held_a": 500.0}),
]


@pytest.mark.parametrize(("made", "document"), NONSENSE)
def test_a_memory_that_makes_no_sense_is_refused(made: Callable[[], Reason[Any]], document: dict[str, Any]) -> None:
    reason = made()
    kept, events = restore([reason], {reason.key: document}, 0.0, 0.0)
    assert kept == {}
    assert [event.name for event in events] == ["memory.refused"]
