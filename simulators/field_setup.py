"""Builds all simulated devices of a site: instruments, control registers, and their place in the common arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from controller.domain.site import Site
from controller.domain.unit import Unit
from drivers.profile import Profile
from drivers.profile_loader import load_profile
from simulators.faults import Fault, FaultKind
from simulators.field_device import Clockwork, PlantDevice
from simulators.signals import Signals
from simulators.units.control_block import ControlBlock, Effective
from simulators.units.meter import Channel, MeterBank
from simulators.wiring import DeviceWiring, draw_instrument


class Field:
    """All devices and the instruments that they share."""

    def __init__(self, devices: Mapping[str, PlantDevice], meters: MeterBank, clock: Clockwork, site: Site) -> None:
        self.devices = devices
        self.meters = meters
        self.clock = clock
        self._commander = {device.unit: device.id for device in site.devices if device.unit is not None}

    def block_of(self, unit_id: str) -> ControlBlock | None:
        """The control registers that command the unit; None when no device does."""
        device_id = self._commander.get(unit_id)
        return None if device_id is None else self.devices[device_id].block

    def disturb(self, faults: Sequence[Fault]) -> None:
        """Put the biases and spikes among ``faults`` on the instruments."""
        wanted = [fault for fault in faults if fault.kind in (FaultKind.BIAS, FaultKind.SPIKE)]
        if not wanted:
            self.meters.disturb(None)
            return
        extra = np.zeros(len(self.meters.channels))
        for k, channel in enumerate(self.meters.channels):
            for fault in wanted:
                if channel.name in (f"{fault.device}.{fault.point}", f"{fault.device}.{_phase(channel, fault)}"):
                    extra[k] += fault.frac * self.meters.full_scale[k]
        self.meters.disturb(extra)


def build_devices(
    site: Site, signals: Signals, seed: int, starts_open: bool, profiles: Mapping[str, Profile] | None
) -> Field:
    """All devices of the site. Raises KeyError (or the loader's error) for a profile that does not exist."""
    clock = Clockwork()
    tables = {
        device.profile: load_profile(device.profile) if profiles is None else profiles[device.profile]
        for device in site.devices
    }
    wirings: dict[str, DeviceWiring] = {}
    for device in site.devices:
        instrument = draw_instrument(device.id, site.chain, seed)
        wirings[device.id] = DeviceWiring(device, tables[device.profile], site, signals, instrument)
    channels = [channel for wiring in wirings.values() for channel in wiring.channels]
    meters = MeterBank(channels, seed, len(signals.names))
    units = {unit.id: unit for unit in site.units}
    devices: dict[str, PlantDevice] = {}
    start = 0
    for device in site.devices:
        wiring, profile = wirings[device.id], tables[device.profile]
        end = start + len(wiring.channels)
        block = None
        if device.unit is not None and profile.commands:
            block = ControlBlock(profile, fail_safe_of(units[device.unit]), wiring.nameplate, starts_open)
        devices[device.id] = PlantDevice(device.id, profile, meters, slice(start, end), wiring.fixed, block, clock)
        start = end
    return Field(devices, meters, clock, site)


def fail_safe_of(unit: Unit) -> Effective:
    """The unit's fail-safe set point as its device holds it."""
    if unit.kind.generates:
        return Effective(generation_w_max=max(-unit.fail_safe.p_w, 0.0), q_var=unit.fail_safe.q_var)
    if unit.kind.consumes:
        return Effective(consumption_w_max=max(unit.fail_safe.p_w, 0.0), q_var=unit.fail_safe.q_var)
    return Effective(p_w=unit.fail_safe.p_w, q_var=unit.fail_safe.q_var)


def _phase(channel: Channel, fault: Fault) -> str:
    """The channel's own point when the fault names the quantity it is a phase of (``i_a`` strikes ``i_1_a``)."""
    point = channel.name.split(".")[-1]
    stem, _, unit = fault.point.partition("_")
    return point if point.startswith(f"{stem}_") and f"_{unit}" in point and point[len(stem) + 1].isdigit() else ""
