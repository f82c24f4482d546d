"""The scenarios that come with the package, on the sites that they are for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.config.loader import load_site
from simulators.clock_time import parse_clock
from simulators.scenario import ScenarioError, load_scenario, parse_scenario
from simulators.world import World

SITES = Path(__file__).parents[3] / "site_configs"
NAMES = ("a_day_in_the_life", "demo_primary", "secondary_rooftop", "ev_charging")


@cache
def uncontrolled(name: str, start: str, hours: float, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Limits after running the uncontrolled world from that clock time."""
    scenario = load_scenario(name).starting_at(parse_clock(start))
    plant = World(load_site(SITES / f"{name}.yaml"), scenario, seed, controlled=False)
    for _ in range(int(hours * 3600.0)):
        plant.step(1.0)
    assert plant.diverged == 0
    return {item["id"]: item for item in plant.score.limits()}


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_speaks_only_of_what_its_site_has(name: str) -> None:
    site, scenario = load_site(SITES / f"{name}.yaml"), load_scenario(name)
    assert set(scenario.units) <= {unit.id for unit in site.units}
    assert set(scenario.loads) <= {load.id for load in site.topology.loads}
    assert {fault.device for fault in scenario.faults} <= {device.id for device in site.devices}


def test_left_alone_the_demo_day_overloads_a_transformer_and_lifts_n3_for_hours() -> None:
    limits = uncontrolled("demo_primary", "09:00", 6.5)
    worst = max((limits["T1.thermal"], limits["T2.thermal"]), key=lambda item: item["over_s"])
    assert worst["over_s"] > 2 * 3600.0
    assert 1.15 < worst["highest_frac"] < 1.35
    assert limits["N3.voltage"]["over_s"] > 2 * 3600.0
    assert limits["N3.voltage"]["highest_frac"] > 1.1


def test_left_alone_the_rooftops_overload_their_cable_and_lift_its_end() -> None:
    limits = uncontrolled("secondary_rooftop", "12:30", 1.5)
    assert limits["S1.thermal"]["over_s"] > 600.0
    assert limits["B2.voltage"]["over_s"] > 1800.0


def test_left_alone_the_depot_imports_more_than_was_agreed() -> None:
    assert uncontrolled("ev_charging", "18:00", 0.5)["import"]["over_s"] > 1500.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_fleet_s_net_ramp_is_rarely_above_a_third_of_a_percent_per_second(seed: int) -> None:
    site = load_site(SITES / "demo_primary.yaml")
    plant = World(site, load_scenario("demo_primary"), seed, controlled=False)
    outside = np.stack([plant._exogenous.at(float(second)) for second in range(86_399)])
    net_w = outside[:, plant._exogenous.active].sum(axis=1) - np.nansum(outside[:, plant._exogenous.available], axis=1)
    fast = np.abs(np.diff(net_w)) > 0.003 * sum(item.sn_va for item in site.topology.transformers)
    assert fast.mean() < 0.005


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("wind: 3", "wind"),
        ("units: {PVA: {pv: {extent: 3}}}", "units.PVA.pv.extent"),
        ("start_s: noon", "expected HH:MM"),
        ("wind_m_s: {0: .nan}", "wind_m_s"),
        ("faults: [{kind: asleep, device: MT1}]", "faults.0.kind"),
        ("- 1", "refused"),
        ("a: [", "refused"),
    ],
)
def test_a_scenario_with_a_mistake_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ScenarioError, match=place):
        parse_scenario(text, "mine")


def test_a_scenario_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(
        ScenarioError, match="no scenario is called 'x'; expected one of a_day_in_the_life, cold_transformer"
    ):
        load_scenario("x")


@pytest.mark.parametrize("text", ["", "12", "12:60", "24:00", "ab:cd", "-1:00"])
def test_a_clock_time_is_hours_and_minutes(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_clock(text)
