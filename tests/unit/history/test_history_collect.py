"""From cycles to periods, by what the records say and nothing else."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from history_kit import BEGAN, BEGAN_S, record

from controller.history.batch import Batch
from controller.history.collect import BadRecord, Collector


def periods(collector: Collector, records: list[dict[str, object]]) -> list[Batch]:
    """All that are closed by these records and by the end."""
    closed = [collector.take(r) for r in records]
    return [b for b in [*closed, collector.close()] if b is not None]


def test_a_minute_holds_mean_and_range_of_every_number() -> None:
    first, second = periods(Collector(), [record(k) for k in range(90)])
    assert (first.start_utc_s, first.end_utc_s, second.start_utc_s) == (BEGAN_S, BEGAN_S + 60, BEGAN_S + 60)
    power = next(s for s in first.samples if s.point == "unit.PVA.p_w")
    assert (power.n, power.low, power.high) == (60, -1e6 - 59.0, -1e6)
    assert power.mean == pytest.approx(-1e6 - 29.5)
    assert {s.n for s in second.samples} == {30}
    assert not any("p_avail_w" in s.point or "soc" in s.point for s in first.samples)
    assert math.isclose(next(s for s in first.samples if s.point == "site.given_up_w").mean, 5e5)


def test_energy_given_up_is_power_times_time_for_whom_and_in_whose_turn() -> None:
    (first, *_) = periods(Collector(), [record(k) for k in range(90)])
    (given,) = first.curtailments
    assert (given.unit, given.cause, given.principle, given.rank) == ("PVA", "T1.thermal", "merit", 2)
    assert given.energy_wh == pytest.approx(5e5 * 59.0 / 3600.0)  # the first cycle has lasted for no known time
    assert (given.most_w, given.lasted_s, given.loading_frac) == (5e5, 59.0, 0.99)


def test_a_cause_that_is_no_limit_has_no_loading() -> None:
    held = record(0)["units"][0] | {"withheld": [{"cause": "mode.boot", "w": 1e5}]}
    (only,) = periods(Collector(), [record(0), record(1, units=[held])])
    assert [c.cause for c in only.curtailments] == ["mode.boot"]
    assert math.isnan(only.curtailments[0].loading_frac)


def test_missing_cycles_are_a_gap_and_nothing_is_booked_for_them() -> None:
    (only,) = periods(Collector(), [record(0), record(1), record(12), record(13)])
    (gap,) = only.gaps
    assert (gap.from_utc_s, gap.to_utc_s, gap.lost) == (BEGAN_S + 1.0, BEGAN_S + 12.0, 10)
    assert only.curtailments[0].lasted_s == 2.0


def test_a_control_process_that_began_anew_is_a_gap_of_unknown_size() -> None:
    (only,) = periods(Collector(), [record(500, 10.0), record(0, 15.0)])
    assert [(g.lost, g.reason) for g in only.gaps] == [(0, "the control process began anew")]


def test_what_lies_between_two_runs_of_the_station_is_a_gap() -> None:
    (only,) = periods(Collector(known_until_s=BEGAN_S - 300.0), [record(0)])
    assert [(g.from_utc_s, g.to_utc_s) for g in only.gaps] == [(BEGAN_S - 300.0, float(BEGAN_S))]
    (only,) = periods(Collector(known_until_s=BEGAN_S - 5.0), [record(0)])
    assert only.gaps == ()


def test_the_same_record_twice_counts_once() -> None:
    (only,) = periods(Collector(), [record(0), record(1), record(1)])
    assert {s.n for s in only.samples} == {2}


def test_a_clock_that_is_set_back_begins_another_period_of_the_same_minute() -> None:
    back = record(61, utc=(BEGAN + timedelta(seconds=30)).isoformat())
    starts = [b.start_utc_s - BEGAN_S for b in periods(Collector(), [record(59), record(60), back])]
    assert starts == [0, 60, 0]


def test_events_keep_their_instant() -> None:
    event = {"name": "unit.deaf", "subject": "PVA", "text": ""}
    (only,) = periods(Collector(), [record(0), record(1, events=[event])])
    assert [(h.utc_s, h.name, h.subject) for h in only.happenings] == [(BEGAN_S + 1.0, "unit.deaf", "PVA")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({}, "KeyError: 'seq'|KeyError: 'utc'"),
        (record(0) | {"utc": "noon"}, "Invalid isoformat"),
        (record(0) | {"seq": None}, "expected a record with seq"),
        (record(0) | {"now_s": math.inf}, "expected a finite number"),
        (record(0) | {"units": [3]}, "expected a record with limits"),
        (record(0) | {"events": [{}]}, "KeyError: 'name'"),
    ],
)
def test_a_line_that_is_no_record_is_refused(line: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadRecord, match=complaint):
        Collector().take(line)


def test_voltage_support_is_kept_while_it_is_asked_for() -> None:
    support = {"asked_var": 2e6, "tolerance_var": 5e4, "before_var": 5e5, "reached_var": 1.9e6, "cause": "tso:t1"}
    collector = Collector()
    for k in range(10):
        collector.take(record(k, support=support | {"q_var": 1e6 + k} if k < 4 else None))
    made = collector.close()
    assert made is not None
    found = {s.point: (s.n, s.mean) for s in made.samples if s.point.startswith("support.")}
    assert found["support.q_var"] == (4, 1e6 + 1.5)
    assert found["support.asked_var"] == (4, 2e6)
    assert len(found) == 5
