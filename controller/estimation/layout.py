"""Fixed order of states and measurement rows of one site, built once.

State: uncontrolled injection of every bus but the source's (P, then Q; load convention), then every unit's P and Q.
Rows: branch P and Q; interface P and Q; unit P and Q as measured; unit P and Q as commanded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.site import Site
from controller.domain.topology import SQRT3
from controller.estimation.partition import Partition, partition
from controller.grid.model import GridModel

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOAD_FLOOR_FRAC = 0.02  # of the network's power base: how much may change at a bus without configured load
LOAD_RATE_FRAC = 0.002  # of the bus' load scale per sqrt(s): ordinary demand noise
BOX_SLACK_FRAC, BOX_UNIT_FRAC = 0.005, 0.01  # of the power base, of the units' rating at the bus
LOAD_Q_PER_P = 0.75  # a power factor of 0.8
BIAS_WEIGHT = 0.5  # a uniform bias bound b counts as noise of about b/2


@dataclass(frozen=True)
class Layout:
    """Index arithmetic and noise levels of one site."""

    site: Site
    grid: GridModel

    @property
    def n_w(self) -> int:
        """Number of uncontrolled injections per quantity (buses but the source's)."""
        return self.grid.n_injection

    @property
    def n_unit(self) -> int:
        """Number of units."""
        return len(self.site.units)

    @property
    def n_branch(self) -> int:
        """Number of branches."""
        return self.grid.n_line + self.grid.n_transformer

    @cached_property
    def unit_bus(self) -> NDArray[np.intp]:
        """Injection index of every unit's bus; -1 at the source bus."""
        return np.array([self.grid.injection_index(u.bus) for u in self.site.units], dtype=np.intp)

    @cached_property
    def incidence(self) -> Array:
        """(n_w, n_unit): 1 where a unit stands at a bus."""
        out = np.zeros((self.n_w, self.n_unit))
        for k, bus in enumerate(self.unit_bus):
            if bus >= 0:
                out[bus, k] = 1.0
        return out

    def at_units(self, by_injection: Array) -> Array:
        """Columns of the units' buses out of those of all injections of P; zeros for a unit at the source bus."""
        if not by_injection.shape[1]:  # the source's bus alone
            return np.zeros((len(by_injection), self.n_unit))
        out: Array = by_injection[:, self.unit_bus]
        out[:, self.unit_bus < 0] = 0.0
        return out

    @cached_property
    def column(self) -> NDArray[np.intp]:
        """Injection that every state adds to: its index, or 2 n_w at the source bus, where none is changed."""
        at_bus = np.where(self.unit_bus >= 0, self.unit_bus, 2 * self.n_w)
        reactive = np.where(self.unit_bus >= 0, self.unit_bus + self.n_w, 2 * self.n_w)
        return np.concatenate([np.arange(2 * self.n_w), at_bus, reactive])

    @cached_property
    def partition(self) -> Partition:
        """Blocks of the state filter."""
        return partition(self.site.topology, self.grid.injection_buses, [u.bus for u in self.site.units])

    def injection(self, x: Array) -> Array:
        """Bus injections (P of every bus but the source's, then Q) at state ``x``."""
        out = np.zeros(2 * self.n_w + 1)
        out += np.bincount(self.column, x, len(out))
        return out[:-1]

    @cached_property
    def row_points(self) -> list[str]:
        """Snapshot point of every measured row; set-point rows have none (empty)."""
        branches = [b.id for b in self.site.topology.branches]
        rows = [points.branch(b, q) for q in ("p_w", "q_var") for b in branches]
        rows += [points.interface("p_w"), points.interface("q_var")]
        rows += [points.unit(u.id, q) for q in ("p_w", "q_var") for u in self.site.units]
        return rows

    @cached_property
    def row_scale(self) -> Array:
        """Rating behind every measured row, in the row's unit."""
        interface = np.full(2, max(float(self.branch_va.sum()), self.grid.power_base_w))
        unit_va = np.array([max(u.s_rated_va, u.p_rated_w) for u in self.site.units])
        return np.concatenate([self.branch_va, self.branch_va, interface, unit_va, unit_va])

    @cached_property
    def row_sigma(self) -> Array:
        """Standard deviation of every measured row (noise and a share of the bias bound), in the row's unit."""
        chain = self.site.chain.credible
        s_max = self.branch_va
        pq = chain.sigma_pq_rel + BIAS_WEIGHT * chain.bias_i_rel
        interface = pq * np.full(2, max(self.grid.power_base_w, 1.0))
        unit = chain.sigma_unit_rel * np.tile(self.p_rated_w, 2)
        return np.concatenate([pq * s_max, pq * s_max, interface, unit])

    @cached_property
    def current_sigma_a(self) -> Array:
        """Standard deviation of every current reading, A."""
        chain = self.site.chain.credible
        rel = chain.sigma_i_rel + BIAS_WEIGHT * chain.bias_i_rel
        return rel * np.array([b.i_max_a for b in self.site.topology.branches])

    @cached_property
    def branch_va(self) -> Array:
        """Rating of every branch, VA."""
        by_id = {b.id: b.u_rated_v for b in self.site.topology.buses}
        lines = [SQRT3 * line.i_max_a * by_id[line.from_bus] for line in self.site.topology.lines]
        return np.array(lines + [t.s_max_va for t in self.site.topology.transformers])

    @cached_property
    def p_rated_w(self) -> Array:
        """Rated power of every unit, W."""
        return np.array([u.p_rated_w for u in self.site.units])

    @cached_property
    def load_scale_w(self) -> Array:
        """How large the uncontrolled power of each bus may be, W."""
        scale = np.full(self.n_w, LOAD_FLOOR_FRAC * self.grid.power_base_w)
        for load in self.site.topology.loads:
            k = self.grid.injection_index(load.bus)
            if k >= 0:
                scale[k] += max(abs(load.p_min_w), abs(load.p_max_w), abs(load.p_w))
        return scale

    @cached_property
    def load_box(self) -> tuple[Array, Array]:
        """Lowest and highest credible uncontrolled injection (P, then Q) of every bus, W and var.

        The sum of its loads' credible ranges; reactive power up to ``LOAD_Q_PER_P`` of the largest. A little more on
        both sides for losses and the units' own meters.
        """
        low, high = np.zeros(self.n_w), np.zeros(self.n_w)
        slack = np.full(self.n_w, BOX_SLACK_FRAC * self.grid.power_base_w)
        for load in self.site.topology.loads:
            k = self.grid.injection_index(load.bus)
            if k >= 0:
                low[k] += load.p_min_w
                high[k] += load.p_max_w
        slack += BOX_UNIT_FRAC * (self.incidence @ self.p_rated_w)
        reactive = LOAD_Q_PER_P * np.maximum(np.abs(low), np.abs(high)) + slack
        return np.concatenate([low - slack, -reactive]), np.concatenate([high + slack, reactive])

    @cached_property
    def expected_w(self) -> Array:
        """Expected uncontrolled injection: P, then Q."""
        out = np.zeros(2 * self.n_w)
        for load in self.site.topology.loads:
            k = self.grid.injection_index(load.bus)
            if k >= 0:
                out[k] += load.p_w
                out[self.n_w + k] += load.q_var
        return out
