"""An order whose answer was lost is said again, as it was, until it is answered or too late."""

from __future__ import annotations

from pathlib import Path

import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Memory, Said
from controller.balancing.uftp.reminders import FIRST_S, KINDS, MOST_S, Reminders
from controller.balancing.uftp.values import Order

FIRST_ISP_S = kit.DAY.isp_start_utc_s(53)


def delivered_order(desk: Desk, memory: Memory) -> Said:
    sent = desk.ask(kit.request(), kit.NOON_S)[kit.AGR]
    kit.tell(desk, kit.offer(sent))
    (offer,) = desk.offers(kit.TODAY, kit.NOON_S)
    option = offer.options[0]
    order = Order(offer.day, "O-1", offer.head.message_id, option.reference, 40.0, "EUR", 1.0, option.power_w)
    order_id = desk.order(offer, order, kit.NOON_S)
    for said in memory.waiting():
        memory.attempted(said.message_id, "delivered")
    found = memory.sent(order_id)
    assert found is not None
    return found


def answer(order: Said, result: str = "Accepted", reason: str | None = None) -> uftp.FlexOrderResponse:
    return uftp.FlexOrderResponse(
        **kit.head(number=70), result=result, rejection_reason=reason, flex_order_message_id=order.message_id
    )


def test_an_unanswered_order_waits_again_under_its_id_and_in_its_words(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        order = delivered_order(desk, memory)
        assert [said.message_id for said in memory.unanswered(KINDS, kit.NOON_S)] == [order.message_id]
        memory.say_again(order.message_id)
        (again,) = memory.waiting()
        assert (again.message_id, again.payload) == (order.message_id, order.payload)


@pytest.mark.parametrize("at_s", [FIRST_ISP_S, float("nan")])
def test_nothing_is_said_again_when_its_first_period_has_begun_or_nobody_knows_the_time(
    tmp_path: Path, at_s: float
) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        delivered_order(desk, memory)
        assert len(memory.unanswered(KINDS, FIRST_ISP_S - 1.0)) == 1
        assert memory.unanswered(KINDS, at_s) == []


def test_an_answered_order_is_left_alone_even_when_it_was_about_to_be_said_again(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        order = delivered_order(desk, memory)
        assert kit.tell(desk, answer(order)).reason == ""
        assert memory.unanswered(KINDS, kit.NOON_S) == []
        memory.say_again(order.message_id)
        assert memory.waiting() == []


@pytest.mark.parametrize(
    ("result", "reason", "verdict"),
    [
        ("Accepted", "Already Submitted", "accepted"),
        ("Rejected", "Already Submitted", "accepted"),
        ("Rejected", "no such offer", "rejected: no such offer"),
    ],
)
def test_a_copy_of_what_was_accepted_is_accepted(tmp_path: Path, result: str, reason: str, verdict: str) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        order = delivered_order(desk, memory)
        assert kit.tell(desk, answer(order, result, reason)).reason == ""
        found = memory.sent(order.message_id)
        assert found is not None
        assert found.answer == verdict


def test_pauses_double_up_to_half_an_hour_and_begin_anew_for_the_next_order() -> None:
    order, other = (Said(name, kit.AGR, "FlexOrder", 0.0, 1e9, "", b"") for name in ("a", "b"))
    reminders, times, now_s = Reminders(), [], 0.0
    while now_s < 3 * MOST_S:
        times += [now_s] if reminders.due([order], now_s) else []
        now_s += 10.0
    gaps = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert gaps[:5] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S, 16 * FIRST_S]
    assert max(gaps) <= MOST_S
    assert reminders.due([other], now_s) == []
    assert reminders.due([other], now_s + FIRST_S) == [other]
