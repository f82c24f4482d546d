"""15:25: what is left for the evening is offered to the national market, and the plant can really do it."""

from __future__ import annotations

import asyncio
import math

import pytest
from day_kit import MIDNIGHT, DayLoop, site

from controller.planning.availability import availability
from simulators.demo.sale import Sold, sell

WINDOW_S = 5400.0
MIDNIGHT_UTC_S = MIDNIGHT.timestamp()

pytestmark = pytest.mark.socket


def afternoon() -> DayLoop:
    return DayLoop("15:20").run(6.0)


def sold(day: DayLoop) -> Sold:
    assert day.sale is not None
    prices = day.desk.accepted_eur_per_mwh(day.sale.units)
    return asyncio.run(sell(site(), day.record, day.sale, prices, MIDNIGHT_UTC_S))


@pytest.fixture(scope="module")
def offered() -> tuple[DayLoop, Sold]:
    day = afternoon()
    return day, sold(day)


def test_the_national_market_accepts_volume_window_price_and_area(offered: tuple[DayLoop, Sold]) -> None:
    day, found = offered
    assert found.accepted, found.reason
    assert found.bid is not None
    assert found.bid.up_w >= 500e3
    assert found.bid.until_utc_s - found.bid.from_utc_s == WINDOW_S
    accepted = {o.asset: o.price_eur_per_mwh for out in day.outcomes if not out.reactive for o, _ in out.taken}
    assert found.bid.price_eur_per_mwh == max(accepted[unit] for unit in found.bid.units) + 5.0
    truth = day.world.truth()
    assert math.hypot(
        found.bid.area.now.p_w - truth.interface_p_w, found.bid.area.now.q_var - truth.interface_q_var
    ) == pytest.approx(0.0, abs=0.3e6)


@pytest.fixture(scope="module")
def left() -> DayLoop:
    """The same afternoon without an activation."""
    return afternoon().run(8.0)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_the_plant_moves_by_the_volume_that_was_offered_and_keeps_every_limit(
    offered: tuple[DayLoop, Sold], left: DayLoop, direction: str
) -> None:
    bid = offered[1].bid
    assert bid is not None
    moved = afternoon().run(5.0)  # the orders of noon end at 15:30
    for unit in site().units:
        if unit.id in bid.units and unit.storage is not None:
            state = next(x for x in moved.record["units"] if x["id"] == unit.id)
            can = availability(unit, state["p_w"], math.nan, state["soc_frac"], WINDOW_S)
            moved.order(unit.id, state["p_w"] - can.up_w if direction == "up" else state["p_w"] + can.down_w)
    moved.run(3.0)
    assert not moved.refused
    change_w = moved.world.truth().interface_p_w - left.world.truth().interface_p_w
    offered_w = -bid.up_w if direction == "up" else bid.down_w
    vehicles_w = 0.4e6  # the depot's part, which is not moved here
    assert change_w == pytest.approx(offered_w, abs=vehicles_w)
    assert all(limit["over_s"] == 0.0 for limit in moved.world.score.limits())


def test_a_day_on_which_nothing_was_bought_sells_nothing() -> None:
    assert DayLoop("15:24", market=False).run(3.0).sale is None
