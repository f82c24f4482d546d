"""The exact words of a conversation on the flexibility market, as they are signed.

A change here is a change of what participants get to read: look at it, then write the files anew with
``python tests/golden/test_golden_uftp.py``.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from controller.balancing.uftp import wire, writing
from controller.balancing.uftp.reading import read_order, read_payload, read_request
from controller.balancing.uftp.values import Day, Head, Offer, Order, Request, Reservation, Wanted
from controller.planning.settlement import Tariff, settle_order

FOLDER = Path(__file__).parent / "uftp"
NOON_S = datetime(2026, 6, 15, 11, 0, tzinfo=UTC).timestamp()
DAY = Day(date(2026, 6, 15), 900, "Europe/London", "ea1.2026-01.com.example:primary-1")
HEAD = Head(
    *("11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"),
    *("dso.example.com", "agr.example.com", NOON_S, "3.1.0"),
)
OFFER_ID = "33333333-0000-4000-8000-000000000003"
REQUEST = Request(DAY, 1, NOON_S + 1800.0, (Wanted(52, False, -100, 400_000), Wanted(53, True, 0, 800_000)), "S", None)
ORDER = Order(DAY, "O-1", OFFER_ID, "all", 12.5, "EUR", 0.5, {53: 800_000.0, 54: 800_000.0}, ((53, 2, 800_000),))
SETTLED = settle_order("O-1", [(53, -2e6, 4e5, -1.6e6), (54, -2e6, 3.5e5, -1.8e6)], Tariff(2e-5, 3e-5))

MESSAGES = {
    "flex_request": writing.write_request(HEAD, REQUEST),
    "flex_order": writing.write_order(HEAD, ORDER),
    "flex_offer_response": writing.write_answer(HEAD, "FlexOffer", OFFER_ID, "Reference message expired"),
    "d_prognosis_response": writing.write_answer(HEAD, "DPrognosis", OFFER_ID, ""),
    "flex_reservation_update": writing.write_reservation(HEAD, Reservation(DAY, "C-7", "R-1", {53: 5000.0})),
    "flex_settlement": writing.write_settlement(HEAD, [(ORDER, SETTLED)], "EUR"),
    "dso_portfolio_query": writing.write_portfolio_query(HEAD, DAY.period, DAY.time_zone, DAY.congestion_point),
}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_what_is_said_is_said_in_these_words(name: str) -> None:
    assert wire.plain_text(MESSAGES[name]) == (FOLDER / f"{name}.xml").read_bytes()


def test_what_was_written_down_is_read_as_it_was_meant() -> None:
    assert read_request(wire.parse_own((FOLDER / "flex_request.xml").read_bytes())) == REQUEST
    assert read_order(wire.parse_own((FOLDER / "flex_order.xml").read_bytes())) == ORDER


def test_an_aggregators_offer_is_understood() -> None:
    offer = read_payload(wire.parse((FOLDER / "flex_offer_in.xml").read_bytes()))
    assert isinstance(offer, Offer)
    assert offer.day == DAY
    assert offer.request_id == HEAD.message_id
    assert offer.expires_utc_s == NOON_S + 3600.0
    (option,) = offer.options
    assert (option.reference, option.price, option.activation_min_frac) == ("all", 12.5, 0.1)
    assert option.power_w == {53: 800_000.0, 54: 800_000.0}


if __name__ == "__main__":
    for name, message in MESSAGES.items():
        (FOLDER / f"{name}.xml").write_bytes(wire.plain_text(message))
