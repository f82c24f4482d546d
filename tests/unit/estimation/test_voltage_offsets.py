"""What the upstream network does to all buses is followed at once, what one meter says of its own is not."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest
from numpy.typing import NDArray

from controller.estimation.voltage import COMMON_RATE_PU, VoltageOffsets, Walk

Array = NDArray[np.float64]
RATED_V = np.array([33e3, 11e3, 11e3, 11e3])
SEEN, NEVER = np.zeros(4), np.full(4, -np.inf)
SIGMA_PU = 0.001


def offsets() -> VoltageOffsets:
    chain = replace(kit.CHAIN, sigma_u_rel=SIGMA_PU)
    return VoltageOffsets(replace(kit.site(kit.two_units()), chain=chain), RATED_V)


def one_cycle(error_pu: list[float], seen_before_s: Array = SEEN) -> Array:
    """Per unit by which one cycle with these errors moves the offsets."""
    error_v = np.array(error_pu) * RATED_V
    return offsets().update(np.zeros(4), error_v, np.zeros(4), seen_before_s) / RATED_V


def test_a_tap_that_all_buses_show_is_there_in_one_cycle() -> None:
    assert one_cycle([0.004] * 4) == pytest.approx([0.004] * 4)


def test_so_small_a_step_at_one_bus_alone_takes_several() -> None:
    assert 0.0 < one_cycle([0.0, 0.0, 0.0, 0.0025])[3] < 0.0015


def test_one_wrong_meter_hardly_moves_the_others() -> None:
    moved = one_cycle([0.0, 0.0, 0.0, 0.05])
    assert moved[3] == pytest.approx(0.05, abs=0.001)
    assert np.abs(moved[:3]).max() < 0.0005


def test_a_bus_whose_reading_is_missing_goes_with_all_others() -> None:
    assert one_cycle([0.02, 0.02, 0.02, np.nan])[3] == pytest.approx(0.02)


def test_two_meters_do_not_outvote_each_other() -> None:
    moved = one_cycle([np.nan, 0.03, 0.0, np.nan])
    assert moved == pytest.approx([0.0, 0.03, 0.0, 0.0])


def test_the_first_reading_of_a_bus_is_taken_as_it_is() -> None:
    assert one_cycle([0.001, -0.002, 0.003, 0.0], NEVER) == pytest.approx([0.001, -0.002, 0.003, 0.0])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_four_meters_follow_a_wandering_source_as_exactly_as_is_promised(seed: int) -> None:
    rng, model, n = np.random.default_rng(seed), offsets(), 2000
    source = np.cumsum(COMMON_RATE_PU * rng.standard_normal(n))
    offset, off = np.zeros(4), []
    for u_pu in source:
        read = (u_pu + SIGMA_PU * rng.standard_normal(4)) * RATED_V
        offset = model.update(offset, read, offset, SEEN)
        off.append(offset / RATED_V - u_pu)
    promised = model.sigma_v(SEEN, RATED_V, np.zeros(3)) / RATED_V
    print("seed", seed, "seen", np.std(off, axis=0), "promised", promised)
    assert (np.std(off, axis=0) < promised).all()
    assert (np.std(off, axis=0) > 0.5 * promised).all()


def test_the_gain_is_that_of_the_steady_kalman_filter() -> None:
    walk, p = Walk.of(0.00025, SIGMA_PU, 1.0), 1e-6
    for _ in range(200):  # the Riccati recursion itself
        p = p * SIGMA_PU**2 / (p + SIGMA_PU**2) + 0.00025**2
    assert walk.gain == pytest.approx(p / (p + SIGMA_PU**2))
    assert walk.left_pu == pytest.approx(np.sqrt((1.0 - walk.gain) * p))
