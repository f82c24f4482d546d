"""AC power flow and sensitivities of the site's network, by power-grid-model.

Every bus except the source's carries one injection (load convention: into the load), the sum of what is consumed
there minus what is generated there. The sensitivities are the slopes of the power flow's own equations at its solution
(``slopes.py``), meshed or radial: for a substation less work than the power flow itself. Those of a large network take
longer than a cycle may: they are computed in slices (:meth:`GridModel.proceed`), one per cycle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from power_grid_model import ComponentType, DatasetType, LoadGenType, PowerGridModel, initialize_array
from power_grid_model.errors import PowerGridError  # type: ignore[attr-defined]

from controller.domain.topology import SQRT3, Topology
from controller.grid.short_power_flow import ShortPowerFlow
from controller.grid.slopes import Slopes, exchange

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
BoolArray = NDArray[np.bool_]

TRANSFORMER_FIELDS = {
    "u1": "u1_v",
    "u2": "u2_v",
    "sn": "sn_va",
    "uk": "uk_pu",
    "pk": "pk_w",
    "i0": "i0_pu",
    "p0": "p0_w",
    "tap_pos": "tap_pos",
    "tap_min": "tap_min",
    "tap_max": "tap_max",
}
BRANCH_PLACE = {"p_w": 0, "q_var": 1, "i_p_a": 2, "i_q_a": 3}
SLICE_PRODUCTS = 12e6  # multiplications of one slice: about a millisecond
VARIANTS_MAX = 8  # of one network, with other branches out of service, that are kept
PART_BUSES, PART_PRODUCTS = 20, 2e6  # buses that are exchanged at once, and what that takes however little they touch


class PowerFlowError(Exception):
    """The network has no power-flow solution at the requested injections."""


@dataclass(frozen=True, slots=True)
class FlowState:
    """Solution of one power flow. Buses and branches in the topology's order; load convention.

    ``i_p_a``/``i_q_a`` are the branch current's components in phase with and lagging the voltage of the measured
    end, so that hypot of both is the current's magnitude and their sign is that of P and Q.
    """

    u_v: Array
    p_w: Array
    q_var: Array
    i_p_a: Array
    i_q_a: Array
    interface_p_w: float
    interface_q_var: float

    @property
    def i_a(self) -> Array:
        """Current magnitude of each branch (line: from end; transformer: lower-voltage side), A."""
        return np.hypot(self.i_p_a, self.i_q_a)


@dataclass(frozen=True, slots=True)
class LinearGrid:
    """First-order model around one operating point.

    ``base`` is the stacked flow state at injections ``injection0`` (P of every bus but the source's, then Q; W, var);
    ``jacobian[k, j]`` is the change of stacked quantity k per W or var of injection j.
    """

    base: Array
    injection0: Array
    jacobian: Array
    n_bus: int
    n_branch: int

    def rows_u(self) -> slice:
        """Rows of bus voltages, V line-to-line."""
        return slice(0, self.n_bus)

    def rows_branch(self, quantity: str) -> slice:
        """Rows of one branch quantity: ``p_w``, ``q_var``, ``i_p_a`` or ``i_q_a``."""
        start = self.n_bus + BRANCH_PLACE[quantity] * self.n_branch
        return slice(start, start + self.n_branch)

    def rows_interface(self) -> slice:
        """Rows of the interface's P and Q."""
        start = self.n_bus + 4 * self.n_branch
        return slice(start, start + 2)

    def predict(self, injection: Array) -> Array:
        """Stacked quantities at ``injection``, first order."""
        out: Array = self.base + self.jacobian @ (injection - self.injection0)
        return out


@dataclass(frozen=True, slots=True)
class Linearisation:
    """A linear grid in the making, at ``injection``: first its power flow, then the inverse of its equations.

    ``u_v`` and ``angle_rad`` are the buses' voltages, ``equations`` the matrix of ``slopes.py``, of which the first
    ``exchanged`` in its order are done; all empty before the power flow.
    """

    injection: Array
    u_v: Array
    angle_rad: Array
    equations: Array
    exchanged: int

    @property
    def complete(self) -> bool:
        """True when only :meth:`GridModel.finish` is left."""
        return 0 < len(self.equations) == self.exchanged


class GridModel:
    """Power flow of one topology; holds the solver, no operating state. Branches out of service carry nothing."""

    def __init__(self, topology: Topology, out_of_service: frozenset[str] = frozenset()) -> None:
        """Raises PowerFlowError for a network that cannot be (a line between two rated voltages)."""
        self.topology, self.out_of_service = topology, out_of_service
        self._others: dict[frozenset[str], GridModel] = {}
        self.buses = [b.id for b in topology.buses]
        self.injection_buses = [b.id for b in topology.buses if b.id != topology.source.bus]
        self.n_bus = len(topology.buses)
        self.n_injection = len(self.injection_buses)
        self.n_line = len(topology.lines)
        self.n_transformer = len(topology.transformers)
        self._load_ids = np.arange(self.n_injection, dtype=np.int32) + 1_000_000
        try:
            self._model = PowerGridModel(self._input())
        except PowerGridError as error:
            raise PowerFlowError(" ".join(str(error).splitlines()[:3])) from error

    @cached_property
    def u_rated_v(self) -> Array:
        """Rated voltage of every bus, V."""
        return np.array([b.u_rated_v for b in self.topology.buses])

    @cached_property
    def power_base_w(self) -> float:
        """A power typical of this network, W: the largest branch rating, else what the source could short-circuit."""
        ratings = [t.s_max_va for t in self.topology.transformers]
        by_id = {b.id: b.u_rated_v for b in self.topology.buses}
        ratings += [SQRT3 * by_id[line.from_bus] * line.i_max_a for line in self.topology.lines]
        return max(ratings, default=self.topology.source.sk_va)

    def without(self, out_of_service: frozenset[str]) -> GridModel:
        """The same network with just these branches out of service. Raises PowerFlowError."""
        if out_of_service == self.out_of_service:
            return self
        if out_of_service not in self._others:
            if len(self._others) >= VARIANTS_MAX:
                self._others.pop(next(iter(self._others)))
            self._others[out_of_service] = GridModel(self.topology, out_of_service)
        return self._others[out_of_service]

    def injection_index(self, bus_id: str) -> int:
        """Position of a bus among the injections; -1 for the source bus, where an injection changes nothing."""
        return self.injection_buses.index(bus_id) if bus_id in self.injection_buses else -1

    def solve(self, injection: Array) -> FlowState:
        """AC power flow at ``injection`` (P of every bus but the source's, then Q). Raises PowerFlowError."""
        return self.solve_many(injection[None, :])[0]

    def solve_many(self, injections: Array) -> list[FlowState]:
        """AC power flows at every row of ``injections``, in one batch. Raises PowerFlowError."""
        at_branch = self.n_bus + (self.n_line + self.n_transformer) * np.arange(5)
        states = []
        for row in self.stacked(injections):
            u_v, p_w, q_var, i_p_a, i_q_a, interface = np.split(row, at_branch)
            states.append(FlowState(u_v, p_w, q_var, i_p_a, i_q_a, *interface.tolist()))
        return states

    def linearise(self, injection: Array) -> LinearGrid:
        """First-order model around ``injection``, all at once. Raises PowerFlowError."""
        under_way = self.begin(injection)
        while not under_way.complete:
            under_way = self.proceed(under_way)
        return self.finish(under_way)

    def begin(self, injection: Array) -> Linearisation:
        """A linearisation around ``injection`` of which nothing is computed yet."""
        none = np.empty(0)
        return Linearisation(injection.copy(), none, none, np.empty((0, 0)), 0)

    def proceed(self, under_way: Linearisation) -> Linearisation:
        """One slice further: as much as a cycle may spend on it. Raises PowerFlowError."""
        if not len(under_way.equations):
            under_way = self._solved(under_way.injection)
            if len(under_way.equations) ** 3 > SLICE_PRODUCTS:
                return under_way
        return self._exchanged(under_way)

    def finish(self, under_way: Linearisation) -> LinearGrid:
        """The first-order model of a complete linearisation."""
        voltage_pu = self._voltage_pu(under_way.u_v, under_way.angle_rad)
        base, jacobian = self._slopes.around(under_way.equations, voltage_pu, under_way.u_v)
        return LinearGrid(base, under_way.injection, jacobian, self.n_bus, self.n_line + self.n_transformer)

    def _solved(self, injection: Array) -> Linearisation:
        """The power flow alone, by the short way where that leads to it."""
        voltage_pu = self._short.voltages(injection)
        if voltage_pu is None:
            return self._solved_anyway(injection)
        u_v, angle_rad = np.abs(voltage_pu) * self.u_rated_v, np.angle(voltage_pu)
        return Linearisation(injection, u_v, angle_rad, self._slopes.matrix(voltage_pu), 0)

    def _solved_anyway(self, injection: Array) -> Linearisation:
        """The power flow alone: one that is solved by itself takes half the time of a batch of one."""
        n, load = self.n_injection, self._load_update
        load["p_specified"], load["q_specified"] = injection[:n], injection[n:]
        try:
            self._model.update(update_data={ComponentType.sym_load: load})
            node = self._model.calculate_power_flow(output_component_types=[ComponentType.node])[ComponentType.node]
        except PowerGridError as error:
            raise PowerFlowError(str(error).splitlines()[0]) from error
        u_v, angle_rad = node["u"].copy(), node["u_angle"].copy()
        return Linearisation(injection, u_v, angle_rad, self._slopes.matrix(self._voltage_pu(u_v, angle_rad)), 0)

    def _exchanged(self, under_way: Linearisation) -> Linearisation:
        """Solved for as many buses more as a slice allows: a small network's all at once."""
        done, equations, order, spent = under_way.exchanged, under_way.equations.copy(), self._slopes.order, 0.0
        part = len(order) if len(order) ** 3 <= PART_PRODUCTS else 2 * PART_BUSES
        try:
            while done < len(order) and spent < SLICE_PRODUCTS:
                spent += exchange(equations, order[done : done + part]) + PART_PRODUCTS
                done = min(done + part, len(order))
        except np.linalg.LinAlgError as error:
            raise PowerFlowError("the power flow has no slopes at its solution: the voltage is collapsing") from error
        return replace(under_way, equations=equations, exchanged=done)

    def _voltage_pu(self, u_v: Array, angle_rad: Array) -> ComplexArray:
        out: ComplexArray = u_v / self.u_rated_v * np.exp(1j * angle_rad)
        return out

    @cached_property
    def _load_update(self) -> np.ndarray:
        load = initialize_array(DatasetType.update, ComponentType.sym_load, self.n_injection)
        load["id"] = self._load_ids
        return load

    @cached_property
    def _short(self) -> ShortPowerFlow:
        return ShortPowerFlow(self.topology, self.out_of_service)

    @cached_property
    def _slopes(self) -> Slopes:
        return Slopes(self.topology, self.out_of_service)

    def stacked(self, injections: Array) -> Array:
        """AC power flows at every row of ``injections``, in one batch: a row each of all quantities one after another,
        u, p, q, i_p, i_q, interface p, interface q. Raises PowerFlowError."""
        m, n = len(injections), self.n_injection
        update = initialize_array(DatasetType.update, ComponentType.sym_load, (m, n))
        update["id"] = self._load_ids
        update["p_specified"] = injections[:, :n]
        update["q_specified"] = injections[:, n:]
        try:
            out = self._model.calculate_power_flow(
                update_data={ComponentType.sym_load: update},
                output_component_types=[ComponentType.node, ComponentType.line, ComponentType.transformer],
                threading=-1,
            )
        except PowerGridError as error:
            raise PowerFlowError(str(error).splitlines()[0]) from error
        node, line, trafo = (out.get(k) for k in (ComponentType.node, ComponentType.line, ComponentType.transformer))
        if node is None:
            raise PowerFlowError("the solver returned no bus voltages")
        return self._stacked(node, line, trafo)

    def _stacked(self, node: np.ndarray, line: np.ndarray | None, trafo: np.ndarray | None) -> Array:
        u_v = node["u"]
        none = np.empty((len(u_v), 0))
        p, q, end, interface = [none], [none], [none], np.zeros((len(u_v), 2))
        if line is not None and self.n_line:
            p.append(line["p_from"])
            q.append(line["q_from"])
            end.append(u_v[:, self._line_from])
            interface += _leaving(line, *self._line_at_source)
        if trafo is not None and self.n_transformer:
            p.append(-trafo["p_to"])
            q.append(-trafo["q_to"])
            end.append(u_v[:, self._trafo_lv])
            interface += _leaving(trafo, *self._trafo_at_source)
        p_w, q_var, u_end = np.hstack(p), np.hstack(q), SQRT3 * np.hstack(end)
        return np.hstack([u_v, p_w, q_var, p_w / u_end, q_var / u_end, interface])

    @cached_property
    def _line_from(self) -> NDArray[np.intp]:
        return np.array([self.buses.index(line.from_bus) for line in self.topology.lines], dtype=np.intp)

    @cached_property
    def _trafo_lv(self) -> NDArray[np.intp]:
        return np.array([self.buses.index(t.lv_bus) for t in self.topology.transformers], dtype=np.intp)

    @cached_property
    def _line_at_source(self) -> tuple[BoolArray, BoolArray]:
        return self._at_source([(x.from_bus, x.to_bus) for x in self.topology.lines])

    @cached_property
    def _trafo_at_source(self) -> tuple[BoolArray, BoolArray]:
        return self._at_source([(t.hv_bus, t.lv_bus) for t in self.topology.transformers])

    def _at_source(self, ends: Sequence[tuple[str, str]]) -> tuple[BoolArray, BoolArray]:
        """Branches whose first end is the source's bus, and those whose second end is."""
        found = np.array([[bus == self.topology.source.bus for bus in pair] for pair in ends], dtype=np.bool_)
        return found[:, 0], found[:, 1]

    def _input(self) -> dict[ComponentType, np.ndarray]:
        data = {ComponentType.node: self._nodes(), ComponentType.source: self._source()}
        data[ComponentType.sym_load] = self._loads()
        if self.n_line:
            data[ComponentType.line] = self._lines()
        if self.n_transformer:
            data[ComponentType.transformer] = self._transformers()
        return data

    def _nodes(self) -> np.ndarray:
        node = initialize_array(DatasetType.input, ComponentType.node, self.n_bus)
        node["id"] = np.arange(self.n_bus)
        node["u_rated"] = [b.u_rated_v for b in self.topology.buses]
        return node

    def _source(self) -> np.ndarray:
        spec = self.topology.source
        source = initialize_array(DatasetType.input, ComponentType.source, 1)
        source["id"], source["node"], source["status"] = 900_000, self.buses.index(spec.bus), 1
        source["u_ref"], source["sk"], source["rx_ratio"] = spec.u_pu, spec.sk_va, spec.rx_ratio
        return source

    def _loads(self) -> np.ndarray:
        load = initialize_array(DatasetType.input, ComponentType.sym_load, self.n_injection)
        load["id"] = self._load_ids
        load["node"] = [self.buses.index(b) for b in self.injection_buses]
        load["status"], load["type"] = 1, LoadGenType.const_power
        load["p_specified"] = load["q_specified"] = 0.0
        return load

    def _lines(self) -> np.ndarray:
        specs = self.topology.lines
        line = initialize_array(DatasetType.input, ComponentType.line, len(specs))
        line["id"] = np.arange(len(specs)) + 100_000
        line["from_node"] = [self.buses.index(s.from_bus) for s in specs]
        line["to_node"] = [self.buses.index(s.to_bus) for s in specs]
        line["from_status"] = line["to_status"] = [s.id not in self.out_of_service for s in specs]
        line["r1"], line["x1"] = [s.r_ohm for s in specs], [s.x_ohm for s in specs]
        line["c1"] = [s.b_s / (2.0 * math.pi * self.topology.f_hz) for s in specs]
        line["tan1"], line["i_n"] = 0.0, [s.i_max_a for s in specs]
        return line

    def _transformers(self) -> np.ndarray:
        specs = self.topology.transformers
        t = initialize_array(DatasetType.input, ComponentType.transformer, len(specs))
        t["id"] = np.arange(len(specs)) + 200_000
        t["from_node"] = [self.buses.index(s.hv_bus) for s in specs]
        t["to_node"] = [self.buses.index(s.lv_bus) for s in specs]
        t["from_status"] = t["to_status"] = [s.id not in self.out_of_service for s in specs]
        for theirs, ours in TRANSFORMER_FIELDS.items():
            t[theirs] = [getattr(s, ours) for s in specs]
        t["winding_from"] = t["winding_to"] = 1
        t["clock"], t["tap_side"], t["tap_nom"] = 0, 0, 0
        t["tap_size"] = [s.tap_size_pu * s.u1_v for s in specs]
        return t


def _leaving(branches: np.ndarray, first: BoolArray, second: BoolArray) -> Array:
    """P and Q that leave the source's bus through these branches, a row per scenario."""
    sums = [branches[f"{q}_from"][:, first].sum(axis=1) + branches[f"{q}_to"][:, second].sum(axis=1) for q in "pq"]
    return np.stack(sums, axis=1)
