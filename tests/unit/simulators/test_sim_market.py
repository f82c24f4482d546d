"""The platform's desk of the simulated day: what it buys, whom it refuses, and what it says to the controller when."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from controller.config.loader import load_site
from controller.domain.instruction import Action
from simulators.clock_time import parse_clock
from simulators.market.desk import Looked, MarketDesk, Saying
from simulators.scenario import Scenario, load_scenario, parse_scenario

SITE = load_site(Path(__file__).parents[3] / "site_configs" / "a_day_in_the_life.yaml")
SEEDS = (1, 2, 3)


@cache
def scenario() -> Scenario:
    return load_scenario("a_day_in_the_life")


def second(clock: str) -> float:
    """Second of the day, which opens at 20:00."""
    return scenario().market.at(parse_clock(clock))


def desk(seed: int = 1, open_for_business: bool = True) -> MarketDesk:
    return MarketDesk(SITE, scenario(), seed, open_for_business)


def said(looked: Looked, unit: str) -> list[Saying]:
    return [saying for saying in looked.sayings if saying.subject == unit]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_night_is_bought_from_demand_and_not_from_the_wind_farm(seed: int) -> None:
    (outcome,) = desk(seed).look(second("20:06")).outcomes
    assert {offer.id for offer, _ in outcome.taken} == {"EVH1-night", "BAT1-night"}
    assert outcome.need_w > 1.5e6
    assert "WIND1-night" in outcome.refused


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scheme_that_joins_in_the_morning_is_taken_at_noon(seed: int) -> None:
    day = desk(seed)
    night = day.look(second("20:06"))
    assert not night.joined
    joined = day.look(second("08:11")).joined
    assert [offer.participant for offer in joined] == ["Community energy scheme"]
    (noon,) = day.look(second("11:31")).outcomes
    assert "CESB-noon" in {offer.id for offer, _ in noon.taken}


def test_an_offer_of_somebody_who_has_not_joined_is_in_no_auction() -> None:
    late = second("11:31")
    day = desk()
    day.look(second("20:06"))
    (offer,) = (offer for offer in scenario().market.offers if offer.id == "CESB-noon")
    assert offer.joins is not None
    assert scenario().market.at(offer.joins) < late
    (night,) = day.outcomes
    assert offer.id not in night.refused


def test_a_battery_of_others_is_spoken_of_only_while_something_of_it_is_bought() -> None:
    day = desk()
    assert said(day.look(0.0), "BAT1") == []
    assert said(day.look(second("20:06")), "BAT1") == []
    (night,) = said(day.look(second("21:31")), "BAT1")
    assert (night.action, night.offer, night.issuer) == (Action.LIMIT, "BAT1-night", "flexibility:dso")
    assert night.lasts_s == pytest.approx(second("05:30") - second("21:31"))
    assert [saying.action for saying in said(day.look(second("05:31")), "BAT1")] == [Action.RELEASE]
    assert said(day.look(second("05:32")), "BAT1") == []


def test_an_order_is_said_again_every_half_hour_and_ends_at_the_same_instant() -> None:
    day = desk()
    day.look(second("20:06"))
    first = said(day.look(second("22:01")), "EVH1")[-1]
    assert said(day.look(second("22:20")), "EVH1") == []
    (again,) = said(day.look(second("22:35")), "EVH1")
    assert again.action is Action.LIMIT
    assert second("22:35") + again.lasts_s == pytest.approx(second("22:01") + first.lasts_s)


def test_without_a_market_nothing_is_bought_and_only_export_is_granted() -> None:
    day = desk(open_for_business=False)
    for clock in ("20:06", "21:31", "08:11", "11:31", "16:53"):
        looked = day.look(second(clock))
        assert not looked.outcomes
        assert not looked.joined
        assert [saying.subject for saying in looked.sayings] == ["export"]


def test_a_request_for_reactive_power_is_answered_from_the_cheapest_first() -> None:
    day = desk()
    day.look(second("11:31"))
    looked = day.look(second("16:52"), boundary_var=2.1e6)
    (outcome,) = looked.outcomes
    assert outcome.reactive
    assert outcome.uncovered_w < 1.0
    assert {offer.id: round(frac, 3) for offer, frac in outcome.taken} == {"BAT1-q": 1.0, "PVA-q": 0.708}
    (asked,) = [saying for saying in looked.sayings if saying.action is Action.REACTIVE]
    assert (asked.subject, asked.issuer, asked.value, asked.lasts_s) == ("interface", "tso:tso", None, 1800.0)
    assert asked.q_var == pytest.approx(5.1e6)


def test_voltage_support_is_settled_by_the_operator_s_own_meter() -> None:
    day = desk()
    day.look(second("16:52"), boundary_var=2.0e6)
    (support,) = day.supports
    assert support.paid_eur() == 0.0
    for k in range(1, 31):
        day.look(second("16:52") + 60.0 * k, boundary_var=5.0e6 if k < 23 else 3.5e6)
    assert [round(p.share_frac, 2) for p in support.settled()] == [1.0, 1.0, 0.55]
    assert support.settled()[-1].asked_var == pytest.approx(5.0e6)
    mean_eur_per_mvarh = (1.3 * 3 + 1.7 * 5) / 3.0
    delivered_mvar = 3.0 * (7 + 15 + 0.55 * 7) / 29
    assert support.paid_eur() == pytest.approx(delivered_mvar * 0.5 * mean_eur_per_mvarh, rel=0.01)


def test_a_meter_that_shows_nothing_is_settled_as_nothing() -> None:
    day = desk()
    day.look(second("16:52"), boundary_var=2.0e6)
    for k in range(1, 10):
        day.look(second("16:52") + 60.0 * k, boundary_var=float("nan"))
    assert day.supports[0].settled() == ()


def test_more_reactive_power_than_is_offered_is_answered_in_part() -> None:
    text = (Path(__file__).parents[3] / "simulators/scenarios/a_day_in_the_life.yaml").read_text("utf-8")
    greedy = parse_scenario(text.replace("q_var: 3000000", "q_var: 9000000"), "a_day_in_the_life")
    day = MarketDesk(SITE, greedy, 1)
    day.look(second("11:31"))
    (outcome,) = day.look(second("16:52")).outcomes
    assert outcome.uncovered_w == pytest.approx(9e6 - 3.7e6)


def cut_off(begins: str, ends: str) -> MarketDesk:
    outage = ((parse_clock(begins), parse_clock(ends)),)
    return MarketDesk(SITE, replace(scenario(), market=replace(scenario().market, outages=outage)), 1)


def test_a_platform_that_has_vanished_holds_no_auction_and_lets_nobody_join_until_it_is_back() -> None:
    day = cut_off("08:00", "11:45")
    assert not day.silent(second("08:00"))
    for clock in ("08:10", "11:31", "11:44"):
        assert day.silent(second(clock))
        looked = day.look(second(clock))
        assert not looked.joined
        assert not [o for o in looked.outcomes if o.at_s > second("08:00")]
    back = day.look(second("11:45"))
    assert not day.silent(second("11:45"))
    assert [offer.participant for offer in back.joined] == ["Community energy scheme"]
    assert len(back.outcomes) == 1


def test_what_was_accepted_before_the_platform_vanished_is_said_when_its_hour_comes() -> None:
    day = cut_off("21:00", "23:00")
    day.look(second("20:06"))
    (order,) = said(day.look(second("21:31")), "BAT1")
    assert order.offer == "BAT1-night"


def test_the_export_that_was_granted_runs_out_while_the_platform_is_away() -> None:
    day = cut_off("21:00", "23:30")
    (first,) = said(day.look(0.0), "export")
    assert first.lasts_s == pytest.approx(7200.0)
    (last,) = said(day.look(second("21:00")), "export")
    assert last.lasts_s == pytest.approx(7200.0)
    for clock in ("21:31", "22:30", "23:10"):
        assert said(day.look(second(clock)), "export") == []
    assert len(said(day.look(second("23:30")), "export")) == 1


def test_a_day_entered_while_the_platform_is_away_begins_with_what_was_left_then() -> None:
    day = cut_off("20:30", "23:00")
    looked = day.look(second("22:01"))
    assert {saying.subject for saying in looked.sayings} == {"export", "BAT1", "EVH1"}
    assert said(looked, "export")[0].lasts_s == pytest.approx(7200.0 - 5460.0)


def test_a_site_without_desks_for_both_layers_has_no_market() -> None:
    with pytest.raises(ValueError, match="flexibility, tso"):
        MarketDesk(replace(SITE, platform=None), scenario(), 1)
