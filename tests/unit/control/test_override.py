"""Operators' instructions: accepted whole or refused whole, always ending, and never above a limit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.book import dump_book, load_book
from controller.control.cycle import step
from controller.control.override import Book, receive, refusal
from controller.domain.connection import Calendar, CalendarCap, Connection, G100Settings, MeanBand
from controller.domain.instruction import Action, Instruction
from controller.domain.record import CycleRecord
from controller.domain.snapshot import Snapshot
from controller.recording.format import state_from_tree, state_to_tree

UTC_S = 1.8e9
SITE = kit.site()
NONE = np.zeros(4)
GOOD = Instruction("i1", "ann", 7, UTC_S, 600.0, Action.LIMIT, "export", 4e6, reason="outage")


def snapshot(*asked: Instruction, now_s: float = 0.0) -> Snapshot:
    return Snapshot(now_s, {}, UTC_S + now_s, instructions=asked)


BAD = [
    ({"value": math.nan}, "not finite"),
    ({"value": math.inf}, "not finite"),
    ({"value": -1.0}, "out of range"),
    ({"value": 9.1e6}, "an operator can only narrow"),
    ({"subject": "N1.voltage"}, "neither a limit nor a unit"),
    ({"subject": "NOBODY"}, "neither a limit nor a unit"),
    ({"lasts_s": 0.0}, "out of range"),
    ({"lasts_s": -5.0}, "out of range"),
    ({"lasts_s": 86_401.0}, "out of range"),
    ({"lasts_s": math.nan}, "malformed"),
    ({"lasts_s": math.inf}, "malformed"),
    ({"issued_utc_s": math.nan}, "malformed"),
    ({"q_var": math.inf}, "malformed"),
    ({"id": ""}, "malformed"),
    ({"issuer": ""}, "malformed"),
    ({"reason": ""}, "malformed"),
    ({"issued_utc_s": UTC_S - 600.0}, "expired"),
    ({"issued_utc_s": UTC_S - 1e6}, "expired"),
    ({"issued_utc_s": UTC_S + 3.0}, "from the future"),
    ({"counter": 6}, "replayed"),
    ({"counter": 5}, "replayed"),
    ({"id": "standing"}, "in force already"),
    ({"action": Action.OVERRIDE, "subject": "NOBODY"}, "unknown unit"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": 1e6}, "out of range: P"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": -8.1e6}, "out of range: P"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": -1e6, "q_var": 4e6}, "out of range: Q"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": math.nan}, "not finite"),
    ({"action": Action.BLOCK, "subject": "export", "value": math.nan}, "unknown unit"),
    ({"action": Action.BLOCK, "subject": "WIND", "value": 1.0}, "takes no number"),
    ({"action": Action.HOLD, "subject": "export", "value": math.nan}, "unknown unit"),
    ({"action": Action.RESET_G100, "subject": "export", "value": math.nan}, "no G100 scheme"),
]


@pytest.mark.parametrize(("changes", "why"), BAD)
def test_a_bad_instruction_is_refused_whole_with_its_reason(changes: dict[str, object], why: str) -> None:
    first = receive(SITE, Book(counters={"ann": 6}), snapshot(replace(GOOD, id="standing", issuer="bob")), NONE).book
    found = receive(SITE, first, snapshot(replace(GOOD, **changes)), NONE)  # type: ignore[arg-type]
    assert found.book == first
    assert found.acts == ()
    (event,) = found.events
    assert event.name == "instruction.refused"
    assert why in event.text


def test_without_the_time_of_day_nothing_is_accepted() -> None:
    assert "time of day" in refusal(SITE, Book(), GOOD, math.nan)


def test_an_instruction_ends_by_itself_whatever_the_time_of_day_does() -> None:
    book = receive(SITE, Book(), snapshot(GOOD), NONE).book
    stepped_back = Snapshot(599.0, {}, UTC_S - 1e6)
    assert receive(SITE, book, stepped_back, NONE).book == book
    ended = receive(SITE, book, Snapshot(600.0, {}, UTC_S - 1e6), NONE)
    assert ended.book.standing == ()
    assert [(e.name, e.subject) for e in ended.events] == [("instruction.expired", "i1")]


def test_one_that_comes_late_lasts_no_longer() -> None:
    (standing,) = receive(SITE, Book(), snapshot(GOOD, now_s=100.0), NONE).book.standing
    assert standing.expires_at_s == pytest.approx(600.0)


def test_a_clock_that_runs_ahead_does_not_prolong_it() -> None:
    (standing,) = receive(SITE, Book(), snapshot(replace(GOOD, issued_utc_s=UTC_S + 1.9)), NONE).book.standing
    assert standing.expires_at_s == pytest.approx(600.0)


def test_the_same_instruction_never_acts_twice() -> None:
    book = receive(SITE, Book(), snapshot(GOOD), NONE).book
    for later_s in (0.0, 1.0, 599.0, 601.0):
        again = receive(SITE, book, snapshot(GOOD, now_s=later_s), NONE)
        assert [e.name for e in again.events][-1] == "instruction.refused"


def test_a_newer_one_of_the_same_kind_takes_its_place_and_a_release_ends_it() -> None:
    newer = replace(GOOD, id="i2", counter=8, value=3e6)
    book = receive(SITE, Book(), snapshot(GOOD, newer), NONE).book
    assert [s.instruction.id for s in book.standing] == ["i2"]
    release = replace(GOOD, id="i3", counter=9, action=Action.RELEASE, value=math.nan)
    found = receive(SITE, book, snapshot(release), NONE)
    assert found.book.standing == ()
    assert [e.name for e in found.events] == ["instruction.released", "instruction.accepted"]


def test_what_stands_and_what_was_used_up_outlive_a_restart() -> None:
    hold = Instruction("h1", "bob", 3, UTC_S, 900.0, Action.HOLD, "all", reason="works")
    book = receive(SITE, Book(), snapshot(GOOD, hold), np.array([-1e6, -2e6, 3e5, 1e6])).book
    found, events = load_book(SITE, dump_book(book, 100.0), 50.0, 5.0)
    assert not events
    assert found.counters == {"ann": 7, "bob": 3}
    assert [s.expires_at_s for s in found.standing] == pytest.approx([455.0, 755.0])
    assert found.standing[1].held_p_w == (-1e6, -2e6, 3e5, 1e6)
    assert "replayed" in refusal(SITE, found, GOOD, UTC_S)


def test_a_counter_comes_back_to_the_last_digit_however_large() -> None:
    book = Book(counters={"ann": (1 << 62) + 1})
    written = json.loads(json.dumps(dump_book(book, 0.0)))
    assert load_book(SITE, written, 0.0, 0.0)[0].counters == book.counters


def test_a_gap_that_nobody_knows_ends_nothing_and_a_long_one_ends_all() -> None:
    written = dump_book(receive(SITE, Book(), snapshot(GOOD), NONE).book, 100.0)
    assert load_book(SITE, written, math.nan, 0.0)[0].standing[0].expires_at_s == 500.0
    assert load_book(SITE, written, 500.0, 0.0)[0].standing == ()


BROKEN = [7, {}, {"counters": {}}, {"counters": {"a": "x"}, "standing": []}, {"counters": {}, "standing": [{}]}]


@pytest.mark.parametrize("document", BROKEN)
def test_a_damaged_book_is_told_and_nothing_stands(document: object) -> None:
    book, events = load_book(SITE, document, 0.0, 0.0)
    assert (book, [e.name for e in events]) == (Book(), ["memory.refused"])


def test_a_book_about_units_that_are_gone_is_refused() -> None:
    block = replace(GOOD, action=Action.BLOCK, subject="HUB", value=math.nan)
    written = dump_book(receive(SITE, Book(), snapshot(block), NONE).book, 0.0)
    book, events = load_book(kit.site(kit.two_units()), written, 0.0, 0.0)
    assert book == Book()
    assert "HUB" in events[0].text


class Desk:
    """A loop with an operator: the kit's plant, and instructions that go into the next cycle."""

    def __init__(self, site=SITE, **available_w: float) -> None:
        self.plant = kit.Plant(site, {"WIND": 6e6, "PV": 4e6, "HUB": 1e6, **available_w})
        self.loop = kit.Loop(self.plant)
        self.waiting: list[Instruction] = []
        self.counter = 0
        inner = self.plant.snapshot
        self.plant.snapshot = lambda without=lambda _: False: self._with(inner(without))  # type: ignore[method-assign]

    def _with(self, found: Snapshot) -> Snapshot:
        asked, self.waiting = tuple(self.waiting), []
        return replace(found, utc_s=UTC_S + found.now_s, instructions=asked)

    def say(self, action: Action, subject: str, value: float = math.nan, lasts_s: float = 60.0, **more) -> None:
        self.counter += 1
        issued = UTC_S + self.plant.now_s
        self.waiting.append(
            Instruction(f"i{self.counter}", "ann", self.counter, issued, lasts_s, action, subject, value,
                        reason="test", **more)
        )  # fmt: skip

    def run(self, cycles: int) -> CycleRecord:
        return self.loop.run(cycles)


def setpoint(record: CycleRecord, unit_id: str):
    return next(s for s in record.setpoints if s.unit == unit_id)


def test_a_blocked_unit_stands_still_until_the_block_ends() -> None:
    desk = Desk()
    desk.run(20)
    desk.say(Action.BLOCK, "PV")
    record = desk.run(3)
    assert setpoint(record, "PV").p_w == 0.0
    assert (setpoint(record, "PV").owner, setpoint(record, "PV").causes) == ("operator", ("operator:i1",))
    desk.run(20)
    assert desk.plant.p_w("PV") == pytest.approx(0.0, abs=1e3)
    desk.run(100)
    assert desk.plant.p_w("PV") < -2e6


def test_an_operator_s_limit_is_kept_like_any_other_and_names_him() -> None:
    desk = Desk()
    desk.run(20)
    desk.say(Action.LIMIT, "export", 3e6)
    desk.run(30)
    record = desk.run(1)
    export = next(x for x in record.limits if x.id == "export")
    assert (export.high, export.cause) == (3e6, "operator:i1")
    assert -desk.plant.truth()["interface.p_w"] <= 3.02e6
    assert [(r.cause, r.subject) for r in record.restrictions] == [("operator:i1", "export")]
    assert record.restrictions[0].left_s == pytest.approx(30.0, abs=1.0)


def test_a_battery_follows_the_set_point_that_an_operator_gives_it() -> None:
    desk = Desk(WIND=2e6, PV=1e6)
    desk.run(20)
    desk.say(Action.OVERRIDE, "BAT", -1.2e6)
    record = desk.run(15)
    assert setpoint(record, "BAT").p_w == pytest.approx(-1.2e6, rel=1e-3)
    assert setpoint(record, "BAT").owner == "operator"
    desk.say(Action.OVERRIDE, "BAT", 0.7e6)
    assert setpoint(desk.run(15), "BAT").p_w == pytest.approx(0.7e6, rel=1e-3)


def test_a_set_point_that_a_limit_forbids_is_narrowed_and_the_conflict_names_both() -> None:
    desk = Desk(WIND=8e6)
    desk.run(20)
    desk.say(Action.LIMIT, "T1.thermal", 100.0, 200.0)
    desk.say(Action.OVERRIDE, "WIND", -8e6, 200.0)
    record = desk.run(60)
    assert desk.plant.truth()["branch.T1.i_a"] <= 101.0
    assert abs(setpoint(record, "WIND").p_w) < 7.5e6
    assert setpoint(record, "WIND").owner == "limits"
    told = [e for r in desk.loop.records for e in r.events if e.name == "unit.contested"]
    assert told
    assert told[0].subject == "WIND"
    assert "operator:i2" in told[0].text
    assert "T1.thermal" in told[0].text


def test_others_give_way_before_the_unit_that_an_operator_has_set() -> None:
    desk = Desk()
    desk.say(Action.LIMIT, "export", 3e6, 300.0)
    desk.run(40)
    unit_id = min(("WIND", "PV"), key=lambda u: desk.plant.p_w(u) / desk.plant.available_w[u] * -1.0)
    wanted_w = -desk.plant.available_w[unit_id]
    assert desk.plant.p_w(unit_id) > 0.9 * wanted_w
    desk.say(Action.OVERRIDE, unit_id, wanted_w, 200.0)
    desk.run(60)
    assert desk.plant.p_w(unit_id) == pytest.approx(wanted_w, rel=0.01)
    assert -desk.plant.truth()["interface.p_w"] <= 3.05e6


def test_a_hold_lets_nothing_relax_but_does_not_stop_a_limit() -> None:
    desk = Desk()
    desk.run(30)
    desk.say(Action.HOLD, "all", lasts_s=300.0)
    before = desk.run(1)
    desk.plant.town_w = 4e6  # room appears
    after = desk.run(60)
    for unit_id in ("WIND", "PV"):
        assert abs(setpoint(after, unit_id).p_w) <= abs(setpoint(before, unit_id).p_w) + 1.0
    desk.plant.town_w = 1e6  # room goes
    desk.run(60)
    assert -desk.plant.truth()["interface.p_w"] <= 9.05e6


def test_a_cap_on_a_unit_is_kept_and_what_it_held_back_comes_back_afterwards() -> None:
    desk = Desk(WIND=2e6, PV=5e6)
    desk.run(20)
    desk.say(Action.LIMIT, "PV", 1e6)
    desk.run(20)
    assert -desk.plant.p_w("PV") == pytest.approx(1e6, rel=0.01)
    desk.run(100)
    assert -desk.plant.p_w("PV") == pytest.approx(5e6, rel=0.02)


def test_a_recording_holds_instructions_and_memories_and_thinks_them_again_alike() -> None:
    caps = (CalendarCap("c", "WIND", 3e6, Calendar(first=date(2020, 1, 1))),)
    bands = (MeanBand("N1.voltage", 0.97 * 11e3, 1.03 * 11e3),)
    site = kit.site(connection=Connection(G100Settings(installers=frozenset({"ina"})), caps, bands))
    desk = Desk(site)
    desk.run(10)
    desk.say(Action.HOLD, "all")
    desk.say(Action.OVERRIDE, "BAT", 5e5, q_var=1e5)
    desk.run(2)
    before = desk.loop.state
    tree = json.loads(json.dumps(state_to_tree(before)))
    again = state_from_tree(tree, before.engine)
    assert repr(again.book) == repr(before.book)  # a HOLD has no value: NaN, which equals nothing
    seen = desk.plant.snapshot()
    assert repr(step(site, again, seen)[1]) == repr(step(site, before, seen)[1])


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 1e6, -1e6, 5e5])
wild = st.builds(
    Instruction,
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["ann", "bob"]),
    st.integers(-5, 20),
    st.sampled_from([UTC_S, UTC_S - 30.0, UTC_S + 1e6, math.nan]),
    numbers,
    st.sampled_from(Action),
    st.sampled_from(["export", "T1", "WIND", "BAT", "HUB", "all", "", "?"]),
    numbers,
    st.none() | numbers,
    st.sampled_from(["why", ""]),
)


@given(st.lists(wild, max_size=8))
def test_whatever_is_asked_no_limit_is_wider_and_no_set_point_leaves_its_unit(asked: Sequence[Instruction]) -> None:
    site = kit.site(connection=Connection(g100=G100Settings()))
    plant = kit.Plant(site, {"WIND": 6e6, "PV": 4e6, "HUB": 1e6})
    loop = kit.Loop(plant)
    inner, pending = plant.snapshot, [tuple(asked), (), ()]
    plant.snapshot = lambda *_: replace(inner(), utc_s=UTC_S, instructions=pending.pop(0))  # type: ignore
    loop.run(3)
    for record in loop.records:
        assert not [e for e in record.events if e.name == "guard.clamped"]
        for state, limit in zip(record.limits, site.limits, strict=True):
            assert state.high <= limit.high
    answers = [
        e for e in loop.records[0].events if e.name in ("instruction.accepted", "instruction.refused", "g100.reset")
    ]
    assert len(answers) == len(asked)
