"""Deaf units are found in a stated time; whoever obeys, slowly or with moving targets, is never called deaf."""

from __future__ import annotations

import math

import core_kit as kit
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.control.engine import Engine
from controller.domain.site import Site
from controller.domain.unit import Actuator, Unit, UnitKind
from controller.estimation.actuator import CommandHistory, UnitArrays
from controller.estimation.response import (
    LAG_ALLOWANCE,
    LIMITED_S,
    TOLERANCE_FRAC,
    Look,
    Response,
    initial_response,
    observe,
)

PROGRESS_MIN_FRAC = 0.2  # of its gap: when even the slowest unit must have done this, a deaf one is found
QUICK = Actuator(0.5, 1.0, 0.5, 1e6, 2e6)
SLOW = Actuator(2.0, 5.0, 2.0, 100e3, 400e3)
CRAWLING = Actuator(1.0, 2.0, 1.0, 60e3, 60e3)


def found_within_s(site: Site, unit: Unit, gap_w: float) -> float:
    """The time that the docstring of the module promises, and one cycle to see it."""
    act = unit.actuator
    on_the_way_s = LAG_ALLOWANCE * act.latency_s + site.chain.latency_s + 2.0 * site.cycle.cycle_s
    by_lag_s = -math.log(1.0 - PROGRESS_MIN_FRAC) * LAG_ALLOWANCE * act.tau_p_s
    by_ramp_s = PROGRESS_MIN_FRAC * gap_w / act.ramp_down_w_per_s
    return on_the_way_s + max(by_lag_s, by_ramp_s) + 2.0 * site.cycle.cycle_s


class Told:
    """One estimator that watches units which are told things by hand; who got no (full) credit, and when."""

    def __init__(self, site: Site, plant: kit.Plant) -> None:
        self.site, self.plant = site, plant
        self.engine = Engine(site)
        self.memory = self.engine.estimator.initial(0.0)
        n = len(site.units)
        self.history = CommandHistory(np.array([-np.inf]), self.engine.open_p_w[None, :], np.zeros((1, n)))
        self.doubted_at: dict[str, list[float]] = {u.id: [] for u in site.units}

    def tell(self, p_w: dict[str, float]) -> None:
        """Set points (load convention) for some units; the others keep theirs."""
        now = self.history.p_w[-1].copy()
        for k, u in enumerate(self.site.units):
            if u.id in p_w:
                now[k] = p_w[u.id]
                self.plant.order(u.id, p_w[u.id])
        self.history = self.history.append(self.plant.now_s, now, np.zeros(len(now)))

    def cycle(self) -> None:
        """One look, then one second."""
        held = np.ones(len(self.site.units), dtype=bool)
        self.memory, estimate = self.engine.estimator.update(self.memory, self.plant.snapshot(), self.history, held)
        doubted = (estimate.deaf | (estimate.limited_sign != 0.0)).tolist()
        for u, deaf in zip(self.site.units, doubted, strict=True):
            if deaf:
                self.doubted_at[u.id].append(self.plant.now_s)
        self.plant.move(self.site.cycle.cycle_s)


def told(actuator: Actuator, lag: float = 1.0) -> Told:
    units = kit.four_units(**{name: {"actuator": actuator} for name in ("WIND", "PV", "BAT", "HUB")})
    site = kit.site(units)
    return Told(site, kit.Plant(site, {"WIND": 8e6, "PV": 6e6, "HUB": 1e6}, lag=lag))


@pytest.mark.parametrize("actuator", [QUICK, SLOW, CRAWLING])
@pytest.mark.parametrize(("unit_id", "p_w"), [("PV", -2e6), ("HUB", 0.0), ("BAT", 1.5e6)])
def test_a_deaf_unit_is_found_in_the_stated_time(actuator: Actuator, unit_id: str, p_w: float) -> None:
    run = told(actuator)
    for _ in range(5):
        run.cycle()
    run.plant.deaf.add(unit_id)
    gap_w = abs(p_w - run.plant.p_w(unit_id))
    told_at_s = run.plant.now_s
    run.tell({unit_id: p_w})
    unit = next(u for u in run.site.units if u.id == unit_id)
    bound_s = found_within_s(run.site, unit, gap_w)
    for _ in range(math.ceil(bound_s) + 1):
        run.cycle()
    assert run.doubted_at[unit_id], f"{unit_id} was told {p_w} W at {told_at_s} s and is not found after {bound_s} s"
    assert run.doubted_at[unit_id][0] - told_at_s <= bound_s
    assert not [name for name, at in run.doubted_at.items() if at and name != unit_id]


def test_credit_returns_when_the_unit_obeys_again() -> None:
    run = told(QUICK)
    run.plant.deaf.add("PV")
    run.tell({"PV": -2e6})
    for _ in range(15):
        run.cycle()
    assert run.doubted_at["PV"]
    run.plant.deaf.clear()
    run.tell({"PV": -2e6})
    obeys_again_s = run.plant.now_s
    for _ in range(15):
        run.cycle()
    assert max(run.doubted_at["PV"]) < obeys_again_s + 6.0


def deaf_pv(reports: bool) -> Told:
    """PV gives 6 MW, was told to give 2 MW at most, and is known not to hear."""
    site = kit.site(kit.four_units(PV={"actuator": QUICK, "reports_available": reports}))
    run = Told(site, kit.Plant(site, {"WIND": 8e6, "PV": 6e6, "HUB": 1e6}))
    run.plant.deaf.add("PV")
    run.tell({"PV": -2e6})
    for _ in range(15):
        run.cycle()
    assert run.doubted_at["PV"]
    return run


@pytest.mark.parametrize("reports", [True, False])
def test_a_deaf_unit_that_falls_below_its_cap_under_a_cloud_has_not_proven_that_it_hears(reports: bool) -> None:
    run = deaf_pv(reports)
    for below_w in (3e6, 1.2e6, 1.0e6):
        run.plant.available_w["PV"] = below_w
        for _ in range(8):
            run.cycle()
    assert run.doubted_at["PV"][-1] == pytest.approx(run.plant.now_s - 1.0)


@pytest.mark.parametrize("reports", [True, False])
def test_a_unit_that_hears_again_under_a_cloud_gets_its_credit_when_it_stays_at_its_cap_in_the_sun(
    reports: bool,
) -> None:
    run = deaf_pv(reports)
    run.plant.deaf.clear()
    run.tell({"PV": -2e6})
    run.plant.available_w["PV"] = 1e6
    for _ in range(8):
        run.cycle()
    run.plant.available_w["PV"] = 6e6
    sun_s = run.plant.now_s
    for _ in range(12):
        run.cycle()
    assert max(run.doubted_at["PV"]) < sun_s + 6.0


def test_a_free_unit_below_its_cap_owes_nobody_an_answer() -> None:
    run = told(QUICK)
    run.plant.available_w.update(PV=1e6, WIND=0.5e6, HUB=0.1e6)
    for k in range(30):
        run.tell({"PV": -6e6 + 1e5 * k, "WIND": -4e6, "HUB": 0.5e6})
        run.cycle()
    assert not any(run.doubted_at.values())


def test_a_unit_that_moves_up_on_its_own_beyond_a_new_cap_is_not_deaf_before_the_cap_can_act() -> None:
    run = told(SLOW)
    run.plant.available_w["PV"] = 1e6
    run.tell({"PV": -2e6})
    for _ in range(20):
        run.cycle()
    run.plant.available_w["PV"] = 6e6
    for _ in range(30):
        run.cycle()
    assert not run.doubted_at["PV"]


def moved_about(actuator: Actuator, lag: float, fractions: list[float], hold: int) -> dict[str, list[float]]:
    """Who was doubted, and when, while the targets of three units moved every ``hold`` seconds."""
    run = told(actuator, lag)
    for k, frac in enumerate(fractions):
        run.tell({"PV": -6e6 * frac, "BAT": 4e6 * (fractions[-1 - k] - 0.5), "HUB": 1e6 * frac})
        for _ in range(hold):
            run.cycle()
    return {name: at for name, at in run.doubted_at.items() if at}


targets = st.lists(st.floats(0.0, 1.0), min_size=8, max_size=20)
lags = st.floats(0.6, LAG_ALLOWANCE)


@pytest.mark.parametrize("actuator", [QUICK, SLOW, CRAWLING])
@settings(max_examples=40)
@given(fractions=targets, hold=st.integers(1, 4), lag=lags)
@example(fractions=[0.0] * 8, hold=1, lag=1.5)
@example(fractions=[0.0, 0.5, *[0.0] * 7], hold=1, lag=1.0)
@example(fractions=[0.0, 0.0, 0.5, *[0.0] * 5], hold=1, lag=1.0)
def test_moving_targets_never_make_an_obeying_unit_deaf(
    actuator: Actuator, fractions: list[float], hold: int, lag: float
) -> None:
    """Dead time and lag may be 0.6 to 1.6 times what the data sheet says."""
    doubted = moved_about(actuator, lag, fractions, hold)
    assert not doubted, f"lag x{lag:.2f} {actuator}: {doubted}"


ARRAYS = UnitArrays.of(kit.site(kit.two_units()))


def look(before: Response, measured_w: float, now_s: float, cap_w: float = -1e6, avail_w: float = math.nan) -> Response:
    """WIND is read, PV is as it should be; one second after the other."""
    told = np.array([cap_w, 0.0])
    return observe(before, Look(np.array([measured_w, 0.0]), told, told, np.array([avail_w, 0.0]), 1.0, now_s), ARRAYS)


def battery(course_w: list[float], told_w: float) -> Response:
    """What is thought of a 2 MW battery after it did this, second by second, and was told ``told_w`` all along."""
    units = UnitArrays.of(kit.site((kit.unit("BAT", UnitKind.BATTERY, "BB", 2e6),)))
    state, told = initial_response(units), np.array([told_w])
    for k, p_w in enumerate(course_w):
        state = observe(state, Look(np.array([p_w]), told, told, np.array([math.nan]), 1.0, float(k)), units)
    return state


def test_without_telemetry_the_verdict_stands() -> None:
    state = initial_response(ARRAYS)
    for k in range(20):
        state = look(state, -8e6, float(k))
    assert state.deaf[0]
    for k in range(20, 60):
        state = look(state, math.nan, float(k))
    assert state.deaf[0]


def test_a_battery_that_gives_less_than_it_may_gets_credit_for_what_it_gives_and_is_not_deaf() -> None:
    """Nearly empty: told to give 1 MW it gives 0.2 MW. Two minutes later it is tried again."""
    state = battery([-0.2e6] * 30, -1e6)
    assert not state.deaf[0]
    assert state.limited(29.0)[0] == -1.0
    assert state.limited(29.0 + LIMITED_S + 1.0)[0] == 0.0


def test_a_battery_that_goes_the_wrong_way_is_deaf() -> None:
    state = battery([0.5e6] * 30, -1e6)
    assert state.deaf[0]


def test_an_error_of_the_sensor_is_not_disobedience() -> None:
    state = initial_response(ARRAYS)
    for k in range(60):
        state = look(state, -1e6 - 0.8 * TOLERANCE_FRAC * 8e6, float(k))
    assert not state.deaf.any()


def test_a_cap_is_judged_from_above_only() -> None:
    state = initial_response(ARRAYS)
    for k in range(30):
        state = look(state, -0.1e6, float(k), cap_w=-5e6)
    assert not state.deaf.any()


def test_a_unit_that_stays_below_its_cap_and_below_what_it_says_it_has_is_not_believed_until_it_rises() -> None:
    """It missed its last set points: an older cap of 3 MW is in force, and it would jump when it hears again."""
    state = initial_response(ARRAYS)
    for k in range(30):
        state = look(state, -3e6, float(k), cap_w=-6e6, avail_w=7e6)
    assert state.behind[0]
    for k in range(30, 60):
        state = look(state, -3e6, float(k), cap_w=-3.1e6, avail_w=7e6)
    assert state.behind[0]
    for k in range(60, 65):
        state = look(state, -3.3e6, float(k), cap_w=-3.4e6, avail_w=7e6)
    assert not state.behind[0]


def test_a_unit_that_gives_all_it_says_it_has_is_not_behind() -> None:
    state = initial_response(ARRAYS)
    for k in range(60):
        state = look(state, -3e6, float(k), cap_w=-8e6, avail_w=3.3e6)
    assert not state.behind.any()
