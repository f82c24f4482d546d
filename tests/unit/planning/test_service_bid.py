"""A bid says only what the record knows and what its units can keep up."""

from __future__ import annotations

from typing import Any

import core_planning_kit as kit
import pytest

from controller.planning.service_bid import ServiceBid, service_bid

WINDOW = (1.8e9, 1.8e9 + 1800.0)


def bid(found: dict[str, Any], prices: dict[str, float]) -> ServiceBid | None:
    return service_bid(kit.seller(), found, "b", WINDOW, prices, 4.0)


def test_a_battery_is_offered_in_both_directions_in_whole_steps_at_its_price_and_the_margin() -> None:
    made = bid(kit.seller_record(), {"BAT": 16.0})
    assert made is not None
    assert (made.up_w, made.down_w, made.price_eur_per_mwh) == (0.5e6, 0.5e6, 20.0)
    assert made.area.contains(made.area.now.p_w - made.up_w, made.area.now.q_var)
    assert made.area.contains(made.area.now.p_w + made.down_w, made.area.now.q_var)
    assert made.area.now.p_w == pytest.approx(-1.5e6, abs=0.05e6)


@pytest.mark.parametrize("changes", [{"soc_frac": None}, {"status": "lost"}, {"status": "deaf"}])
def test_what_is_not_known_or_does_not_obey_is_not_for_sale(changes: dict[str, Any]) -> None:
    assert bid(kit.seller_record(**changes), {"BAT": 16.0}) is None


def test_what_nobody_has_accepted_a_price_of_is_not_for_sale() -> None:
    assert bid(kit.seller_record(), {}) is None


@pytest.mark.parametrize("part", ["units", "buses"])
def test_a_record_that_says_too_little_makes_no_bid(part: str) -> None:
    found = kit.seller_record()
    found[part] = found[part][1:]
    with pytest.raises(ValueError, match="the record says nothing of"):
        bid(found, {"BAT": 16.0})


def test_a_number_that_is_none_makes_no_bid() -> None:
    found = kit.seller_record()
    found["buses"][0]["p_w"] = None
    with pytest.raises(ValueError, match="p_w of BB is None"):
        bid(found, {"BAT": 16.0})
