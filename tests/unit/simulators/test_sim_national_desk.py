"""What the national market of a played day makes of an accepted bid: when it calls, for what, and what it tells."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.balancing.national.activation import read_activation
from controller.balancing.national.client import activations, submit, tell
from controller.domain.national import Tender
from simulators.platform.national_desk import NationalDesk
from simulators.scenario import load_scenario

pytestmark = pytest.mark.socket

SALE = load_scenario("a_day_in_the_life").market.sale
MIDNIGHT_S = 1_800_000_000.0
AREA = [[-9e6, -9e6], [9e6, -9e6], [9e6, 9e6], [-9e6, 9e6]]


def bid(**changes: Any) -> str:
    assert SALE is not None
    window = {"from_utc_s": MIDNIGHT_S + SALE.start, "until_utc_s": MIDNIGHT_S + SALE.end}
    power = {"up_w": 3e6, "down_w": 1e6, "price_eur_per_mwh": 20.0, "now": [0.0, 0.0], "area": AREA, "units": ["BAT1"]}
    return json.dumps({"id": "b", **window, **power, **changes})


class Played:
    """The desk at a time of day that the test sets, and what it told."""

    def __init__(self, folder: Path, calls: bool = True) -> None:
        assert SALE is not None
        self.at_s = SALE.at
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        sale = SALE if calls else replace(SALE, call=None)
        self.desk = NationalDesk(folder / "national", sale, self._utc, self._tell)

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(MIDNIGHT_S + self.at_s, UTC)

    def _tell(self, name: str, text: str, **facts: Any) -> None:
        self.told.append((name, text, facts))

    def look(self, at_s: float) -> None:
        self.at_s = at_s
        self.desk.look()

    @asynccontextmanager
    async def open(self) -> Any:
        await self.desk.open()
        keys = self.desk.keys()
        try:
            yield Tender(keys["url"], 0.0, 0.0, 0.0, 0.0, (), 0.0, keys["ca_file"], keys["credentials"])
        finally:
            await self.desk.aclose()


async def test_the_share_of_the_scenario_is_called_once_at_its_hour_in_the_larger_direction(tmp_path: Path) -> None:
    assert SALE is not None
    assert SALE.call is not None
    played = Played(tmp_path)
    async with played.open() as tender:
        assert (await submit(tender, "b", bid(), 5.0)).accepted
        played.look(SALE.call.at - 1.0)
        assert await activations(tender, "b", 5.0) == []
        played.look(SALE.call.at)
        played.look(SALE.call.at + 60.0)
        (entry,) = await activations(tender, "b", 5.0)
    (period,) = read_activation(entry).periods
    assert period.change_w == -0.5 * 3e6
    assert (period.from_utc_s, period.until_utc_s) == (MIDNIGHT_S + SALE.call.start, MIDNIGHT_S + SALE.call.end)
    assert [name for name, _, _ in played.told] == ["market.sale", "market.activated"]
    assert played.told[-1][1] == "the national market activates 1.5 MW up 18:15–19:00"


async def test_what_the_station_takes_and_delivers_is_told_once(tmp_path: Path) -> None:
    assert SALE is not None
    assert SALE.call is not None
    played = Played(tmp_path)
    async with played.open() as tender:
        await submit(tender, "b", bid(), 5.0)
        played.look(SALE.call.at)
        name = played.told[-1][2]["activation"]
        verdict = {
            "id": name,
            "taken": True,
            "reason": "",
            "periods": [{"from_utc_s": 0, "until_utc_s": 900, "w": 1.5e6}],
        }
        await tell(tender, f"b/activations/{name}", name, json.dumps(verdict), 5.0)
        played.look(SALE.call.start)
        settled = {"id": name, "periods": [{"ordered_w": -1.5e6, "delivered_w": -1.2e6}]}
        settled |= {"paid_eur": 18.0, "penalty_eur": 3.0}
        await tell(tender, f"b/settlements/{name}", name, json.dumps(settled), 5.0)
        played.look(SALE.call.end)
        played.look(SALE.call.end + 60.0)
    assert [text for _, text, _ in played.told[2:]] == [
        "the station takes 1.5 MW of the national market's activation",
        "delivered to the national market: 80 % of what was taken, 15 EUR",
    ]


async def test_a_bid_that_was_refused_or_a_scenario_without_a_call_activates_nothing(tmp_path: Path) -> None:
    assert SALE is not None
    refused, quiet = Played(tmp_path / "one"), Played(tmp_path / "other", calls=False)
    async with refused.open() as tender:
        assert not (await submit(tender, "b", bid(price_eur_per_mwh=900.0), 5.0)).accepted
        refused.look(SALE.end - 1.0)
    async with quiet.open() as tender:
        assert (await submit(tender, "b", bid(), 5.0)).accepted
        quiet.look(SALE.end - 1.0)
        assert await activations(tender, "b", 5.0) == []
    assert {name for name, _, _ in [*refused.told, *quiet.told]} == {"market.sale"}
