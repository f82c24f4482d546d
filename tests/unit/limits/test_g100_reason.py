"""EREC G100 as a reason to restrict: what its states do to the site, who may end them, what outlives a restart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import core_kit as kit
import pytest

from controller.control.cycle import step
from controller.control.reasons import dump_memory, restore_memory
from controller.control.state import initial_state
from controller.domain.connection import Connection, G100Settings
from controller.domain.escalation import Rung, Rungs
from controller.domain.instruction import Action, Instruction
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot

UTC_S = 1.8e9
SAFE_W = {"WIND": -0.8e6, "PV": -0.6e6}


NEVER = Rung("never", 100.0, 1e9)
NO_LADDER = Rungs(NEVER, NEVER, NEVER, NEVER)


def site(**settings: object) -> Site:
    connection = Connection(g100=G100Settings(**settings))  # type: ignore[arg-type]
    return kit.site(connection=connection, escalation=NO_LADDER)


class Station:
    """The kit's station whose generators are deaf, so that export stays where the wind takes it."""

    def __init__(self, of: Site, wind_w: float = 8e6, pv_w: float = 6e6) -> None:
        self.plant = kit.Plant(of, {"WIND": wind_w, "PV": pv_w, "HUB": 0.0}, town_w=1e6)
        self.loop = kit.Loop(self.plant)
        self.asked: list[Instruction] = []
        inner = self.plant.snapshot
        self.plant.snapshot = lambda without=lambda _: False: self._with(inner(without))  # type: ignore[method-assign]

    def _with(self, found: Snapshot) -> Snapshot:
        asked, self.asked = tuple(self.asked), []
        return replace(found, utc_s=UTC_S + found.now_s, instructions=asked)

    def export(self, high: bool, seconds: int) -> CycleRecord:
        """So long over the limit of 9 MW, or well below it, whatever the controller says."""
        self.plant.deaf = {"WIND", "PV", "BAT"}
        for name, available_w in (("WIND", 8e6 if high else 1e6), ("PV", 6e6 if high else 1e6)):
            self.plant.available_w[name] = available_w
            self.plant.cap[name] = available_w
            self.plant.targets[name] = [(-math.inf, 8e6, 0.0)]
        return self.loop.run(seconds)

    def reset(self, issuer: str = "ann", subject: str = "export") -> list[tuple[str, str]]:
        """Ask for a reset; name and text of the answers."""
        self.asked.append(
            Instruction(f"r{len(self.loop.records)}", issuer, len(self.loop.records), UTC_S + self.plant.now_s, 60.0,
                        Action.RESET_G100, subject, reason="found it")
        )  # fmt: skip
        record = self.loop.run(1)
        return [(e.name, e.text) for e in record.events if e.name.startswith(("instruction", "g100.reset"))]


def notes(record: CycleRecord) -> set[str]:
    return {r.text for r in record.restrictions}


def events_of(records: Sequence[CycleRecord]) -> list[str]:
    return [e.name for r in records for e in r.events if e.name.startswith("g100")]


def locked(**settings: object) -> Station:
    """A station that has just locked out."""
    station = Station(site(**settings))
    station.export(False, 10)
    station.export(True, 66)
    return station


def test_while_export_is_over_its_limit_the_record_says_how_long_yet() -> None:
    station = Station(site())
    station.export(False, 10)
    record = station.export(True, 30)
    (told,) = [r for r in record.restrictions if r.subject == "export"]
    assert (told.cause, told.text) == ("g100.export.excursion", "state 2, over the limit")
    assert told.left_s == pytest.approx(31.0, abs=4.0)
    assert events_of(station.loop.records) == ["g100.excursion"]


def test_a_minute_over_the_limit_locks_out_and_no_generator_may_do_more_than_its_fail_safe_set_point() -> None:
    station = locked(lockout_export_w=2e6)
    record = station.loop.records[-1]
    assert events_of(station.loop.records) == ["g100.excursion", "g100.locked"]
    assert all(s.p_w >= SAFE_W[s.unit] - 1.0 for s in record.setpoints if s.unit in SAFE_W)
    export = next(x for x in record.limits if x.id == "export")
    assert (export.high, export.cause) == (2e6, "g100.export.locked")
    battery = next(s for s in record.setpoints if s.unit == "BAT")
    assert battery.p_w >= 0.0


def test_the_lock_out_outlives_its_cause_and_says_how_long_it_lasts() -> None:
    station = locked()
    record = station.export(False, 120)
    assert {s.unit: s.p_w for s in record.setpoints if s.unit in SAFE_W} == pytest.approx(SAFE_W)
    left_s = next(r.left_s for r in record.restrictions if r.subject == "export")
    assert left_s == pytest.approx(4 * 3600.0 - 120.0, abs=8.0)
    assert "state 3, locked out after one excursion of 60 s" in notes(record)


def test_in_commercial_premises_only_an_installer_ends_it_at_once() -> None:
    station = locked(installers=frozenset({"ina"}))
    station.export(False, 5)
    assert [name for name, _ in station.reset("ann")] == ["instruction.refused"]
    ((name, text),) = station.reset("ina")
    assert name == "g100.reset"
    assert "ina (installer)" in text
    assert not [r for r in station.loop.run(1).restrictions if r.cause.startswith("g100")]


def test_a_user_of_domestic_premises_may_end_it() -> None:
    station = locked(domestic=True)
    station.export(False, 5)
    assert [name for name, _ in station.reset("ann", "all")] == ["g100.reset"]


def test_with_the_point_of_supply_unmeasured_the_units_are_safe_within_the_time_and_nothing_counts() -> None:
    station = Station(site())
    station.plant.deaf = set()
    station.loop.run(20)
    gone = lambda name: name.startswith(("interface", "branch.T1"))  # noqa: E731
    records = [station.loop.run(1, gone) for _ in range(120)]
    safe_from = next(k for k, r in enumerate(records) if "the point of supply is not measured" in notes(r))
    assert safe_from <= 6
    for name, safe_w in SAFE_W.items():
        assert next(s.p_w for s in records[safe_from].setpoints if s.unit == name) >= safe_w - 1.0
    assert events_of(station.loop.records) == ["g100.blind"]
    station.loop.run(5)
    assert events_of(station.loop.records) == ["g100.blind", "g100.seen"]


def test_a_lock_out_and_what_was_counted_outlive_a_restart() -> None:
    of = site()
    station = Station(of)
    station.export(False, 10)
    station.export(True, 20)
    station.export(False, 10)
    written = dump_memory(station.loop.state)
    again = Station(of)
    again.loop.state, told = restore_memory(initial_state(of), written, 300.0, 0.0)
    assert told == []
    again.export(True, 22)
    assert events_of(again.loop.records) == ["g100.locked"]
    relocked, _ = restore_memory(initial_state(of), dump_memory(again.loop.state), math.nan, 0.0)
    _, record = step(of, relocked, Snapshot(0.0, {}, UTC_S))
    assert [r.cause for r in record.restrictions if r.subject == "export"] == ["g100.export.locked"]


def test_what_was_counted_long_before_a_restart_is_forgotten() -> None:
    of = site()
    station = Station(of)
    station.export(False, 10)
    station.export(True, 20)
    again = Station(of)
    again.loop.state, _ = restore_memory(initial_state(of), dump_memory(station.loop.state), 700.0, 0.0)
    again.export(True, 22)
    assert "g100.locked" not in events_of(again.loop.records)
