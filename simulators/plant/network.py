"""AC power flow of the true network, once per plant step, with power-grid-model (Newton, positive sequence).

House signs on the way out: a line's power is positive from its from end to its to end, measured at the from end; a
transformer's is positive from the higher to the lower voltage, measured at the lower-voltage side; the interface is
what leaves the source's bus through the branches that end there, import positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from power_grid_model import ComponentType, DatasetType, LoadGenType, PowerGridModel, WindingType, initialize_array
from power_grid_model.errors import IterationDiverge, SparseMatrixError  # type: ignore[attr-defined]

from controller.domain.topology import Topology

Array = NDArray[np.float64]


@dataclass(slots=True)
class Flow:
    """One solved state. Arrays follow the order of the topology; branches are lines first, then transformers."""

    bus_u_v: Array
    branch_i_a: Array
    branch_p_w: Array
    branch_q_var: Array
    interface_p_w: float
    interface_q_var: float
    converged: bool = True


class PlantNetwork:
    """A topology with loads and units as constant-power consumers (load convention), ready to be solved repeatedly."""

    def __init__(self, topology: Topology, unit_buses: Sequence[str]) -> None:
        self.topology = topology
        self._bus_index = {bus.id: k for k, bus in enumerate(topology.buses)}
        self._ids = _Ids(topology, len(unit_buses))
        self._model = PowerGridModel(self._input(unit_buses), system_frequency=topology.f_hz)
        self._source = initialize_array(DatasetType.update, ComponentType.source, 1)
        self._source["id"] = self._ids.source
        self._load = initialize_array(DatasetType.update, ComponentType.sym_load, len(self._ids.loads))
        self._load["id"] = self._ids.loads
        self._update: dict[Any, Any] = {ComponentType.source: self._source, ComponentType.sym_load: self._load}
        # Whole components: asking for single attributes costs half as much again in the library's marshalling.
        self._outputs: list[Any] = [ComponentType.node]
        if topology.lines:
            self._outputs.append(ComponentType.line)
        if topology.transformers:
            self._outputs.append(ComponentType.transformer)
        self._at_source = list(_at_source(topology))
        self._last: Flow | None = None

    def solve(self, u_source_pu: float, p_w: Array, q_var: Array) -> Flow:
        """Solve with the source at ``u_source_pu`` and the powers of all loads, then all units (load convention).

        When the power flow does not converge the last solution is returned again, marked ``converged=False``; without
        any earlier solution the error is raised.
        """
        self._source["u_ref"] = u_source_pu
        self._load["p_specified"] = p_w
        self._load["q_specified"] = q_var
        self._model.update(update_data=self._update)
        try:
            out = self._model.calculate_power_flow(output_component_types=self._outputs)
        except (IterationDiverge, SparseMatrixError):
            if self._last is None:
                raise
            self._last.converged = False
            return self._last
        self._last = self._flow(out)
        return self._last

    def set_tap(self, transformer: int, tap_pos: int) -> None:
        """Move the tap changer of the transformer at that place in the topology."""
        update = initialize_array(DatasetType.update, ComponentType.transformer, 1)
        update["id"] = self._ids.transformers[transformer]
        update["tap_pos"] = tap_pos
        self._model.update(update_data={ComponentType.transformer: update})

    def switch(self, out: Iterable[str]) -> None:
        """Open the breakers of just these branches."""
        opened = {*out}
        for kind, items, ids in (
            (ComponentType.line, self.topology.lines, self._ids.lines),
            (ComponentType.transformer, self.topology.transformers, self._ids.transformers),
        ):
            update = initialize_array(DatasetType.update, kind, len(ids))
            update["id"] = ids
            update["from_status"] = update["to_status"] = [item.id not in opened for item in items]
            self._model.update(update_data={kind: update})

    def supplies_all(self, out: Iterable[str]) -> bool:
        """Whether every bus still has a way to the source when these branches are open."""
        opened, found = {*out}, {self.topology.source.bus}
        ends = [{x.from_bus, x.to_bus} for x in self.topology.lines if x.id not in opened]
        ends += [{t.hv_bus, t.lv_bus} for t in self.topology.transformers if t.id not in opened]
        while reached := {bus for pair in ends if pair & found for bus in pair} - found:
            found |= reached
        return len(found) == len(self.topology.buses)

    def _flow(self, out: Any) -> Flow:
        parts = []  # (A, W, var) per kind of branch, in the order of the topology
        if self.topology.lines:
            lines = out[ComponentType.line]
            parts.append((lines["i_from"], lines["p_from"], lines["q_from"]))
        if self.topology.transformers:
            items = out[ComponentType.transformer]
            parts.append((items["i_to"], -items["p_to"], -items["q_to"]))
        i_a, p_w, q_var = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Flow(out[ComponentType.node]["u"], i_a, p_w, q_var, self._interface(out, "p"), self._interface(out, "q"))

    def _interface(self, out: Any, quantity: str) -> float:
        """P or Q that leaves the source's bus through lines and transformers."""
        return sum(float(out[kind][f"{quantity}_{end}"][k]) for kind, end, k in self._at_source)

    def _input(self, unit_buses: Sequence[str]) -> dict[Any, Any]:
        parts: dict[Any, Any] = {
            ComponentType.node: self._nodes(),
            ComponentType.source: self._source_input(),
            ComponentType.sym_load: self._load_input(unit_buses),
        }
        if self.topology.lines:
            parts[ComponentType.line] = self._lines()
        if self.topology.transformers:
            parts[ComponentType.transformer] = self._transformers()
        return parts

    def _nodes(self) -> Any:
        out = initialize_array(DatasetType.input, ComponentType.node, len(self.topology.buses))
        out["id"] = self._ids.buses
        out["u_rated"] = [bus.u_rated_v for bus in self.topology.buses]
        return out

    def _lines(self) -> Any:
        lines = self.topology.lines
        out = initialize_array(DatasetType.input, ComponentType.line, len(lines))
        out["id"] = self._ids.lines
        out["from_node"] = [self._bus_index[line.from_bus] for line in lines]
        out["to_node"] = [self._bus_index[line.to_bus] for line in lines]
        out["from_status"] = out["to_status"] = 1
        out["r1"] = [line.r_ohm for line in lines]
        out["x1"] = [line.x_ohm for line in lines]
        out["c1"] = [line.b_s / (2.0 * math.pi * self.topology.f_hz) for line in lines]
        out["tan1"] = 0.0
        return out

    def _transformers(self) -> Any:
        items = self.topology.transformers
        out = initialize_array(DatasetType.input, ComponentType.transformer, len(items))
        out["id"] = self._ids.transformers
        out["from_node"] = [self._bus_index[item.hv_bus] for item in items]
        out["to_node"] = [self._bus_index[item.lv_bus] for item in items]
        out["from_status"] = out["to_status"] = 1
        for ours, theirs in (("u1_v", "u1"), ("u2_v", "u2"), ("sn_va", "sn"), ("uk_pu", "uk"), ("pk_w", "pk")):
            out[theirs] = [getattr(item, ours) for item in items]
        for ours, theirs in (("i0_pu", "i0"), ("p0_w", "p0"), ("tap_pos", "tap_pos")):
            out[theirs] = [getattr(item, ours) for item in items]
        out["winding_from"] = out["winding_to"] = WindingType.wye_n
        out["clock"] = out["tap_side"] = out["tap_nom"] = 0
        out["tap_min"] = [item.tap_min for item in items]
        out["tap_max"] = [item.tap_max for item in items]
        out["tap_size"] = [item.tap_size_pu * item.u1_v for item in items]
        return out

    def _source_input(self) -> Any:
        source = self.topology.source
        out = initialize_array(DatasetType.input, ComponentType.source, 1)
        out["id"] = self._ids.source
        out["node"] = self._bus_index[source.bus]
        out["status"] = 1
        out["u_ref"] = source.u_pu
        out["sk"] = source.sk_va
        out["rx_ratio"] = source.rx_ratio
        return out

    def _load_input(self, unit_buses: Sequence[str]) -> Any:
        buses = [load.bus for load in self.topology.loads] + list(unit_buses)
        out = initialize_array(DatasetType.input, ComponentType.sym_load, len(buses))
        out["id"] = self._ids.loads
        out["node"] = [self._bus_index[bus] for bus in buses]
        out["status"] = 1
        out["type"] = LoadGenType.const_power
        out["p_specified"] = out["q_specified"] = 0.0
        return out


def _at_source(topology: Topology) -> Iterator[tuple[Any, str, int]]:
    """Every branch end at the source's bus: kind of branch, end, place among its kind."""
    lines = ((line.from_bus, line.to_bus) for line in topology.lines)
    transformers = ((item.hv_bus, item.lv_bus) for item in topology.transformers)
    for kind, items in ((ComponentType.line, lines), (ComponentType.transformer, transformers)):
        for k, buses in enumerate(items):
            for end, bus in zip(("from", "to"), buses, strict=True):
                if bus == topology.source.bus:
                    yield kind, end, k


class _Ids:
    """Numbers of all components in the model, buses first (so that a bus' number is its index)."""

    def __init__(self, topology: Topology, units: int) -> None:
        counts = (len(topology.buses), len(topology.lines), len(topology.transformers), 1, len(topology.loads) + units)
        edges = np.cumsum((0, *counts))
        self.buses, self.lines, self.transformers, source, self.loads = (
            np.arange(edges[k], edges[k + 1]) for k in range(len(counts))
        )
        self.source = int(source[0])
