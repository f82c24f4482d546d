"""Who gives way first, by principle of access, on a problem small enough to know the answer."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.access import access_prices
from controller.control.dispatch import Bounds, Effects, Plan, Problem, dispatch, lead
from controller.control.resources import Resources
from controller.control.tuning import DEFAULT
from controller.domain.site import Site
from controller.domain.unit import UnitKind
from controller.estimation.actuator import UnitArrays
from controller.limits.base import Rows

OUTPUT_W = np.array([6e6, 4e6])


def station(principle: str) -> Site:
    """WIND: dear, first connected, 8 MW. PV: cheap, last connected, 6 MW."""
    units = kit.two_units(
        WIND={"price_eur_per_mwh": 60.0, "stack_position": 2}, PV={"price_eur_per_mwh": 40.0, "stack_position": 1}
    )
    return kit.site(units, principle=principle)


def resources_of(site: Site) -> tuple[Resources, UnitArrays]:
    units = UnitArrays.of(site)
    return Resources.of(site, units), units


def relieved(
    site: Site, excess_pu: float, effect_per_w: tuple[float, float] = (1e-7, 1e-7), lead_counts: bool = False
) -> Plan:
    """The dispatch with one limit exceeded by ``excess_pu`` and both generators contributing; where it ends.

    With ``lead_counts`` it must also be gone within the lead horizon.
    """
    resources, units = resources_of(site)
    price, curvature = access_prices(site, resources)
    rows = Rows(np.zeros(1, np.intp), np.zeros((1, 6)), np.array([-excess_pu]), np.array([lead_counts]))
    effect = Effects(np.array([effect_per_w]), np.zeros((1, 2)))
    could = OUTPUT_W
    problem = Problem(
        rows=rows,
        effects=effect,
        row_penalty=np.array([DEFAULT.thermal_penalty]),
        row_pool=np.zeros(1),
        output_w=OUTPUT_W,
        q_var=np.zeros(2),
        bounds=Bounds(np.zeros(2), OUTPUT_W, np.zeros(2), np.zeros(2), np.zeros(2)),
        marginal_price=price,
        curvature=curvature * resources.base_w / could,
        lent_share=np.ones(2),
        insist=np.zeros(1, dtype=bool),
        is_current=np.ones(1, dtype=bool),
        target=None,
        cycle_s=1.0,
    )
    return dispatch(problem, resources, np.eye(3, 2), units.q_max_var, DEFAULT)


def exchange_problem(lent: float, room_pu: float) -> tuple[Problem, Resources, np.ndarray]:
    """WIND is dear and held 2 MW below what it has, PV is cheap; both load one limit with ``room_pu`` left."""
    resources, units = resources_of(station("merit"))
    problem = Problem(
        rows=Rows(np.zeros(1, np.intp), np.zeros((1, 6)), np.array([room_pu]), np.array([True])),
        effects=Effects(np.array([[1e-7, 1e-7]]), np.zeros((1, 2))),
        row_penalty=np.array([DEFAULT.thermal_penalty]),
        row_pool=np.zeros(1),
        output_w=OUTPUT_W,
        q_var=np.zeros(2),
        bounds=Bounds(np.array([2e6, 0.0]), OUTPUT_W, np.zeros(2), np.zeros(2), np.zeros(2)),
        marginal_price=access_prices(station("merit"), resources)[0],
        curvature=np.zeros(2),
        lent_share=np.full(2, lent),
        insist=np.zeros(1, dtype=bool),
        is_current=np.ones(1, dtype=bool),
        target=None,
        cycle_s=1.0,
    )
    return problem, resources, units.q_max_var


def test_by_merit_the_cheapest_gives_way_first() -> None:
    plan = relieved(station("merit"), 0.2)
    assert plan.ok
    assert plan.down_w == pytest.approx([0.0, 2e6], abs=2e4)


def test_by_merit_the_next_follows_when_the_cheapest_is_used_up() -> None:
    plan = relieved(station("merit"), 0.6)
    assert plan.down_w == pytest.approx([2e6, 4e6], abs=5e4)


def test_the_last_that_came_is_the_first_to_go_whatever_it_costs() -> None:
    site = station("lifo")
    dear = replace(site, units=(site.units[0], replace(site.units[1], price_eur_per_mwh=500.0)))
    assert relieved(dear, 0.2).down_w == pytest.approx([0.0, 2e6], abs=2e4)
    assert relieved(dear, 0.6).down_w == pytest.approx([2e6, 4e6], abs=5e4)


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_the_stack_is_kept_even_when_the_next_is_twice_as_effective(ratio: float) -> None:
    plan = relieved(station("lifo"), 0.2, (ratio * 1e-7, 1e-7))
    assert plan.down_w[0] < 0.05 * plan.down_w[1]


def test_whoever_does_not_contribute_is_never_touched() -> None:
    plan = relieved(station("lifo"), 0.2, (1e-7, 0.0))
    assert plan.down_w == pytest.approx([2e6, 0.0], abs=2e4)


def test_pro_rata_takes_the_same_share_from_everybody() -> None:
    plan = relieved(station("pro_rata"), 0.3)
    share = plan.down_w / OUTPUT_W
    assert share.sum() > 0.5
    assert share[0] == pytest.approx(share[1], abs=0.03)


def test_technically_best_moves_the_least_energy() -> None:
    plan = relieved(station("technical_best"), 0.2, (0.8e-7, 1.6e-7))
    assert plan.down_w == pytest.approx([0.0, 0.2 / 1.6e-7], rel=0.05, abs=5e4)
    assert plan.down_w.sum() < 0.2 / 0.8e-7


@pytest.mark.parametrize("principle", ["merit", "lifo", "pro_rata", "technical_best"])
def test_the_limit_is_kept_by_every_principle(principle: str) -> None:
    for excess in (0.05, 0.3, 0.9):
        plan = relieved(station(principle), excess)
        assert plan.ok
        assert plan.violation[0] <= 2e-3
        assert plan.shadow[0] > 0.0


@pytest.mark.parametrize("principle", ["merit", "lifo", "pro_rata", "technical_best"])
def test_a_limit_beyond_reach_takes_everything_and_says_how_much_is_left(principle: str) -> None:
    plan = relieved(station(principle), 1.5)
    assert plan.down_w == pytest.approx(OUTPUT_W, rel=0.01)
    assert plan.violation[0] == pytest.approx(0.5, abs=0.01)


def test_an_overload_that_must_be_gone_soon_takes_more_than_what_is_over() -> None:
    """Within the horizon only a share of each move is done: so much more is asked for, and taken back later."""
    site = station("technical_best")
    share = lead(resources_of(site)[0], 1.0, DEFAULT)[0]
    plan = relieved(site, 0.2, lead_counts=True)
    assert plan.down_w.sum() == pytest.approx(2e6 / share, rel=0.02)


def test_a_principle_that_does_not_exist_is_refused_with_those_that_do() -> None:
    site = station("fair")
    with pytest.raises(ValueError, match=r"'fair'.*merit, lifo, pro_rata or technical_best"):
        access_prices(site, resources_of(site)[0])


@pytest.mark.parametrize("principle", ["merit", "lifo", "pro_rata", "technical_best"])
def test_a_battery_keeps_its_own_price(principle: str) -> None:
    site = kit.site(principle=principle)
    resources, _ = resources_of(site)
    price, curvature = access_prices(site, resources)
    assert price[resources.is_storage] == pytest.approx(8.0 / 150.0)
    assert (curvature[resources.is_storage] == 0.0).all()


def test_outside_the_stack_is_dearest_and_a_long_stack_stays_well_scaled() -> None:
    places = [*range(1, 31), 0]
    units = tuple(kit.unit(f"U{k}", UnitKind.PV, "N1", 1e6, stack_position=p) for k, p in enumerate(places))
    site = kit.site(units, principle="lifo")
    price, _ = access_prices(site, resources_of(site)[0])
    assert (np.diff(price) > 0.0).all()
    assert price.max() / price.min() <= 1.5e4


def test_a_battery_is_two_resources_that_are_never_used_at_once() -> None:
    site = kit.site()
    resources, _ = resources_of(site)
    assert resources.unit.tolist() == [0, 1, 2, 2, 3]
    assert resources.sign.tolist() == [-1.0, -1.0, 1.0, -1.0, 1.0]
    p_w = np.array([-3e6, -1e6, -5e5, 2e5])
    output = resources.output_w(p_w)
    assert output.tolist() == [3e6, 1e6, 0.0, 5e5, 2e5]
    assert resources.unit_p_w(output).tolist() == p_w.tolist()


def test_the_lead_counts_slow_units_less_but_never_below_its_floor() -> None:
    units = (
        *kit.two_units(),
        kit.unit("SLOW", UnitKind.PV, "N1", 1e6, actuator=replace(kit.QUICK, tau_p_s=60.0, latency_s=2.5)),
    )
    resources, _ = resources_of(kit.site(units))
    share = lead(resources, 1.0, DEFAULT)
    assert share[0] == share[1] > 0.8
    assert share[2] == DEFAULT.lead_min_frac


def test_in_closed_loop_pro_rata_ends_in_equal_shares() -> None:
    site = station("pro_rata")
    available = {"WIND": 7e6, "PV": 6e6}
    loop = kit.Loop(kit.Plant(site, available))
    loop.run(180)
    truth = loop.plant.truth()
    share = {u: 1.0 - abs(truth[f"unit.{u}.p_w"]) / available[u] for u in available}
    assert -truth["interface.p_w"] <= 9e6
    assert share["WIND"] == pytest.approx(share["PV"], abs=0.03)
    assert share["WIND"] > 0.08


@pytest.mark.parametrize("principle", ["merit", "lifo"])
def test_in_closed_loop_the_first_in_line_gives_way_alone(principle: str) -> None:
    loop = kit.Loop(kit.Plant(station(principle), {"WIND": 7e6, "PV": 6e6}))
    record = loop.run(120)
    truth = loop.plant.truth()
    assert truth["unit.WIND.p_w"] == pytest.approx(-7e6, abs=0.05e6)
    assert truth["unit.PV.p_w"] > -4.6e6
    assert 8.7e6 < -truth["interface.p_w"] <= 9e6
    assert next(u for u in record.units if u.id == "PV").causes == ("export",)
