"""Orders in words: what shaped a set point, and what was bought of whom."""

from __future__ import annotations

import io
from typing import Any

import demo_samples as samples
import pytest
from rich.console import Console, Group

from simulators.demo.causes import CauseLedger
from simulators.demo.orders import OrderNames
from simulators.demo.summary_market import market_summary
from simulators.scenario import load_scenario

OFFERS = load_scenario("a_day_in_the_life").market.offers
NIGHT = "BAT1-night (Battery owner, 21:30–05:30)"


def named(text: str) -> str:
    names = OrderNames(OFFERS)
    names.take([samples.event("instruction.accepted", "market-1775847706058230", text)])
    return names.of("flexibility:market-1775847706058230")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("market order of aeffa89e-BAT1-night", NIGHT),
        ("market order of aeffa89e-BAT1-night+e1b00000-BAT1-night", NIGHT),
        ("market order of f4bdd94e-EVH1-night-40", "EVH1-night (Depot, 22:00–05:30)"),
        ("market order of f4bdd94e-OTHER", "market order of f4bdd94e-OTHER"),
        ("order for BAT1-night", NIGHT),
        ("set point of event-5", "set point of event-5 (market)"),
        ("voltage support of event-9; in full: 5210 kvar", "voltage support of event-9 (market)"),
    ],
)
def test_a_lease_is_called_by_what_it_is_for(reason: str, words: str) -> None:
    assert named(f"limit BAT1 by flexibility:market for 300 s: {reason}") == words


def test_a_lease_that_nobody_explained_is_called_by_who_gave_it() -> None:
    assert OrderNames(OFFERS).of("flexibility:dso-1775847706058230") == "flexibility order of dso"
    assert OrderNames(OFFERS).of("N3.voltage") == "N3.voltage"


def test_all_renewals_of_an_order_are_counted_as_one_cause() -> None:
    names = OrderNames(OFFERS)
    ledger = CauseLedger(names.of)
    text = "limit BAT1 by flexibility:market for 300 s: market order of aeffa89e-BAT1-night"
    for k in range(4):
        names.take([samples.event("instruction.accepted", f"market-{k}", text)])
        ledger.take(samples.record(k, 10.0 * k, causes={"BAT1": [f"flexibility:market-{k}"]}))
    assert ledger.of("BAT1") == {NIGHT: 30.0}


def market(**changes: Any) -> dict[str, Any]:
    order = {"offer": "BAT1-night", "participant": "Battery owner", "unit": "BAT1", "t_s": 60.0}
    orders = [
        {**order, "power_w": {"900": 1e6, "1800": 2e6}, "price_eur": 11.25},
        {**order, "power_w": {"1800": 1e6}, "price_eur": 4.0},
    ]
    return {"orders": orders, "support": [], "sale": None, "paid_eur": 15.25} | changes


def text_of(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    with console.capture() as capture:
        console.print(Group(*market_summary(found)))
    return " ".join(capture.get().split())


def test_what_was_bought_is_summed_up_by_offer() -> None:
    text = text_of(market())
    assert "BAT1-night Battery owner 2 3.0 MW 1.0 MWh 15 EUR" in text
    assert "Due so far for flexibility and support: 15 EUR." in text


def test_voltage_support_and_the_national_bid_are_told_in_a_sentence_each() -> None:
    support = {
        "before_var": 2e6, "asked_var": 5e6, "answer": "ORDERED: in full: 5000 kvar",
        "periods": [{"share_frac": 0.88}, {"share_frac": 1.0}],
    }  # fmt: skip
    bid = {"up_w": 1.2e6, "down_w": 4e6, "price_eur_per_mwh": 17.0, "units": ["BAT1", "CESB"]}
    text = text_of(market(support=[support], sale={"bid": bid, "accepted": False, "reason": "too late"}))
    assert "3.0 Mvar more asked for at the boundary, answered 'in full: 5000 kvar'" in text
    assert "in each quarter hour: 88 %, 100 %." in text
    assert "1.2 MW up, 4.0 MW down at 17 EUR/MWh by BAT1, CESB, refused: too late." in text


def test_what_became_of_the_national_bid_is_told_behind_it() -> None:
    bid = {"up_w": 1.2e6, "down_w": 4e6, "price_eur_per_mwh": 17.0, "units": ["BAT1"]}
    sale = {
        "bid": bid,
        "accepted": True,
        "reason": "",
        "activated": "the market calls",
        "taken": "the station takes it",
    }
    text = text_of(market(sale=sale))
    assert "at 17 EUR/MWh by BAT1, accepted. The market calls. The station takes it." in text
