"""What the end of the demo says a market was worth."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.demo.worth import worth


def day(curtailed_wh: float, paid_eur: float, **changes: Any) -> dict[str, Any]:
    market = {"paid_eur": paid_eur, "shortfall_eur_per_mwh": 200.0}
    made = {"site": "a", "seed": 1, "start": "20:00:00", "hours": 24.0, "market": market}
    return made | {"units": [{"curtailed_wh": curtailed_wh}]} | changes


def test_energy_kept_and_money_are_told_against_the_day_without_a_market() -> None:
    said = worth(day(0.0, 600.0), day(7e6, 0.0)).plain
    assert "7.0 MWh more generation kept" in said
    assert "worth 1400 EUR" in said
    assert said.endswith("for 600 EUR of flexibility: +800 EUR.")


def test_a_market_that_costs_more_than_it_saves_is_said_to_lose() -> None:
    assert worth(day(0.0, 600.0), day(1e6, 0.0)).plain.endswith("-400 EUR.")


def test_a_day_that_was_as_good_without_a_market_says_so_without_signs() -> None:
    said = worth(day(2e5, 0.0), day(2e5 - 100.0, 0.0)).plain
    assert "as much generation kept (200 kWh instead of 200 kWh curtailed), worth 0 EUR" in said
    assert said.endswith("for 0 EUR of flexibility: +0 EUR.")


@pytest.mark.parametrize("key", ["site", "seed", "start", "hours"])
def test_days_that_are_not_the_same_are_not_compared(key: str) -> None:
    with pytest.raises(ValueError, match=f"about {key}"):
        worth(day(0.0, 1.0), day(0.0, 1.0, **{key: "other"}))
