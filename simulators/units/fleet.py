"""All units of a site, stepped together: set points in, powers at the terminals out (load convention)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from controller.domain.unit import Unit, UnitKind
from simulators.units.actuators import ActuatorBank
from simulators.units.battery import Battery
from simulators.units.control_block import Effective
from simulators.units.course import Array
from simulators.units.curves import Curve
from simulators.units.ev_hub import EvHub


class LocalCurves:
    """Autonomous voltage response of one unit: either curve may be absent."""

    def __init__(self, volt_var: Curve | None, volt_watt: Curve | None) -> None:
        self._volt_var = volt_var
        self._volt_watt = volt_watt
        self._injected_pu = 0.0
        self._allowed_pu = 1.0

    @property
    def takes_q(self) -> bool:
        """True when the curve, not the set point, decides reactive power."""
        return self._volt_var is not None

    def step(self, u_pu: float, dt_s: float) -> tuple[float, float]:
        """(reactive power absorbed, greatest active power), each in pu of the unit's rating."""
        if self._volt_var is not None:
            self._injected_pu = self._volt_var.step(self._injected_pu, u_pu, dt_s)
        if self._volt_watt is not None:
            self._allowed_pu = self._volt_watt.step(self._allowed_pu, u_pu, dt_s)
        return -self._injected_pu, self._allowed_pu


class Fleet:
    """The units in the order of the site; ``hubs`` and ``curves`` by unit id.

    ``available_w`` is the magnitude that the resource (wind, sun) or the customer (cars, process) offers; NaN for
    a battery. ``vehicles`` that are plugged in and the energy that they want, ``wanted_wh``, are NaN where no cars are.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        actuators: ActuatorBank,
        hubs: Mapping[str, EvHub],
        curves: Mapping[str, LocalCurves],
    ) -> None:
        self._units = tuple(units)
        self._actuators = actuators
        self._hubs = {k: hubs[unit.id] for k, unit in enumerate(units) if unit.id in hubs}
        self._curves = {k: curves[unit.id] for k, unit in enumerate(units) if unit.id in curves}
        self._batteries = {
            k: Battery(unit.storage, unit.p_rated_w) for k, unit in enumerate(units) if unit.storage is not None
        }
        self._sign = np.array([-1.0 if unit.kind.generates else 1.0 for unit in units])
        self._s_squared = np.array([unit.s_rated_va**2 for unit in units])
        self._q_max_var = np.array([unit.q_max_var for unit in units])
        self.available_w: Array = np.full(len(units), math.nan)
        self.soc_frac: Array = np.full(len(units), math.nan)
        self.p_w: Array = np.zeros(len(units))
        self.q_var: Array = np.zeros(len(units))
        self.vehicles: Array = np.full(len(units), math.nan)
        self.wanted_wh: Array = np.full(len(units), math.nan)
        self._read_soc()
        self._read_hubs()

    def target(self, k: int, effective: Effective, now_s: float) -> None:
        """Set point of unit ``k`` from its control block."""
        self._actuators.target(k, effective, now_s)

    def settle(self, available_w: Array) -> None:
        """Start: every unit stands where its set point and its resource let it stand."""
        for k, hub in self._hubs.items():
            available_w[k] = hub.request_w
        self._step(0.0, 1e6, available_w, {})

    def step(self, end_s: float, dt_s: float, available_w: Array, u_pu: Array) -> None:
        """Advance to ``end_s``; ``available_w`` for wind and sun (magnitude), ``u_pu`` at each unit's terminals."""
        for k, hub in self._hubs.items():
            available_w[k] = hub.arrive(dt_s)
        local = {k: curves.step(float(u_pu[k]), dt_s) for k, curves in self._curves.items()}
        self._step(end_s, dt_s, available_w, local)
        for k, battery in self._batteries.items():
            self._actuators.correct(k, battery.step(float(self._actuators.p[k]), dt_s))
        if self._batteries:
            self._read_soc()
            self.p_w = self._sign * self._actuators.p
        for k, hub in self._hubs.items():
            hub.charge(float(self._actuators.p[k]), dt_s)
        if self._hubs:
            self._read_hubs()

    def _step(self, end_s: float, dt_s: float, available_w: Array, local: Mapping[int, tuple[float, float]]) -> None:
        self.available_w = available_w
        allowed_w = available_w
        if local:
            allowed_w = available_w.copy()
            for k, (_, frac) in local.items():
                allowed_w[k] = min(allowed_w[k], frac * self._units[k].p_rated_w)
        p_w = self._actuators.p
        q_limit_var = np.minimum(self._q_max_var, np.sqrt(np.maximum(self._s_squared - p_w * p_w, 0.0)))
        self._actuators.step(end_s, dt_s, allowed_w, q_limit_var)
        for k, (absorbed_pu, _) in local.items():
            if self._curves[k].takes_q:
                absorbed_var = absorbed_pu * self._units[k].s_rated_va
                self._actuators.q_var[k] = min(max(absorbed_var, -q_limit_var[k]), q_limit_var[k])
        self.p_w = self._sign * self._actuators.p
        self.q_var = self._actuators.q_var

    def _read_hubs(self) -> None:
        for k, hub in self._hubs.items():
            self.vehicles[k], self.wanted_wh[k] = hub.plugged, hub.wanted_wh

    def _read_soc(self) -> None:
        for k, battery in self._batteries.items():
            self.soc_frac[k] = battery.soc_frac


def wish_w(unit: Unit, available_w: float) -> float:
    """What the unit would do if nobody asked anything of it (load convention): all it can, a battery nothing."""
    if unit.kind is UnitKind.BATTERY:
        return 0.0
    return -available_w if unit.kind.generates else available_w
