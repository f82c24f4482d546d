"""The control process takes from a platform what its desk may ask for, and keeps the contract when nobody asks."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.book import dump_book, load_book
from controller.control.override import Book, receive
from controller.control.reasons import reasons_of
from controller.control.support import Attained
from controller.domain.budget import Allowance, spend
from controller.domain.instruction import Action, Instruction, Standing
from controller.domain.owner import Owner
from controller.domain.platform import Issuer, Link, Platform
from controller.domain.record import Event
from controller.domain.snapshot import Snapshot
from controller.limits.in_force import Proposal, Situation
from controller.limits.standing_contract import StandingContract
from controller.limits.unit_ranges import UnitRange

UTC_S = 1.8e9
NONE = np.zeros(4)
DSO = Issuer(
    "dso",
    "p",
    Owner.FLEXIBILITY,
    frozenset({"export", "WIND", "interface"}),
    5e6,
    3600.0,
    3600.0,
    Allowance(9, 3600.0),
    Allowance(3, 60.0),
    2e6,
)
PLATFORM = Platform(Link("https://x", "ven", 30.0, 60.0, "/c"), (DSO,), (("export", 2e6),))
SITE = replace(kit.site(), platform=PLATFORM)
ASKED = Instruction(
    "i1", DSO.account, 7, UTC_S, 600.0, Action.LIMIT, "export", 4e6, reason="e1", owner=Owner.FLEXIBILITY
)


def told(book: Book, *asked: Instruction, now_s: float = 0.0) -> tuple[Book, list[Event]]:
    found = receive(SITE, book, Snapshot(now_s, {}, UTC_S + now_s, instructions=asked), NONE)
    return found.book, list(found.events)


BAD = [
    ({"issuer": "flexibility:other"}, "no authority"),
    ({"issuer": "ann"}, "no authority"),
    ({"owner": Owner.TSO}, "no authority"),
    ({"owner": Owner.GUARD}, "no authority"),
    ({"action": Action.BLOCK, "subject": "WIND", "value": math.nan}, "not for a platform"),
    ({"action": Action.HOLD, "subject": "all", "value": math.nan}, "not for a platform"),
    ({"lasts_s": 3601.0}, "at most 3600"),
    ({"subject": "import"}, "no authority"),
    ({"value": 9.1e6}, "out of range"),
    ({"value": math.nan}, "not finite"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": -5.1e6}, "at most 5e+06"),
    ({"action": Action.REACTIVE, "subject": "interface", "value": math.nan, "q_var": 2.1e6}, "at most 2e+06"),
    ({"action": Action.OVERRIDE, "subject": "WIND", "value": -1e6, "q_var": 3e6}, "at most 2e+06"),
    ({"action": Action.RELEASE, "subject": "somebody's", "value": math.nan}, "no authority"),
]


@pytest.mark.parametrize(("changes", "why"), BAD)
def test_what_is_beyond_a_desk_is_refused_by_the_control_process_too(changes: dict[str, object], why: str) -> None:
    book, (event,) = told(Book(), replace(ASKED, **changes))  # type: ignore[arg-type]
    assert book == Book()
    assert event.name == "instruction.refused"
    assert why in event.text


def test_a_renewed_reactive_request_costs_no_write() -> None:
    def judge(asked: Standing) -> Attained:
        return Attained(asked.instruction.q_var or math.nan, 0.0, asked.instruction.q_var or math.nan, 1e3)

    book = Book()
    for k in range(9):
        asked = replace(
            ASKED, id=f"r{k}", counter=k, action=Action.REACTIVE, subject="interface", value=math.nan, q_var=1e6
        )
        book = receive(SITE, book, Snapshot(float(k), {}, UTC_S, instructions=(asked,)), NONE, judge).book
        assert [s.instruction.id for s in book.standing] == [f"r{k}"]
    assert book.spent[DSO.account].acts == 1.0


def test_a_platform_ends_nothing_of_an_operator_and_an_operator_anything_by_its_id() -> None:
    operator = Instruction("o1", "ann", 1, UTC_S, 600.0, Action.LIMIT, "export", 3e6, reason="works")
    book, _ = told(Book(), operator, ASKED)
    assert len(book.standing) == 2
    release = replace(ASKED, id="r", counter=8, action=Action.RELEASE, subject="all", value=math.nan)
    left, _ = told(book, release)
    assert [s.instruction.id for s in left.standing] == ["o1"]
    by_all = replace(operator, id="r1", counter=2, action=Action.RELEASE, subject="all", value=math.nan)
    assert [s.instruction.id for s in told(book, by_all)[0].standing] == ["i1"]
    assert [s.instruction.id for s in told(book, replace(by_all, subject="i1"))[0].standing] == ["o1"]


def test_changes_are_counted_renewals_are_not_and_a_restart_forgets_nothing() -> None:
    book = Book()
    for k in range(3):
        book, (event,) = (
            told(book, replace(ASKED, id=f"c{k}", counter=10 + k, value=1e6 + k))[0],
            told(book, replace(ASKED, id=f"c{k}", counter=10 + k, value=1e6 + k))[1][-1:],
        )
        assert event.name == "instruction.accepted"
    book, events = told(book, replace(ASKED, id="again", counter=20, value=1e6 + 2))
    assert events[-1].name == "instruction.accepted"
    restored, _ = load_book(SITE, dump_book(book, 0.0), 0.0, 0.0)
    for memory in (book, restored):
        _, (refused,) = told(memory, replace(ASKED, id="more", counter=21, value=9.0))
        assert "too often" in refused.text
    assert (
        told(book, replace(ASKED, id="later", counter=22, value=9.0), now_s=21.0)[1][-1].name == "instruction.accepted"
    )
    assert restored.standing[0].instruction.owner is Owner.FLEXIBILITY


def test_time_that_runs_back_gives_no_allowance_back() -> None:
    allowance = Allowance(1.0, 60.0)
    spent = spend(allowance, None, 100.0)
    assert spent is not None
    assert spend(allowance, spent, 50.0) is None
    assert spend(allowance, spent, math.nan) is None
    assert spend(allowance, spent, 160.0) is not None


def test_the_contract_holds_until_the_platform_commands_and_again_when_its_lease_has_ended() -> None:
    reason = next(r for r in reasons_of(SITE) if isinstance(r, StandingContract))
    book, _ = told(Book(), ASKED)
    estimate = None

    def at(now_s: float, standing: Book) -> list[float | None]:
        left, _ = told(standing, now_s=now_s)
        situation = Situation(Snapshot(now_s, {}, UTC_S), estimate, left.standing)  # type: ignore[arg-type]
        _, found, _ = reason.propose(reason.initial(0.0), situation)
        return [p.high for p in found if isinstance(p, Proposal)]

    assert at(0.0, Book()) == [2e6]
    assert at(0.0, book) == []
    assert at(599.0, book) == []
    assert at(600.0, book) == [2e6]


def test_a_battery_of_others_rests_until_the_platform_has_something_of_it_and_again_afterwards() -> None:
    battery = next(u.id for u in SITE.units if u.storage is not None)
    desk = replace(DSO, subjects=DSO.subjects | {battery})
    site = replace(SITE, platform=replace(PLATFORM, issuers=(desk,), default_w=(), rest=(battery,)))
    reason = next(r for r in reasons_of(site) if isinstance(r, StandingContract))
    order = replace(ASKED, subject=battery, value=1e6)

    def resting(standing: Book, now_s: float) -> list[tuple[float, float]]:
        left = receive(site, standing, Snapshot(now_s, {}, UTC_S + now_s), NONE).book
        situation = Situation(Snapshot(now_s, {}, UTC_S), None, left.standing)  # type: ignore[arg-type]
        _, found, _ = reason.propose(reason.initial(0.0), situation)
        return [(r.low_w, r.high_w) for r in found if isinstance(r, UnitRange) and r.owner is Owner.CONTRACT]

    assert resting(Book(), 0.0) == [(0.0, 0.0)]
    for asked in (order, replace(order, action=Action.OVERRIDE)):
        book = receive(site, Book(), Snapshot(0.0, {}, UTC_S, instructions=(asked,)), NONE).book
        assert resting(book, 0.0) == []
        assert resting(book, 599.0) == []
        assert resting(book, 600.0) == [(0.0, 0.0)]


def test_an_operators_limit_does_not_lift_the_contract() -> None:
    reason = StandingContract(SITE, PLATFORM)
    operator = Instruction("o1", "ann", 1, UTC_S, 600.0, Action.LIMIT, "export", 9e6, reason="works")
    book, _ = told(Book(), operator)
    situation = Situation(Snapshot(0.0, {}, UTC_S), None, book.standing)  # type: ignore[arg-type]
    memory, found, events = reason.propose(reason.initial(0.0), situation)
    assert [p.high for p in found if isinstance(p, Proposal)] == [2e6]
    assert [e.name for e in events] == ["contract.begun"]
    assert reason.propose(memory, situation)[2] == []
