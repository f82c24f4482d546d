"""The site file of a day on which the station trades: what everybody on the other side is, as the station reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.site import Site
from simulators.platform.national_desk import GATE_S, NationalDesk
from simulators.platform.trading_site import parties, write_site
from simulators.scenario import load_scenario

pytestmark = pytest.mark.socket

NAME = "a_day_in_the_life"
PLATFORM = {"url": "https://127.0.0.1:1/openadr3", "credentials": "/nowhere/credentials", "ca_file": "/nowhere/ca.pem"}


async def written(folder: Path) -> Site:
    market = load_scenario(NAME).market
    assert market.sale is not None
    desk = NationalDesk(folder / "national", market.sale, lambda: datetime.now(UTC), untold)
    await desk.open()
    try:
        path = find_site(NAME)
        return load_site(write_site(path, load_site(path), market, parties(market), PLATFORM, desk.keys(), folder))
    finally:
        await desk.aclose()


def untold(name: str, text: str, **facts: Any) -> None:
    raise AssertionError(f"{name}: {text}; nobody has bidden")


async def test_the_station_of_a_day_with_a_sale_knows_the_national_market_s_desk(tmp_path: Path) -> None:
    site, sale = await written(tmp_path), load_scenario(NAME).market.sale
    assert sale is not None
    tender = site.tender
    assert tender is not None
    assert (tender.at_s, tender.gate_s) == (sale.at, sale.at + GATE_S)
    assert (tender.start_s, tender.end_s) == (sale.start, sale.end)
    assert (tender.units, tender.margin_eur_per_mwh) == (sale.units, sale.margin_eur_per_mwh)
    assert tender.ca_file == str(tmp_path / "national" / "ca.pem")


async def test_every_participant_of_the_scenario_is_on_the_market_of_the_site_file(tmp_path: Path) -> None:
    site = await written(tmp_path)
    assert site.market is not None
    offers = load_scenario(NAME).market.offers
    sold = {unit for party in site.market.rules.participants.values() for unit in party.units}
    assert sold == {offer.asset for offer in offers}
