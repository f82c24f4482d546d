"""Bus voltages: the network model plus one learned offset per bus (upstream voltage, taps, wrong impedances)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import Site
from controller.domain.topology import SQRT3, Line
from controller.estimation.bus_tree import BusTree

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TAU_S = 4.0
JUMP_SIGMA = 5.0  # an error beyond this is a step and is taken over at once
FRESH_S = 30.0  # an offset moves slowly: for this long it is as good as measured
BLIND_SIGMA_PU = 0.004  # while no bus has a meter
DROP_ERROR_FRAC = 0.08  # of the voltage drop to the nearest meter, one sigma: impedances are wrong by up to 20 %
DROP_ASSUMED_FRAC = 0.4  # the same where they are only assumed


class VoltageOffsets:
    """Offset filter of one site."""

    def __init__(self, site: Site, u_rated_v: Array) -> None:
        self._tree = BusTree(site.topology)
        assumed = [isinstance(b, Line) and not b.impedance_known for b in site.topology.branches]
        self._drop_error = np.where(assumed, DROP_ASSUMED_FRAC, DROP_ERROR_FRAC)
        self._rated_v = u_rated_v
        self._sigma_pu = site.chain.credible.sigma_u_rel
        self._gain = 1.0 - math.exp(-site.cycle.cycle_s / TAU_S)
        self._fresh_s = max(FRESH_S, 3.0 * site.cycle.cycle_s)
        self._noise_left = math.sqrt(self._gain / (2.0 - self._gain))

    def update(self, offset_v: Array, measured_v: Array, estimated_v: Array, seen_before_s: Array) -> Array:
        """New offsets from readings (NaN = none) and the estimate made with ``offset_v``.

        A bus that was never read shares the offset of the nearest that was, in per unit.
        """
        error = measured_v - estimated_v
        step = ~np.isfinite(seen_before_s) | (np.abs(error) > JUMP_SIGMA * self._sigma_pu * self._rated_v)
        out = offset_v + np.where(np.isfinite(error), np.where(step, 1.0, self._gain) * error, 0.0)
        read = np.isfinite(seen_before_s) | np.isfinite(measured_v)
        if read.any() and not read.all():
            out = np.where(read, out, (out / self._rated_v)[self._tree.nearest(read)] * self._rated_v)
        return out

    def sigma_v(self, age_s: Array, u_v: Array, branch_sigma_a: Array) -> Array:
        """One standard deviation of every bus voltage, V, by the age of its last reading.

        Without a fresh one it is that of the nearest bus that has one, plus what the drop between them may be off:
        its own size times the impedances' error, and the uncertainty of the currents in it.
        """
        fresh: BoolArray = np.less_equal(age_s, self._fresh_s)
        if fresh.all():
            return self._noise_left * self._sigma_pu * self._rated_v
        known_pu = self._noise_left * self._sigma_pu if fresh.any() else BLIND_SIGMA_PU
        tree, u_pu = self._tree, u_v / self._rated_v
        root: BoolArray = tree.from_root.sum(axis=1) == 0.0
        between = tree.between(tree.nearest(fresh if fresh.any() else root))
        ends = tree.ends
        drop = np.abs(u_pu[ends[:, 0]] - u_pu[ends[:, 1]])
        unsure = SQRT3 * tree.z_ohm * branch_sigma_a / self._rated_v[ends[:, 1]]
        sigma_pu = np.hypot(known_pu, between @ (self._drop_error * drop + unsure))
        out: Array = sigma_pu * self._rated_v
        return out
