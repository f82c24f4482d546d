"""The national market's desk takes a bid that makes sense and says what is wrong with any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulators.platform.national import NationalMarket

NOW_S = 1.8e9
BID: dict[str, Any] = {
    "id": "b1",
    "from_utc_s": NOW_S + 3600.0,
    "until_utc_s": NOW_S + 7200.0,
    "up_w": 1e6,
    "down_w": 2e6,
    "price_eur_per_mwh": 20.0,
    "now": [1e6, 0.0],
    "area": [[-1e6, -1e6], [4e6, -1e6], [4e6, 1e6], [-1e6, 1e6]],
}


@pytest.fixture
def market(tmp_path: Path) -> NationalMarket:
    return NationalMarket(tmp_path, lambda: NOW_S)


def test_a_bid_whose_volume_lies_in_its_area_is_accepted(market: NationalMarket) -> None:
    assert market.judge(BID) == ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"id": ""}, "malformed"),
        ({"up_w": float("nan")}, "not a number"),
        ({"price_eur_per_mwh": "20"}, "not a number"),
        ({"from_utc_s": NOW_S - 1.0}, "ahead"),
        ({"until_utc_s": NOW_S + 3600.0}, "ahead"),
        ({"up_w": 1e5, "down_w": 1e5}, "too small"),
        ({"up_w": -1.0}, "too small"),
        ({"price_eur_per_mwh": 900.0}, "price"),
        ({"up_w": 2.1e6}, "inside its area"),
        ({"down_w": 3.1e6}, "inside its area"),
        ({"area": []}, "inside its area"),
        ({"now": None}, "inside its area"),
        ({"area": [[0, 0], [1, None], [1, 1]]}, "inside its area"),
    ],
)
def test_a_bid_that_makes_no_sense_is_refused_with_its_reason(
    market: NationalMarket, changes: dict[str, Any], word: str
) -> None:
    assert word in market.judge({**BID, **changes})


def test_what_is_no_object_is_refused(market: NationalMarket) -> None:
    assert "malformed" in market.judge([1])
