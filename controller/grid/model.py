"""AC power flow and sensitivities of the site's network, by power-grid-model.

Every bus except the source's carries one injection (load convention: into the load), the sum of what is consumed
there minus what is generated there. Batch power flow with one perturbed injection per scenario gives the
sensitivities: exact, meshed or radial, and a fraction of a millisecond for a substation. A large network takes longer
than a cycle may: its scenarios are solved in slices (:meth:`GridModel.proceed`), one per cycle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from power_grid_model import ComponentType, DatasetType, LoadGenType, PowerGridModel, initialize_array
from power_grid_model.errors import PowerGridError  # type: ignore[attr-defined]

from controller.domain.topology import SQRT3, Topology

Array = NDArray[np.float64]
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
PERTURBATION_FRAC = 0.02  # of what the bus can carry; small against curvature, large against the solver's tolerance
SLICE_BUSES = 4000  # buses times scenarios that are solved in one slice: about two milliseconds


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
    """A linear grid in the making: scenario 0 is ``injection`` itself, scenario k has its injection k − 1 perturbed.

    ``solved`` holds the stacked flow states of the scenarios done so far, one per row.
    """

    injection: Array
    solved: Array

    @property
    def complete(self) -> bool:
        """True when every scenario is solved."""
        return len(self.solved) > len(self.injection)


class GridModel:
    """Power flow of one topology; holds the solver, no operating state."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.buses = [b.id for b in topology.buses]
        self.injection_buses = [b.id for b in topology.buses if b.id != topology.source.bus]
        self.n_bus = len(topology.buses)
        self.n_injection = len(self.injection_buses)
        self.n_line = len(topology.lines)
        self.n_transformer = len(topology.transformers)
        self._load_ids = np.arange(self.n_injection, dtype=np.int32) + 1_000_000
        self._model = PowerGridModel(self._input())

    @cached_property
    def u_rated_v(self) -> Array:
        """Rated voltage of every bus, V."""
        return np.array([b.u_rated_v for b in self.topology.buses])

    @cached_property
    def power_base_w(self) -> float:
        """A power typical of this network: the largest branch rating, W."""
        ratings = [t.s_max_va for t in self.topology.transformers]
        by_id = {b.id: b.u_rated_v for b in self.topology.buses}
        ratings += [SQRT3 * by_id[line.from_bus] * line.i_max_a for line in self.topology.lines]
        return max(ratings)

    @cached_property
    def _perturbation_w(self) -> Array:
        """How much each injection is moved for its sensitivity: a share of the largest branch at its bus.

        A share of the whole network's power would be many times what a low-voltage cable can carry.
        """
        carried = dict.fromkeys(self.buses, 0.0)
        by_id = {b.id: b.u_rated_v for b in self.topology.buses}
        for line in self.topology.lines:
            for bus in (line.from_bus, line.to_bus):
                carried[bus] = max(carried[bus], SQRT3 * by_id[bus] * line.i_max_a)
        for t in self.topology.transformers:
            for bus in (t.hv_bus, t.lv_bus):
                carried[bus] = max(carried[bus], t.s_max_va)
        of_bus = np.array([carried[b] or self.power_base_w for b in self.injection_buses])
        return PERTURBATION_FRAC * np.tile(of_bus, 2)

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
        n_stacked = self.n_bus + 4 * (self.n_line + self.n_transformer) + 2
        return Linearisation(injection.copy(), np.empty((0, n_stacked)))

    def proceed(self, under_way: Linearisation) -> Linearisation:
        """One slice further: as much as a cycle may spend on it. Raises PowerFlowError."""
        first, last = len(under_way.solved), len(under_way.injection)
        chosen = np.arange(first, min(first + max(SLICE_BUSES // self.n_bus, 1), last + 1))
        scenarios = np.repeat(under_way.injection[None, :], len(chosen), axis=0)
        perturbed = chosen[chosen > 0]
        scenarios[perturbed - first, perturbed - 1] += self._perturbation_w[perturbed - 1]
        return Linearisation(under_way.injection, np.concatenate([under_way.solved, self.stacked(scenarios)]))

    def finish(self, under_way: Linearisation) -> LinearGrid:
        """The first-order model of a complete linearisation."""
        base = under_way.solved[0]
        jacobian = (under_way.solved[1:] - base).T / self._perturbation_w
        return LinearGrid(base, under_way.injection, jacobian, self.n_bus, self.n_line + self.n_transformer)

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
        line["from_status"] = line["to_status"] = 1
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
        t["from_status"] = t["to_status"] = 1
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
