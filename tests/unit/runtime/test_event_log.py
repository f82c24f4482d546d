"""Transitions in the journal: all of them, but no flood."""

from __future__ import annotations

from structlog.testing import capture_logs

from controller.clock import ManualClock
from controller.domain.record import Event
from controller.runtime.event_log import EventLog

BOUND = Event("limit.bound", "T1", "101 %")


def test_a_transition_is_written_with_its_subject_and_the_level_that_it_deserves() -> None:
    with capture_logs() as logs:
        EventLog(ManualClock()).write([BOUND, Event("unit.lost", "PV", "")])
    assert [(entry["event"], entry["subject"], entry["log_level"]) for entry in logs] == [
        ("limit.bound", "T1", "info"),
        ("unit.lost", "PV", "warning"),
    ]


def test_a_transition_that_flaps_is_written_every_ten_seconds_with_what_was_left_out() -> None:
    clock = ManualClock()
    log = EventLog(clock)
    with capture_logs() as logs:
        for _ in range(25):
            log.write([BOUND])
            clock.advance(1.0)
    assert [entry.get("unsaid", 0) for entry in logs] == [0, 9, 9]


def test_one_flapping_subject_does_not_silence_another() -> None:
    log = EventLog(ManualClock())
    with capture_logs() as logs:
        for _ in range(5):
            log.write([BOUND, Event("limit.released", "T1", "")])
        log.write([Event("limit.bound", "T2", "")])
    assert [entry["subject"] for entry in logs] == ["T1", "T1", "T2"]


def test_the_memory_of_what_was_said_is_bounded() -> None:
    log = EventLog(ManualClock())
    with capture_logs() as logs:
        for k in range(2500):
            log.write([Event("site.infeasible", f"L{k}", "")])
    assert len(logs) == 2500
    assert len(log._said_s) <= 1000
