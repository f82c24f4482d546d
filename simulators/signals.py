"""The true state of the world as one row of numbers with names: what instruments read and what is scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.domain import points
from controller.domain.topology import SQRT3, Topology, Transformer
from controller.domain.unit import Unit
from simulators.plant.network import Flow
from simulators.units.course import Array
from simulators.units.fleet import Fleet

ONE = "one"
AMBIENT = points.ambient("temp_c")
WEATHER = tuple(points.ambient(name) for name in points.AMBIENT_QUANTITIES)
FULL_SCALE = {"top_oil_c": 100.0, "hot_spot_c": 100.0, "tap_pos": 100.0}
HUB_FULL_SCALE = {"vehicles": 1e3, "wanted_wh": 1e8}
WEATHER_FULL_SCALE = dict(zip(WEATHER, (100.0, 50.0, 360.0, 1500.0), strict=True))


class Signals:
    """Names and places of all true signals. The controller's point names, plus apparent powers and unit currents."""

    def __init__(self, topology: Topology, units: Sequence[Unit]) -> None:
        buses = [bus.id for bus in topology.buses]
        branches = [branch.id for branch in topology.branches]
        transformers = [item.id for item in topology.transformers]
        self.names: list[str] = []
        self.bus_u = self._block([points.bus(bus) for bus in buses])
        self.branch_i = self._block([points.branch(item, "i_a") for item in branches])
        self.branch_p = self._block([points.branch(item, "p_w") for item in branches])
        self.branch_q = self._block([points.branch(item, "q_var") for item in branches])
        self.branch_s = self._block([points.branch(item, "s_va") for item in branches])
        self.interface = self._block([points.interface("p_w"), points.interface("q_var"), points.interface("s_va")])
        self.unit_p = self._block([points.unit(unit.id, "p_w") for unit in units])
        self.unit_q = self._block([points.unit(unit.id, "q_var") for unit in units])
        self.unit_avail = self._block([points.unit(unit.id, "p_avail_w") for unit in units])
        self.unit_soc = self._block([points.unit(unit.id, "soc_frac") for unit in units])
        self.unit_s = self._block([points.unit(unit.id, "s_va") for unit in units])
        self.unit_i = self._block([points.unit(unit.id, "i_a") for unit in units])
        self.oil = self._block([points.branch(item, "top_oil_c") for item in transformers])
        self.hot_spot = self._block([points.branch(item, "hot_spot_c") for item in transformers])
        self.tap = self._block([points.branch(item, "tap_pos") for item in transformers])
        self.weather = self._block(list(WEATHER))
        self.rest = self._block([ONE])
        self.hub_vehicles, self.hub_wanted = (
            self._block([points.unit(unit.id, name) for unit in units]) for name in points.HUB_QUANTITIES
        )
        self.index = {name: k for k, name in enumerate(self.names)}
        place = {bus: k for k, bus in enumerate(buses)}
        self.unit_bus = np.array([place[unit.bus] for unit in units], dtype=np.intp)
        self._sign = np.array([-1.0 if unit.kind.generates else 1.0 for unit in units])
        self.full_scale = np.array([_full_scale(name, topology, units) for name in self.names])

    def row(
        self, flow: Flow, fleet: Fleet, heat_c: tuple[Array, Array], tap_pos: Sequence[int], weather: Array
    ) -> Array:
        """All signals of one instant; ``heat_c`` is top oil and hot spot, ``weather`` in the order of ``WEATHER``.

        Available power has the house's sign (generation negative), NaN for a battery.
        """
        out = np.empty(len(self.names))
        out[self.bus_u], out[self.branch_i] = flow.bus_u_v, flow.branch_i_a
        out[self.branch_p], out[self.branch_q] = flow.branch_p_w, flow.branch_q_var
        out[self.branch_s] = np.hypot(flow.branch_p_w, flow.branch_q_var)
        interface_s_va = math.hypot(flow.interface_p_w, flow.interface_q_var)
        out[self.interface] = flow.interface_p_w, flow.interface_q_var, interface_s_va
        out[self.unit_p], out[self.unit_q] = fleet.p_w, fleet.q_var
        out[self.unit_avail], out[self.unit_soc] = fleet.available_w * self._sign, fleet.soc_frac
        s_va = np.hypot(fleet.p_w, fleet.q_var)
        out[self.unit_s] = s_va
        out[self.unit_i] = s_va / (SQRT3 * flow.bus_u_v[self.unit_bus])
        out[self.oil], out[self.hot_spot] = heat_c
        out[self.tap], out[self.weather], out[self.rest] = tap_pos, weather, 1.0
        out[self.hub_vehicles], out[self.hub_wanted] = fleet.vehicles, fleet.wanted_wh
        return out

    def _block(self, names: list[str]) -> slice:
        start = len(self.names)
        self.names += names
        return slice(start, start + len(names))


@dataclass(frozen=True, slots=True)
class Truth:
    """The true state at one instant, by name. Units in load convention; ``available_w`` is a magnitude or NaN."""

    t_s: float
    bus_u_v: Mapping[str, float]
    branch_i_a: Mapping[str, float]
    branch_p_w: Mapping[str, float]
    branch_q_var: Mapping[str, float]
    interface_p_w: float
    interface_q_var: float
    unit_p_w: Mapping[str, float]
    unit_q_var: Mapping[str, float]
    unit_available_w: Mapping[str, float]
    unit_soc_frac: Mapping[str, float]
    top_oil_c: Mapping[str, float]
    hot_spot_c: Mapping[str, float]
    tap_pos: Mapping[str, int]
    converged: bool


def truth_from(t_s: float, signals: Signals, row: Array, converged: bool) -> Truth:
    """The row with its names."""

    def named(block: slice) -> dict[str, float]:
        ids = [name.split(".")[1] for name in signals.names[block]]
        return dict(zip(ids, row[block].tolist(), strict=True))

    return Truth(
        t_s=t_s,
        bus_u_v=named(signals.bus_u),
        branch_i_a=named(signals.branch_i),
        branch_p_w=named(signals.branch_p),
        branch_q_var=named(signals.branch_q),
        interface_p_w=float(row[signals.interface][0]),
        interface_q_var=float(row[signals.interface][1]),
        unit_p_w=named(signals.unit_p),
        unit_q_var=named(signals.unit_q),
        unit_available_w={unit: abs(value) for unit, value in named(signals.unit_avail).items()},
        unit_soc_frac=named(signals.unit_soc),
        top_oil_c=named(signals.oil),
        hot_spot_c=named(signals.hot_spot),
        tap_pos={item: round(value) for item, value in named(signals.tap).items()},
        converged=converged,
    )


def _full_scale(name: str, topology: Topology, units: Sequence[Unit]) -> float:
    """Full scale of an instrument on that signal, SI: rated voltage, current limit, rating."""
    element, _, rest = name.partition(".")
    identity, _, quantity = rest.partition(".")
    if element == "bus":
        return next(bus.u_rated_v for bus in topology.buses if bus.id == identity)
    if element == "branch":
        return _branch_full_scale(identity, quantity, topology)
    if element == "interface":
        return sum(item.sn_va for item in topology.transformers)
    if element == "unit":
        unit = next(unit for unit in units if unit.id == identity)
        u_v = next(bus.u_rated_v for bus in topology.buses if bus.id == unit.bus)
        others = {"soc_frac": 1.0, "i_a": unit.s_rated_va / (SQRT3 * u_v), **HUB_FULL_SCALE}
        return others.get(quantity, unit.s_rated_va)
    return WEATHER_FULL_SCALE.get(name, 1.0)


def _branch_full_scale(branch_id: str, quantity: str, topology: Topology) -> float:
    if quantity in FULL_SCALE:
        return FULL_SCALE[quantity]
    branch = next(branch for branch in topology.branches if branch.id == branch_id)
    if quantity == "i_a":
        return branch.i_max_a
    if isinstance(branch, Transformer):
        return branch.sn_va
    u_v = next(bus.u_rated_v for bus in topology.buses if bus.id == branch.from_bus)
    return SQRT3 * branch.i_max_a * u_v
