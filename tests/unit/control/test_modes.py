"""The fail-safe ladder as a table: down at once, up only after the hold, out of boot only with everything good."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.control.modes import lost_units, metered_elements, next_mode, stale_s
from controller.domain.limit import Limit, LimitKind
from controller.domain.record import Mode
from controller.estimation.estimate import Estimate
from controller.limits.base import QUALITIES

LIMITS = (
    Limit("T1.thermal", LimitKind.THERMAL, "T1", 500.0),
    Limit("L1.thermal", LimitKind.THERMAL, "L1", 500.0),
)
SITE = kit.site(limits=LIMITS)
HOLD_S = SITE.cycle.recovery_hold_s
METERED = np.array([True, False])
LOOP = kit.Loop(kit.Plant(SITE, {"WIND": 1e6, "PV": 1e6, "HUB": 0.1e6}))
LOOP.run(5)
assert LOOP.state.estimator is not None
_, ESTIMATE = LOOP.state.engine.estimator.update(
    LOOP.state.estimator, LOOP.plant.snapshot(), LOOP.state.history, LOOP.state.held
)
BLIND = replace(ESTIMATE, branch_age_s=np.full(3, np.inf), interface_age_s=np.inf)
BARELY = replace(ESTIMATE, branch_age_s=np.array([np.inf, np.inf, 1.0]), interface_age_s=np.inf)

G, E, W = "measured", "estimated", "worst_case"


def qualities(*quality: str) -> np.ndarray:
    return np.array([QUALITIES.index(q) for q in quality])


TABLE = [
    # mode before, good since, estimate, quality of T1 (metered) and L1 (not), mode after
    (Mode.BOOT, math.inf, BLIND, (W, W), Mode.BOOT),
    (Mode.BOOT, math.inf, ESTIMATE, (E, E), Mode.BOOT),
    (Mode.BOOT, math.inf, ESTIMATE, (W, G), Mode.BOOT),
    (Mode.BOOT, math.inf, ESTIMATE, (G, E), Mode.NORMAL),
    (Mode.BOOT, math.inf, ESTIMATE, (G, G), Mode.NORMAL),
    (Mode.NORMAL, 0.0, ESTIMATE, (G, G), Mode.NORMAL),
    (Mode.NORMAL, 0.0, ESTIMATE, (G, E), Mode.NORMAL),
    (Mode.NORMAL, 0.0, ESTIMATE, (E, G), Mode.DEGRADED),
    (Mode.NORMAL, 0.0, ESTIMATE, (W, G), Mode.DEGRADED),
    (Mode.NORMAL, 0.0, BARELY, (W, W), Mode.DEGRADED),
    (Mode.NORMAL, 0.0, BLIND, (W, W), Mode.FAIL_SAFE),
    (Mode.DEGRADED, math.inf, ESTIMATE, (G, G), Mode.DEGRADED),
    (Mode.DEGRADED, 100.0 - HOLD_S + 1.0, ESTIMATE, (G, G), Mode.DEGRADED),
    (Mode.DEGRADED, 100.0 - HOLD_S, ESTIMATE, (G, G), Mode.NORMAL),
    (Mode.DEGRADED, 0.0, ESTIMATE, (E, G), Mode.DEGRADED),
    (Mode.DEGRADED, 0.0, BLIND, (W, W), Mode.FAIL_SAFE),
    (Mode.FAIL_SAFE, math.inf, BLIND, (W, W), Mode.FAIL_SAFE),
    (Mode.FAIL_SAFE, math.inf, ESTIMATE, (W, G), Mode.FAIL_SAFE),
    (Mode.FAIL_SAFE, math.inf, ESTIMATE, (E, G), Mode.DEGRADED),
    (Mode.FAIL_SAFE, math.inf, ESTIMATE, (G, G), Mode.DEGRADED),
]


@pytest.mark.parametrize(("before", "since_s", "estimate", "quality", "after"), TABLE)
def test_the_ladder(before: Mode, since_s: float, estimate: Estimate, quality: tuple[str, str], after: Mode) -> None:
    mode, _ = next_mode(SITE, before, since_s, estimate, qualities(*quality), METERED, 100.0)
    assert mode is after


def test_the_hold_counts_from_the_first_good_cycle_and_starts_anew_after_a_bad_one() -> None:
    since_s = math.inf
    course = [(10.0, G), (11.0, G), (12.0, E), (13.0, G), (14.0, G)]
    seen = []
    for now_s, quality in course:
        _, since_s = next_mode(SITE, Mode.DEGRADED, since_s, ESTIMATE, qualities(quality, G), METERED, now_s)
        seen.append(since_s)
    assert seen == [10.0, 10.0, math.inf, 13.0, 13.0]


def test_from_fail_safe_the_way_up_takes_the_whole_hold() -> None:
    mode, since_s = Mode.FAIL_SAFE, math.inf
    for now_s in range(int(HOLD_S) + 1):
        mode, since_s = next_mode(SITE, mode, since_s, ESTIMATE, qualities(G, G), METERED, float(now_s))
        assert mode is (Mode.NORMAL if now_s >= HOLD_S else Mode.DEGRADED)


def test_a_site_that_hears_its_interface_only_is_not_blind() -> None:
    hearing = replace(BLIND, interface_age_s=0.0)
    mode, _ = next_mode(SITE, Mode.NORMAL, 0.0, hearing, qualities(W, W), METERED, 100.0)
    assert mode is Mode.DEGRADED


def test_the_stale_time_is_that_of_the_most_patient_device() -> None:
    assert stale_s(SITE) == 3.0
    assert stale_s(kit.site(devices=())) == 3.0 * SITE.cycle.cycle_s
    slow = replace(SITE.devices[0], stale_s=8.0)
    assert stale_s(replace(SITE, devices=(slow, *SITE.devices[1:]))) == 8.0


def test_a_unit_is_lost_when_it_was_not_heard_for_the_stale_time() -> None:
    ages = np.array([0.0, 3.0, 3.1, np.inf])
    assert lost_units(SITE, replace(ESTIMATE, unit_age_s=ages)).tolist() == [False, False, True, True]


def test_a_reading_that_waits_to_be_confirmed_is_no_silence_at_a_long_cycle() -> None:
    slow = replace(SITE, cycle=replace(SITE.cycle, cycle_s=4.0))
    assert stale_s(slow) < 2.0 * slow.cycle.cycle_s
    waits = replace(ESTIMATE, unit_age_s=np.full_like(ESTIMATE.unit_age_s, 2.0 * slow.cycle.cycle_s + 0.5))
    assert not lost_units(slow, waits).any()
    assert lost_units(slow, replace(waits, unit_age_s=waits.unit_age_s + 2.0)).any()


def test_metered_are_the_elements_that_a_device_feeds_whichever_way_it_counts() -> None:
    turned = replace(SITE.devices[0], feeds={"p_w": "-branch.L2.p_w", "q_var": "interface.q_var", "u_v": "bus.N1.u_v"})
    found = metered_elements(replace(SITE, devices=(turned,)))
    assert found == {"L2", "interface", "N1"}


def test_a_loop_that_never_saw_its_meters_tells_everybody_the_safe_set_point() -> None:
    loop = kit.Loop(kit.Plant(kit.site(), {"WIND": 8e6, "PV": 6e6, "HUB": 1e6}))
    record = loop.run(10, without=lambda name: name.startswith(("branch", "bus", "interface")))
    assert record.mode is Mode.BOOT
    assert {s.unit: s.p_w for s in record.setpoints} == {u.id: u.fail_safe.p_w for u in loop.plant.site.units}
    assert all(s.causes == ("mode.boot",) for s in record.setpoints)


def test_boot_ends_with_the_first_complete_picture_and_not_before() -> None:
    loop = kit.Loop(kit.Plant(kit.site(), {"WIND": 1e6, "PV": 1e6, "HUB": 0.1e6}))
    assert loop.run(5, without=lambda name: name.startswith("branch.T1")).mode is Mode.BOOT
    assert loop.run(1).mode is Mode.NORMAL


def test_before_everything_was_read_once_it_is_not_said_that_limits_cannot_be_kept() -> None:
    loop = kit.Loop(kit.Plant(kit.site(), {"WIND": 8e6, "PV": 6e6, "HUB": 0.0}))
    record = loop.run(1, without=lambda _: True)
    assert record.mode is Mode.BOOT
    assert record.sacrificed  # nobody knows that they are kept, either
    assert "site.infeasible" not in {e.name for e in record.events}
