"""Branches whose own readings stand above their estimate, not for a moment but on average: the reading counts.

The estimate weighs a branch's P and Q, its current, the units' meters and what loads can be. When one of them is wrong
by a few percent, it settles between them, below what another one says. A rating is a current, and phases may be
unequal, so nobody can tell from here which of them lies: the limit is kept on the largest that the branch's own meter
shows, once that stands out beyond the meters' classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.layout import Layout

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOOK_S = 2.0  # at least, from one look to the next
TAU_S = 6.0  # over which readings and estimates are averaged
LOOKS_MIN = 4.0  # before an average says anything
STANDS_OUT = 2.0  # bounds of bias that a reading may stand above the estimate by
RELEASED_FRAC = 0.6  # of that: it stands out no more when this is left
EVENT_FRAC = 0.03  # of the rating: less is margin without a word
DOUBT_S, LASTS_S = 8.0, 30.0  # it has to stand out for so long before it counts, and before it is told


@dataclass(frozen=True, slots=True)
class Excess:
    """By branch, means over looks: how far apparent power by P and Q, and by V and I, is above the estimated, and the
    estimated, VA; looks so far; since when the larger of both stands out (inf = it does not), and whether
    that is told.
    """

    by_power_va: Array
    by_current_va: Array
    estimated_va: Array
    looks: Array
    since_s: Array
    told: BoolArray
    looked_s: float

    @property
    def over_va(self) -> Array:
        """The larger of both."""
        return np.maximum(self.by_power_va, self.by_current_va)


class ExcessWatch:
    """Constants of one site."""

    def __init__(self, layout: Layout) -> None:
        self.names = [f"branch.{b.id}" for b in layout.site.topology.branches]
        chain, cycle_s = layout.site.chain.credible, layout.site.cycle.cycle_s
        self._every_s = max(round(LOOK_S / cycle_s), 1) * cycle_s
        self._gain = min(self._every_s / TAU_S, 1.0)
        self._rated_va = layout.branch_va
        self._most_va = STANDS_OUT * max(chain.bias_i_rel, chain.sigma_i_rel) * layout.branch_va

    def initial(self) -> Excess:
        """Nothing seen yet."""
        zero, never = np.zeros(len(self.names)), np.full(len(self.names), np.inf)
        return Excess(zero, zero, zero, zero, never, np.zeros(len(never), dtype=bool), -np.inf)

    def due(self, before: Excess, now_s: float) -> bool:
        """Whether it is time for the next look."""
        return now_s - before.looked_s > self._every_s - 1e-6

    def update(
        self, before: Excess, pq: Array, current_va: Array, estimated_va: Array, lying: BoolArray, now_s: float
    ) -> Excess:
        """Take in what the meters give (``pq``: P, then Q of all branches; NaN = nothing new) and what is made of it.

        Branches whose meter is known to be ``lying`` start anew.
        """
        n = len(self.names)
        power_va = np.hypot(pq[:n], pq[n:])
        least = np.where(before.looks < 1.0 / self._gain, 1.0 / (before.looks + 1.0), self._gain)
        by_power = _mean(before.by_power_va, power_va - estimated_va, least)
        by_current = _mean(before.by_current_va, current_va - estimated_va, least)
        new = np.isfinite(power_va) | np.isfinite(current_va)
        looks = np.where(lying, 0.0, before.looks + new)
        most = np.where(np.isfinite(before.since_s), RELEASED_FRAC, 1.0) * self._most_va
        out = (np.maximum(by_power, by_current) > most) & (looks >= LOOKS_MIN)
        since = np.where(out, np.minimum(before.since_s, now_s), np.inf)
        event = np.where(before.told, RELEASED_FRAC, 1.0) * EVENT_FRAC * self._rated_va
        told = (now_s - since >= LASTS_S) & (np.maximum(by_power, by_current) > event)
        estimated = _mean(before.estimated_va, estimated_va, least)
        return Excess(by_power, by_current, estimated, looks, since, told, now_s)

    def hidden_frac(self, state: Excess, now_s: float) -> Array:
        """By branch: share of its estimate that a limit must be kept on in addition, ≥ 0."""
        out = now_s - state.since_s >= DOUBT_S
        if not some(out):
            return np.zeros(len(out))
        base = np.maximum(state.estimated_va, EVENT_FRAC * self._rated_va)
        return np.where(out, np.minimum(np.maximum(state.over_va / base, 0.0), 1.0), 0.0)

    def flags(self, state: Excess) -> dict[tuple[str, str], str]:
        """Events in force and what to say about them."""
        if not some(state.told):
            return {}
        told = np.flatnonzero(state.told).tolist()
        return {("meter.above_estimate", self.names[k]): self._says(state, k) for k in told}

    def _says(self, state: Excess, k: int) -> str:
        estimated = float(state.estimated_va[k])
        power, current = estimated + float(state.by_power_va[k]), estimated + float(state.by_current_va[k])
        return f"P and Q make {_kva(power)}, V and I {_kva(current)}, the estimate is {_kva(estimated)}"


def _mean(before: Array, value: Array, gain: Array) -> Array:
    """A running mean; NaN leaves it as it was."""
    out: Array = np.where(np.isfinite(value), before + gain * (value - before), before)
    return out


def _kva(va: float) -> str:
    return f"{va / 1e3:.4g} kVA"
