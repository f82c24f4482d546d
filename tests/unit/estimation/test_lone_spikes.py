"""One wrong sample moves nothing: what other meters must have seen and have not waits for a second one."""

from __future__ import annotations

import math
import random

import core_kit as kit
import pytest
from lying_kit import Lie, Lying, factor, plant

from controller.domain.site import MeasurementChain

SPIKED = ("branch.T1", "branch.L1", "interface", "unit.WIND", "unit.BAT", "bus.N1")
SEED = 7
HOUR_S = 3600.0


def spike(element: str, k: float) -> Lie:
    """Every ninth second all that one meter says, or only one of its quantities in turn, is ``k`` times the truth."""

    def lie(point: str, value: float, now_s: float) -> float:
        name, quantity = point.rsplit(".", 1)
        if name != element or quantity in ("p_avail_w", "soc_frac") or round(now_s) % 9 != 4 or now_s < 10.0:
            return value
        turn = round(now_s) // 9 % 4
        return value * k if turn == 3 or quantity == ("p_w", "q_var", "i_a")[turn] or quantity == "u_v" else value

    return lie


def given_up_wh(run: Lying) -> float:
    return sum(u.curtailed_w for r in run.records for u in r.units) / HOUR_S


def honest() -> Lying:
    run = Lying(plant(), lambda _, value, __: value)
    run.run(100)
    return run


@pytest.mark.parametrize("element", SPIKED)
@pytest.mark.parametrize("k", [10.0, -1.0, 0.4])  # half a battery is less than the meters above it tell from noise
def test_lone_spikes_of_one_meter_cost_next_to_nothing_and_hide_nothing(element: str, k: float) -> None:
    run = Lying(plant(), spike(element, k))
    run.run(100)
    assert max(run.worst_frac[30:]) < 1.005
    assert not run.events("unit.deaf")
    assert given_up_wh(run) < 1.1 * given_up_wh(honest())


def test_rare_spikes_of_all_meters_cost_next_to_nothing() -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    run = Lying(plant(), lambda _, value, now_s: 10.0 * value if now_s > 10.0 and draw.random() < 0.003 else value)
    run.run(200)
    assert max(run.worst_frac[30:]) < 1.005
    assert not run.events("unit.deaf")


def test_a_current_that_stays_above_what_its_own_p_and_q_say_is_a_danger_from_its_second_sample() -> None:
    def lie(point: str, value: float, now_s: float) -> float:
        return 1.6 * value if point == "branch.T1.i_a" and now_s >= 59.5 else value

    run = Lying(plant(), lie)
    run.run(64)
    worst = {round(r.now_s): next(x.worst_frac for x in r.limits if x.id == "T1.thermal") for r in run.records}
    assert worst[60] == pytest.approx(worst[59], abs=0.02)
    assert max(worst[t] for t in (61, 62)) > 1.3


def test_what_a_wrong_sample_taught_is_forgotten_with_it() -> None:
    """An interface alone reads a hundred times its power once; a minute later nothing is left of it."""
    run = Lying(plant(), factor("interface", 100.0, 60.0, 61.0))
    run.run(120)
    truth = run.plant.truth()["branch.T1.i_a"]
    seen = next(x.value for x in run.records[-1].limits if x.id == "T1.thermal")
    assert seen == pytest.approx(truth, rel=0.01)


def test_units_with_noisy_meters_are_not_called_deaf() -> None:
    """Three times the usual noise, and the site file says so."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    rated = {"WIND": 8e6, "PV": 6e6, "BAT": 2e6, "HUB": 1e6}

    def noisy(point: str, value: float, _: float) -> float:
        name = point.removeprefix("unit.").removesuffix(".p_w")
        return value + draw.gauss(0.0, 0.012 * rated[name]) if name in rated else value

    chain = MeasurementChain(0.0, 0.001, 0.003, 0.003, 0.012, 0.001, 0.003)
    run = Lying(plant(chain=chain), noisy)
    run.run(300)
    assert not run.events("unit.deaf")
    assert max(run.worst_frac[30:]) < 1.01


def test_meters_that_claim_to_be_exact_are_believed_to_their_last_digit() -> None:
    exact = MeasurementChain(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    run = Lying(plant(chain=exact), lambda _, value, __: value)
    run.run(100)
    assert max(run.worst_frac[30:]) < 1.005
    assert all(math.isfinite(x.value) for x in run.records[-1].limits)
    assert kit.CHAIN.credible == kit.CHAIN
