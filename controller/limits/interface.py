"""Export and import limits at the connection point: active power of the site, either direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.derived import Derived
from controller.domain.limit import LimitKind
from controller.domain.site import Site
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

BIAS_SHARE = 0.6
SCALE_MIN_FRAC = 0.05  # of all units' rating: a limit of nothing at all must not make its per unit infinite


class InterfaceLimits:
    """Export (``P ≥ −high``) and import (``P ≤ high``) limits; import at the connection point is positive."""

    def __init__(self, site: Site) -> None:
        chosen = [(k, x) for k, x in enumerate(site.limits) if x.kind in (LimitKind.EXPORT, LimitKind.IMPORT)]
        self.index = np.array([k for k, _ in chosen], dtype=np.intp)
        self.sign = np.array([-1.0 if x.kind is LimitKind.EXPORT else 1.0 for _, x in chosen])
        self.scale_min_w = max(SCALE_MIN_FRAC * sum(u.p_rated_w for u in site.units), 1.0)
        self.scale_w = np.maximum(np.array([x.rated_high for _, x in chosen]), self.scale_min_w)
        self.bias_frac = BIAS_SHARE * site.chain.bias_i_rel
        self.stale_s = 3.0 * site.cycle.cycle_s
        self._main = np.ones(len(self.index), dtype=bool)
        self._levers, self._margin_w = Derived(self._levers_of), Derived(self._margin_w_of)

    def margin_w(self, estimate: Estimate) -> Array:
        """What measurement may hide, W."""
        return self._margin_w.of(estimate)

    def _margin_w_of(self, estimate: Estimate) -> Array:
        sigma = estimate.interface_sigma_w / self.scale_w
        unseen = unseen_frac(np.full(len(sigma), estimate.interface_age_s), self.stale_s, sigma)
        out: Array = (MEASUREMENT_SIGMAS * sigma + self.bias_frac + unseen) * self.scale_w
        return out + estimate.interface_excess_w

    def evaluate(self, estimate: Estimate, in_force: InForce) -> Rows:
        """One row per limit, in per unit of the limit.

        Active power alone is a lever: of an exchange reactive power moves the network's losses, kilowatts for megavars,
        and every voltage with them. A limit that nothing else could keep would call for all of it.
        """
        if not len(self.index):
            return no_rows(estimate.grid.jacobian.shape[1])
        limit_w, scale_w = self._in_force(in_force)
        room = (limit_w - self.margin_w(estimate) - self.sign * estimate.interface_p_w) / scale_w
        sensitivity = self._levers.of(estimate.grid) / scale_w[:, None]
        return Rows(self.index, sensitivity, room, self._main)

    def _levers_of(self, grid: LinearGrid) -> Array:
        """W of every limit per W of injection; nothing per var."""
        j = grid.jacobian[grid.rows_interface()][0].copy()
        j[len(j) // 2 :] = 0.0
        out: Array = self.sign[:, None] * j
        return out

    def readings(self, estimate: Estimate, in_force: InForce) -> Readings:
        """Present export or import, W (negative when power flows the other way)."""
        limit_w, scale_w = self._in_force(in_force)
        value_w = self.sign * estimate.interface_p_w
        worst_w = value_w + self.margin_w(estimate)
        loading, at_worst = loading_frac(value_w, limit_w, scale_w), loading_frac(worst_w, limit_w, scale_w)
        sigma = estimate.interface_sigma_w / self.scale_w
        age_s = np.full(len(sigma), estimate.interface_age_s)
        return Readings(self.index, value_w, worst_w, loading, at_worst, quality_of(age_s, self.stale_s, sigma))

    def _in_force(self, in_force: InForce) -> tuple[Array, Array]:
        """The limits of this cycle, and what a per unit of each is, W."""
        limit_w = in_force.high[self.index]
        return limit_w, np.maximum(limit_w, self.scale_min_w)
