"""What was ordered of vehicles counts as far as they can deliver it, no further."""

from __future__ import annotations

from dataclasses import replace

import core_planning_kit as kit
import numpy as np
import pytest

from controller.domain.unit import UnitKind
from controller.planning.counted import deliverable_w, lacks, share_of
from controller.planning.uptake import Uptake

HUB = replace(kit.unit("HUB_A", UnitKind.EV_HUB, 1e6), p_min_w=0.0, p_max_w=1e6)
SUN = kit.unit("SUN_A", UnitKind.PV, 1e6)
UNKNOWN = np.full(4, np.nan)


def leaving() -> dict[str, Uptake]:
    """Vehicles that take 200 kW unasked and 800 kW at most, until they leave after two quarter hours."""
    gone = np.array([1.0, 1.0, 0.0, 0.0])
    return {"HUB_A": Uptake(200e3 * gone, 800e3 * gone, np.inf, np.array([1.0, 1.0, 0.0, 1.0]), np.zeros(4))}


def test_more_consumption_is_counted_while_the_vehicles_are_there() -> None:
    found = deliverable_w([HUB], leaving(), UNKNOWN, np.full(4, 500e3))
    assert found.tolist() == [500e3, 500e3, 0.0, 0.0]
    assert lacks(np.full(4, 500e3), found).tolist() == [False, False, True, True]


def test_vehicles_give_up_no_more_than_they_would_take() -> None:
    found = deliverable_w([HUB], leaving(), np.full(4, 600e3), np.full(4, -500e3))
    np.testing.assert_allclose(found, [-100e3, -100e3, 0.0, 0.0])
    unprognosed = deliverable_w([HUB], leaving(), UNKNOWN, np.full(4, -500e3))
    np.testing.assert_allclose(unprognosed, [-200e3, -200e3, 0.0, 0.0])


def test_a_promise_beyond_the_prognosis_is_measured_against_the_prognosis() -> None:
    found = deliverable_w([HUB], leaving(), np.full(4, 600e3), np.full(4, 500e3))
    assert found.tolist() == [200e3, 200e3, 0.0, 0.0]


def test_vehicles_that_wait_as_was_said_beforehand_have_their_energy_later() -> None:
    """They would have charged in the first two quarter hours and been full in the others."""
    evening = {"HUB_A": Uptake(np.array([8e5, 8e5, 0.0, 0.0]), np.full(4, 8e5), 400e3, np.ones(4), np.zeros(4))}
    later = np.array([0.0, 0.0, 8e5, 8e5])
    assert deliverable_w([HUB], evening, UNKNOWN, later).tolist() == [0.0] * 4
    assert deliverable_w([HUB], evening, np.zeros(4), later).tolist() == later.tolist()


def test_a_participant_without_vehicles_is_believed() -> None:
    assert deliverable_w([SUN], leaving(), UNKNOWN, np.full(4, 500e3)).tolist() == [500e3] * 4
    assert deliverable_w([], leaving(), UNKNOWN, np.full(4, 500e3)).tolist() == [500e3] * 4


def test_units_share_an_order_by_their_rating_and_only_the_vehicles_part_is_doubted() -> None:
    found = deliverable_w([HUB, SUN], leaving(), UNKNOWN, np.full(4, 400e3))
    assert found.tolist() == [400e3, 400e3, 200e3, 200e3]


def test_an_offer_is_taken_as_far_as_the_energy_lasts_beside_what_is_ordered() -> None:
    energy = {"HUB_A": Uptake(np.zeros(4), np.full(4, 800e3), 400e3, np.ones(4), np.zeros(4))}
    offer, nothing = np.full(4, 800e3), np.zeros(4)
    assert share_of([HUB], energy, UNKNOWN, nothing, offer) == pytest.approx(0.5, abs=0.03)
    half = np.array([400e3, 400e3, 0.0, 0.0])
    assert share_of([HUB], energy, UNKNOWN, half, offer) == pytest.approx(0.25, abs=0.03)
    assert share_of([HUB], energy, UNKNOWN, nothing, offer / 2.0) == 1.0
