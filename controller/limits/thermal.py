"""Current of lines, cables and transformers within the limit in force: its magnitude, whichever way it flows.

The circle |I| ≤ I_max is replaced by tangents around the present phasor, so that active and reactive power, import
and export are one linear problem. A transformer heats the same under reverse power (IEC 60076-7 uses |I|).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.derived import Derived
from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.domain.topology import SQRT3, Line, Topology
from controller.estimation.estimate import Estimate
from controller.grid.model import LinearGrid
from controller.limits.base import (
    MEASUREMENT_SIGMAS,
    Readings,
    Rows,
    loading_frac,
    no_rows,
    quality_of,
    unseen_frac,
)
from controller.limits.in_force import InForce

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TANGENTS_DEG = (0.0, -12.0, 12.0, -30.0, 30.0, -60.0, 60.0, -90.0, 90.0)
BIAS_SHARE = 0.6  # of the meters' bias bound that is kept as margin
UNREACHED = 0.15  # of the limit: beyond what units can do, for what persistence and pools take from a row's room
LEVER_MIN_FRAC = 0.03  # W of the branch per W of a unit: with less, a unit would give up thirty times what it relieves
SCALE_MIN_FRAC = 0.05  # of the rating: a limit of nothing at all must not make its per unit infinite


def _va_per_a(topology: Topology) -> Array:
    """VA per A of every branch at its rated voltage, on the side that its limit counts."""
    u_v = {b.id: b.u_rated_v for b in topology.buses}
    return np.array([SQRT3 * (u_v[b.from_bus] if isinstance(b, Line) else b.u2_v) for b in topology.branches])


@dataclass(frozen=True, slots=True)
class Levers:
    """A per W and var of bus injection of every limited branch's current, ``in_phase`` and ``quadrature``; and how long
    a phasor a W and then a var of every unit is."""

    in_phase: Array
    quadrature: Array
    by_unit: Array


class ThermalLimits:
    """All thermal limits of a site."""

    def __init__(self, site: Site) -> None:
        order = [b.id for b in site.topology.branches]
        chosen = [(k, x) for k, x in enumerate(site.limits) if x.kind is LimitKind.THERMAL]
        self.index = np.array([k for k, _ in chosen], dtype=np.intp)
        self.branch = np.array([order.index(x.element) for _, x in chosen], dtype=np.intp)
        self.rated_a = np.array([x.rated_high for _, x in chosen])
        self.va_per_a = _va_per_a(site.topology)[self.branch] if chosen else np.empty(0)
        self.bias_frac = BIAS_SHARE * site.chain.bias_i_rel
        self.angles = np.deg2rad(TANGENTS_DEG)
        self.stale_s = 3.0 * site.cycle.cycle_s
        injected = [b.id for b in site.topology.buses if b.id != site.topology.source.bus]
        units = [u for u in site.units if u.bus in injected]
        self._unit = np.array([k for k, u in enumerate(site.units) if u.bus in injected], dtype=np.intp)
        self._unit_bus = np.array([injected.index(u.bus) for u in units], dtype=np.intp)
        self._p_min_w, self._p_max_w = (np.array([getattr(u, k) for u in units]) for k in ("p_min_w", "p_max_w"))
        self._q_max_var = np.array([u.q_max_var for u in units])
        self._levers, self._margin_a = Derived(self._levers_of), Derived(self._margin_a_of)

    def margin_a(self, estimate: Estimate) -> Array:
        """What measurement may hide, A; shares of the rating, whatever the limit in force is."""
        return self._margin_a.of(estimate)

    def _margin_a_of(self, estimate: Estimate) -> Array:
        sigma = estimate.branch_sigma_a[self.branch] / self.rated_a
        excess = estimate.branch_excess_a[self.branch] / self.rated_a
        unseen = unseen_frac(estimate.branch_age_s[self.branch], self.stale_s, sigma)
        out: Array = (MEASUREMENT_SIGMAS * sigma + self.bias_frac + excess + unseen) * self.rated_a
        return out

    def evaluate(self, estimate: Estimate, in_force: InForce) -> Rows:
        """Tangent rows of every limited branch: the one along the present phasor, and those that units could reach.

        No current is smaller than none: where more is unknown than the limit, nothing at all is aimed at, and not as
        much in the opposite direction, from where the next cycle would send it back.

        A branch that units move by its voltage alone is none that they can relieve: where demand overloads a line, all
        generation elsewhere would be given up for nothing.
        """
        grid = estimate.grid
        if not len(self.index):
            return no_rows(grid.jacobian.shape[1])
        limit_a, scale_a = self._in_force(in_force)
        ip, iq = (x[self.branch] / scale_a for x in (estimate.branch_ip_a, estimate.branch_iq_a))
        levers = self._levers.of(grid)
        angle = np.arctan2(iq, ip)[:, None] + self.angles
        cos, sin = np.cos(angle), np.sin(angle)
        allowed = np.maximum(limit_a - self.margin_a(estimate), 0.0) / scale_a
        room = allowed[:, None] - (cos * ip[:, None] + sin * iq[:, None])
        kept = room < (self._swing_a(estimate, levers) / scale_a)[:, None] + UNREACHED
        kept[:, 0] = True
        branch, tangent = np.nonzero(kept)
        sensitivity, across = levers.in_phase[branch], levers.quadrature[branch]
        sensitivity *= (cos[kept] / scale_a[branch])[:, None]  # in place: the largest arrays before the programme's
        across *= (sin[kept] / scale_a[branch])[:, None]
        sensitivity += across
        return Rows(self.index[branch], sensitivity, room[kept], tangent == 0)

    def _levers_of(self, grid: LinearGrid) -> Levers:
        """What injections do to the limited branches; nothing where no unit has a lever."""
        jp, jq = (grid.jacobian[grid.rows_branch(k)][self.branch] for k in ("i_p_a", "i_q_a"))
        by_w = np.hypot(jp[:, self._unit_bus], jq[:, self._unit_bus]).max(axis=1, initial=0.0)
        vain = by_w * self.va_per_a < LEVER_MIN_FRAC
        jp[vain] = jq[vain] = 0.0
        units = np.concatenate([self._unit_bus, self._unit_bus + jp.shape[1] // 2])
        return Levers(jp, jq, np.sqrt(jp**2 + jq**2)[:, units])

    def _swing_a(self, estimate: Estimate, levers: Levers) -> Array:
        """The most by which all units together could move every branch's phasor, A."""
        p_w, q_var = estimate.unit_p_w[self._unit], estimate.unit_q_var[self._unit]
        span_w = np.maximum(np.abs(self._p_max_w - p_w), np.abs(self._p_min_w - p_w))
        span_var = self._q_max_var + np.abs(q_var)
        out: Array = levers.by_unit @ np.concatenate([span_w, span_var])
        return out

    def readings(self, estimate: Estimate, in_force: InForce) -> Readings:
        """Present current of every limited branch."""
        value = np.hypot(estimate.branch_ip_a, estimate.branch_iq_a)[self.branch]
        worst = value + self.margin_a(estimate)
        limit_a, scale_a = self._in_force(in_force)
        loading, at_worst = loading_frac(value, limit_a, scale_a), loading_frac(worst, limit_a, scale_a)
        sigma = estimate.branch_sigma_a[self.branch] / self.rated_a
        age = estimate.branch_age_s[self.branch]
        return Readings(self.index, value, worst, loading, at_worst, quality_of(age, self.stale_s, sigma))

    def _in_force(self, in_force: InForce) -> tuple[Array, Array]:
        """The limits of this cycle, and what a per unit of each is, A."""
        limit_a = in_force.high[self.index]
        return limit_a, np.maximum(limit_a, SCALE_MIN_FRAC * self.rated_a)
