"""Meters whose own readings contradict each other: apparent power from P and Q against that from V and I.

``S = √(P² + Q²)`` and ``S = √3 V I`` (a balanced three-phase line, definitions of IEEE Std 1459) agree within the
classes of the meter. With unequal phases a current reading is that of the highest one, and distortion only adds to it,
so V and I may show more than P and Q, at most three times as much when one phase carries it all; P and Q can never
show more than V and I. A contradiction has to last before it is told, and proves nothing about which reading is wrong.
Limits are kept on the more dangerous of the two in any case (:meth:`controller.estimation.flows.FlowModel.excess_a`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.layout import Layout

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SIGMAS = 6.0  # of all four readings together
PHASES = 3.0  # one phase of three carries everything
VOLTAGE_REL = 0.02  # the voltage is the estimate at the meter's bus
LASTS_S = 10.0
TOGETHER_S = 0.05  # readings of one poll


@dataclass(frozen=True, slots=True)
class Apparent:
    """Memory, by branch: since when its readings contradict (inf = they do not), and both apparent powers then, VA."""

    since_s: Array
    by_power_va: Array
    by_current_va: Array


class ApparentPower:
    """Constants of one site: what the readings of every branch's meter may differ by."""

    def __init__(self, layout: Layout) -> None:
        self.names = [f"branch.{b.id}" for b in layout.site.topology.branches]
        chain = layout.site.chain
        sigma = math.hypot(chain.sigma_pq_rel, chain.sigma_pq_rel, chain.sigma_i_rel)
        self._slack_va = (SIGMAS * sigma + 2.0 * chain.bias_i_rel) * layout.branch_va

    def initial(self) -> Apparent:
        """Nobody contradicts himself."""
        none = np.zeros(len(self.names))
        return Apparent(np.full(len(self.names), np.inf), none, none)

    def update(
        self, before: Apparent, rows: Array, currents: Array, apart_s: Array, va_per_a: Array, now_s: float
    ) -> Apparent:
        """Take in this cycle's readings as the meters give them: P then Q of all branches (``rows``), and currents, A.

        NaN is no new reading; ``apart_s`` is the time between the samples of P and I, ``va_per_a`` what an ampere is at
        the present voltage of the meter's bus. What was not read together leaves the verdict as it was.
        """
        n = len(self.names)
        by_power = np.hypot(rows[:n], rows[n : 2 * n])
        by_current = va_per_a * currents
        known = np.isfinite(by_power) & np.isfinite(by_current) & (np.abs(apart_s) <= TOGETHER_S)
        slack = self._slack_va + VOLTAGE_REL * by_current
        wrong = (by_power > by_current + slack) | (by_current > PHASES * by_power + slack)
        since = np.where(wrong, np.minimum(before.since_s, now_s), np.inf)
        return Apparent(
            np.where(known, since, before.since_s),
            np.where(known, by_power, before.by_power_va),
            np.where(known, by_current, before.by_current_va),
        )

    def flags(self, state: Apparent, now_s: float) -> dict[tuple[str, str], str]:
        """Events in force and what to say about them."""
        return {
            ("meter.inconsistent", self.names[k]): (
                f"P and Q make {state.by_power_va[k] / 1e3:.4g} kVA, V and I {state.by_current_va[k] / 1e3:.4g} kVA"
            )
            for k in (now_s - state.since_s >= LASTS_S).nonzero()[0].tolist()
        }
