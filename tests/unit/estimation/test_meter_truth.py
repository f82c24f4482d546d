"""Meters that lie are named, their limits are kept without them, and nobody honest is ever accused."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest
from lying_kit import Lying, factor, plant

from controller.control.cycle import Engine
from controller.domain.escalation import Rung, Rungs
from controller.domain.topology import Line
from controller.estimation.balance import balances
from controller.estimation.evidence import judge, look, no_evidence

FOUND_S = 30.0
NEVER = Rung("never", 100.0, 1e9)
NO_LADDER = Rungs(NEVER, NEVER, NEVER, NEVER)  # the ladder believes any meter, and what it does is not asked here


def clouds(run: Lying, cycles: int, seed: int = 3) -> None:
    """Wind and sun move on their own, in steps and in small steps."""
    rng = np.random.default_rng(seed)
    for k in range(cycles // 5):
        if k % 3 == 0:
            run.plant.available_w["WIND"] = float(rng.uniform(1e6, 8e6))
        if k % 4 == 1:
            run.plant.available_w["PV"] = float(rng.uniform(1e6, 6e6))
        if k % 5 == 2:
            run.plant.town_w = float(rng.uniform(1.2e6, 3.8e6))
        run.run(5)


METER_EVENTS = ("meter.wired_backwards", "meter.wrong_scale", "meter.contradiction", "meter.frozen")


@pytest.mark.parametrize("element", ["branch.T1", "branch.L1", "interface"])
@pytest.mark.parametrize("k", [-1.0, 0.5, 2.0])
def test_a_wrong_meter_is_named_alone_and_its_limit_is_kept_without_it(element: str, k: float) -> None:
    run = Lying(plant(escalation=NO_LADDER), factor(element, k))
    run.run(90)
    event = "meter.wired_backwards" if k < 0.0 else "meter.wrong_scale"
    named = run.events(event)
    assert [subject for _, subject in named] == [element]
    assert named[0][0] <= FOUND_S
    assert max(run.worst_frac[60:]) < 1.0, f"{element} x {k}"
    assert max(run.worst_frac[60:]) > 0.5  # kept, not switched off


def test_a_generator_that_seems_to_consume_is_wired_backwards() -> None:
    run = Lying(plant(), factor("unit.PV", -1.0))
    run.run(30)
    assert [subject for _, subject in run.events("meter.wired_backwards")] == ["unit.PV"]
    assert max(run.worst_frac[20:]) < 1.0


def test_a_swapped_meter_is_believed_again_after_the_recovery_hold() -> None:
    run = Lying(plant(), factor("branch.T1", -1.0, until_s=60.0))
    run.run(60)
    assert run.events("meter.wired_backwards")
    run.run(60)
    (at_s, subject) = run.events("meter.trusted")[0]
    assert subject == "branch.T1"
    assert 60.0 + run.plant.site.cycle.recovery_hold_s <= at_s <= 60.0 + run.plant.site.cycle.recovery_hold_s + 5.0
    assert len(run.events("meter.wired_backwards")) == 1


def test_where_nobody_can_be_named_the_branches_get_the_contradiction_as_margin() -> None:
    """Line and unit disagree and nothing else sees them: both stay, the line has that much less room."""
    run = Lying(plant(), factor("unit.WIND", 0.5))
    run.run(40)
    assert not run.events("meter.wrong_scale")
    assert [subject for _, subject in run.events("meter.contradiction")] == ["N1"]
    line = next(x for x in run.records[-1].limits if x.id == "L1.thermal")
    assert line.worst_frac > line.loading_frac + 0.1


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
def test_honest_meters_are_never_accused_whatever_the_impedances(scale: float) -> None:
    grid = kit.topology()
    lines = tuple(
        Line(x.id, x.from_bus, x.to_bus, scale * x.r_ohm, scale * x.x_ohm, x.b_s, x.i_max_a) for x in grid.lines
    )
    believed = replace(grid, lines=lines)
    run = Lying(plant(), lambda _, value, __: value)
    run.state = kit.initial_state(kit.site(topology=believed))
    clouds(run, 300)
    accused = [x for name in METER_EVENTS for x in run.events(name)]
    assert not accused, f"impedances x{scale}, seed 3: {accused}"


def test_movements_alone_show_a_wrong_ratio_and_a_fall_of_demand_does_not() -> None:
    """Regression of implied demand on moves: 1/k − 1 on the meter that is wrong, nothing on the others."""
    engine = Engine(kit.site())
    balance = next(b for b in balances(engine.layout) if b.bus == "BB")
    names = engine.estimator.belief.witness.names
    rng = np.random.default_rng(11)
    evidence, p_w = no_evidence(balance), np.zeros(len(names))
    for k in range(40):
        true = {"branch.L1": rng.uniform(-8e6, 0), "branch.L2": rng.uniform(-6e6, 0), "unit.BAT": 0.0, "unit.HUB": 0.0}
        demand = 2e6 if k < 20 else 1e6
        p_w[names.index("branch.T1")] = sum(true.values()) + demand
        for name, value in true.items():
            p_w[names.index(name)] = 1.25 * value if name == "branch.L2" else value
        implied, _ = balance.demand_w(p_w, np.zeros(len(names)))
        evidence = look(evidence, balance, p_w, implied, float(k))
    found = dict(zip([names[i] for i in balance.members], judge(evidence, balance).factor.tolist(), strict=True))
    assert found["branch.L2"] == pytest.approx(1.25, rel=0.02)
    assert found["branch.L1"] == 1.0
    assert math.isnan(found["unit.BAT"])


def spiked(point: str, value: float, now_s: float) -> float:
    """The transformer's meter reads nothing at all, once."""
    return 0.0 if point.startswith("branch.T1") and 40.0 <= now_s < 40.5 else value


def test_one_sample_that_makes_a_limit_look_better_moves_nobody() -> None:
    calm, run = Lying(plant(), lambda _, value, __: value), Lying(plant(), spiked)
    calm.run(60)
    run.run(60)
    for a, b in zip(calm.records, run.records, strict=True):
        for name in ("WIND", "PV", "HUB"):
            assert kit.of_unit(b, name) == pytest.approx(kit.of_unit(a, name), abs=0.02e6), f"at {a.now_s} s"
    assert run.events("meter.spike") == [(pytest.approx(41.0), "branch.T1")]


def test_a_second_sample_or_a_dangerous_first_is_believed() -> None:
    """A real step to the safe side costs one cycle; one to the dangerous side none."""
    run = Lying(plant(), lambda _, value, __: value)
    run.run(40)
    before = run.records[-1].limits[0].loading_frac
    run.lie = lambda point, value, _: 1.5 * value if point.startswith(("branch.T1", "interface")) else value
    assert run.run(1).limits[0].worst_frac > before + 0.2
    other = Lying(plant(), lambda _, value, __: value)
    other.run(40)
    other.lie = lambda point, value, _: 0.5 * value if point.startswith("branch.T1") else value
    assert other.run(1).limits[0].loading_frac == pytest.approx(before, abs=0.03)
    assert other.run(1).limits[0].loading_frac < before - 0.1
