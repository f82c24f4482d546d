"""The simulated field without wires: what the drivers would read and write, as plain calls.

Readings have the resolution of the profile's registers; commands take the steps that a driver would take on the wire
(mode, lease, reversion, value, enable). This is how the closed loop runs at many hundred times real time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.domain.topology import SQRT3
from drivers.profile import CommandSpec, DerivedSpec, Profile
from simulators.field_device import PlantDevice
from simulators.world import World

_NO_ANSWER = "no answer"
_OPS: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
    "mean_ln_to_ll": lambda values: SQRT3 * math.fsum(values) / len(values),
}
_READ_BACK = {  # command: point that reports it, and its sign there (load convention)
    "generation_w_max": ("p_set_w", -1.0),
    "consumption_w_max": ("p_set_w", 1.0),
    "p_w": ("p_set_w", 1.0),
    "q_var": ("q_set_var", 1.0),
}


class InProcessField:
    """All devices of a world; has the shape of ``controller.runtime.loop_sync.VirtualField``."""

    def __init__(self, world: World, devices: Sequence[Device]) -> None:
        self._links = {device.id: _Link(world.devices[device.id], device) for device in devices}

    def poll(self, device_id: str, now_s: float) -> Mapping[str, Measurement]:
        """Every point that the site file uses, as the device shows it now; BAD with a reason when it is silent."""
        return self._links[device_id].poll(now_s)

    def write(
        self, device_id: str, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]
    ) -> Outcome:
        """Give a leased set point; the first register that is refused ends it."""
        return self._links[device_id].write(values, lease_s, revert)


class _Link:
    """One device, with what is worth computing only once."""

    def __init__(self, plant: PlantDevice, device: Device) -> None:
        profile = plant.profile
        self._plant = plant
        self._profile = profile
        places = {name: k for k, name in enumerate(plant.channel_names)}
        self._direct = [(name, places[name], *_range(profile, name)) for name in device.feeds if name in places]
        self._derived = [_places(spec, places) for spec in profile.derived if spec.name in device.feeds]
        shown = plant.values()
        self._fixed = [(name, shown[name]) for name in device.feeds if name not in places and _is_fixed(plant, name)]
        self._read_backs = [_read_back(spec, shown) for spec in profile.commands]
        self._names = [
            *(entry[0] for entry in self._direct),
            *(entry[0] for entry in self._derived),
            *(name for name, _ in self._fixed),
            *(entry[0] for entry in self._read_backs),
        ]

    def poll(self, now_s: float) -> dict[str, Measurement]:
        if self._plant.silent:
            lost = Measurement(math.nan, Quality.BAD, now_s, now_s, _NO_ANSWER)
            return dict.fromkeys(self._names, lost)
        raw = self._plant.measured()
        out = {name: _measurement(raw[k], low, high, now_s) for name, k, low, high in self._direct}
        for name, op, places in self._derived:
            out[name] = _measurement(op([raw[k] for k in places]), -math.inf, math.inf, now_s)
        for name, value in self._fixed:
            out[name] = Measurement(value, Quality.GOOD, now_s, now_s)
        if self._read_backs:
            registers = self._plant.registers()
            for name, point, factor in self._read_backs:
                out[name] = Measurement(registers[point] * factor, Quality.GOOD, now_s, now_s)
        return out

    def write(self, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]) -> Outcome:
        if self._plant.silent:
            return Outcome(OutcomeState.FAILED, _NO_ANSWER)
        specs = {name: self._profile.command(name) for name in values}
        unknown = [name for name, spec in specs.items() if spec is None]
        if unknown:
            return Outcome(OutcomeState.UNSUPPORTED, f"profile {self._profile.id} has no command {unknown[0]}")
        for spec in specs.values():
            assert spec is not None
            for point, value in self._steps(spec, values[spec.name], lease_s, revert.get(spec.name)):
                if not self._plant.write(point, value):
                    return Outcome(OutcomeState.REFUSED, f"point {point} refused {value!r}")
        return Outcome(OutcomeState.ACKNOWLEDGED)

    def _steps(self, spec: CommandSpec, value: float, lease_s: float, revert: float | None) -> list[tuple[str, float]]:
        """The writes that one command is made of, in the order that :class:`drivers.profile.CommandSpec` states."""
        base = 1.0 if spec.of is None else self._plant.values()[spec.of]
        out: list[tuple[str, float]] = []
        if spec.mode_point is not None:
            out.append((spec.mode_point, spec.mode_value))
        if spec.lease_point is not None:
            out.append((spec.lease_point, lease_s))
        if spec.revert_point is not None and revert is not None:
            out.append((spec.revert_point, revert / base))
            if spec.revert_enable_point is not None:
                out.append((spec.revert_enable_point, 1.0))
        out.append((spec.point, value / base))
        if spec.enable_point is not None:
            out.append((spec.enable_point, spec.enable_value))
        return out


def _measurement(value: float, low: float, high: float, now_s: float) -> Measurement:
    if math.isnan(value):
        return Measurement(value, Quality.MISSING, now_s, now_s, "not implemented")
    if low <= value <= high:
        return Measurement(value, Quality.GOOD, now_s, now_s)
    return Measurement(value, Quality.BAD, now_s, now_s, f"{value:g} is outside {low:g} … {high:g}")


def _range(profile: Profile, name: str) -> tuple[float, float]:
    spec = profile.point(name)
    return (-math.inf if spec.low is None else spec.low, math.inf if spec.high is None else spec.high)


def _places(
    spec: DerivedSpec, places: Mapping[str, int]
) -> tuple[str, Callable[[Sequence[float]], float], tuple[int, ...]]:
    return spec.name, _OPS[spec.op], tuple(places[name] for name in spec.of)


def _read_back(spec: CommandSpec, shown: Mapping[str, float]) -> tuple[str, str, float]:
    name, sign = _READ_BACK[spec.name]
    base = 1.0 if spec.of is None else shown[spec.of]
    return name, spec.read_back or spec.point, sign * base


def _is_fixed(plant: PlantDevice, name: str) -> bool:
    return name in plant.values() and name not in plant.registers()
