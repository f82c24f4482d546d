"""What stored energy is worth: a direction, never a profit from going round in circles."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.resources import Resources
from controller.control.storage import (
    MEMORY_S,
    RESTORE_S,
    RULE,
    STEER_EUR_PER_MWH,
    Surplus,
    observe_surplus,
    prices_in_force,
    storage_marginal_price,
    stored_energy_value,
)
from controller.domain.plan import StoragePlan, StoredEnergyPrice
from controller.domain.unit import Storage
from controller.estimation.actuator import UnitArrays

SITE = kit.site()
RESOURCES = Resources.of(SITE, UnitArrays.of(SITE))
BAT = 2
NOW_S = 10_000.0


def value(soc: float, surplus: Surplus = Surplus(), now_s: float = NOW_S, horizon_s: float | None = None) -> float:  # noqa: B008
    contents = np.array([math.nan, math.nan, soc, math.nan])
    site = replace(SITE, horizon_s=horizon_s)
    return float(stored_energy_value(site, now_s, 0.0, surplus, contents, {}).eur_per_mwh[BAT])


JUST = NOW_S - 60.0
LONG_AGO = NOW_S - MEMORY_S - 1.0
TABLE = [
    # contents, generation held, demand held, worth
    (0.8, JUST, -math.inf, -STEER_EUR_PER_MWH),
    (0.4, JUST, -math.inf, STEER_EUR_PER_MWH),
    (0.5, JUST, -math.inf, 0.0),
    (0.8, -math.inf, JUST, STEER_EUR_PER_MWH),
    (0.2, -math.inf, JUST, STEER_EUR_PER_MWH),
    (0.8, LONG_AGO, -math.inf, 0.0),
    (0.8, -math.inf, LONG_AGO, 0.0),
    (0.8, JUST, JUST, 0.0),
    (0.3, -math.inf, -math.inf, STEER_EUR_PER_MWH),
    (0.7, -math.inf, -math.inf, 0.0),
]


@pytest.mark.parametrize(("soc", "generation_s", "demand_s", "worth"), TABLE)
def test_worth_follows_who_was_held_back_last(soc: float, generation_s: float, demand_s: float, worth: float) -> None:
    assert value(soc, Surplus(generation_s, demand_s)) == worth


def test_a_content_that_nobody_knows_is_worth_nothing() -> None:
    assert value(math.nan, Surplus(JUST)) == 0.0


def test_only_storage_has_a_worth() -> None:
    contents = np.full(4, 0.2)
    worth = stored_energy_value(SITE, NOW_S, 0.0, Surplus(), contents, {})
    assert np.flatnonzero(worth.eur_per_mwh).tolist() == [BAT]
    assert worth.cause == ("", "", RULE, "")


def test_near_the_end_of_a_known_course_the_reference_content_counts_again() -> None:
    horizon_s = NOW_S + RESTORE_S
    assert value(0.4, Surplus(JUST), horizon_s=horizon_s + 3600.0) == -STEER_EUR_PER_MWH
    assert value(0.4, Surplus(JUST), horizon_s=horizon_s - 3600.0) == STEER_EUR_PER_MWH


@given(
    worth=st.floats(-500.0, 500.0),
    wear=st.floats(0.0, 50.0),
    charge=st.floats(0.5, 1.0),
    discharge=st.floats(0.5, 1.0),
)
def test_charging_and_discharging_in_turn_never_pays(
    worth: float, wear: float, charge: float, discharge: float
) -> None:
    storage = Storage(4e6, 0.05, 0.95, charge, discharge)
    units = (*SITE.units[:2], replace(SITE.units[2], storage=storage, price_eur_per_mwh=wear), SITE.units[3])
    site = replace(SITE, units=units)
    resources = Resources.of(site, UnitArrays.of(site))
    price = storage_marginal_price(site, resources, np.array([0.0, 0.0, worth, 0.0]))
    charging, discharging = price[resources.is_storage] * resources.price_scale
    # One MWh into the cells is 1 / charge MWh at the terminals, and comes out as `discharge` MWh.
    assert charging / charge + discharging * discharge <= 1e-9


def test_others_keep_their_own_price() -> None:
    price = storage_marginal_price(SITE, RESOURCES, np.array([0.0, 0.0, 20.0, 0.0]))
    others = ~RESOURCES.is_storage
    assert price[others].tolist() == RESOURCES.price[others].tolist()


def test_who_was_held_back_is_remembered_by_direction() -> None:
    held = np.array([0.5e6, 0.0, 0.0, 0.0, 0.0])
    first = observe_surplus(Surplus(), 5.0, RESOURCES, held)
    assert (first.generation_held_s, first.demand_held_s) == (5.0, -math.inf)
    second = observe_surplus(first, 9.0, RESOURCES, np.array([0.0, 0.0, 0.0, 0.0, 0.3e6]))
    assert (second.generation_held_s, second.demand_held_s) == (5.0, 9.0)


def test_a_battery_that_absorbs_and_a_trifle_are_no_surplus() -> None:
    held = np.array([0.005 * 8e6, 0.0, 2e6, 2e6, 0.0])
    assert observe_surplus(Surplus(), 5.0, RESOURCES, held) == Surplus()


def planned(worth: float, expires_s: float = NOW_S + 60.0, soc: float = 0.8) -> float:
    plan = StoragePlan(NOW_S - 60.0, expires_s, (StoredEnergyPrice("BAT", (0.5,), (worth,)),))
    contents = np.array([math.nan, math.nan, soc, math.nan])
    prices = prices_in_force(plan, (), NOW_S)
    return float(stored_energy_value(SITE, NOW_S, 0.0, Surplus(JUST), contents, prices).eur_per_mwh[BAT])


def test_a_plan_in_force_decides_and_an_expired_one_leaves_it_to_the_loop() -> None:
    assert planned(42.0) == 42.0
    assert planned(42.0, expires_s=NOW_S) == value(0.8, Surplus(JUST))


def test_no_plan_makes_stored_energy_worth_more_than_twice_the_dearest_unit() -> None:
    dearest = max(u.price_eur_per_mwh for u in SITE.units)
    assert planned(1e9) == 2.0 * dearest
    assert planned(-1e9) == -2.0 * dearest


def test_a_plan_does_not_say_what_an_unknown_content_is_worth() -> None:
    assert planned(42.0, soc=math.nan) == 0.0
