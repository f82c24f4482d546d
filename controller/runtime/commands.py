"""From set points to device writes: what to write, with which lease and fall-back, and when.

Pure: it is told the instant and remembers only what was last written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.domain.command import Setpoint
from controller.domain.site import Site
from controller.domain.unit import Unit

DEAD_BAND_P_FRAC = 0.003
"""A change of active power below this share of the rating is not worth a write (halves the writes in simulation)."""
DEAD_BAND_Q_FRAC = 0.006
"""The same for reactive power, as a share of the apparent power rating."""
TIGHTER_FRAC = 1e-4
"""A cap is tighter when it falls by more than one count of a set point register in 0.01 % (SunSpec ``WMaxLimPct``)."""
REFRESH_SHARE = 1.0 / 3.0
"""A lease is refreshed before this share of it has passed, so that two writes may be lost."""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One leased write to one device; keys of ``values`` and ``revert`` are the profile's command names."""

    device_id: str
    values: Mapping[str, float]
    lease_s: float
    revert: Mapping[str, float]


def command_values(unit: Unit, p_w: float, q_var: float) -> dict[str, float]:
    """The commands that a set point means for this kind of unit; caps are magnitudes ≥ 0.

    A set point that is not finite becomes the unit's fail-safe set point.
    """
    if not (math.isfinite(p_w) and math.isfinite(q_var)):
        p_w, q_var = unit.fail_safe.p_w, unit.fail_safe.q_var
    if unit.kind.generates:
        return {"generation_w_max": max(0.0, -p_w), "q_var": q_var}
    if unit.kind.consumes:
        return {"consumption_w_max": max(0.0, p_w)}
    return {"p_w": p_w, "q_var": q_var}


@dataclass(slots=True)
class _Written:
    """What a device was last told."""

    values: Mapping[str, float]
    at_s: float
    lease_s: float


class CommandPlanner:
    """Decides for every device that commands a unit whether this cycle's set point is written now.

    Written at once: the first set point, any tightening of a cap, any change beyond the dead-band, and a refresh that
    would otherwise come later than a third of the lease. ``supported`` names the commands that a device's profile
    has; a device that is not in it takes all of them. Raises ValueError when two devices command one unit or a device
    commands a unit that does not exist.
    """

    def __init__(self, site: Site, supported: Mapping[str, frozenset[str]] | None = None) -> None:
        self._cycle_s = site.cycle.cycle_s
        self._units = {unit.id: unit for unit in site.units}
        self._device_of = _device_of_unit(site, self._units)
        self._supported = dict(supported) if supported is not None else {}
        self._revert = {
            unit_id: self._values(unit_id, unit.fail_safe.p_w, unit.fail_safe.q_var)
            for unit_id, unit in self._units.items()
        }
        self._written: dict[str, _Written] = {}

    def due(self, setpoints: Iterable[Setpoint], now_s: float) -> list[WriteRequest]:
        """The writes of this cycle; they count as written until :meth:`forget` says otherwise.

        An expired set point, and one of a unit without a device, is not written: the device's own lease ends it.
        """
        requests: list[WriteRequest] = []
        for setpoint in setpoints:
            device_id = self._device_of.get(setpoint.unit)
            lease_s = self._lease_s(setpoint, now_s)
            if device_id is None or not lease_s > 0.0:
                continue
            values = self._values(setpoint.unit, setpoint.p_w, setpoint.q_var)
            if values and self._worth_writing(self._units[setpoint.unit], device_id, values, now_s):
                self._written[device_id] = _Written(values, now_s, lease_s)
                requests.append(WriteRequest(device_id, values, lease_s, self._revert[setpoint.unit]))
        return requests

    def safe(self) -> list[WriteRequest]:
        """The fail-safe set point of every unit, whatever was written before."""
        return [
            WriteRequest(
                device_id, self._revert[unit_id], self._units[unit_id].fail_safe.lease_s, self._revert[unit_id]
            )
            for unit_id, device_id in self._device_of.items()
            if self._revert[unit_id]
        ]

    def forget(self, device_id: str) -> None:
        """The last write did not arrive (or the device came back): the next cycle writes again."""
        self._written.pop(device_id, None)

    def _values(self, unit_id: str, p_w: float, q_var: float) -> dict[str, float]:
        values = command_values(self._units[unit_id], p_w, q_var)
        known = self._supported.get(self._device_of.get(unit_id, ""))
        return values if known is None else {name: value for name, value in values.items() if name in known}

    def _lease_s(self, setpoint: Setpoint, now_s: float) -> float:
        """The unit's lease, shortened to what the set point itself has left; ≤ 0 or NaN when it has expired."""
        unit = self._units.get(setpoint.unit)
        left_s = setpoint.expires_at_s - now_s
        if unit is None or left_s >= unit.fail_safe.lease_s - 1e-6:
            return 0.0 if unit is None else unit.fail_safe.lease_s
        return left_s

    def _worth_writing(self, unit: Unit, device_id: str, values: Mapping[str, float], now_s: float) -> bool:
        last = self._written.get(device_id)
        if last is None or last.values.keys() != values.keys():
            return True
        # The next chance to refresh is one cycle later; a hair of tolerance keeps float noise from refreshing twice.
        if now_s + self._cycle_s - last.at_s > last.lease_s * REFRESH_SHARE + 1e-6:
            return True
        return any(_differs(unit, name, value, last.values[name]) for name, value in values.items())


def _differs(unit: Unit, name: str, value: float, before: float) -> bool:
    """True when a command has moved far enough from what was written to be written again."""
    if name == "q_var":
        return abs(value - before) > DEAD_BAND_Q_FRAC * unit.s_rated_va
    if name != "p_w" and before - value > TIGHTER_FRAC * unit.p_rated_w:
        return True
    return abs(value - before) > DEAD_BAND_P_FRAC * unit.p_rated_w


def _device_of_unit(site: Site, units: Mapping[str, Unit]) -> dict[str, str]:
    found: dict[str, str] = {}
    for device in site.devices:
        if device.unit is None:
            continue
        if device.unit not in units:
            raise ValueError(f"device {device.id} commands unit {device.unit!r}; the site has no such unit")
        if device.unit in found:
            raise ValueError(f"unit {device.unit} is commanded by {found[device.unit]} and {device.id}; expected one")
        found[device.unit] = device.id
    return found
