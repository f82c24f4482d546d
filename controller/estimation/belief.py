"""Which readings are believed in this cycle: not those of meters that lie, not lone jumps to the safe side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.consistency import Consistency, Witness
from controller.estimation.layout import Layout
from controller.estimation.readings import Reading
from controller.estimation.spikes import JUMP_FRAC, Waiting, hold_back
from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOADED_FRAC = 0.5  # of its rating: what brings such a branch more is dangerous


@dataclass(frozen=True, slots=True)
class BeliefState:
    """What is known about meters' truth; ``found`` marks those that were found out in this cycle."""

    consistency: Consistency
    waiting: Waiting
    found: BoolArray


class Belief:
    """Constants of one site. Rows are the estimator's measured rows; elements branches, interface, units."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.witness = layout, Witness(layout)
        nb, n = layout.n_branch, layout.n_unit
        branch, unit = np.arange(nb), nb + 1 + np.arange(n)
        self._element = np.concatenate([branch, branch, [nb, nb], unit, unit]).astype(np.intp)
        self._scale = layout.row_scale

    def initial(self) -> BeliefState:
        """Everybody is believed."""
        none = np.zeros(len(self.witness.names), dtype=bool)
        return BeliefState(self.witness.initial(), Waiting.none(len(self._element)), none)

    def honest(
        self, before: BeliefState, rows: Reading, currents: Reading, used_at_s: tuple[Array, Array], now_s: float
    ) -> tuple[BeliefState, Reading, Reading]:
        """Without the readings of quarantined meters, whose ages go on from ``used_at_s`` (rows', currents')."""
        consistency = self.witness.update(before.consistency, rows.value, now_s)
        lying = consistency.quarantined
        state = BeliefState(consistency, before.waiting, lying & ~before.consistency.quarantined)
        if not lying.any():
            return state, rows, currents
        of_branches = lying[: self.layout.n_branch]
        return (
            state,
            _without(rows, lying[self._element], used_at_s[0]),
            _without(currents, of_branches, used_at_s[1]),
        )

    def confirmed(
        self, state: BeliefState, rows: Reading, used_at_s: Array, expected: Array, moving: BoolArray, grid: LinearGrid
    ) -> tuple[BeliefState, Reading]:
        """Without jumps away from ``expected`` (by row) that nobody else sees and that only make limits look better.

        Units (P, then Q) that are ``moving`` by command are hard to foretell, and believed.
        """
        innovation = rows.value - expected
        far = np.abs(innovation) > JUMP_FRAC * self._scale
        dangerous = far
        if far.any():
            dangerous = self._dangerous(innovation, expected, grid)
            dangerous[len(far) - len(moving) :] |= moving
        rows, waiting = hold_back(
            state.waiting, rows, used_at_s, innovation, self._scale, dangerous, self._element
        )  # fmt: skip
        return replace(state, waiting=waiting), rows

    def _dangerous(self, innovation: Array, expected: Array, grid: LinearGrid) -> BoolArray:
        """Rows that would make a limit look worse: more flow, or a unit that brings a loaded branch more."""
        nb, n_flow = self.layout.n_branch, 2 * self.layout.n_branch + 2
        flows = expected[:n_flow]
        more = np.abs(flows + innovation[:n_flow]) > np.abs(flows)
        loaded = np.abs(flows[:nb]) > LOADED_FRAC * self.layout.branch_va
        by_unit = self.layout.at_units(grid.jacobian[grid.rows_branch("p_w")][loaded])
        move = innovation[n_flow : n_flow + self.layout.n_unit]
        harm = (np.sign(flows[:nb][loaded])[:, None] * by_unit * move > 0.0).any(axis=0)
        return np.concatenate([more, harm, harm])

    def held_branches(self, state: BeliefState) -> BoolArray:
        """Branches whose reading waits to be confirmed."""
        return np.isfinite(state.waiting.value[: self.layout.n_branch])

    def flags(self, state: BeliefState, now_s: float) -> dict[tuple[str, str], str]:
        """What is wrong with meters: event and subject, and what to say about it."""
        spikes = self._element[state.waiting.denied]
        return self.witness.flags(state.consistency, now_s) | {
            ("meter.spike", self.witness.names[k]): "" for k in spikes.tolist()
        }


def _without(reading: Reading, which: BoolArray, used_at_s: Array) -> Reading:
    return Reading(np.where(which, np.nan, reading.value), np.where(which, used_at_s, reading.used_at_s))
