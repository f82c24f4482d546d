"""Which other meters must see what one meter sees: the power of a unit or a branch passes every branch above it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.topology import Transformer
from controller.estimation.bus_tree import BusTree
from controller.estimation.layout import Layout
from controller.estimation.spikes import JUMP_FRAC

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SQRT2 = 2.0**0.5
SEEN_FRAC = 0.3  # of a jump: a meter above it that moves by less has not seen it
SAME_FRAC = (0.7, 1.4)  # of a jump: a meter above it that moves by so much has seen it
TELLING_SIGMAS = 6.0  # of the other meter's noise: a smaller jump would not show there


class Onlookers:
    """Constants of one site. Rows are the estimator's: branch P, branch Q, interface P and Q, unit P, unit Q.

    In a network with loops power takes more than one way, and nobody's silence proves anything.
    """

    def __init__(self, layout: Layout) -> None:
        self._sigma = layout.row_sigma
        nb, n = layout.n_branch, layout.n_unit
        topology = layout.site.topology
        above = np.zeros((nb + 1 + n, nb + 1), dtype=bool)
        self._feeds = np.zeros(nb, dtype=bool)
        if nb == len(topology.buses) - 1:
            tree = BusTree(topology)
            path = tree.from_root > 0.0
            lower_end = np.where(path[tree.ends[:, 0]].sum(axis=1) > path[tree.ends[:, 1]].sum(axis=1), *tree.ends.T)
            bus = {b.id: k for k, b in enumerate(topology.buses)}
            above[:nb, :nb] = path[lower_end] & ~np.eye(nb, dtype=bool)
            above[nb + 1 :, :nb] = path[[bus[u.bus] for u in layout.site.units]].reshape(n, nb)
            above[:, nb] = True
            above[nb] = False
            source = topology.source.bus
            feeds = [isinstance(b, Transformer) and b.hv_bus == source for b in topology.branches]
            self._feeds = np.array(feeds, dtype=bool)
            self._feeds &= bool(self._feeds.sum() == (path.sum(axis=1) == 1).sum())
        self._above = above
        rows = np.arange(2 * nb + 2 + 2 * n)
        self._p = np.concatenate([rows[:nb], rows[2 * nb : 2 * nb + 1], rows[2 * nb + 2 : 2 * nb + 2 + n]])
        self._jump_w = JUMP_FRAC * layout.row_scale[self._p[nb + 1 :]]
        self._q = np.concatenate([rows[nb : 2 * nb], rows[2 * nb + 1 : 2 * nb + 2], rows[2 * nb + 2 + n :]])

    def deny(self, innovation: Array, far: BoolArray) -> BoolArray:
        """Rows among the ``far`` ones whose jump a fresh meter above does not see (``innovation`` NaN = not fresh).

        What the interface sees, the transformers that feed the site must see together.
        """
        out = np.zeros(len(far), dtype=bool)
        for rows in (self._p, self._q):
            out[rows] = self._denied(innovation[rows], self._sigma[rows]) & far[rows]
        return out

    def confirm(self, innovation: Array, far: BoolArray) -> BoolArray:
        """Rows among the ``far`` ones whose jump a fresh meter above sees, however small it is on that one's scale."""
        out = np.zeros(len(far), dtype=bool)
        for rows in (self._p, self._q):
            if some(far[rows]):
                out[rows] = self._confirmed(innovation[rows], self._sigma[rows]) & far[rows]
        return out

    def deny_units(self, moved_w: Array) -> BoolArray:
        """Units whose P jumped since the last reading while a meter above did not.

        ``moved_w`` is by element, NaN where two readings cannot be compared.
        """
        nb = self._above.shape[1] - 1
        far: BoolArray = np.abs(moved_w[nb + 1 :]) > self._jump_w
        if not some(far):
            return far
        denied: BoolArray = self._denied(moved_w, SQRT2 * self._sigma[self._p])[nb + 1 :]
        return denied & far

    def _denied(self, innovation: Array, sigma: Array) -> BoolArray:
        nb = self._above.shape[1] - 1
        seen, telling = np.abs(innovation[: nb + 1]), TELLING_SIGMAS * sigma[: nb + 1]
        jump = np.abs(innovation)
        with np.errstate(invalid="ignore"):
            unseen = (seen < SEEN_FRAC * jump[:, None]) & (telling < jump[:, None])
            denied: BoolArray = np.asarray((self._above & unseen).any(axis=1))
            if some(self._feeds):
                together = abs(float(innovation[:nb][self._feeds].sum()))
                noise = float(telling[:nb][self._feeds].sum())
                denied[nb] = bool(max(together / SEEN_FRAC, noise) < jump[nb])
        return denied

    def _confirmed(self, innovation: Array, sigma: Array) -> BoolArray:
        n_above = self._above.shape[1]
        seen, telling = np.abs(innovation[:n_above]), TELLING_SIGMAS * sigma[:n_above]
        jump = np.abs(innovation)[:, None]
        same = (seen > SAME_FRAC[0] * jump) & (seen < SAME_FRAC[1] * jump) & (seen > telling)
        out: BoolArray = np.asarray((self._above & same).any(axis=1))
        return out
