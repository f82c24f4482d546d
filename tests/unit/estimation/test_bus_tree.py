"""What is known about the voltage of a bus without a meter."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.estimation.bus_tree import BusTree
from controller.estimation.voltage import BLIND_SIGMA_PU, DROP_ERROR_FRAC, VoltageOffsets

TOPOLOGY = kit.topology()  # GRID =T1= BB -L1- N1, BB -L2- N2
RATED_V = np.array([33e3, 11e3, 11e3, 11e3])
NOW, NEVER = 0.0, np.inf


def sigma_pu(age_s: list[float], u_pu: list[float], branch_sigma_a: float = 0.0) -> list[float]:
    site = replace(kit.site(kit.two_units()), chain=kit.CHAIN)
    offsets = VoltageOffsets(site, RATED_V)
    sigma_v = offsets.sigma_v(np.array(age_s), np.array(u_pu) * RATED_V, np.full(3, branch_sigma_a))
    return list(sigma_v / RATED_V)


def test_the_way_between_two_feeders_leads_over_the_busbar() -> None:
    tree = BusTree(TOPOLOGY)
    nearest = np.array([0, 1, 2, 2])
    assert tree.between(nearest)[3] == pytest.approx([1.0, 1.0, 0.0])
    assert tree.apart[2, 3] == pytest.approx(2.0 * tree.apart[1, 2])


def test_the_nearest_meter_is_the_one_with_the_least_impedance_between() -> None:
    tree = BusTree(TOPOLOGY)
    assert list(tree.nearest(np.array([True, True, False, False]))) == [0, 1, 1, 1]
    assert tree.nearest(np.array([True, False, False, True]))[2] in (0, 3)


def test_in_a_ring_every_bus_still_has_one_way_to_the_source() -> None:
    ring = replace(TOPOLOGY, lines=(*TOPOLOGY.lines, replace(TOPOLOGY.lines[0], id="L3", from_bus="N1", to_bus="N2")))
    assert BusTree(ring).from_root.sum(axis=1) == pytest.approx([0.0, 1.0, 2.0, 2.0])


def test_a_bus_without_a_meter_is_off_by_a_share_of_the_drop_to_its_neighbour() -> None:
    metered, unmetered = sigma_pu([NOW, NOW, NOW, NEVER], [1.0, 1.0, 1.02, 1.03])[2:]
    assert unmetered == pytest.approx(np.hypot(metered, DROP_ERROR_FRAC * 0.03))


def test_a_bus_without_a_drop_is_as_well_known_as_its_neighbour() -> None:
    sigma = sigma_pu([NOW, NOW, NOW, NEVER], [1.0, 1.0, 1.0, 1.0])
    assert sigma[3] == pytest.approx(sigma[2])


def test_currents_that_nobody_knows_make_the_drop_unsure() -> None:
    known, unsure = (sigma_pu([NOW, NOW, NOW, NEVER], [1.0] * 4, amps)[3] for amps in (0.0, 100.0))
    ohm = abs(complex(0.4, 0.5))
    assert unsure == pytest.approx(np.hypot(known, np.sqrt(3.0) * ohm * 100.0 / 11e3))


def test_without_any_meter_all_voltages_are_unsure() -> None:
    assert min(sigma_pu([NEVER] * 4, [1.0] * 4)) >= BLIND_SIGMA_PU
