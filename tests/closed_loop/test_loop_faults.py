"""Devices fail at seeded random instants, one after the other; the limits do not notice."""

from __future__ import annotations

import numpy as np
import pytest
from loop_kit import OVER_IN_A_ROW_S, START_UP_S, ClosedLoop, set_power, site_of

from controller.domain.site import Device
from simulators.faults import FaultKind

BUSY_HOUR = {"demo_primary": 12.0, "secondary_rooftop": 12.0, "ev_charging": 18.2}
FAULT_S, AFTER_S = 90.0, 75.0
# Of the limit, for seconds, while others take over what a failing unit did. A battery lets go at once, at full power.
OVER_FRAC_MAX, OVER_FRAC_MAX_BATTERY = 1.15, 1.4
KINDS = (FaultKind.SILENT, FaultKind.KILLED, FaultKind.DEAF, FaultKind.FROZEN)
RECOVERS_S = 60.0


def drawn(name: str, kind: FaultKind, seed: int) -> tuple[Device, float]:
    """The device that fails and when; deaf and killed are units."""
    rng = np.random.default_rng([seed, KINDS.index(kind), len(name)])
    devices = site_of(name).devices
    if kind in (FaultKind.DEAF, FaultKind.KILLED):
        devices = tuple(d for d in devices if d.unit is not None)
    return devices[int(rng.integers(len(devices)))], float(rng.integers(80, 160))


def batteries(name: str) -> set[str]:
    return {u.id for u in site_of(name).units if u.storage is not None}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_a_fault_at_any_instant_leaves_the_limits_kept(name: str, kind: FaultKind, seed: int) -> None:
    device, at_s = drawn(name, kind, seed)
    story = f"seed {seed}: {kind.value} {device.id} at {at_s:.0f} s of {name} from {BUSY_HOUR[name]} h"
    print(story)
    run = ClosedLoop(name, BUSY_HOUR[name], seed, with_faults=False).run(at_s)
    run.inject(kind, device.id, FAULT_S)
    run.run(FAULT_S + AFTER_S)
    assert run.observer.longest_s() <= OVER_IN_A_ROW_S, story
    for limit, at in run.observer.over_after(START_UP_S).items():
        bound = OVER_FRAC_MAX_BATTERY if device.unit in batteries(name) else OVER_FRAC_MAX
        assert run.observer.highest_frac[limit] <= bound, f"{story}: {limit} over at {at}"


UNITS = [("demo_primary", "WIND1"), ("demo_primary", "CES1"), ("secondary_rooftop", "PVA2"), ("ev_charging", "HUB1")]


@pytest.mark.parametrize(("name", "unit_id"), UNITS)
def test_a_unit_without_telemetry_is_told_its_safe_set_point_in_time_and_has_it_when_its_lease_ends(
    name: str, unit_id: str
) -> None:
    """The device cannot be reached, so its own lease brings it there; the controller says so within fail_safe_s."""
    run = ClosedLoop(name, BUSY_HOUR[name], 5, with_faults=False).run(100)
    unit = next(u for u in run.site.units if u.id == unit_id)
    device = next(d for d in run.site.devices if d.unit == unit_id)
    run.inject(FaultKind.SILENT, device.id)
    run.run(run.site.cycle.fail_safe_s + 1.0)
    told = next(s for s in run.records[-1].setpoints if s.unit == unit_id)
    assert (told.p_w, told.q_var) == (unit.fail_safe.p_w, unit.fail_safe.q_var)
    assert told.causes == ("unit.lost",)
    run.run(unit.fail_safe.lease_s)
    p_w, q_var = set_power(run, unit)
    assert p_w == pytest.approx(unit.fail_safe.p_w, abs=2e-4 * unit.p_rated_w)
    assert q_var == pytest.approx(unit.fail_safe.q_var, abs=2e-4 * unit.s_rated_va)


@pytest.mark.parametrize(("name", "unit_id"), UNITS)
def test_a_unit_that_comes_back_is_used_again(name: str, unit_id: str) -> None:
    run = ClosedLoop(name, BUSY_HOUR[name], 5, with_faults=False).run(100)
    device = next(d for d in run.site.devices if d.unit == unit_id)
    run.inject(FaultKind.SILENT, device.id, 30.0)
    run.run(30.0)
    assert next(u for u in run.records[-1].units if u.id == unit_id).status == "lost"
    run.run(RECOVERS_S)
    assert next(u for u in run.records[-1].units if u.id == unit_id).status in ("free", "held")
    run.run(RECOVERS_S)
    assert run.records[-1].mode.value == "normal"


@pytest.mark.parametrize("name", sorted(BUSY_HOUR))
def test_a_site_without_any_meter_goes_to_its_safe_set_points_in_time(name: str) -> None:
    run = ClosedLoop(name, BUSY_HOUR[name], 6, with_faults=False).run(100)
    for device in run.site.devices:
        run.inject(FaultKind.SILENT, device.id, 40.0)
    run.run(run.site.cycle.fail_safe_s + 1.0)
    told = {s.unit: s.p_w for s in run.records[-1].setpoints}
    assert told == {u.id: u.fail_safe.p_w for u in run.site.units}
    run.run(40.0 - run.site.cycle.fail_safe_s - 1.0)
    assert run.records[-1].mode.value == "fail_safe"
    run.run(run.site.cycle.recovery_hold_s + RECOVERS_S)
    assert run.records[-1].mode.value == "normal"
    assert run.observer.longest_s() <= OVER_IN_A_ROW_S


def test_a_deaf_unit_does_not_flap_between_deaf_and_obeying() -> None:
    """An alarm may come at most six times an hour, so three times in ten minutes is much already."""
    run = ClosedLoop("ev_charging", 18.2, 1, with_faults=False).run(120)
    run.inject(FaultKind.DEAF, "HUB2", 600.0)
    run.run(600.0)
    alarms = [r.now_s for r in run.records for e in r.events if e.name == "unit.deaf" and e.subject == "HUB2"]
    assert 1 <= len(alarms) <= 3, alarms


@pytest.mark.parametrize(("name", "start_h"), [("demo_primary", 11.0), ("ev_charging", 18.0)])
def test_on_a_day_without_faults_nobody_is_accused(name: str, start_h: float) -> None:
    """No honest meter is disbelieved and no obeying unit is called deaf."""
    run = ClosedLoop(name, start_h, 2, with_faults=False).run(900.0)
    accused = {(e.name, e.subject) for r in run.records for e in r.events if e.name.startswith("meter.")}
    accused |= {(e.name, e.subject) for r in run.records for e in r.events if e.name in ("unit.deaf", "unit.behind")}
    assert not accused, f"seed {run.seed}"


def test_an_export_that_nobody_can_reduce_takes_no_reactive_power_and_no_voltage_with_it() -> None:
    """Wind that hears nothing, vehicles that are gone, batteries that rest: what is left are the losses.

    Megavars would change the export by kilowatts and take the far voltages to their edge.
    """
    run = ClosedLoop("a_day_in_the_life", 22.5, 1, with_faults=False).run(180.0)
    before_var = run.world.truth().interface_q_var
    run.inject(FaultKind.DEAF, "WIND1")
    run.inject(FaultKind.SILENT, "EVH1")
    asked_var: list[float] = []
    run.run(180.0, lambda: asked_var.append(run.world.truth().interface_q_var - before_var))
    assert run.observer.highest_frac["export"] > 1.02, "an export that is kept proves nothing"
    assert not run.records[-1].feasible
    assert max(asked_var) < 0.5e6
    assert run.observer.highest_frac["N3.voltage"] < 0.5
