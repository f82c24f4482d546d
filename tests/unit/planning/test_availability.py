"""How much a unit can change and keep up: by its content, by what is plugged in, and nothing that nobody knows."""

from __future__ import annotations

import math
from dataclasses import replace

import core_planning_kit as kit
import pytest

from controller.domain.unit import Storage, UnitKind
from controller.planning.availability import NONE, Availability, availability, sustained_range_w

CELLS = Storage(1e6, 0.1, 0.9, 0.8, 0.5)
BATTERY = replace(kit.unit("BAT", UnitKind.BATTERY, 1e6, storage=CELLS), p_min_w=-1e6, p_max_w=0.2e6)
HUB = kit.unit("HUB_A", UnitKind.EV_HUB, 3e6)
SUN = kit.unit("SUN_A", UnitKind.PV, 3e6)


def test_a_battery_offers_what_its_content_keeps_up_for_the_whole_time() -> None:
    # 0.4 MWh above empty give 0.2 MWh at the terminals; 0.4 MWh of room take 0.5 MWh.
    assert sustained_range_w(CELLS, 0.5, 7200.0) == pytest.approx((-0.1e6, 0.25e6))
    found = availability(BATTERY, 0.0, math.nan, 0.5, 7200.0)
    assert (found.up_w, found.down_w) == pytest.approx((0.1e6, 0.2e6))  # as much as it may charge


@pytest.mark.parametrize("soc_frac", [0.1, 0.05, math.nan])
def test_an_empty_battery_and_one_of_unknown_content_give_nothing(soc_frac: float) -> None:
    assert availability(BATTERY, 0.0, math.nan, soc_frac, 900.0).up_w == 0.0


def test_vehicles_that_charge_can_wait_and_those_that_ask_for_more_can_take_it() -> None:
    hub = replace(HUB, p_min_w=0.0, p_max_w=3e6)
    assert availability(hub, 1e6, 2.5e6, math.nan, 1800.0) == Availability(1e6, 1.5e6)
    assert availability(hub, 1e6, 9e6, math.nan, 1800.0) == Availability(1e6, 2e6)
    assert availability(hub, 1e6, math.nan, math.nan, 1800.0) == Availability(1e6, 0.0)
    assert availability(hub, 0.0, 0.0, math.nan, 1800.0) == NONE


def test_a_plant_offers_what_it_is_held_back_by_and_all_it_gives() -> None:
    assert availability(SUN, -1e6, 1.5e6, math.nan, 900.0) == Availability(0.5e6, 1e6)
    assert availability(SUN, -1e6, -1.5e6, math.nan, 900.0) == Availability(0.5e6, 1e6)
    assert availability(SUN, -1e6, math.nan, math.nan, 900.0) == Availability(0.0, 1e6)


def test_a_unit_that_nobody_reads_offers_nothing() -> None:
    assert availability(SUN, math.nan, 1e6, 0.5, 900.0) == NONE


@pytest.mark.parametrize("for_s", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(for_s: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        availability(SUN, -1e6, 1e6, math.nan, for_s)
