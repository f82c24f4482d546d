"""What a unit has sold is taken only where a limit needs it, and before anybody else gives way."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.access import access_prices
from controller.control.book import dump_book, load_book
from controller.control.override import Book, receive
from controller.control.resources import Resources
from controller.control.sold import sold_price
from controller.domain.budget import Allowance
from controller.domain.instruction import Action, Instruction
from controller.domain.market import desk_for
from controller.domain.owner import Owner
from controller.domain.platform import Issuer, Link, Platform
from controller.domain.record import CycleRecord, UnitState
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.actuator import UnitArrays
from controller.limits.unit_ranges import Sold, most_sold

UTC_S = 1.8e9
PRINCIPLES = ("merit", "lifo", "pro_rata", "technical_best")
DESK = replace(desk_for(frozenset({"WIND", "PV", "HUB", "BAT"}), 8e6, 3600.0, Allowance(1e3, 60.0)), name="market")
CAUSE = "flexibility:order-"


def traded(principle: str = "merit", **prices: float) -> Site:
    """The kit's generators with a platform whose desk buys; PV is the dearer one unless ``prices`` say otherwise."""
    eur = {"WIND": 50.0, "PV": 60.0, **prices}
    units = kit.four_units(**{k: {"price_eur_per_mwh": v} for k, v in eur.items()})
    units = tuple(replace(u, stack_position={"WIND": 1, "PV": 2}.get(u.id, 0)) for u in units)
    issuer = Issuer(DESK.name, "p", Owner.FLEXIBILITY, DESK.subjects, 8e6, 3600.0, 0.0, DESK.writes, DESK.writes)
    platform = Platform(Link("https://x", "ven", 30.0, 60.0, "/c"), (issuer,), ())
    return replace(kit.site(units, principle=principle), platform=platform)


class Market:
    """A loop whose desk says orders; the battery is full, so that nothing but generation is left to give way."""

    def __init__(self, site: Site, soc_frac: float = 0.95, **available_w: float) -> None:
        self.site = site
        self.plant = kit.Plant(site, {"WIND": 6e6, "PV": 4e6, "HUB": 0.0, **available_w})
        self.plant.soc_frac = soc_frac
        self.loop = kit.Loop(self.plant)
        self.waiting: list[Instruction] = []
        self.counter = 0
        inner = self.plant.snapshot
        self.plant.snapshot = lambda without=lambda _: False: self._with(inner(without))  # type: ignore[method-assign]

    def _with(self, found: Snapshot) -> Snapshot:
        asked, self.waiting = tuple(self.waiting), []
        return replace(found, utc_s=UTC_S + found.now_s, instructions=asked)

    def say(self, action: Action, subject: str, value: float = math.nan, lasts_s: float = 600.0) -> None:
        self.counter += 1
        self.waiting.append(
            Instruction(
                f"order-{self.counter}", self.site.platform.issuers[0].account, self.counter,
                UTC_S + self.plant.now_s, lasts_s, action, subject, value, reason="order", owner=Owner.FLEXIBILITY,
            )
        )  # fmt: skip

    def run(self, cycles: int) -> CycleRecord:
        return self.loop.run(cycles)

    def missing_w(self, unit: str) -> float:
        """What the plant's unit could give and does not."""
        return self.plant.available_w[unit] - abs(self.plant.p_w(unit))


def state(record: CycleRecord, unit: str) -> UnitState:
    return next(u for u in record.units if u.id == unit)


def test_nothing_is_taken_of_a_generator_that_has_sold_while_no_limit_needs_it() -> None:
    market = Market(traded())
    market.run(30)
    market.say(Action.RESERVE, "PV", 1e6)
    for _ in range(30):
        record = market.run(1)
        assert market.missing_w("PV") == 0.0
        assert state(record, "PV").withheld == ()
        assert state(record, "PV").causes == ()
    assert [r.cause for r in record.restrictions] == ["flexibility:order-1"], "that it may be taken is on record"


@pytest.mark.parametrize("principle", PRINCIPLES)
def test_where_a_limit_binds_what_was_sold_is_taken_first_and_no_more_than_the_limit_needs(principle: str) -> None:
    market = Market(traded(principle))
    market.say(Action.RESERVE, "PV", 1e6)
    market.run(20)
    market.plant.available_w |= {"WIND": 8e6, "PV": 4.5e6}  # 12.5 MW less 2 MW of demand: 1.5 MW too many for 9 MW
    record = market.run(60)
    export_w = -market.plant.truth()["interface.p_w"]
    assert export_w <= 9.02e6
    assert market.missing_w("PV") == pytest.approx(1.3e6, abs=0.15e6), "the network's losses are 0.2 MW"
    assert market.missing_w("WIND") < 0.02e6
    assert export_w > 8.8e6, "more would be taken than is needed"
    told = state(record, "PV")
    assert [part.cause for part in told.withheld] == [f"{CAUSE}1"]
    assert told.withheld[0].w == pytest.approx(market.missing_w("PV"), abs=0.05e6)
    assert told.causes == ("export", f"{CAUSE}1")
    assert next(s.owner for s in record.setpoints if s.unit == "PV") == "flexibility"


@pytest.mark.parametrize("principle", PRINCIPLES)
def test_when_all_that_was_sold_is_taken_the_rest_gives_way_by_the_principle(principle: str) -> None:
    """2 MW of the dearer unit are sold and 3.5 MW are needed: the other one and the unsold rest share 1.5 MW."""
    market = Market(traded(principle))
    market.say(Action.RESERVE, "PV", 4e6)
    market.run(20)
    market.plant.available_w |= {"WIND": 8e6, "PV": 6e6}
    market.plant.town_w = 1.5e6
    record = market.run(90)
    assert -market.plant.truth()["interface.p_w"] <= 9.02e6
    assert market.missing_w("PV") > 1.9e6
    told = {part.cause: part.w for part in state(record, "PV").withheld}
    assert told[f"{CAUSE}1"] == pytest.approx(2e6, abs=0.05e6)
    if principle == "merit":
        assert market.missing_w("PV") == pytest.approx(2e6, abs=0.1e6)
        assert market.missing_w("WIND") == pytest.approx(1.5e6, abs=0.25e6)
    elif principle == "pro_rata":
        left_w = {"WIND": 8e6, "PV": 4e6}
        shares = (market.missing_w("WIND") / left_w["WIND"], (market.missing_w("PV") - 2e6) / left_w["PV"])
        assert shares[0] == pytest.approx(shares[1], abs=0.04)
        assert "export" in told
    assert sum(told.values()) == pytest.approx(state(record, "PV").curtailed_w)


def test_storage_that_costs_next_to_nothing_is_used_before_what_was_sold() -> None:
    market = Market(traded(), soc_frac=0.6)
    market.say(Action.RESERVE, "PV", 1e6)
    market.run(20)
    market.plant.available_w |= {"WIND": 8e6, "PV": 4.5e6}
    market.run(60)
    assert market.plant.p_w("BAT") == pytest.approx(1.4e6, abs=0.2e6)
    assert market.missing_w("PV") < 0.05e6


def test_an_order_that_ends_while_it_is_used_ends_the_permission_and_no_limit_is_broken_meanwhile() -> None:
    market = Market(traded())
    market.run(20)
    market.say(Action.RESERVE, "PV", 1e6, lasts_s=60.0)
    market.plant.available_w |= {"WIND": 8e6, "PV": 4.5e6}
    market.run(50)
    assert market.missing_w("WIND") < 0.02e6
    worst_w = 0.0
    for _ in range(80):
        market.run(1)
        worst_w = max(worst_w, -market.plant.truth()["interface.p_w"])
    assert worst_w <= 9.05e6
    assert market.missing_w("WIND") == pytest.approx(1.5e6, abs=0.2e6), "the cheaper one gives way by merit"
    assert market.missing_w("PV") < 0.05e6
    assert state(market.loop.records[-1], "PV").withheld == ()


def test_when_the_need_is_over_what_was_taken_is_given_back_while_the_order_lasts() -> None:
    market = Market(traded())
    market.say(Action.RESERVE, "PV", 1e6)
    market.plant.available_w |= {"WIND": 8e6, "PV": 4.5e6}
    market.run(60)
    assert market.missing_w("PV") > 1e6
    market.plant.available_w["WIND"] = 5e6
    market.run(60)
    assert market.missing_w("PV") < 0.02e6


def test_demand_that_has_sold_its_consumption_gives_way_first_under_an_import_limit() -> None:
    site = traded()
    market = Market(site, soc_frac=0.05, WIND=0.0, PV=0.0, HUB=1e6)
    market.say(Action.RESERVE, "HUB", 0.2e6)
    market.plant.town_w = 3.8e6
    market.run(40)
    assert market.missing_w("HUB") < 1.0
    market.plant.town_w = 4.5e6
    record = market.run(60)
    assert market.plant.truth()["interface.p_w"] <= 5.02e6
    assert state(record, "HUB").withheld[0].cause == f"{CAUSE}1"


REFUSED = [
    ({"value": math.nan}, "not finite"),
    ({"value": math.inf}, "not finite"),
    ({"value": -1.0}, "out of range"),
    ({"value": 6.1e6}, "out of range"),
    ({"subject": "export"}, "unknown unit"),
    ({"subject": "BAT"}, "malformed"),
    ({"q_var": 1.0}, "malformed"),
    ({"issuer": "ann", "owner": Owner.OPERATOR}, "no authority"),
    ({"lasts_s": 3601.0}, "out of range"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_a_reserve_that_makes_no_sense_is_refused_whole(change: dict[str, object], reason: str) -> None:
    site = traded()
    account = site.platform.issuers[0].account
    good = Instruction("o", account, 1, UTC_S, 600.0, Action.RESERVE, "PV", 1e6, reason="x", owner=Owner.FLEXIBILITY)
    assert receive(site, Book(), Snapshot(0.0, {}, UTC_S, instructions=(good,)), np.zeros(4)).book.standing
    asked = replace(good, **change)  # type: ignore[arg-type]
    found = receive(site, Book(), Snapshot(0.0, {}, UTC_S, instructions=(asked,)), np.zeros(4))
    assert found.book.standing == ()
    assert reason in found.events[0].text


def test_a_reserve_outlives_a_restart_and_a_platform_s_release_ends_it() -> None:
    site = traded()
    market = Market(site)
    market.say(Action.RESERVE, "PV", 1e6)
    market.run(1)
    book, events = load_book(site, dump_book(market.loop.state.book, market.plant.now_s), 5.0, 0.0)
    assert (events, book.standing[0].instruction.action) == ([], Action.RESERVE)
    market.say(Action.RELEASE, "PV")
    market.run(1)
    assert market.loop.state.book.standing == ()


def test_of_two_reserves_the_one_counts_that_leaves_less_and_one_that_is_no_number_sells_nothing() -> None:
    one, other = Sold(1, Owner.FLEXIBILITY, "a", 2e6), Sold(1, Owner.FLEXIBILITY, "b", 1e6)
    broken = [Sold(0, Owner.FLEXIBILITY, "c", w) for w in (math.nan, -1.0, math.inf)]
    assert most_sold([one, other, *broken]) == (other,)


@pytest.mark.parametrize("principle", PRINCIPLES)
@pytest.mark.parametrize("storage_eur", [8.0, 33.0, 500.0])
def test_what_is_sold_is_cheaper_than_anybody_s_curtailment(principle: str, storage_eur: float) -> None:
    site = traded(principle)
    r = Resources.of(site, UnitArrays.of(site))
    price, _ = access_prices(site, r)
    cost = storage_eur / r.price_scale
    found = sold_price(price, np.where(r.is_storage, -cost, price), r)
    assert 0.0 < found < price[~r.is_storage].min()
    assert found > cost or cost > 0.8 * price[~r.is_storage].min()


def test_a_reserve_that_begins_above_all_that_a_unit_does_changes_no_set_point() -> None:
    plain, sold = Market(traded(), WIND=8e6, PV=4.5e6), Market(traded(), WIND=8e6, PV=4.5e6)
    sold.say(Action.RESERVE, "PV", 6e6)
    plain.run(40)
    sold.run(40)
    assert [r.setpoints for r in plain.loop.records] == [r.setpoints for r in sold.loop.records]
