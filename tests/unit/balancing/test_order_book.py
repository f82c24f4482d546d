"""What the control process was told outlives the station, its clock and its disk."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import platform_kit as kit
import pytest

from controller.balancing.admission import Accepted, Admitted, Book, Now, admit, withdrawn
from controller.balancing.ledger import FILE, Ledger
from controller.balancing.order_book import FORGOTTEN, OrderBook, load_orders
from controller.balancing.orders import RENEW_S, RETRY_S, Order, Use, wanted
from controller.documents import DocumentError
from controller.domain.instruction import Action, Instruction, replayed

HOUR_S = 3600.0
PLATFORM = kit.SITE.platform
assert PLATFORM is not None


@contextmanager
def order_book(folder: Path) -> Iterator[OrderBook]:
    """As after a start of the station."""
    with closing(Ledger(folder)) as ledger:
        yield OrderBook(ledger)


def book_with(w: float = 3e6) -> Book:
    outcome = admit(kit.SITE, kit.limit(w), Book(), kit.NOW)
    assert isinstance(outcome, Accepted)
    return outcome.book


def due(orders: OrderBook, book: Book, now: Now = kit.NOW) -> list[tuple[Order, Instruction]]:
    assert PLATFORM is not None
    found = orders.due(PLATFORM, wanted(kit.SITE, book, now, orders.told()), now)
    return [(order, said) for order, said in found if order.command != FORGOTTEN]


def later(s: float, clock_set_by_s: float = 0.0) -> Now:
    return Now(kit.NOW.utc_s + s + clock_set_by_s, kit.NOW.now_s + s)


def told(orders: OrderBook, book: Book, accepted: bool | None, now: Now = kit.NOW) -> Instruction:
    """Say what is due; the control process answers so."""
    ((order, said),) = due(orders, book, now)
    orders.saying(order, said, now)
    orders.answered(order, said, accepted, "", now)
    return said


def test_an_order_whose_answer_was_never_heard_is_said_again_and_taken_back_when_it_is_over(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        ((order, said),) = due(orders, book_with())
        orders.saying(order, said, kit.NOW)  # and now it is killed
    with order_book(tmp_path) as orders:
        ((_, again),) = due(orders, book_with())
        assert (again.action, again.value) == (Action.LIMIT, 3e6)
        assert again.counter > said.counter
        ((_, release),) = due(orders, Book())
        assert (release.action, release.subject) == (Action.RELEASE, "export")


@pytest.mark.parametrize(("use", "action"), [(Use.CAP, Action.LIMIT), (Use.RESERVE, Action.RESERVE)])
def test_how_an_order_of_a_unit_is_used_is_still_that_after_a_restart(tmp_path: Path, use: Use, action: Action) -> None:
    assert PLATFORM is not None
    account = PLATFORM.issuers[0].account
    most = Order(account, "BAT1", 2e5, kit.NOW.utc_s + HOUR_S, "order", "market order", use=use)
    with order_book(tmp_path) as orders:
        found = orders.due(PLATFORM, {most.key: most}, kit.NOW)
        ((order, said),) = [(order, said) for order, said in found if order.command != FORGOTTEN]
        assert said.action is action
        orders.saying(order, said, kit.NOW)
    with order_book(tmp_path) as orders:
        assert [order for order in orders.told() if order.command == "order"] == [most]


OLD = [
    ({"at_most": True}, Use.CAP),
    ({"at_most": False}, Use.TARGET),
    ({}, Use.TARGET),
    ({"use": "reserve"}, Use.RESERVE),
]


@pytest.mark.parametrize(("said", "use"), OLD)
def test_a_record_of_an_earlier_version_is_read_as_it_was_meant(said: dict[str, object], use: Use) -> None:
    (found,) = load_orders(json.dumps({"counter": 3, "told": [entry(said)]}))[1].values()
    assert found.order.use is use


@pytest.mark.parametrize("word", ["", "at_most", 1, None])
def test_a_record_with_a_use_that_nobody_knows_is_refused_whole(word: object) -> None:
    whole = json.dumps({"counter": 3, "told": [entry({}), entry({"use": word})]})
    with pytest.raises(DocumentError, match="use"):
        load_orders(whole)


def entry(more: dict[str, object]) -> dict[str, object]:
    """One order on record, as far as all versions agree."""
    known = {"account": "flexibility:market", "subject": "PVB", "w": 2e6, "until_utc_s": 1.8e9, "command": "o"}
    return known | {"source": "market order", "id": "market-1", "accepted": True, "earlier": False} | more


def test_an_order_that_is_used_otherwise_waits_until_the_one_before_is_released(tmp_path: Path) -> None:
    """A cap and a reserve of one unit would stand beside each other in the control process."""
    assert PLATFORM is not None
    account = PLATFORM.issuers[0].account
    cap = Order(account, "BAT1", 2e5, kit.NOW.utc_s + HOUR_S, "one", "market order", use=Use.CAP)
    sold = replace(cap, command="two", use=Use.RESERVE)
    with order_book(tmp_path) as orders:

        def said(order: Order) -> list[tuple[Order, Instruction]]:
            found = orders.due(PLATFORM, {order.key: order}, kit.NOW)
            return [(of, what) for of, what in found if what.subject == "BAT1"]

        def answer(of: Order, what: Instruction) -> None:
            orders.saying(of, what, kit.NOW)
            orders.answered(of, what, True, "", kit.NOW)

        answer(*said(cap)[0])
        ((of, release),) = said(sold)
        assert release.action is Action.RELEASE
        answer(of, release)
        ((of, reserve),) = said(sold)
        assert (reserve.action, of) == (Action.RESERVE, sold)


def test_what_was_withdrawn_while_the_station_was_dead_is_released(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
    with order_book(tmp_path) as orders:
        assert told(orders, Book(), accepted=True).action is Action.RELEASE
        assert due(orders, Book()) == []


def test_a_change_that_was_refused_leaves_the_one_before_to_be_released(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(3e6), accepted=True)
        told(orders, book_with(2e6), accepted=False)
        assert told(orders, Book(), accepted=True).action is Action.RELEASE


def test_what_was_only_refused_since_the_last_release_needs_none(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
        told(orders, Book(), accepted=True)
        told(orders, book_with(), accepted=False)
        assert due(orders, Book()) == []


@pytest.mark.parametrize("accepted", [False, None])
def test_a_release_that_did_not_get_through_is_said_again(tmp_path: Path, accepted: bool | None) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
        first = told(orders, Book(), accepted=accepted)
        assert due(orders, Book(), later(RETRY_S / 2.0)) == []
        again = told(orders, Book(), accepted=True, now=later(RETRY_S))
        assert (again.subject, again.counter > first.counter) == ("export", True)


def test_counters_rise_over_restarts_with_a_clock_that_was_set_back(tmp_path: Path) -> None:
    counters = []
    for clock_set_by_s in (0.0, -HOUR_S, -3.0 * HOUR_S, -2.0 * HOUR_S):
        with order_book(tmp_path) as orders:
            counters.append(told(orders, book_with(), True, later(0.0, clock_set_by_s)).counter)
    assert counters == sorted(set(counters))


def test_a_clock_that_is_set_back_prolongs_no_order_and_ends_none_that_has_begun(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        assert told(orders, book_with(), True).lasts_s == 1800.0
        now = later(RENEW_S, -HOUR_S)
        renewed = told(orders, book_with(), True, now)
        assert (renewed.action, renewed.lasts_s) == (Action.LIMIT, 1800.0 - RENEW_S)


def test_each_step_of_a_schedule_ends_by_the_monotonic_clock_too() -> None:
    part = kit.limit(lasts_s=1800.0).parts[0]
    steps = tuple(replace(part.steps[0], start_utc_s=a, end_utc_s=a + 900.0) for a in (kit.UTC_S, kit.UTC_S + 900.0))
    command = kit.command(replace(part, steps=steps))
    book = Book((Admitted(command, kit.NOW.now_s + 1800.0),))
    ends_s = [o.until_s - kit.NOW.now_s for s in (0.0, 1000.0) for o in wanted(kit.SITE, book, later(s)).values()]
    assert ends_s == [900.0, 1800.0]


def test_nothing_is_said_while_nobody_knows_the_time_of_day(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
        assert due(orders, book_with(), Now(math.nan, kit.NOW.now_s + RENEW_S)) == []


def test_an_order_of_a_desk_that_the_site_file_names_no_more_is_forgotten(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
        assert PLATFORM is not None
        others = replace(PLATFORM, issuers=tuple(x for x in PLATFORM.issuers if x.account != kit.DSO))
        assert {said.issuer for _, said in orders.due(others, {}, kit.NOW)} <= {kit.TSO}


def test_a_station_that_begins_takes_back_one_by_one_what_no_record_says_anything_about(tmp_path: Path) -> None:
    """The disk of an earlier life may have been full when it ordered that."""
    assert PLATFORM is not None
    with order_book(tmp_path) as orders:
        taken_back = []
        orders_now = wanted(kit.SITE, book_with(), kit.NOW)
        for _ in range(7):
            for order, said in orders.due(PLATFORM, orders_now, kit.NOW):
                orders.saying(order, said, kit.NOW)
                orders.answered(order, said, True, "", kit.NOW)
                taken_back.append((said.action, said.issuer, said.subject))
    release = Action.RELEASE
    assert taken_back == [
        (Action.LIMIT, kit.DSO, "export"),
        *[(release, kit.DSO, subject) for subject in ("BAT1", "PVA", "import")],
        *[(release, kit.TSO, subject) for subject in ("BAT1", "interface")],
    ]


def test_a_disk_that_refuses_is_told_and_what_is_known_stays_right(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders, closing(sqlite3.connect(tmp_path / FILE)) as full:
        ((order, said),) = due(orders, book_with())
        full.execute("CREATE TRIGGER full BEFORE INSERT ON orders BEGIN SELECT raise(FAIL, 'disk is full'); END")
        full.commit()
        with pytest.raises(sqlite3.Error, match="disk is full"):
            orders.saying(order, said, kit.NOW)
        assert [(release.action, release.subject) for _, release in due(orders, Book())] == [(Action.RELEASE, "export")]


@pytest.mark.parametrize("text", ["", "[]", '{"counter": 1}', '{"counter": 1, "told": [{"account": "a"}]}'])
def test_a_record_of_orders_that_makes_no_sense_is_refused_whole(tmp_path: Path, text: str) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        ledger.write_orders(text, [])
        orders = OrderBook(ledger)
        assert "makes no sense" in orders.trouble
        assert orders.told() == []


def test_a_withdrawn_command_is_nothing_that_has_begun(tmp_path: Path) -> None:
    with order_book(tmp_path) as orders:
        told(orders, book_with(), accepted=True)
        book = withdrawn(book_with(), kit.DSO, "e1")
        assert [said.action for _, said in due(orders, book, later(1.0, -HOUR_S))] == [Action.RELEASE]


def test_a_station_whose_record_was_lost_goes_on_above_the_counter_that_the_control_process_knows(
    tmp_path: Path,
) -> None:
    """The clock was ten years ahead in an earlier life, and its disk is gone: orders must not wait for 2036."""
    used = int((kit.NOW.utc_s + 10 * 365 * 86_400.0) * 1e6)
    with order_book(tmp_path) as orders:
        ((order, said),) = due(orders, book_with())
        orders.saying(order, said, kit.NOW)
        orders.answered(order, said, False, replayed(said, used), kit.NOW)
        ((_, again),) = due(orders, book_with(), later(RETRY_S))
        assert again.counter == used + 1
    with order_book(tmp_path) as orders:
        ((_, after_a_restart),) = due(orders, book_with(), later(2.0 * RETRY_S))
        assert after_a_restart.counter > used
