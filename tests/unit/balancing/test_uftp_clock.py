"""A clock that is set, and a process that dies, break no conversation."""

from __future__ import annotations

from pathlib import Path

import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp
from shapeshifter_uftp.transport import from_xml

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.values import Offer, Order

HOUR_S = 3600.0


def standing_offer(desk: Desk) -> Offer:
    sent = desk.ask(kit.request(), kit.NOON_S)[kit.AGR]
    assert kit.tell(desk, kit.offer(sent)).reason == ""
    (offer,) = desk.offers(kit.TODAY, kit.NOON_S)
    return offer


def ordered(desk: Desk, at_s: float = kit.NOON_S) -> str:
    offer = standing_offer(desk)
    option = offer.options[0]
    power_w = option.power_w
    order = Order(offer.day, "O-1", offer.head.message_id, option.reference, 40.0, "EUR", 1.0, power_w)
    return desk.order(offer, order, at_s)


def taken(order_id: str, number: int = 9) -> uftp.FlexOrderResponse:
    return uftp.FlexOrderResponse(**kit.head(number=number), result="Accepted", flex_order_message_id=order_id)


@pytest.mark.parametrize("clock_set_by_s", [-HOUR_S, 0.0, HOUR_S, 400 * 24 * HOUR_S])
def test_whoever_says_an_accepted_offer_again_hears_that_it_is_accepted_whatever_our_clock_says(
    tmp_path: Path, clock_set_by_s: float
) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        offer = standing_offer(desk)
        again = kit.tell(desk, kit.offer(offer.request_id), at_s=kit.NOON_S + clock_set_by_s)
        assert again.reason == "Already Submitted"
        answers = [from_xml(said.payload) for said in memory.waiting() if said.kind == "FlexOfferResponse"]
        assert [(a.flex_offer_message_id, a.result) for a in answers] == [(offer.head.message_id, "Accepted")] * 2


@pytest.mark.parametrize("clock_set_by_s", [-HOUR_S, HOUR_S])
def test_that_an_order_was_taken_is_believed_though_our_clock_is_wrong_and_once(
    tmp_path: Path, clock_set_by_s: float
) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        order_id = ordered(desk)
        assert kit.tell(desk, taken(order_id), at_s=kit.NOON_S + clock_set_by_s).reason == ""
        ((said, _),) = desk.orders(kit.TODAY)
        assert said.answer == "accepted"
        assert kit.tell(desk, taken(order_id, number=10)).reason.startswith("Invalid Message")


def test_messages_go_out_in_the_order_in_which_they_were_said_though_the_clock_was_set_back(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        ids = [desk.ask(kit.request(), kit.NOON_S - k * HOUR_S)[kit.AGR] for k in range(4)]
        assert [said.message_id for said in memory.waiting() if said.recipient == kit.AGR] == ids
