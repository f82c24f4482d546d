"""The ladder from trim to trip: when it climbs, whom it takes, how it comes down, what a restart keeps."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "control"))
import core_kit as kit

from controller.domain.escalation import Rungs
from controller.domain.instruction import Action, Instruction, Standing
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.limits.escalation.ladder import Watch, due, next_to_trip, trimmed, watch
from controller.limits.escalation.offenders import ISOLATED_S, LASTING_S, OFFENCES, Conduct, observe
from controller.limits.escalation.pushers import watched_limits
from controller.limits.escalation.reason import EscalationReason

RUNGS = Rungs()
UTC_S = 1.8e9


def watched(course: list[float], dt_s: float = 1.0) -> Watch:
    found = Watch()
    for loading in course:
        found = watch(found, loading, dt_s, RUNGS)
    return found


@pytest.mark.parametrize(
    ("loading", "seconds", "rung"),
    [
        (1.02, 600, None),
        (1.04, 5, None),
        (1.04, 7, "trim"),
        (1.04, 600, "trim"),
        (1.07, 31, "trip"),
        (1.12, 11, "trip"),
        (1.25, 7, "trip_all"),
    ],
)
def test_the_more_a_limit_is_exceeded_the_sooner_and_the_harder_the_ladder_acts(
    loading: float, seconds: int, rung: str | None
) -> None:
    found = due(watched([loading] * seconds), RUNGS)
    assert (found.name if found else None) == rung


def test_an_excess_that_falls_as_fast_as_healthy_units_can_make_it_is_left_to_the_dispatch() -> None:
    assert due(watched([1.27, 1.26, *(1.26 - 0.026 * k for k in range(1, 11))]), RUNGS) is None


def test_a_meter_that_says_nothing_neither_starts_nor_stops_a_clock() -> None:
    before = watched([1.12] * 8)
    assert watch(before, math.nan, 1.0, RUNGS) == before


def test_a_rung_is_never_sooner_than_twice_the_answer_of_a_healthy_unit() -> None:
    slow = Rungs().not_before(20.0)
    assert all(rung.after_s >= 40.0 for rung in slow.rising)
    assert slow.answer_s == 20.0


@given(st.lists(st.floats(0.0, 1e7), min_size=1, max_size=6), st.floats(0.0, 2e7))
def test_a_trim_takes_the_excess_from_all_in_equal_shares_and_never_more_than_there_is(
    output_w: list[float], excess_w: float
) -> None:
    kept = trimmed(output_w, excess_w)
    assert all(0.0 <= k <= w for k, w in zip(kept, output_w, strict=True))
    assert sum(output_w) - sum(kept) == pytest.approx(min(excess_w, sum(output_w)), rel=1e-6, abs=1e-3)


def test_the_deaf_are_disconnected_before_those_who_obey_and_the_large_before_the_small() -> None:
    assert next_to_trip([5.0, 3.0, 1.0], [False, False, True]) == 2
    assert next_to_trip([5.0, 3.0, 0.0], [False, False, True]) == 0
    assert next_to_trip([0.0, 0.0], [True, True]) is None


def deaf_for(conduct: Conduct, now_s: float, lasts_s: float, every_s: float = 1.0) -> tuple[Conduct, float]:
    """Deaf from ``now_s`` on, looked at ``every_s``, then obeying for half a minute; the conduct and when that is."""
    end_s = now_s + lasts_s
    while now_s < end_s:
        conduct, now_s = observe(conduct, True, now_s), now_s + every_s
    return observe(conduct, False, end_s + 1.0), end_s + 30.0


def test_who_turns_deaf_three_times_within_the_hour_is_isolated_for_an_hour() -> None:
    conduct, now_s = Conduct(), 0.0
    for _ in range(OFFENCES):
        conduct, now_s = deaf_for(conduct, now_s, 30.0)
    assert conduct.isolated(now_s)
    assert not observe(conduct, False, now_s + ISOLATED_S).isolated(now_s + ISOLATED_S)


def test_three_times_in_three_hours_is_no_offence() -> None:
    conduct = Conduct()
    for k in range(OFFENCES):
        conduct, _ = deaf_for(conduct, 3700.0 * k, 60.0)
    assert not conduct.isolated(3700.0 * OFFENCES)


def test_who_is_late_for_a_moment_again_and_again_is_not_isolated() -> None:
    conduct, now_s = Conduct(), 0.0
    for _ in range(10 * OFFENCES):
        conduct, now_s = deaf_for(conduct, now_s, LASTING_S - 1.0)
    assert not conduct.isolated(now_s)
    for _ in range(10 * OFFENCES):  # one cycle of a slow machine
        conduct, now_s = deaf_for(conduct, now_s, 6.0, every_s=6.0)
    assert not conduct.isolated(now_s)


def test_a_unit_that_stays_deaf_has_offended_once() -> None:
    conduct, now_s = deaf_for(Conduct(), 0.0, 1800.0)
    assert not conduct.isolated(now_s)
    assert len(conduct.turned_deaf_s) == 1


def test_behind_a_transformer_is_everybody_and_behind_a_line_only_its_feeder() -> None:
    site = kit.site(kit.four_units())
    behind = {x.element: [site.units[k].id for k in x.behind] for x in watched_limits(site)}
    assert behind["T1"] == ["WIND", "PV", "BAT", "HUB"]
    assert behind["L1"] == ["WIND"]
    assert behind["L2"] == ["PV"]


class Station(kit.Loop):
    """Two generators that acknowledge everything and obey nothing, on a transformer for less than they make."""

    def __init__(self, rungs: Rungs = RUNGS) -> None:
        self.site: Site = replace(kit.site(kit.two_units()), escalation=rungs)
        plant = kit.Plant(self.site, {"WIND": 2e6, "PV": 2e6})
        super().__init__(plant)
        self.run(20)
        self.deafen(plant)

    @staticmethod
    def deafen(plant: kit.Plant) -> None:
        plant.deaf = {"WIND", "PV"}
        for name, available_w in (("WIND", 8e6), ("PV", 6e6)):
            plant.available_w[name] = plant.cap[name] = available_w
            plant.targets[name] = [(-math.inf, 8e6, 0.0)]

    def names(self) -> list[str]:
        return [e.name for r in self.records for e in r.events if e.name.startswith("escalation")]


def owners(record: CycleRecord) -> dict[str, tuple[str, ...]]:
    return {s.unit: s.causes for s in record.setpoints}


def test_when_nobody_obeys_all_are_locked_out_in_the_end_and_the_record_says_so() -> None:
    station = Station()
    record = station.run(60)
    assert station.names()[0] in ("escalation.trim", "escalation.trip", "escalation.trip_all")
    assert "escalation.trip_all" in station.names() or station.names().count("escalation.trip") == 2
    assert {s.p_w for s in record.setpoints} == {0.0}
    assert all(any(c.startswith("escalation.trip") for c in causes) for causes in owners(record).values())


def test_a_trip_of_all_stays_until_somebody_ends_it_by_hand() -> None:
    station = Station()
    station.run(60)
    station.plant.deaf = set()
    assert {s.p_w for s in station.run(900).setpoints} == {0.0}


def test_where_nobody_is_there_the_ladder_comes_down_by_itself_one_unit_at_a_time() -> None:
    station = Station(Rungs(reset_s=120.0))
    station.run(60)
    station.plant.deaf = set()
    station.run(600)
    assert station.names().count("escalation.released") >= 2
    assert station.records[-1].setpoints[0].p_w < 0.0


def test_an_order_to_reset_frees_the_unit_that_it_names_and_no_other() -> None:
    site = kit.site(kit.two_units())
    reason = EscalationReason(site)
    locked = replace(reason.initial(0.0), tripped=(0, 1), all_tripped=True)
    order = Instruction("r1", "ann", 1, UTC_S, 60.0, Action.RESET_TRIPS, "PV", reason="checked")
    freed, events = reason._come_down(locked, [Standing(order, 60.0)])
    assert freed.tripped == (0,)
    assert [e.name for e in events] == ["escalation.released"]


def test_a_restart_keeps_every_lock_out_and_lets_isolation_run_on() -> None:
    reason = EscalationReason(kit.site(kit.two_units()))
    conduct = (Conduct(), Conduct(isolated_until_s=600.0))
    before = replace(reason.initial(0.0), tripped=(1, 0), all_tripped=True, conduct=conduct)
    after = reason.load(dict(reason.dump(before)), 100.0, 5000.0)
    assert (after.tripped, after.all_tripped) == ((1, 0), True)
    assert after.conduct[1].isolated(5499.0)
    assert not after.conduct[1].isolated(5501.0)


def test_after_a_gap_of_unknown_length_isolation_begins_where_it_was() -> None:
    reason = EscalationReason(kit.site(kit.two_units()))
    before = replace(reason.initial(0.0), conduct=(Conduct(), Conduct(isolated_until_s=600.0)))
    after = reason.load(dict(reason.dump(before)), math.nan, 0.0)
    assert after.conduct[1].isolated(599.0)


@pytest.mark.parametrize(
    "document", [{}, {"tripped": ["X"], "isolated_s": {}}, {"tripped": [], "isolated_s": {"X": 1}}]
)
def test_a_memory_of_another_site_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"isolated_s|tripped"):
        EscalationReason(kit.site(kit.two_units())).load(document, 0.0, 0.0)
