"""A platform's command is taken whole or refused whole, and nothing revives one that was used."""

from __future__ import annotations

import math
from dataclasses import replace

import platform_kit as kit
import pytest

from controller.balancing.admission import Accepted, Book, Now, Refused, admit, withdrawn, without_expired
from controller.balancing.book_text import dump_book, load_book
from controller.balancing.command import FOREVER, Command, Kind, Part, Step
from controller.balancing.orders import RENEW_S, RETRY_S, Told, due, wanted
from controller.domain.instruction import Action
from controller.domain.owner import Owner

S = kit.UTC_S
NOTHING = Book()


def taken(*commands: Command, book: Book = NOTHING, now: Now = kit.NOW) -> Book:
    for command in commands:
        found = admit(kit.SITE, command, book, now)
        assert isinstance(found, Accepted), found
        book = found.book
    return book


def why_not(command: Command, book: Book = NOTHING, now: Now = kit.NOW) -> str:
    found = admit(kit.SITE, command, book, now)
    assert isinstance(found, Refused)
    return found.reason


BAD = [
    (kit.limit(issuer="flexibility:nobody"), "no authority"),
    (kit.limit(issuer="operator"), "no authority"),
    (kit.limit(math.nan), "not finite"),
    (kit.limit(math.inf), "not finite"),
    (kit.limit(-1.0), "out of range"),
    (kit.limit(20.1e6), "out of range"),
    (kit.limit(lasts_s=-1.0), "malformed"),
    (kit.limit(lasts_s=math.nan), "malformed"),
    (kit.limit(lasts_s=90_000.0), "out of range: lasts"),
    (kit.limit(lasts_s=FOREVER), "out of range: lasts"),
    (kit.limit(start_s=-math.inf), "not finite"),
    (kit.limit(start_s=-1800.0), "stale"),
    (kit.limit(start_s=200_000.0), "no authority: begins"),
    (kit.limit(issued_utc_s=S + 31.0), "from the future"),
    (kit.limit(issued_utc_s=math.nan), "malformed"),
    (kit.limit(id=""), "malformed"),
    (kit.limit(id="a\nb"), "malformed"),
    (kit.limit(counter=-1), "malformed"),
    (kit.limit(priority=-1), "malformed"),
    (kit.command(), "malformed: 0 parts"),
    (kit.limit(subject="WIND1"), "no authority"),
    (kit.limit(subject="BAT1"), "nothing that BAT1 can have"),
    (kit.set_point(subject="export"), "nothing that export can have"),
    (kit.set_point(-9e9), "out of range"),
    (kit.set_point(-600e3, issuer=kit.TSO), "expected -500000"),
    (kit.support(math.nan), "not finite"),
    (kit.support(3.1e6), "out of range: 3.1e+06 var of interface; expected -3e+06"),
    (kit.support(-3.1e6), "out of range: -3.1e+06 var"),
    (kit.support(lasts_s=90_000.0), "out of range: lasts"),
    (kit.support(start_s=-900.0), "stale"),
    (kit.support(issuer=kit.DSO), "no authority: 'interface'"),
    (kit.support(subject="BAT1"), "nothing that BAT1 can have"),
    (kit.limit(subject="interface", issuer=kit.TSO), "nothing that interface can have"),
    (kit.command(Part(Kind.LIMIT, "export", (Step(S, S + 60, 1.0), Step(S + 30, S + 90, 2.0)))), "contradictory"),
    (kit.command(Part(Kind.LIMIT, "export", tuple(Step(S + k, S + k + 1, 1.0) for k in range(300)))), "300 steps"),
]


@pytest.mark.parametrize(("command", "why"), BAD)
def test_a_bad_command_is_refused_whole_with_its_reason(command: Command, why: str) -> None:
    assert why in why_not(command)


def test_without_the_time_of_day_nothing_is_accepted() -> None:
    assert "time of day" in why_not(kit.limit(), now=Now(math.nan, 1000.0))


def test_a_used_counter_is_used_whatever_happens_to_the_clock_or_the_process() -> None:
    book = taken(kit.limit(), kit.limit(id="e2", counter=9))
    later = Now(S + 5000.0, 6000.0)
    book, gone = without_expired(book, later)
    assert [c.id for c in gone] == ["e1", "e2"]
    again = load_book(dump_book(book, later), Now(S - 5000.0, 0.0))
    for now in (Now(S - 1.0, 6001.0), Now(S - 5000.0, 0.0), Now(S + 1.0, 5.0)):
        assert "replayed" in why_not(kit.limit(start_s=-5000.0, lasts_s=80_000.0, issued_utc_s=S - 5000.0), again, now)
        assert "replayed" in why_not(kit.limit(id="e2", counter=9), again, Now(S, 1.0))
        assert "replayed" in why_not(kit.limit(id="new", counter=8), again, Now(S, 1.0))


def test_a_clock_that_is_set_back_does_not_prolong_what_stands() -> None:
    book = taken(kit.limit(lasts_s=1800.0))
    assert without_expired(book, Now(S - 10_000.0, kit.NOW.now_s + 1801.0))[0].standing == ()
    loaded = load_book(dump_book(book, kit.NOW), Now(S - 10_000.0, 0.0))
    assert loaded.standing[0].ends_at_s == 1800.0


def test_a_newer_version_takes_the_place_of_the_older_one() -> None:
    book = taken(kit.limit(3e6), kit.limit(2e6, counter=8))
    assert [a.command.parts[0].steps[0].w for a in book.standing] == [2e6]


def test_two_that_were_issued_in_the_same_instant_are_two() -> None:
    book = taken(kit.limit(), kit.limit(id="e2"))
    assert len(book.standing) == 2
    assert "replayed" in why_not(kit.limit(), book)


def test_set_points_that_contradict_each_other_need_a_priority() -> None:
    book = taken(kit.set_point())
    other = kit.set_point(2e5, id="e2", counter=8)
    assert "contradictory" in why_not(other, book)
    book = taken(replace(other, priority=1), book=book)
    assert [o.w for o in wanted(kit.SITE, book, kit.NOW).values()] == [2e5]


def test_whoever_speaks_too_often_is_not_heard_until_time_has_passed() -> None:
    book = Book()
    for k in range(10):
        book = taken(kit.set_point(id=f"t{k}", counter=k, priority=k, issuer=kit.TSO), book=book)
    one_more = kit.set_point(id="more", counter=99, priority=99, issuer=kit.TSO)
    assert "too often" in why_not(one_more, book)
    assert len(taken(one_more, book=book, now=Now(S + 361.0, kit.NOW.now_s + 361.0)).standing) == 11


def test_the_book_comes_back_from_the_disk_as_it_was() -> None:
    forever = kit.command(Part(Kind.SUBSCRIPTION, "import", (Step(S, FOREVER, 4e4),)), id="s", counter=8)
    book = taken(kit.limit(), forever, kit.set_point(issuer=kit.TSO))
    assert load_book(dump_book(book, kit.NOW), kit.NOW) == book


def test_limit_then_subscription_then_nothing() -> None:
    base = Part(Kind.SUBSCRIPTION, "export", (Step(S, S + 7200.0, 5e6),))
    more = Part(Kind.RESERVATION, "export", (Step(S, S + 3600.0, 1e6),))
    book = taken(kit.limit(3e6), kit.command(base, more, id="base", counter=8))

    def at(after_s: float) -> list[tuple[float, str, float]]:
        found = wanted(kit.SITE, book, Now(S + after_s, 1000.0 + after_s))
        return [(order.w, order.source, order.until_utc_s - S) for order in found.values()]

    assert at(0.0) == [(3e6, "limit", 1800.0)]
    assert at(1800.0) == [(6e6, "subscription and reservation", 3600.0)]
    assert at(3600.0) == [(5e6, "subscription", 7200.0)]
    assert at(7200.0) == []
    assert wanted(kit.SITE, book, Now(math.nan, 1000.0)) == {}


def test_of_equal_limits_the_tighter_wins_and_a_higher_priority_before_it() -> None:
    book = taken(kit.limit(3e6), kit.limit(2e6, id="e2", counter=8))
    assert [o.w for o in wanted(kit.SITE, book, kit.NOW).values()] == [2e6]
    book = taken(kit.limit(4e6, id="e3", counter=9, priority=0), book=book)
    assert [o.w for o in wanted(kit.SITE, book, kit.NOW).values()] == [4e6]


def test_voltage_support_is_said_as_reactive_power_at_the_interface() -> None:
    platform, book = kit.SITE.platform, taken(kit.support(-8e5))
    assert platform is not None
    orders = wanted(kit.SITE, book, kit.NOW)
    ((_, said),) = due(platform, orders, {}, kit.NOW, 100)
    assert (said.action, said.subject, said.q_var) == (Action.REACTIVE, "interface", -8e5)
    assert math.isnan(said.value)
    assert (said.owner, said.reason) == (Owner.TSO, "voltage support of e1")


def test_two_requests_for_one_time_need_a_priority() -> None:
    book = taken(kit.support())
    assert "contradictory" in why_not(kit.support(-1e6, id="e2", counter=8), book)
    book = taken(kit.support(-1e6, id="e2", counter=8, priority=1), book=book)
    assert [o.w for o in wanted(kit.SITE, book, kit.NOW).values()] == [-1e6]


def test_an_order_is_said_once_renewed_retried_and_taken_back() -> None:
    platform = kit.SITE.platform
    assert platform is not None
    book = taken(kit.limit())
    orders = wanted(kit.SITE, book, kit.NOW)
    ((key, said),) = due(platform, orders, {}, kit.NOW, 100)
    assert (said.action, said.subject, said.value, said.lasts_s) == (Action.LIMIT, "export", 3e6, 1800.0)
    assert (said.owner, said.issuer, said.counter) == (Owner.FLEXIBILITY, kit.DSO, 100)
    told = {key: Told(orders[key], said.id, kit.NOW.now_s, True)}
    soon = Now(S + RETRY_S, kit.NOW.now_s + RETRY_S)
    assert due(platform, orders, told, soon, 101) == []
    assert len(due(platform, orders, {key: replace(told[key], accepted=False)}, soon, 101)) == 1
    assert len(due(platform, orders, told, Now(S + RENEW_S, kit.NOW.now_s + RENEW_S), 101)) == 1
    ((_, release),) = due(platform, wanted(kit.SITE, withdrawn(book, kit.DSO, "e1"), soon), told, soon, 101)
    assert (release.action, release.subject) == (Action.RELEASE, "export")
