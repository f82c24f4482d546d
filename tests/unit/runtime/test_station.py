"""The whole shell on scripted devices, in virtual time: ticking, dying, stopping."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from runtime_stubs import StubCore, pv_site
from scripted_device import ScriptedDevice
from structlog.testing import capture_logs
from virtual_time import LoopClock, in_virtual_time

from controller.domain.record import CycleRecord, Event
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.runtime import fast_loop
from controller.runtime import station as station_module
from controller.runtime.station import Station

SAFE = {"generation_w_max": 20e3, "q_var": 0.0}
HELD = {"generation_w_max": 50e3, "q_var": 0.0}


@pytest.fixture(autouse=True)
def thinks_on_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts below count whole seconds: here the loop thinks at the instant of the polls."""
    monkeypatch.setattr(fast_loop, "PHASE_FRAC", 0.0)


class ListSink:
    """Keeps every published record."""

    name = "list"
    trouble = ""
    wanted = True

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def put(self, line: bytes) -> None:
        self.records.append(json.loads(line))


class Plant:
    """A meter, an inverter, a core, and the station that joins them."""

    def __init__(self, **cycle: float) -> None:
        self.clock = LoopClock()
        self.core = StubCore()
        self.sink = ListSink()
        self.meter = ScriptedDevice("meter", self.clock)
        self.inverter = ScriptedDevice("inverter", self.clock)
        self.site = pv_site(**cycle)
        self.step: Callable[[Site, int, Snapshot], tuple[int, CycleRecord]] = self.core.step
        self.ended_at_s = -1.0
        self.kept: list[tuple[float, int]] = []
        self.group_ticks_s: list[float] = []
        self.together = False

    def tick(self, group: asyncio.TaskGroup) -> list[str]:
        self.group_ticks_s.append(self.clock.now_s())
        return []

    def keep(self, state: int) -> None:
        self.kept.append((self.clock.now_s(), state))

    def run(self, duration_s: float, *at: tuple[float, Callable[[], None]]) -> tuple[int, list[dict[str, Any]]]:
        """Control for a while, doing things at given instants, then ask to stop; exit status and log."""

        async def scene() -> int:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.call_at(duration_s, stop.set)
            for when_s, action in at:
                loop.call_at(when_s, action)
            links = {"meter": self.meter, "inverter": self.inverter}
            station = Station(
                self.site,
                self.clock,
                links,
                step=self.step,
                state=0,
                sinks=[self.sink],
                stretch=1.5,
                keep=self.keep,
                can_group=lambda _: self.together,
                make_group=lambda *_: self,
            )
            code = await station.run(stop)
            self.ended_at_s = self.clock.now_s()
            return code

        with capture_logs() as logs:
            code = in_virtual_time(scene())
        return code, [dict(entry) for entry in logs]


@pytest.fixture(autouse=True)
def _no_freezing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector stays usable for the other tests."""
    monkeypatch.setattr(station_module.gc, "freeze", lambda: None)


def test_the_loop_closes_polls_come_in_and_set_points_go_out() -> None:
    plant = Plant()
    code, _ = plant.run(10.5)
    assert code == 0
    assert len(plant.core.snapshots) == 11
    assert plant.core.snapshots[-1].get("interface.p_w").value == 1.0
    assert [entry for entry in plant.inverter.writes if entry[0] < 10.5] == [
        (0.0, HELD, 9.0),
        (3.0, HELD, 9.0),
        (6.0, HELD, 9.0),
        (9.0, HELD, 9.0),
    ]


def test_a_clean_stop_writes_the_safe_set_points_closes_the_links_and_says_so() -> None:
    plant = Plant()
    code, logs = plant.run(5.5)
    assert code == 0
    assert plant.inverter.writes[-1] == (5.5, SAFE, 9.0)
    assert (plant.meter.closed, plant.inverter.closed) == (1, 1)
    assert [entry["event"] for entry in logs][-2:] == ["safe.written", "station.stopped"]
    last = plant.sink.records[-1]
    assert last["mode"] == "stopping"
    assert [(item["unit"], item["p_w"]) for item in last["setpoints"]] == [("pv1", -20e3)]
    assert last["seq"] == plant.sink.records[-2]["seq"] + 1


def test_the_death_of_a_poller_ends_the_process_with_safe_set_points_and_a_bad_status() -> None:
    plant = Plant()
    code, logs = plant.run(60.0, (4.5, lambda: setattr(plant.meter, "bug", KeyError("p_w"))))
    assert code == 1
    assert plant.ended_at_s == 5.0
    assert plant.inverter.writes[-1] == (5.0, SAFE, 9.0)
    (death,) = [entry for entry in logs if entry["event"] == "task.died"]
    assert death["task"] == "poll meter"
    assert "KeyError" in death["error"]


def test_the_death_of_the_core_ends_the_process_with_safe_set_points() -> None:
    plant = Plant()

    def step(site: Site, state: int, snapshot: Snapshot) -> tuple[int, CycleRecord]:
        if state == 3:
            raise ZeroDivisionError("no tangent")
        return plant.core.step(site, state, snapshot)

    plant.step = step
    code, logs = plant.run(60.0)
    assert code == 1
    assert plant.inverter.writes[-1] == (3.0, SAFE, 9.0)
    assert next(entry["task"] for entry in logs if entry["event"] == "task.died") == "fast loop"


def test_a_device_that_hangs_does_not_delay_the_end_by_more_than_two_seconds() -> None:
    plant = Plant()
    code, logs = plant.run(5.5, (5.2, lambda: setattr(plant.inverter, "hangs", True)))
    assert code == 0
    assert plant.ended_at_s == 7.5
    (incomplete,) = [entry for entry in logs if entry["event"] == "safe.incomplete"]
    assert incomplete["devices"] == {"inverter": "failed: no answer within 2 s"}


def test_what_is_being_read_or_written_at_the_end_is_not_torn_off_and_the_safe_set_point_comes_last() -> None:
    plant = Plant()
    plant.meter.delay_s = plant.inverter.delay_s = 0.8
    plant.core.lease_s = 1e3
    code, _ = plant.run(6.2, (5.9, lambda: setattr(plant.core, "p_w", -10e3)))
    assert code == 0
    assert [(at_s, values) for at_s, values, _ in plant.inverter.writes[-2:]] == [
        (6.0, {"generation_w_max": 10e3, "q_var": 0.0}),
        (6.8, SAFE),
    ]
    assert plant.meter.torn_at_s == plant.inverter.torn_at_s == [7.6]  # after the safe write
    assert plant.ended_at_s == 7.6


def test_a_safe_write_that_did_not_arrive_is_repeated_while_there_is_time() -> None:
    plant = Plant()
    plant.inverter.silent = True
    code, logs = plant.run(5.5, (6.0, lambda: setattr(plant.inverter, "silent", False)))
    assert code == 0
    assert [at_s for at_s, values, _ in plant.inverter.writes if values == SAFE] == [5.5, 5.7, 5.9, 6.1]
    assert "safe.written" in [entry["event"] for entry in logs]


def test_a_bug_in_a_driver_at_the_end_does_not_spoil_the_other_safe_writes() -> None:
    plant = Plant()
    code, logs = plant.run(60.0, (4.5, lambda: setattr(plant.inverter, "bug", KeyError("q_var"))))
    assert code == 1
    (incomplete,) = [entry for entry in logs if entry["event"] == "safe.incomplete"]
    assert "KeyError" in incomplete["devices"]["inverter"]
    assert (plant.meter.closed, plant.inverter.closed) == (1, 1)


def test_a_device_that_is_not_there_at_the_start_is_no_error() -> None:
    plant = Plant()
    plant.inverter.silent = plant.meter.silent = True
    code, logs = plant.run(10.5)
    assert code == 0
    assert {entry["device"] for entry in logs if entry["event"] == "device.lost"} == {"meter", "inverter"}
    assert len(plant.core.snapshots) == 11
    assert not plant.core.snapshots[-1].get("interface.p_w").usable


def test_a_failed_write_is_tried_again_every_cycle_until_it_arrives() -> None:
    plant = Plant()
    plant.inverter.silent = True
    plant.run(6.5, (3.5, lambda: setattr(plant.inverter, "silent", False)))
    assert [at_s for at_s, _, _ in plant.inverter.writes] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.5]


def test_a_device_that_comes_back_is_told_its_set_point_at_once() -> None:
    plant = Plant()
    plant.core.lease_s = 1e3
    plant.site = pv_site()
    plant.run(
        20.5,
        (1.5, lambda: setattr(plant.inverter, "silent", True)),
        (9.5, lambda: setattr(plant.inverter, "silent", False)),
    )
    assert any(10.0 <= at_s <= 11.0 for at_s, _, _ in plant.inverter.writes)


def test_ticks_that_the_core_overruns_are_skipped_counted_and_told_once() -> None:
    plant = Plant()

    def slow_step(site: Site, state: int, snapshot: Snapshot) -> tuple[int, CycleRecord]:
        if 3 <= state < 6:
            plant.clock.work(2.5)
        return plant.core.step(site, state, snapshot)

    plant.step = slow_step
    _, logs = plant.run(10.0)
    assert plant.sink.records[-1]["cycle_ms"]["missed"] == 6
    assert [entry["missed"] for entry in logs if entry["event"] == "cycle.slipped"] == [2]
    gaps = {round(b.now_s - a.now_s, 6) for a, b in pairwise(plant.core.snapshots)}
    assert min(gaps) >= 0.5


def test_a_published_record_carries_what_the_shell_knows() -> None:
    plant = Plant()
    plant.meter.silent = True
    plant.run(5.5)
    last = plant.sink.records[-1]
    assert last["polls"] == {"ok": 6, "failed": 6}
    assert last["stretch"] == 1.5
    assert last["devices"] == {"meter": {"ok": False, "age_s": None}, "inverter": {"ok": True, "age_s": 0.5}}
    assert set(last["cycle_ms"]) == {"p50", "p99", "max", "missed"}
    assert last["utc"] == "2026-01-01T00:00:05.500+00:00"


def test_transitions_of_the_core_are_logged_with_their_subject() -> None:
    plant = Plant()
    plant.core.events = (Event("limit.bound", "T1", "T1 at 101 %"),)
    _, logs = plant.run(0.5)
    assert next(entry for entry in logs if entry["event"] == "limit.bound")["subject"] == "T1"


def test_the_memory_is_kept_every_minute_and_at_the_end() -> None:
    plant = Plant()
    plant.run(130.0)
    assert [at_s for at_s, _ in plant.kept] == pytest.approx([60.0, 120.0, 130.0], abs=0.1)
    states = [state for _, state in plant.kept]
    assert states == sorted(states)
    assert states[0] > 50


def test_devices_that_are_read_together_are_not_read_one_by_one_as_well() -> None:
    plant = Plant()
    plant.together = True
    plant.run(3.5)
    assert plant.group_ticks_s[:4] == [0.0, 1.0, 2.0, 3.0]
    assert plant.meter.polled_at_s == plant.inverter.polled_at_s == []
