"""Export and import limits at the connection point: active power of the site, either direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.estimation.estimate import Estimate
from controller.limits.base import MEASUREMENT_SIGMAS, Reading, Rows, no_rows, quality_of, unseen_frac

Array = NDArray[np.float64]

BIAS_SHARE = 0.6


class InterfaceLimits:
    """Export (``P ≥ −high``) and import (``P ≤ high``) limits; import at the connection point is positive."""

    def __init__(self, site: Site) -> None:
        chosen = [(k, x) for k, x in enumerate(site.limits) if x.kind in (LimitKind.EXPORT, LimitKind.IMPORT)]
        self.index = np.array([k for k, _ in chosen], dtype=np.intp)
        self.sign = np.array([-1.0 if x.kind is LimitKind.EXPORT else 1.0 for _, x in chosen])
        self.high_w = np.array([x.high for _, x in chosen])
        self.scale_w = np.maximum(self.high_w, 1.0)
        self.bias_frac = BIAS_SHARE * site.chain.bias_i_rel
        self.stale_s = 3.0 * site.cycle.cycle_s

    def margin_w(self, estimate: Estimate) -> Array:
        """What measurement may hide, W."""
        sigma = estimate.interface_sigma_w / self.scale_w
        unseen = unseen_frac(np.full(len(sigma), estimate.interface_age_s), self.stale_s, sigma)
        out: Array = (MEASUREMENT_SIGMAS * sigma + self.bias_frac + unseen) * self.scale_w
        return out

    def evaluate(self, estimate: Estimate) -> Rows:
        """One row per limit, in per unit of the limit."""
        grid = estimate.grid
        if not len(self.index):
            return no_rows(grid.jacobian.shape[1])
        j = grid.jacobian[grid.rows_interface()][0]
        margin = self.margin_w(estimate)
        room = (self.high_w - margin - self.sign * estimate.interface_p_w) / self.scale_w
        sensitivity = self.sign[:, None] * j[None, :] / self.scale_w[:, None]
        return Rows(self.index, sensitivity, room, np.ones(len(room), dtype=bool))

    def readings(self, estimate: Estimate) -> dict[int, Reading]:
        """Present export or import, W (negative when power flows the other way), by limit index."""
        out = {}
        for i, sign, margin, scale in zip(self.index, self.sign, self.margin_w(estimate), self.scale_w, strict=True):
            value = sign * estimate.interface_p_w
            quality = quality_of(estimate.interface_age_s, self.stale_s, estimate.interface_sigma_w / scale)
            worst = float(value + margin)
            loading, at_worst = max(float(value), 0.0) / float(scale), max(worst, 0.0) / float(scale)
            out[int(i)] = Reading(float(value), worst, loading, at_worst, quality)
        return out
