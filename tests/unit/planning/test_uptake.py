"""Vehicles come, want energy and leave: what a hub can be counted on for is learned, and never more than is there."""

from __future__ import annotations

import numpy as np
import pytest

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import LEVELS, Forecast
from controller.planning.uptake import Hubs, Plugged, Uptake, learn_hubs, new_hubs, uptakes

RATED_W = 100e3
SLOT = np.arange(SLOTS)
DEPOT = np.where((SLOT < 30) | (SLOT >= 72), 10.0, 0.0)  # ten vehicles from 18:00 until 07:30
HELD = Plugged(np.zeros(1), np.zeros(1), np.zeros(1), np.ones(1, dtype=bool))


def look(count: float, power_w: float = 0.0, wanted_wh: float = 0.0, held: bool = False) -> Plugged:
    return Plugged(np.array([power_w]), np.array([count]), np.array([wanted_wh]), np.array([held]))


def taught(days: int = 10) -> tuple[Hubs, int]:
    """Ten vehicles want 20 kWh each when they come and take 8 kW until they have it; the next quarter hour is given."""
    hubs, wanted = new_hubs(Calendar(0.0, 0), np.array([RATED_W])), 0.0
    for quarter in range(days * SLOTS):
        count = DEPOT[quarter % SLOTS]
        if quarter % SLOTS == 72:
            wanted = 200e3
        power = min(8e3 * count, wanted / 0.25)
        wanted = (wanted - power * 0.25) if count else 0.0
        hubs = learn_hubs(hubs, quarter, look(count, power, wanted))
    return hubs, days * SLOTS


def unasked(w: float, quarters: int) -> Forecast:
    return Forecast(0, LEVELS, np.full((len(LEVELS), quarters, 1), w))


def ahead(hubs: Hubs, now: Plugged, quarter: int, quarters: int = 24, w: float = 30e3) -> Uptake:
    (found,) = uptakes(hubs, now, quarter * QUARTER_S + 1.0, unasked(w, quarters), [0])
    return found


def test_what_one_vehicle_takes_and_brings_is_learned_from_those_that_came() -> None:
    hubs, _ = taught()
    assert hubs.each_w[0] == pytest.approx(8e3, rel=0.2)
    assert hubs.each_wh[0] == pytest.approx(20e3)


def test_before_the_commute_it_is_known_that_nobody_will_be_there_after_it() -> None:
    hubs, quarter = taught()
    found = ahead(hubs, look(10.0, 0.0, 150e3), quarter + 24)  # 06:00
    assert found.most_w[:5].min() > 0.6 * found.most_w[0] > 0.0
    assert found.most_w[8:].max() < 0.15 * found.most_w[0]  # 08:00


def test_an_empty_hub_is_counted_on_for_nothing_now_whatever_was_usual() -> None:
    hubs, quarter = taught()
    found = ahead(hubs, look(0.0), quarter + 8)
    usual = ahead(hubs, look(10.0), quarter + 8)
    assert found.taken_w(np.full(24, RATED_W))[0] == 0.0
    assert found.most_w[1:6].max() < 0.6 * usual.most_w[1:6].min()


def test_vehicles_take_no_more_than_they_want_and_what_leaves_takes_its_wish_along() -> None:
    there, nothing = np.ones(4), np.zeros(4)
    full = Uptake(np.full(4, 20e3), np.full(4, 80e3), 25e3, there, nothing)
    assert full.taken_w(np.full(4, 80e3)).tolist() == [80e3, 20e3, 0.0, 0.0]
    assert full.taken_w(np.full(4, np.nan)).tolist() == [20e3, 20e3, 20e3, 20e3]
    half_leaves = Uptake(full.unasked_w, full.most_w, 30e3, np.array([1.0, 1.0, 0.5, 1.0]), nothing)
    assert half_leaves.taken_w(np.array([0.0, 0.0, 80e3, 80e3])).tolist() == [0.0, 0.0, 60e3, 0.0]
    newcomers = Uptake(full.unasked_w, full.most_w, 0.0, there, np.array([0.0, 5e3, 0.0, 0.0]))
    assert newcomers.taken_w(np.full(4, 80e3)).tolist() == [0.0, 20e3, 0.0, 0.0]


def test_a_hub_that_reports_nothing_is_counted_on_for_what_it_usually_takes() -> None:
    hubs, quarter = taught()
    silent = Plugged(np.array([5e3]), np.array([np.nan]), np.array([np.nan]), np.array([False]))
    found = ahead(hubs, silent, quarter)
    np.testing.assert_allclose(found.most_w, 30e3)
    assert found.taken_w(np.full(24, RATED_W)).tolist() == [30e3] * 24


def test_a_hub_that_is_held_back_teaches_nothing_about_what_a_vehicle_takes() -> None:
    hubs, quarter = taught()
    for k in range(40):
        hubs = learn_hubs(hubs, quarter + k, look(10.0, 1e3, 150e3, held=True))
    assert hubs.each_w[0] == pytest.approx(8e3, rel=0.2)
