"""A breaker opens where there is another way round; the true flows take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.config.loader import load_site
from simulators.faults import Fault, FaultKind, parse_fault
from simulators.scenario import load_scenario
from simulators.world import World

NAME = "a_day_in_the_life"
SITE = load_site(Path(__file__).resolve().parents[3] / "site_configs" / f"{NAME}.yaml")


def world() -> World:
    return World(SITE, load_scenario(NAME), 1)


def flow_w(of: World, branch: str) -> float:
    return of.truth().branch_p_w[branch]


def test_the_other_transformer_carries_all_and_a_closed_breaker_shares_it_again() -> None:
    plant = world()
    plant.step(1.0)
    before_w = flow_w(plant, "T1") + flow_w(plant, "T2")
    plant.inject(Fault(FaultKind.OPEN, "T2"))
    plant.step(1.0)
    assert flow_w(plant, "T2") == 0.0
    assert flow_w(plant, "T1") == pytest.approx(before_w, rel=0.05)
    assert plant.mend("T2")
    plant.step(1.0)
    assert flow_w(plant, "T1") == pytest.approx(flow_w(plant, "T2"), rel=0.1)


def test_only_branches_with_another_way_round_can_be_opened() -> None:
    plant = world()
    assert plant.breakers() == ["T1", "T2"]
    plant.inject(Fault(FaultKind.OPEN, "T2"))
    assert (plant.breakers(), plant.opened) == ([], {"T2"})
    with pytest.raises(KeyError, match="'T1' is no branch that can be opened; expected one of none"):
        plant.inject(Fault(FaultKind.OPEN, "T1"))
    with pytest.raises(KeyError, match="'MT1' is no branch that can be opened"):
        plant.inject(Fault(FaultKind.OPEN, "MT1"))


def test_a_scenario_opens_a_breaker_at_its_clock_time() -> None:
    assert parse_fault("open:T2@12:20+600") == Fault(FaultKind.OPEN, "T2", 12 * 3600.0 + 1200.0, 600.0)
