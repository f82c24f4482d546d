"""What the DSO's desk believes, what it refuses with which reason, and that all of it outlives a restart."""

from __future__ import annotations

import random
import re
import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import uftp_kit as kit
from shapeshifter_uftp import uftp
from xsdata.models.datatype import XmlDate, XmlDuration

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.market import Market
from controller.balancing.uftp.memory import FILE
from controller.balancing.uftp.values import Offer, Order, Reservation
from controller.planning.settlement import Tariff, settle_order


def asked(desk: Desk) -> str:
    """Id of a request that the aggregator has."""
    return desk.ask(kit.request(), kit.NOON_S)[kit.AGR]


def order_of(offer: Offer, activation_frac: float = 1.0) -> Order:
    option = offer.options[0]
    power = (option.reference, option.price * activation_frac, "EUR", activation_frac, option.power_w)
    return Order(offer.day, "O-1", offer.head.message_id, *power)


def test_an_offer_that_answers_our_request_stands(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        verdict = kit.tell(desk, kit.offer(asked(desk)))
        assert verdict.reason == ""
        (standing,) = desk.offers(kit.TODAY, kit.NOON_S)
        assert standing.options[0].power_w == {53: 1e6, 54: 1e6}
        assert standing.options[0].price == 40.0


OFFERS: list[tuple[str, dict[str, Any]]] = [
    ("Unknown FlexRequestMessageID reference", {"flex_request_message_id": "0" * 8 + "-0000-4000-8000-" + "9" * 12}),
    ("Invalid Message: unsolicited", {"flex_request_message_id": None, "unsolicited": True}),
    ("ISP duration rejected", {"isp_duration": XmlDuration("PT30M")}),
    ("ISP duration rejected", {"isp_duration": XmlDuration("PT15S")}),
    ("TimeZone rejected", {"time_zone": "Europe/Amsterdam"}),
    ("TimeZone rejected", {"time_zone": "Europe/Atlantis"}),
    ("Invalid CongestionPoint", {"congestion_point": "ea1.2026-01.com.example:other"}),
    ("Period out of bounds", {"period": XmlDate(2026, 6, 14)}),
    ("Period out of bounds", {"period": XmlDate(2026, 6, 20)}),
    ("Reference Period mismatch", {"period": XmlDate(2026, 6, 16)}),
    ("ExpirationDateTime out of bounds", {"expiration_date_time": "2026-06-15T10:59:59Z"}),
    ("Invalid Message: Currency", {"currency": "GBP"}),
    ("Unknown D-PrognosisMessageID", {"d_prognosis_message_id": "0" * 8 + "-0000-4000-8000-" + "8" * 12}),
    ("ISPs out of bounds", {"offer_options": [kit.option(first=96)]}),
    ("ISPs out of bounds", {"offer_options": [kit.option(first=0)]}),
    ("Invalid Message: 3000000 W", {"offer_options": [kit.option(power_w=3_000_000)]}),
    ("Invalid Message: -1000000 W", {"offer_options": [kit.option(power_w=-1_000_000)]}),
    ("Invalid Message: Power 1000000000 W", {"offer_options": [kit.option(power_w=1_000_000_000)]}),
    ("Invalid Message: 1000000 W in ISP 55", {"offer_options": [kit.option(first=54)]}),
    ("Invalid Message: Price", {"offer_options": [kit.option(price=-1.0)]}),
    ("Invalid Message: Price", {"offer_options": [kit.option(price=2e6)]}),
    ("Invalid Message: an OptionReference stands twice", {"offer_options": [kit.option(), kit.option()]}),
]


@pytest.mark.parametrize(("reason", "change"), OFFERS)
def test_an_offer_with_one_fault_is_refused_with_its_reason(
    tmp_path: Path, reason: str, change: dict[str, Any]
) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        verdict = kit.tell(desk, kit.offer(asked(desk), **change))
        assert verdict.reason.startswith(reason)
        assert verdict.said is None
        assert desk.offers(kit.TODAY, kit.NOON_S) == []
        (answer,) = [said for said in memory.waiting() if said.kind == "FlexOfferResponse"]
        told = re.search(rb'RejectionReason="([^"]*)"', answer.payload)
        assert told is not None
        assert told.group(1).decode().startswith(reason)


def test_isps_that_overlap_are_a_conflict(tmp_path: Path) -> None:
    twice = kit.option()
    twice.isps.append(uftp.FlexOfferOptionISP(power=1, start=54))
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.offer(asked(desk), offer_options=[twice])).reason == "ISP conflict: 54 stands twice"


def test_a_request_that_has_expired_takes_no_more_offers(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        late = kit.NOON_S + 1801.0
        offer = kit.offer(asked(desk), time_stamp=kit.instant(late))
        assert kit.tell(desk, offer, at_s=late).reason == "Reference message expired"


def test_an_offer_to_somebody_elses_request_is_unknown(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        verdict = kit.tell(desk, kit.offer(asked(desk), sender=kit.OTHER))
        assert verdict.reason == "Unknown FlexRequestMessageID reference"


HEADS: list[tuple[str, dict[str, Any]]] = [
    ("Unknown RecipientDomain", {"recipient_domain": "someone.example.com"}),
    ("Invalid Message: TimeStamp is 31536000 s ago", {"time_stamp": "2025-06-15T11:00:00Z"}),
    ("Invalid Message: TimeStamp is -61 s ago", {"time_stamp": "2026-06-15T11:01:01Z"}),
    ("Invalid Message: TimeStamp", {"time_stamp": "2026-06-15T11:00:00"}),
    ("Invalid Message: TimeStamp", {"time_stamp": "2026-02-31T11:00:00Z"}),
    ("Invalid Message: Version", {"version": "2.0.0"}),
    ("Invalid Message: MessageID", {"message_id": "1 OR 1=1"}),
    ("Invalid Message: ConversationID", {"conversation_id": None}),
]


@pytest.mark.parametrize(("reason", "change"), HEADS)
def test_a_message_for_others_or_of_another_time_is_refused(
    tmp_path: Path, reason: str, change: dict[str, Any]
) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.offer(asked(desk), **change)).reason.startswith(reason)


def test_who_signs_for_somebody_else_is_refused(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        verdict = kit.tell(desk, kit.offer(asked(desk)), signer=kit.OTHER)
        assert verdict.reason == "Mismatch SenderDomain"
        with pytest.raises(wire.Unreadable, match="signature") as wrong:
            desk.hear(kit.sealed(kit.offer(None, unsolicited=True), key=kit.OTHER), kit.NOON_S)
        assert wrong.value.status == 401


def test_an_aggregator_may_not_speak_as_the_reference_operator(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.prognosis(), role="CRO").reason == "Invalid Sender combination"


def test_who_is_barred_is_refused_and_not_asked(tmp_path: Path) -> None:
    barred = with_one_barred(kit.market())
    with kit.desk_in(tmp_path, barred) as (desk, _):
        assert kit.tell(desk, kit.prognosis()).reason == "Barred Sender"
        assert kit.AGR not in desk.ask(kit.request(), kit.NOON_S)


def with_one_barred(rules: Market) -> Market:
    known = dict(rules.participants)
    known[kit.AGR] = replace(known[kit.AGR], barred=True)
    return replace(rules, participants=known)


def test_a_replay_is_answered_and_acted_on_no_second_time_even_after_a_restart(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        message = kit.sealed(kit.prognosis(-1_000_000))
        assert desk.hear(message, kit.NOON_S).reason == ""
        assert desk.hear(message, kit.NOON_S + 10.0).reason == "Already Submitted"
    with kit.desk_in(tmp_path) as (desk, memory):
        assert desk.hear(message, kit.NOON_S + 20.0).reason == "Already Submitted"
        assert desk.hear(kit.sealed(kit.prognosis(-900_000)), kit.NOON_S + 30.0).reason == "Duplicate Identifier"
        assert desk.baseline_w(kit.AGR, kit.TODAY)[96] == -1e6
        assert len(memory.verdicts()) == 4


def test_thousands_of_replays_across_restarts_and_clock_steps_change_nothing(tmp_path: Path) -> None:
    seed = 5
    print(f"seed {seed}")
    draw = random.Random(seed)
    rules = kit.market(messages_per_hour=10_000)
    with kit.desk_in(tmp_path, rules) as (desk, _):
        message = kit.sealed(kit.prognosis())
        assert desk.hear(message, kit.NOON_S).reason == ""
    for _ in range(3):
        with kit.desk_in(tmp_path, rules) as (desk, memory):
            memory._db.execute("PRAGMA synchronous=OFF")  # the disk is not what is tested here
            reasons = {desk.hear(message, kit.NOON_S + draw.uniform(-86400, 86400)).reason[:24] for _ in range(200)}
            assert reasons <= {"Already Submitted", "Invalid Message: TimeStamp"[:24]}
            assert len(memory.accepted_of("DPrognosis", kit.TODAY.isoformat())) == 1
    with kit.desk_in(tmp_path, rules) as (_, memory):
        assert memory.verify() == ""
        assert len(memory.verdicts()) == 601


def test_a_verdict_that_is_changed_on_the_disk_shows(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        kit.tell(desk, kit.prognosis())
        kit.tell(desk, kit.prognosis(number=9, revision=2))
    db = sqlite3.connect(tmp_path / FILE)
    with pytest.raises(sqlite3.IntegrityError, match="stays"):
        db.execute("UPDATE heard SET reason = 'x' WHERE seq = 1")
    db.execute("DROP TRIGGER heard_stays")
    db.execute("UPDATE heard SET sender = 'x' WHERE seq = 1")
    db.commit()
    db.close()
    with kit.desk_in(tmp_path) as (_, memory):
        assert "was changed" in memory.verify()


def test_a_newer_prognosis_counts_and_an_older_one_does_not(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.prognosis(-1_000_000, revision=2)).reason == ""
        assert kit.tell(desk, kit.prognosis(-2_000_000, number=9, revision=2)).reason.startswith("Invalid Message: Rev")
        assert kit.tell(desk, kit.prognosis(-3_000_000, number=10, revision=3)).reason == ""
        assert desk.baseline_w(kit.AGR, kit.TODAY)[96] == -3e6


def test_a_prognosis_names_every_period_of_the_day(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.prognosis(isps=95)).reason.startswith("ISPs out of bounds: 95 of 96")


@pytest.mark.parametrize(("period", "isps"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_the_days_on_which_clocks_change_have_fewer_and_more_periods(tmp_path: Path, period: date, isps: int) -> None:
    noon_s = kit.Day(period, 900, kit.ZONE, kit.POINT).isp_start_utc_s(1) + 3600.0
    with kit.desk_in(tmp_path) as (desk, _):
        said = kit.prognosis(isps=isps)
        said.period, said.time_stamp = XmlDate(period.year, period.month, period.day), kit.instant(noon_s)
        assert kit.tell(desk, said, at_s=noon_s).reason == ""
        said.isps[0].duration, said.revision, said.message_id = isps + 4, 2, kit.head(number=77)["message_id"]
        assert kit.tell(desk, said, at_s=noon_s).reason.startswith("ISPs out of bounds")


def test_metering_is_taken_in_kilowatts_and_kept_in_watts(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.metering(-512.5)).reason == ""
        assert desk.metered_w(kit.AGR, kit.TODAY)[48] == -512_500.0
        assert 49 not in desk.metered_w(kit.AGR, kit.TODAY)


def test_metering_of_the_future_in_wrong_units_or_of_others_is_refused(tmp_path: Path) -> None:
    energy = kit.metering(number=21)
    energy.profiles[0].unit = uftp.MeteringUnit.K_WH
    foreign = kit.metering(number=22)
    foreign.ean = "E" + "2" * 18
    watts = kit.metering(-512_500.0, number=23)
    absent = kit.metering(number=24)
    absent.profiles[0].isps[0].value = Decimal("NaN")
    with kit.desk_in(tmp_path) as (desk, _):
        assert kit.tell(desk, kit.metering(isps=range(1, 60))).reason.startswith("ISPs out of bounds: metering of what")
        assert "expected one, in kW" in kit.tell(desk, energy).reason
        assert "EAN is not one of" in kit.tell(desk, foreign).reason
        assert "in watts" in kit.tell(desk, watts).reason
        assert "expected a finite number" in kit.tell(desk, absent).reason


def test_an_offer_that_is_revoked_is_gone_unless_it_was_ordered(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        request_id = asked(desk)
        first, second = kit.offer(request_id, number=2), kit.offer(request_id, number=3)
        kit.tell(desk, first)
        kit.tell(desk, second)
        standing = desk.offers(kit.TODAY, kit.NOON_S)
        desk.order(standing[1], order_of(standing[1]), kit.NOON_S)
        for number, offer in ((31, first), (32, second)):
            words = kit.head(number=number)
            verdict = kit.tell(desk, uftp.FlexOfferRevocation(**words, flex_offer_message_id=offer.message_id))
            assert verdict.reason.startswith("" if offer is first else "Invalid Message: the offer is ordered")
        assert desk.offers(kit.TODAY, kit.NOON_S) == []
        with pytest.raises(ValueError, match="does not stand"):
            desk.order(standing[0], order_of(standing[0]), kit.NOON_S)


def test_an_offer_is_ordered_once_and_in_the_words_of_the_offer(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        kit.tell(desk, kit.offer(asked(desk)))
        (standing,) = desk.offers(kit.TODAY, kit.NOON_S)
        order_id = desk.order(standing, order_of(standing, 0.5), kit.NOON_S)
        with pytest.raises(ValueError, match="does not stand"):
            desk.order(standing, order_of(standing), kit.NOON_S)
        ((sent, order),) = desk.orders(kit.TODAY)
        assert sent.message_id == order_id
        assert order.power_w == {53: 1e6, 54: 1e6}
        assert order.ordered_w == {53: 0.5e6, 54: 0.5e6}
        yes = uftp.FlexOrderResponse(**kit.head(number=40), flex_order_message_id=order_id)
        assert kit.tell(desk, yes).reason == ""
        assert desk.orders(kit.TODAY)[0][0].answer == "accepted"
        again = uftp.FlexOrderResponse(**kit.head(number=41), flex_order_message_id=order_id)
        assert kit.tell(desk, again).reason == "Invalid Message: answered before"
        forged = uftp.FlexOrderResponse(**kit.head(kit.OTHER, number=42), flex_order_message_id=order_id)
        assert kit.tell(desk, forged).reason == "Unknown FlexOrderMessageID reference"


def test_what_was_to_be_sent_is_sent_after_a_restart_with_the_same_id(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        asked(desk)
        before = memory.waiting()
    with kit.desk_in(tmp_path) as (desk, memory):
        assert memory.waiting() == before
        assert kit.tell(desk, kit.offer(before[0].message_id)).reason == ""


def portfolio(domains: list[str], number: int) -> uftp.DsoPortfolioQueryResponse:
    connections = [
        uftp.DsoPortfolioQueryConnection(entity_address=f"ea1.2026-01.com.example:c{k}", agr_domain=d)
        for k, d in enumerate(domains)
    ]
    point = uftp.DsoPortfolioQueryCongestionPoint(connections=connections, entity_address=kit.POINT)
    return uftp.DsoPortfolioQueryResponse(
        **kit.head(kit.CRO, number=number),
        dso_portfolio_query_message_id=kit.head(number=1)["message_id"],
        congestion_point=point,
        time_zone=kit.ZONE,
        period=XmlDate(2026, 6, 15),
    )


def test_a_participant_that_the_reference_operator_adds_at_noon_takes_part_at_once(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path, kit.market(by_portfolio=True)) as (desk, _):
        assert kit.tell(desk, portfolio([kit.OTHER], 50), role="CRO").reason == ""
        assert list(desk.ask(kit.request(), kit.NOON_S)) == [kit.OTHER]
        assert kit.tell(desk, kit.prognosis()).reason.startswith("Barred Sender: not listed")
        assert kit.tell(desk, portfolio([kit.OTHER, kit.AGR], 51), role="CRO").reason == ""
        assert list(desk.ask(kit.request(), kit.NOON_S)) == [kit.AGR, kit.OTHER]
        assert kit.tell(desk, kit.prognosis(number=60)).reason == ""


def test_a_settlement_says_what_the_rule_says(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        kit.tell(desk, kit.offer(asked(desk)))
        (standing,) = desk.offers(kit.TODAY, kit.NOON_S)
        order = order_of(standing)
        result = settle_order("O-1", [(53, -2e6, 1e6, -1e6), (54, -2e6, 1e6, -1.5e6)], Tariff(2e-5, 3e-5))
        desk.settle(kit.AGR, [(order, result)], kit.NOON_S)
        text = next(s.payload for s in memory.waiting() if s.kind == "FlexSettlement").decode()
        assert 'DeliveredFlexPower="500000" PowerDeficiency="500000"' in text
        assert 'Price="30.0000" Penalty="15.0000" NetSettlement="15.0000"' in text


def test_a_reservation_is_said_in_whole_watts(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        desk.reserve(kit.AGR, Reservation(kit.DAY, "C-7", "R-1", {1: 1000.4, 2: 0.0}), kit.NOON_S)
        (sent,) = memory.waiting()
        assert b'Power="1000"' in sent.payload
        assert b'ContractID="C-7"' in sent.payload


def test_hello_is_answered(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, memory):
        assert kit.tell(desk, uftp.TestMessage(**kit.head())).reason == ""
        assert [s.kind for s in memory.waiting()] == ["TestMessageResponse"]


def test_offers_of_yesterdays_desk_are_of_yesterday(tmp_path: Path) -> None:
    with kit.desk_in(tmp_path) as (desk, _):
        kit.tell(desk, kit.offer(asked(desk)))
        assert desk.offers(kit.TODAY + timedelta(days=1), kit.NOON_S) == []
        assert desk.offers(kit.TODAY, kit.NOON_S + 3601.0) == []
