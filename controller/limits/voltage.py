"""Voltage band of buses, on fast values: acting before the statutory 10-minute mean is at risk (EN 50160)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.derived import Derived
from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.estimation.estimate import Estimate
from controller.grid.model import LinearGrid
from controller.limits.base import Readings, Rows, no_rows
from controller.limits.in_force import InForce

Array = NDArray[np.float64]

BIAS_SHARE = 0.8
SIGMAS = 2.5  # more than for currents: reactive power pays for it, not energy
STALE_S = 30.0
HALF_MIN_PU = 0.001  # of the rated voltage: a band that reasons have closed must not make its loading infinite


class VoltageLimits:
    """All voltage limits of a site; both edges of the band."""

    def __init__(self, site: Site) -> None:
        order = [b.id for b in site.topology.buses]
        chosen = [(k, x) for k, x in enumerate(site.limits) if x.kind is LimitKind.VOLTAGE]
        self.index = np.array([k for k, _ in chosen], dtype=np.intp)
        self.bus = np.array([order.index(x.element) for _, x in chosen], dtype=np.intp)
        self.rated_v = np.array([site.topology.buses[b].u_rated_v for b in self.bus])
        self.stale_s = max(STALE_S, 3.0 * site.cycle.cycle_s)
        self.bias_v = BIAS_SHARE * site.chain.bias_u_rel * self.rated_v
        self._both = np.tile(self.index, 2)  # upper edges, then lower ones
        self._main = np.ones(len(self._both), dtype=bool)
        self._sensitivity, self._margin_v = Derived(self._sensitivity_of), Derived(self._margin_v_of)

    def margin_v(self, estimate: Estimate) -> Array:
        """What measurement may hide, V."""
        return self._margin_v.of(estimate)

    def _margin_v_of(self, estimate: Estimate) -> Array:
        out: Array = SIGMAS * estimate.bus_sigma_v[self.bus] + self.bias_v
        return out

    def evaluate(self, estimate: Estimate, in_force: InForce) -> Rows:
        """One row per edge, in per unit of the rated voltage."""
        if not len(self.index):
            return no_rows(estimate.grid.jacobian.shape[1])
        u, margin = estimate.bus_u_v[self.bus], self.margin_v(estimate)
        high, low = in_force.high[self.index], in_force.low[self.index]
        above, below = estimate.bus_above_v[self.bus], estimate.bus_below_v[self.bus]
        room = (np.stack([high - margin - above - u, u - below - low - margin]) / self.rated_v).ravel()
        return Rows(self._both, self._sensitivity.of(estimate.grid), room, self._main)

    def _sensitivity_of(self, grid: LinearGrid) -> Array:
        """Of the upper edges and, the other way round, of the lower ones; per unit of the rated voltage."""
        by_edge = grid.jacobian[grid.rows_u()][self.bus] / self.rated_v[:, None]
        return np.concatenate([by_edge, -by_edge])

    def readings(self, estimate: Estimate, in_force: InForce) -> Readings:
        """Present voltage of every limited bus; loading is the distance from mid-band."""
        u, margin, age = estimate.bus_u_v[self.bus], self.margin_v(estimate), estimate.bus_age_s[self.bus]
        high, low = in_force.high[self.index], in_force.low[self.index]
        mid, half = (high + low) / 2.0, np.maximum((high - low) / 2.0, HALF_MIN_PU * self.rated_v)
        above, below = estimate.bus_above_v[self.bus], estimate.bus_below_v[self.bus]
        worst = u + np.where(u >= mid, margin + above, -margin - below)
        loading, at_worst = np.abs(u - mid) / half, np.abs(worst - mid) / half
        return Readings(self.index, u, worst, loading, at_worst, np.where(age <= self.stale_s, 0, 1))
