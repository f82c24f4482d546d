"""Running faster than the world: how far the times that count cycles must be stretched to stay honest.

At ``speed`` 60 a site second lasts 17 ms of the machine; a control cycle of 1 s could not be kept. All times that are
multiples of what the machine can do (cycle, polls, time-outs, stale limits, leases, holds) grow by one factor, so
their ratios, and with them the fail-safe behaviour, stay as configured. Physical times are left alone.
"""

from __future__ import annotations

from dataclasses import replace

from controller.domain.site import CycleSettings, Device, Site
from controller.domain.unit import Unit


def stretch_factor(site: Site, speed: float, cycle_ms_min: float) -> float:
    """``max(1, speed × cycle_ms_min / 1000 / cycle_s)``: 1 while the machine keeps up with the configured cycle."""
    return max(1.0, speed * cycle_ms_min / 1000.0 / site.cycle.cycle_s)


def stretch(site: Site, speed: float, cycle_ms_min: float) -> Site:
    """The site with every time that counts cycles multiplied by :func:`stretch_factor`."""
    k = stretch_factor(site, speed, cycle_ms_min)
    if k == 1.0:
        return site
    return replace(
        site,
        cycle=_slower_cycle(site.cycle, k),
        devices=tuple(_slower_device(device, k) for device in site.devices),
        units=tuple(_longer_lease(unit, k) for unit in site.units),
    )


def _slower_cycle(cycle: CycleSettings, k: float) -> CycleSettings:
    return replace(
        cycle,
        cycle_s=cycle.cycle_s * k,
        fail_safe_s=cycle.fail_safe_s * k,
        recovery_hold_s=cycle.recovery_hold_s * k,
        unit_recovery_hold_s=cycle.unit_recovery_hold_s * k,
    )


def _slower_device(device: Device, k: float) -> Device:
    return replace(device, poll_s=device.poll_s * k, stale_s=device.stale_s * k, timeout_s=device.timeout_s * k)


def _longer_lease(unit: Unit, k: float) -> Unit:
    return replace(unit, fail_safe=replace(unit.fail_safe, lease_s=unit.fail_safe.lease_s * k))
