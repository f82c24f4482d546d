"""Participants of the scenario's market as aggregators: what they offer, what is left, what they say beforehand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from shapeshifter_uftp import uftp
from xsdata.models.datatype import XmlDate, XmlDuration

from controller.config.find import find_site
from controller.config.loader import load_site
from simulators.market.model import Offer
from simulators.ordinary_day import ordinary_day
from simulators.platform.baseline import plan_of
from simulators.platform.dealer import Dealer, Ordered
from simulators.platform.isps import clock_s, count, inside, start_utc_s
from simulators.platform.overheard import told
from simulators.platform.trading_site import free_ports, parties
from simulators.scenario import load_scenario

ZONE = "Europe/London"
DAY = date(2026, 4, 10)
NIGHT = Offer("B-night", "Battery owner", "BAT1", 22 * 3600.0, 2 * 3600.0, 2e6, 15.0, activation_eur=20.0)
WHOLE = Offer("E-night", "Depot", "EVH1", 22 * 3600.0, 2 * 3600.0, 1e6, 20.0, divisible=False)


class Still(Dealer):
    """Sends nothing: what it would send is kept."""

    def __init__(self, *offers: Offer, baseline_w: list[int] | None = None) -> None:
        self.sent: list[Any] = []
        self.taken: list[Ordered] = []
        self.refusals: list[str] = []
        super().__init__(
            "b.example.com", parties(load_scenario("a_day_in_the_life").market).dso.secret, offers,
            dso_key="", dso_endpoint="http://127.0.0.1:9/", port=free_ports(1)[0],
            utc=lambda: datetime(2026, 4, 10, 19, 10, tzinfo=UTC), baseline_w=baseline_w,
            took=self.taken.append, refused=self.refusals.append, here=lambda offer: offer.joins is None,
        )  # fmt: skip

    def send(self, recipient: str, message: Any) -> None:
        """Keep it."""
        assert recipient == "dso.example.com"
        self.sent.append(message)

    def offers(self) -> list[Any]:
        """What it has offered and nobody has looked at yet."""
        found = [message for message in self.sent if isinstance(message, uftp.FlexOffer)]
        self.sent.clear()
        return found


def request(wanted_w: dict[int, int]) -> Any:
    """``wanted_w`` by ISP; all others are free but not asked for."""
    kinds = uftp.AvailableRequested
    isps = [
        uftp.FlexRequestISP(
            disposition=kinds.REQUESTED if isp in wanted_w else kinds.AVAILABLE,
            min_power=0, max_power=wanted_w.get(isp, 5_000_000), start=isp, duration=1,
        )
        for isp in range(81, 97)
    ]  # fmt: skip
    return uftp.FlexRequest(
        message_id=str(uuid4()), conversation_id=str(uuid4()), sender_domain="dso.example.com", time_stamp="",
        version="3.1.0", recipient_domain="b.example.com", isp_duration=XmlDuration("PT15M"), time_zone=ZONE,
        period=XmlDate(DAY.year, DAY.month, DAY.day), congestion_point="ea1.2026-01.com.example:x", revision=1,
        expiration_date_time="2026-04-10T20:00:00Z", isps=isps,
    )  # fmt: skip


def order_of(offer: Any, share: float) -> Any:
    option = offer.offer_options[0]
    return uftp.FlexOrder(
        message_id=str(uuid4()), conversation_id=str(uuid4()), sender_domain="dso.example.com", time_stamp="",
        version="3.1.0", recipient_domain="b.example.com", isp_duration=offer.isp_duration, time_zone=ZONE,
        period=offer.period, congestion_point=offer.congestion_point, flex_offer_message_id=offer.message_id,
        price=float(option.price) * share, currency="EUR", order_reference="o", activation_factor=share,
        option_reference=option.option_reference,
        isps=[uftp.FlexOrderISP(power=isp.power, start=isp.start) for isp in option.isps],
    )  # fmt: skip


def powers(offer: Any) -> dict[int, int]:
    (option,) = offer.offer_options
    return {isp.start: isp.power for isp in option.isps}


def test_what_is_wanted_in_its_hours_is_offered_as_far_as_there_is_any() -> None:
    dealer = Still(NIGHT)
    dealer.process_flex_request(request({87: 900_000, 89: 900_000, 90: 3_000_000, 93: 700_000}))
    first, second = dealer.offers()
    assert powers(first) == {89: 900_000, 90: 2_000_000}  # ISP 89 begins at 22:00
    assert powers(second) == {93: 700_000}
    assert float(first.offer_options[0].price) == pytest.approx(2.9 * 0.25 * 15.0 + 20.0)


def test_what_was_ordered_is_not_offered_again_and_activation_is_charged_once() -> None:
    dealer = Still(NIGHT)
    dealer.process_flex_request(request({89: 2_000_000, 90: 2_000_000}))
    (offer,) = dealer.offers()
    dealer.process_flex_order(order_of(offer, 0.75))
    (taken,) = dealer.taken
    assert (taken.first, set(taken.power_w.values())) == (True, {1.5e6})
    dealer.sent.clear()
    dealer.process_flex_request(request({89: 2_000_000, 90: 100_000}))
    (rest,) = dealer.offers()
    assert powers(rest) == {89: 500_000, 90: 100_000}
    assert float(rest.offer_options[0].price) == pytest.approx(0.6 * 0.25 * 15.0)


def test_what_cannot_be_divided_is_offered_in_blocks_of_which_one_is_taken_whole() -> None:
    dealer = Still(WHOLE)
    dealer.process_flex_request(request({89: 2_000_000}))
    (offer,) = dealer.offers()
    assert {option.min_activation_factor for option in offer.offer_options} == {1.0}
    assert [option.isps[0].power for option in offer.offer_options] == [1_000_000, 800_000, 600_000, 400_000]
    smaller = order_of(offer, 1.0)
    smaller.option_reference = "E-night-80"
    dealer.process_flex_order(smaller)
    assert set(dealer.taken[0].power_w.values()) == {800_000}


def test_who_has_not_joined_yet_offers_nothing() -> None:
    late = Offer("C", "Scheme", "CESB", 22 * 3600.0, 2 * 3600.0, 1e6, 12.0, joins=8 * 3600.0)
    dealer = Still(late)
    dealer.process_flex_request(request({89: 2_000_000}))
    assert dealer.offers() == []


def test_a_copy_of_an_order_whose_answer_was_lost_takes_nothing_more() -> None:
    dealer = Still(NIGHT)
    dealer.process_flex_request(request({89: 2_000_000}))
    (offer,) = dealer.offers()
    order = order_of(offer, 0.5)
    dealer.process_flex_order(order)
    dealer.process_flex_order(order)
    assert len(dealer.taken) == 1
    dealer.sent.clear()
    dealer.process_flex_request(request({89: 2_000_000}))
    assert powers(dealer.offers()[0]) == {89: 1_000_000}


def test_what_was_wanted_offered_and_ordered_is_told_in_a_few_words() -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    party = Still(NIGHT)
    party.heard.also = lambda message: said.append(("heard", told(message)))
    party.process_flex_request(request({89: 2_000_000}))
    (offer,) = party.offers()
    party.process_flex_order(order_of(offer, 0.5))
    asked, ordered = (message for _, message in said)
    begins = str(round(start_utc_s(DAY, ZONE, 89)))
    assert (asked["kind"], asked["wanted_w"]) == ("FlexRequest", {begins: 2e6})
    assert (ordered["kind"], ordered["about"], ordered["power_w"]) == ("FlexOrder", offer.message_id, {begins: 2e6})
    made = told(offer)
    assert made["options"] == [{"reference": "B-night", "power_w": {begins: 2e6}, "price_eur": pytest.approx(27.5)}]


def test_an_order_for_what_was_never_offered_is_told_and_not_taken() -> None:
    dealer, other = Still(NIGHT), Still(NIGHT)
    other.process_flex_request(request({89: 2_000_000}))
    (offer,) = other.offers()
    dealer.process_flex_order(order_of(offer, 1.0))
    assert dealer.taken == []
    assert len(dealer.refusals) == 1


def test_a_plan_is_said_once_a_day_before_anything_is_offered() -> None:
    dealer = Still(WHOLE, baseline_w=list(range(96)))
    dealer.process_flex_request(request({89: 2_000_000}))
    assert [type(message).__name__ for message in dealer.sent] == ["FlexRequestResponse", "DPrognosis", "FlexOffer"]
    assert [isp.power for isp in dealer.sent[1].isps] == list(range(96))
    dealer.sent.clear()
    dealer.process_flex_request(request({89: 2_000_000}))
    assert "DPrognosis" not in {type(message).__name__ for message in dealer.sent}


def test_a_depot_plans_nothing_for_the_hours_it_sells_and_a_farm_its_rating() -> None:
    site, scenario = load_site(find_site("a_day_in_the_life")), load_scenario("a_day_in_the_life")
    usual = ordinary_day(site, scenario, 1)
    plans = {o.id: plan_of(site, [o], usual) for o in scenario.market.offers}
    depot, farm = plans["EVH1-night"], plans["WIND1-night"]
    assert depot is not None
    assert farm is not None
    assert (depot[0], farm[0]) == (0, -12_000_000)
    assert depot[80] > depot[84] == 200_000  # from nine on, at the latest, its vehicles wait
    assert -12_000_000 < farm[48] < 0
    assert plans["BAT1-night"] is None


def test_periods_are_counted_through_a_change_of_the_clocks() -> None:
    change = date(2026, 3, 29)  # 01:00 becomes 02:00 in London
    assert (count(change, ZONE), count(DAY, ZONE)) == (92, 96)
    assert clock_s(start_utc_s(change, ZONE, 5), ZONE) == 2 * 3600.0
    assert inside(23 * 3600.0, NIGHT.start, NIGHT.end)
    assert not inside(2 * 3600.0, NIGHT.start, NIGHT.end)
