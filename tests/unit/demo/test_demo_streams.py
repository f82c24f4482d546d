"""What the demo makes of the lines it reads: the truth, the journal, the causes, the cycle times."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest
from demo_samples import NOON_S, event, record, setting, status, uncontrolled

from simulators.demo.causes import GAP_S_MAX, CauseLedger
from simulators.demo.course import Course, limit_frac, limit_value
from simulators.demo.cycle_stats import CycleStats
from simulators.demo.day import Day
from simulators.demo.journal import PHRASES, UNTOLD, FaultWatch, Journal

SITE = setting().site


def test_the_share_of_a_limit_is_counted_as_the_simulator_scores_it() -> None:
    line = status()
    by_id = {limit.id: limit_frac(limit, limit_value(limit, line["truth"])) for limit in SITE.limits}
    assert by_id["T1.thermal"] == pytest.approx(327.4 / 330.6645, rel=1e-4)
    assert by_id["N3.voltage"] == pytest.approx((11640.0 - 11000.0) / 660.0)
    assert by_id["N4.voltage"] == pytest.approx(100.0 / 660.0)


def test_export_and_import_are_magnitudes_in_their_own_direction() -> None:
    limits = {limit.id: limit for limit in setting(name="ev_charging").site.limits}
    truth = {"interface_p_w": -30e3}
    assert limit_value(limits["export"], truth) == 30e3
    assert limit_value(limits["import"], truth) == 0.0
    assert math.isnan(limit_value(limits["import"], {"interface_p_w": None}))


def test_an_answer_to_a_command_is_no_status_line() -> None:
    course = Course(SITE)
    course.take({"ok": False, "error": "no"})
    assert course.newest is None


def test_the_other_world_is_looked_up_at_the_same_instant_and_never_beyond_what_is_known() -> None:
    course = Course(SITE)
    for t_s in (60.0, 120.0, 180.0):
        course.take(uncontrolled(t_s))
    found = course.at(150.0)
    assert found is not None
    assert found.t_s == 120.0
    assert course.at(30.0) is None
    assert course.at(180.0 + 301.0) is None
    assert course.score_at(130.0)["duration_s"] == 120.0
    assert course.score_at(1e6) == {}


def test_the_last_status_line_says_that_the_day_is_over() -> None:
    course = Course(SITE)
    course.take(status(60.0))
    assert not course.over
    course.take({"final": True, "t_s": 120.0, "score": {"duration_s": 120.0}})
    assert course.over
    assert course.score_at(120.0)["duration_s"] == 120.0


def test_a_cause_is_charged_from_its_record_to_the_next() -> None:
    ledger = CauseLedger()
    ledger.take(record(1, 100.0, causes={"WIND1": ["T1.thermal"]}))
    ledger.take(record(2, 103.6, causes={"WIND1": ["T1.thermal", "N3.voltage"]}))
    ledger.take(record(3, 107.2, causes={}))
    ledger.take(record(4, 110.8, causes={}))
    assert ledger.of("WIND1") == {"T1.thermal": 7.2, "N3.voltage": 3.6}
    assert ledger.of("PVA") == {}


def test_a_silence_between_records_is_charged_to_nobody() -> None:
    ledger = CauseLedger()
    ledger.take(record(1, 100.0))
    ledger.take(record(2, 100.0 + GAP_S_MAX + 1.0))
    assert ledger.of("WIND1") == {}


def test_what_happens_to_several_limits_at_once_is_one_line() -> None:
    journal = Journal(SITE.limits)
    journal.controller(10.0, [event("limit.unseen", "BB.voltage"), event("limit.unseen", "N4.voltage")])
    journal.controller(13.6, [event("limit.unseen", "T1.thermal")])
    assert [journal.sentence(entry) for entry in journal.entries] == [
        "T1 current and BB, N4 voltage no longer measured"
    ]


def test_a_limit_that_binds_on_and_off_is_told_once_and_counted_always() -> None:
    journal = Journal(SITE.limits)
    for k in range(20):
        journal.controller(k * 40.0, [event("limit.bound", "T1.thermal")])
        journal.controller(k * 40.0 + 20.0, [event("limit.released", "T1.thermal")])
    assert [journal.sentence(entry) for entry in journal.entries] == ["units held back by T1 current"]
    assert journal.counts == {"limit.bound": 20, "limit.released": 20}


def test_several_limits_named_in_one_event_are_listed_by_kind() -> None:
    journal = Journal(SITE.limits)
    journal.controller(0.0, [event("site.infeasible", "T1.thermal, T2.thermal, N3.voltage")])
    journal.controller(0.0, [event("mode.changed", "site", "normal -> degraded")])
    sentences = [journal.sentence(entry) for entry in journal.entries]
    assert sentences == ["cannot keep T1, T2 current and N3 voltage", "mode normal → degraded"]


def test_units_lost_together_are_listed() -> None:
    journal = Journal(SITE.limits)
    journal.controller(0.0, [event("unit.lost", "BAT1"), event("unit.lost", "PVA")])
    assert [journal.sentence(entry) for entry in journal.entries] == ["BAT1, PVA lost, told to be safe"]


def test_faults_begin_and_end_by_the_clock_and_are_told_once() -> None:
    old = {"kind": "killed", "device": "MF1", "start_s": -1800.0, "end_s": None}
    fault = {"kind": "silent", "device": "MT1", "start_s": 1800.0, "end_s": 2400.0}
    watch, journal = FaultWatch(), Journal(SITE.limits)
    for t_s, told in ((1700.0, [old]), (1900.0, [old, fault]), (2000.0, [old, fault]), (9000.0, [old, fault])):
        for news in watch.take(told, t_s):
            journal.simulator(*news)
    assert [(entry.t_s, entry.text) for entry in journal.entries] == [
        (1800.0, "MT1 falls silent for 10 min"),
        (2400.0, "MT1 is well again"),
    ]


def test_a_fault_that_came_and_went_between_two_lines_is_told_too() -> None:
    spike = {"kind": "spike", "device": "MT1", "start_s": 1800.0, "end_s": 1800.001}
    assert [(at_s, begins) for at_s, _, begins in FaultWatch().take([spike], 1900.0)] == [
        (1800.0, True),
        (1800.001, False),
    ]


def test_a_plug_that_is_put_back_ends_when_it_was() -> None:
    pulled = {"kind": "silent", "device": "PVA", "start_s": 100.0, "end_s": None}
    watch = FaultWatch()
    assert [begins for _, _, begins in watch.take([pulled], 200.0)] == [True]
    assert watch.take([pulled], 300.0) == []
    assert [(at_s, begins) for at_s, _, begins in watch.take([pulled | {"end_s": 350.0}], 400.0)] == [(350.0, False)]


def test_a_limit_that_is_truly_broken_is_told() -> None:
    day = Day(setting())
    day.take_status(status(100.0), 0.0)
    day.take_status(status(172.0, over_s=2.0), 0.5)
    day.take_status(status(244.0, over_s=4.0), 1.0)
    assert [day.journal.sentence(entry) for entry in day.journal.entries] == ["T1 current truly above the limit"]


def test_site_time_goes_on_between_status_lines_but_not_for_long() -> None:
    day = Day(setting())
    day.take_status(status(1000.0), heard_s=10.0)
    assert day.site_s(10.25) == pytest.approx(1036.0)
    assert day.site_s(60.0) == pytest.approx(1144.0)


def test_the_cycle_times_of_the_day_are_never_better_than_those_of_its_worst_window() -> None:
    stats = CycleStats()
    assert stats.to_dict()["p99"] is None
    for seq, p50, p99, highest in ((512, 2.0, 5.0, 9.0), (700, 9.0, 99.0, 10.0), (1024, 3.0, 7.0, 8.0)):
        summary = {"p50": p50, "p99": p99, "max": highest, "missed": 4}
        stats.take(record(seq) | {"cycle_ms": summary})
    assert stats.to_dict() == {"p50": 2.5, "p99": 7.0, "max": 10.0, "missed": 4, "count": 1024}


def test_every_event_of_the_core_is_told_in_words() -> None:
    """``docs/events.md`` is held against the code by a test of its own."""
    rows = (Path(__file__).parents[3] / "docs" / "events.md").read_text(encoding="utf-8").splitlines()
    core = {row.split("`")[1] for row in rows if row.startswith("| `") and "| core |" in row}
    assert core
    assert core <= PHRASES.keys() | UNTOLD


def test_what_a_controller_did_before_it_was_started_again_still_counts() -> None:
    stats = CycleStats()
    summary = {"p50": 2.0, "p99": 5.0, "max": 9.0, "missed": 4}
    for seq, ok in ((100, 1000), (300, 3000), (1, 16), (50, 700)):
        stats.take(record(seq) | {"cycle_ms": summary, "polls": {"ok": ok, "failed": 1}})
    assert (stats.count, stats.missed) == (350, 8)
    assert dict(stats.polls) == {"ok": 3700, "failed": 2}


def test_nothing_is_shown_as_thought_while_the_box_is_off() -> None:
    day = Day(setting())
    day.take_record(record(1, 3.0), heard_s=5.0)
    day.process_ends("controller", "the box is off")
    assert day.off == {"controller"}
    assert not day.record
    assert [(entry.source, day.journal.sentence(entry)) for entry in day.journal.entries] == [("box", "the box is off")]
    day.process_begins("controller", "the box starts again")
    assert not day.off


def test_records_before_the_first_status_line_do_no_harm() -> None:
    day = Day(setting())
    day.take_record(record(1, 3.0, (event("mode.changed", "site", "boot -> normal"),)), heard_s=5.0)
    assert day.journal.entries[0].t_s == 0.0
    assert NOON_S > 0.0


def test_an_event_is_told_at_the_time_of_its_record_however_late_it_was_heard() -> None:
    day = Day(setting())
    at = (setting().began_utc + timedelta(seconds=90.0)).isoformat(timespec="milliseconds")
    day.take_status(status(400.0), 1000.0)
    day.take_record(record(1, 90.0, events=(event("unit.deaf", "PVA"),)) | {"utc": at}, 1000.9)
    assert [entry.t_s for entry in day.journal.entries] == [90.0]
