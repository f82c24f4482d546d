"""Bus voltages: the network model plus one learned offset per bus (upstream voltage, taps, wrong impedances).

What the upstream network does, every bus of the site shows in the same cycle and in the same size per unit; what wrong
impedances do grows slowly and at one bus. So the error that the meters have in common is followed at once, for their
mean is quieter than any of them, and what each bus has of its own is learned slowly. Both gains are those of a Kalman
filter for a random walk that is read with noise (Kalman 1960, steady state).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some
from controller.domain.site import Site
from controller.domain.topology import SQRT3, Line
from controller.estimation.bus_tree import BusTree

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

COMMON_RATE_PU, OWN_RATE_PU = 0.00025, 0.0001  # per sqrt(s): how the upstream voltage, and one bus's error, wander
QUORUM = 3  # meters that can outvote one of them; fewer are each followed on their own
JUMP_SIGMAS = 5.0  # an error of that size is a step and is taken over at once
SURE_SIGMAS = 2.0  # from here on a bus's own error is taken over in proportion
LONE_SIGMAS = 3.0  # of the middle one's distance: what one bus may add to what all have in common
FRESH_S = 30.0  # an offset moves slowly: for this long it is as good as measured
BLIND_SIGMA_PU = 0.004  # while no bus has a meter
DROP_ERROR_FRAC = 0.08  # of the voltage drop to the nearest meter, one sigma: impedances are wrong by up to 20 %
DROP_ASSUMED_FRAC = 0.4  # the same where they are only assumed


@dataclass(frozen=True, slots=True)
class Walk:
    """Following a random walk by noisy readings: gain per reading, and standard deviations (pu) of what a reading is
    off from what was expected, and of what is left after it."""

    gain: float
    innovation_pu: float
    left_pu: float

    @staticmethod
    def of(rate_pu: float, noise_pu: float, cycle_s: float) -> Walk:
        """Steady state of the Kalman filter: P⁻ solves P⁻² = q (P⁻ + r), with q = rate² T and r = noise²."""
        q, r = rate_pu**2 * cycle_s, noise_pu**2
        p = 0.5 * (q + math.sqrt(q * q + 4.0 * q * r))
        gain = p / (p + r)
        return Walk(gain, math.sqrt(p + r), math.sqrt((1.0 - gain) * p))


class VoltageOffsets:
    """Offset filter of one site."""

    def __init__(self, site: Site, u_rated_v: Array) -> None:
        self._tree = BusTree(site.topology)
        assumed = [isinstance(b, Line) and not b.impedance_known for b in site.topology.branches]
        self._drop_error = np.where(assumed, DROP_ASSUMED_FRAC, DROP_ERROR_FRAC)
        self._rated_v = u_rated_v
        self._sigma_pu = site.chain.credible.sigma_u_rel
        cycle_s, noise_pu = site.cycle.cycle_s, self._sigma_pu
        own, alone = Walk.of(OWN_RATE_PU, noise_pu, cycle_s), Walk.of(COMMON_RATE_PU, noise_pu, cycle_s)
        self._own, self._alone = own, alone
        self._surer = 1.0 / (noise_pu * (JUMP_SIGMAS - SURE_SIGMAS))
        self._unsure = SURE_SIGMAS / (JUMP_SIGMAS - SURE_SIGMAS)
        every = range(QUORUM, len(u_rated_v) + 1)
        self._common = {n: Walk.of(COMMON_RATE_PU, noise_pu / math.sqrt(n), cycle_s) for n in every}
        self._fresh_s = max(FRESH_S, 3.0 * site.cycle.cycle_s)

    def update(self, offset_v: Array, measured_v: Array, estimated_v: Array, seen_before_s: Array) -> Array:
        """New offsets from readings (NaN = none) and the estimate made with ``offset_v``.

        A bus that was not read now goes with what the others have in common; one that was never read shares the offset
        of the nearest that was, in per unit.
        """
        error = (measured_v - estimated_v) / self._rated_v
        new, before = np.isfinite(error), np.isfinite(seen_before_s)
        usable = new & before
        heard = error[usable]
        common, step, own_gain = 0.0, 0.0, self._alone.gain
        if len(heard) >= QUORUM:
            common, walk = self._in_common(heard), self._common[len(heard)]
            step = common * (1.0 if abs(common) > JUMP_SIGMAS * walk.innovation_pu else walk.gain)
            own_gain = self._own.gain
        own = error - common
        move = step + np.minimum(np.maximum(np.abs(own) * self._surer - self._unsure, own_gain), 1.0) * own
        if every(usable):
            return offset_v + move * self._rated_v
        out: Array = offset_v + np.where(new, np.where(before, move, error), step) * self._rated_v
        read = before | new
        if some(read) and not every(read):
            out = np.where(read, out, (out / self._rated_v)[self._tree.nearest(read)] * self._rated_v)
        return out

    def _in_common(self, heard: Array) -> float:
        """What the errors have in common: their mean, to which no single one gives more than it could by noise."""
        ordered, most = np.sort(heard), LONE_SIGMAS * self._sigma_pu
        middle = float(ordered[len(heard) // 2])
        if ordered[-1] - middle > most or middle - ordered[0] > most:
            ordered = np.minimum(np.maximum(ordered, middle - most), middle + most)
        return float(ordered.sum()) / len(heard)

    def sigma_v(self, age_s: Array, u_v: Array, branch_sigma_a: Array) -> Array:
        """One standard deviation of every bus voltage, V, by the age of its last reading.

        Without a fresh one it is that of the nearest bus that has one, plus what the drop between them may be off:
        its own size times the impedances' error, and the uncertainty of the currents in it.
        """
        fresh: BoolArray = np.less_equal(age_s, self._fresh_s)
        known_pu = self._known_pu(int(np.count_nonzero(fresh)))
        if every(fresh):
            return known_pu * self._rated_v
        tree, u_pu = self._tree, u_v / self._rated_v
        root: BoolArray = tree.from_root.sum(axis=1) == 0.0
        between = tree.between(tree.nearest(fresh if some(fresh) else root))
        ends = tree.ends
        drop = np.abs(u_pu[ends[:, 0]] - u_pu[ends[:, 1]])
        unsure = SQRT3 * tree.z_ohm * branch_sigma_a / self._rated_v[ends[:, 1]]
        sigma_pu = np.hypot(known_pu, between @ (self._drop_error * drop + unsure))
        out: Array = sigma_pu * self._rated_v
        return out

    def _known_pu(self, n_fresh: int) -> float:
        """One standard deviation where a meter is read, by how many there are."""
        if n_fresh >= QUORUM:
            return math.hypot(self._common[n_fresh].left_pu, self._own.left_pu)
        return self._alone.left_pu if n_fresh else BLIND_SIGMA_PU
