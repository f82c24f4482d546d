"""Asking the market for what a projection lacks, and ordering the cheapest that helps and harms nothing."""

from __future__ import annotations

import math

import core_planning_kit as kit
import numpy as np
import pytest

from controller.planning.procurement import Offered, asking, choose, relief_of
from controller.planning.projection import LimitOutlook, Projection
from controller.planning.schedule import SAFE_DEFAULT, Slot, StandingContract, in_force

FIRST = 40
SHORTFALL = 200.0


def projection(export_excess_w: list[float], import_excess_w: list[float] | None = None) -> Projection:
    """Too much export where positive; room where negative. More consumption at A or B relieves it watt by watt."""
    import_w = np.array(import_excess_w or [-5e6] * len(export_excess_w))
    at = [0.0, 1.0, 1.0]  # BB has no unit here
    sides = ((np.array(export_excess_w), 1.0, "export"), (import_w, -1.0, "import"))
    outlooks = [LimitOutlook(name, "high", (w > 0.0).astype(float), w, sign * np.array(at)) for w, sign, name in sides]
    return Projection(FIRST, tuple(outlooks))


RELIEF = {"A": np.array([1.0, -1.0]), "B": np.array([0.5, -0.5])}


def offer(name: str, who: str, mw: float, price: float, share_min: float = 0.1, quarters: tuple[int, ...] = (41, 42)):
    return Offered(name, who, f"g-{name}", price, share_min, dict.fromkeys(quarters, mw * 1000000.0))


def test_what_is_asked_is_what_the_best_placed_would_have_to_give() -> None:
    found = asking(projection([-1e6, 0.8e6, 0.8e6]), [RELIEF["A"], RELIEF["B"]])
    assert [a.quarter for a in found] == [40, 41, 42]
    assert (found[1].wanted, found[1].low_w, found[1].high_w) == (True, 0.0, 0.8e6)
    assert not found[0].wanted
    assert (found[0].low_w, found[0].high_w) == (-1e6, 5e6)


def test_what_is_asked_never_breaks_the_limit_on_the_other_side() -> None:
    found = asking(projection([0.8e6], import_excess_w=[-0.3e6]), [RELIEF["A"]])
    assert found[0].high_w == 0.3e6


def test_the_cheapest_set_that_covers_the_need_is_ordered() -> None:
    offers = [offer("dear", "A", 1.0, 60.0), offer("cheap", "B", 2.0, 40.0)]
    found = choose(projection([-1e6, 0.8e6, 0.8e6]), offers, RELIEF, SHORTFALL)
    assert found.proven
    assert found.shares == {"cheap": 0.8}
    assert found.left_out == {"dear": "not needed: nothing that it relieves stays uncovered in periods 1 to 2"}


def test_a_newcomer_that_is_cheaper_wins_the_next_round() -> None:
    before = [offer("old", "A", 1.0, 60.0)]
    known = {"A": RELIEF["A"]}
    assert choose(projection([-1e6, 0.8e6, 0.8e6]), before, known, SHORTFALL).shares == {"old": 0.8}
    joined = [*before, offer("new", "B", 2.0, 10.0)]
    assert choose(projection([-1e6, 0.8e6, 0.8e6]), joined, known, SHORTFALL).left_out["new"].startswith("nobody knows")
    assert choose(projection([-1e6, 0.8e6, 0.8e6]), joined, RELIEF, SHORTFALL).shares == {"new": 0.8}


def test_nothing_is_ordered_that_costs_more_than_curtailing() -> None:
    found = choose(projection([-1e6, 0.8e6, 0.8e6]), [offer("absurd", "A", 1.0, 500.0)], RELIEF, SHORTFALL)
    assert found.shares == {}
    assert found.total_eur == pytest.approx(0.4 * SHORTFALL)


def test_a_share_is_never_below_what_may_be_taken() -> None:
    offers = [offer("block", "A", 1.0, 20.0, share_min=0.9)]
    assert choose(projection([-1e6, 0.5e6, 0.5e6]), offers, RELIEF, SHORTFALL).shares == {"block": 0.9}


def test_an_option_that_has_more_to_give_in_one_quarter_hour_than_in_another_is_counted_as_it_is() -> None:
    """0.4 MW are missing first and 0.8 MW then; the even offer would give too much at first, and be paid for it."""
    even = offer("even", "A", 0.8, 36.0)
    rising = Offered("rising", "B", "g", 30.0, 0.1, {41: 0.8e6, 42: 1.6e6})  # half as effective: 0.4 and 0.8 MW
    found = choose(projection([-1e6, 0.4e6, 0.8e6]), [even, rising], RELIEF, SHORTFALL)
    assert found.shares == {"rising": 1.0}
    assert found.total_eur == pytest.approx(30.0)
    assert choose(projection([-1e6, 0.8e6, 0.8e6]), [even, rising], RELIEF, SHORTFALL).shares == {"even": 1.0}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Offered("x", "A", "g", 1.0, 0.1, {41: 1e6, 42: -1e6}), "uneven"),
        (Offered("x", "A", "g", 1.0, 0.1, {40: 1e6, 42: 1e6}), "uneven"),
        (Offered("x", "A", "g", 1.0, 0.1, {39: 1e6, 40: 1e6}), "outside"),
        (Offered("x", "A", "g", math.nan, 0.1, {41: 1e6}), "no power"),
        (Offered("x", "A", "g", 1.0, 0.1, {41: 0.0}), "no power"),
    ],
)
def test_an_option_that_cannot_be_judged_is_left_out_with_its_reason(bad: Offered, reason: str) -> None:
    found = choose(projection([-1e6, 0.8e6, 0.8e6]), [bad], RELIEF, SHORTFALL)
    assert found.shares == {}
    assert found.left_out["x"].startswith(reason)


def test_a_participant_is_where_its_units_are() -> None:
    layout, _ = kit.station()
    relief = relief_of(layout, projection([0.0]), ["SUN_A", "BAT"])
    assert relief.tolist() == [0.5, -0.5]
    assert relief_of(layout, projection([0.0]), ["NOBODY"]).tolist() == [0.0, 0.0]


SLOTS = [Slot("A", "O-1", 1000.0, 1900.0, 5e5), Slot("A", "O-2", 1900.0, 2800.0, 7e5)]
CONTRACT = [StandingContract("A", 0.0, 5000.0, 1e5)]


@pytest.mark.parametrize(
    ("now_s", "change_w", "source", "until_s"),
    [
        (999.0, 1e5, "contract", 1000.0),
        (1000.0, 5e5, "order:O-1", 1900.0),
        (2799.0, 7e5, "order:O-2", 2800.0),
        (2800.0, 1e5, "contract", 5000.0),
        (5000.0, 0.0, "default", math.inf),
    ],
)
def test_an_order_runs_to_its_end_then_the_contract_then_nothing(
    now_s: float, change_w: float, source: str, until_s: float
) -> None:
    found = in_force("A", SLOTS, CONTRACT, now_s)
    assert (found.change_w, found.source, found.until_utc_s) == (change_w, source, until_s)


def test_without_the_time_of_day_or_with_a_number_that_is_none_nothing_is_counted_on() -> None:
    assert in_force("A", SLOTS, CONTRACT, math.nan) == SAFE_DEFAULT
    assert in_force("A", [Slot("A", "O-1", 0.0, 9.0, math.nan)], CONTRACT, 1.0) == SAFE_DEFAULT
    assert in_force("B", SLOTS, CONTRACT, 1000.0) == SAFE_DEFAULT


def test_contracts_that_contradict_each_other_count_at_the_least() -> None:
    both = [*CONTRACT, StandingContract("A", 0.0, 9000.0, -2e4)]
    assert in_force("A", [], both, 10.0).change_w == -2e4
