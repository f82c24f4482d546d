"""Faster than the world, with the same fail-safe behaviour."""

from __future__ import annotations

import pytest
from runtime_stubs import pv_site

from controller.runtime.stretch import stretch, stretch_factor


@pytest.mark.parametrize(
    ("speed", "cycle_s", "factor"),
    [(1.0, 1.0, 1.0), (40.0, 1.0, 1.0), (60.0, 1.0, 1.5), (60.0, 0.2, 7.5), (0.5, 0.2, 1.0)],
)
def test_times_are_stretched_only_as_far_as_the_machine_needs(speed: float, cycle_s: float, factor: float) -> None:
    assert stretch_factor(pv_site(cycle_s=cycle_s), speed, 25.0) == pytest.approx(factor)


def test_a_site_that_needs_no_stretching_is_left_alone() -> None:
    site = pv_site()
    assert stretch(site, 1.0, 25.0) is site


def test_every_time_that_counts_cycles_grows_by_one_factor_and_nothing_else_does() -> None:
    site = pv_site()
    slow = stretch(site, 120.0, 25.0)
    assert (slow.cycle.cycle_s, slow.cycle.fail_safe_s, slow.cycle.recovery_hold_s) == (3.0, 15.0, 90.0)
    assert [(d.poll_s, d.stale_s, d.timeout_s) for d in slow.devices] == [(3.0, 9.0, 1.5)] * 2
    assert slow.units[0].fail_safe.lease_s == 27.0
    assert slow.units[0].fail_safe.p_w == site.units[0].fail_safe.p_w
    assert slow.units[0].actuator == site.units[0].actuator
    assert (slow.topology, slow.limits, slow.chain) == (site.topology, site.limits, site.chain)
