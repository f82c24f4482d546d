"""Which readings are believed in this cycle: not those of meters that lie, not lone jumps to the safe side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.consistency import FRESH_CYCLES, Consistency, Witness
from controller.estimation.lateness import Lateness, look_s
from controller.estimation.layout import Layout
from controller.estimation.onlookers import Onlookers
from controller.estimation.readings import Reading
from controller.estimation.spikes import JUMP_FRAC, Waiting, hold_back
from controller.estimation.voltage_doubt import VoltageDoubt, VoltageWitness
from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FAR_PU = 0.08  # more than a tap or a motor's start: one such voltage alone is a wrong reading or a fault of seconds
WILD_PU, AGREE_PU = 0.2, 0.05  # no network makes one bus so different from two that agree: a wrong ratio, or a phase
PROVEN_S = 10.0  # after which a wild voltage counts as missing
LONE_SAMPLES, COMMON_SAMPLES = 4, 2  # a far voltage is believed with so many in a row, if few or most buses see it
LOADED_FRAC = 0.5  # of its rating: what brings such a branch more is dangerous


@dataclass(frozen=True, slots=True)
class BeliefState:
    """What is known about meters' truth; ``found`` marks those that were found out in this cycle, ``doubted_i``
    branches whose newest current was not believed, ``far_u`` by bus how many voltages in a row were far off,
    ``wild_since_s`` since when a voltage is nothing that the network could do (inf = it is not), ``wild_factor`` how
    many times the others it reads then, and ``voltages`` what the others say of each.
    """

    consistency: Consistency
    waiting: Waiting
    found: BoolArray
    doubted_i: BoolArray
    far_u: NDArray[np.int64]
    wild_since_s: Array
    wild_factor: Array
    voltages: VoltageDoubt


class Belief:
    """Constants of one site. Rows are the estimator's measured rows; elements branches, interface, units."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.witness, self._onlookers = layout, Witness(layout), Onlookers(layout)
        self.look_s = look_s(layout)
        nb, n = layout.n_branch, layout.n_unit
        branch, unit = np.arange(nb), nb + 1 + np.arange(n)
        self._element = np.concatenate([branch, branch, [nb, nb], unit, unit]).astype(np.intp)
        self._scale, self._jump = layout.row_scale, JUMP_FRAC * layout.row_scale
        self.voltages = VoltageWitness(layout.site, layout.grid.u_rated_v)
        self._nobody = np.zeros(nb, dtype=bool), np.zeros(layout.grid.n_bus, dtype=np.int64)

    def initial(self) -> BeliefState:
        """Everybody is believed."""
        none = np.zeros(len(self.witness.names), dtype=bool)
        waiting, n_bus = Waiting.none(len(self._element)), self.layout.grid.n_bus
        wild = np.full(n_bus, np.inf), np.ones(n_bus)
        return BeliefState(self.witness.initial(), waiting, none, *self._nobody, *wild, self.voltages.initial())

    def honest(
        self, before: BeliefState, rows: Reading, currents: Reading, used_at_s: tuple[Array, Array], now_s: float,
        late: Lateness,
    ) -> tuple[BeliefState, Reading, Reading]:  # fmt: skip
        """Without the readings of quarantined meters, whose ages go on from ``used_at_s`` (rows', currents')."""
        p_w, q_var = late.of_one_instant(self.witness.elements(rows.value), self.look_s)
        consistency = self.witness.update(before.consistency, p_w, q_var, now_s)
        lying = consistency.quarantined
        state = replace(before, consistency=consistency, found=lying & ~before.consistency.quarantined)
        rows = self._without_lone_jumps(before.consistency, p_w, rows, used_at_s[0], now_s, late)
        if not some(lying):
            return state, rows, currents
        of_branches = lying[: self.layout.n_branch]
        return (
            state,
            _without(rows, lying[self._element], used_at_s[0]),
            _without(currents, of_branches, used_at_s[1]),
        )

    def confirmed(
        self, state: BeliefState, rows: Reading, used_at_s: Array, expected: Array, moving: BoolArray, grid: LinearGrid,
        late: Lateness,
    ) -> tuple[BeliefState, Reading]:  # fmt: skip
        """Without jumps away from ``expected`` (by row) that nobody else sees and that only make limits look better.

        Units (P, then Q) that are ``moving`` by command are hard to foretell, and believed. A jump that a meter above
        must have seen and has not waits however dangerous it looks: what answers it might be the real danger. One that
        it has seen does not wait. A meter that sees it at another time is not asked.
        """
        innovation = rows.value - expected
        far = believed = np.abs(innovation) > self._jump
        if some(far):
            believed = self._dangerous(innovation, expected, grid)
            believed[len(far) - len(moving) :] |= moving
            if not late.anybody:
                believed |= self._onlookers.confirm(innovation, far)
                believed &= ~self._onlookers.deny(innovation, far)
        rows, waiting = hold_back(state.waiting, rows, used_at_s, innovation, self._scale, believed, self._element)
        return replace(state, waiting=waiting), rows

    def _without_lone_jumps(
        self, before: Consistency, p_w: Array, rows: Reading, used_at_s: Array, now_s: float, late: Lateness
    ) -> Reading:
        """Without units whose power jumps as no meter above them sees: such a reading does not say whether they obey.

        The next one is compared with it, so a unit that stays there is believed one sample later. What is seen at
        another time than it says is not looked for in meters of that time.
        """
        recent = now_s - before.at_s <= FRESH_CYCLES * self.witness.cycle_s
        denied = self._onlookers.deny_units(np.where(recent, p_w - before.p_w, np.nan))
        if some(denied) and late.anybody:
            denied &= late.unit_s == late.network_s
        if not some(denied):
            return rows
        return _without(
            rows, np.concatenate([np.zeros(len(rows.value) - 2 * len(denied), bool), denied, denied]), used_at_s
        )

    def with_currents(
        self, state: BeliefState, rows: Reading, currents: Reading, used_at_s: Array, per_a: Array
    ) -> tuple[BeliefState, Reading]:
        """Without currents far above what P and Q of the same meter say (``per_a``: VA per A); the next is believed."""
        nb = self.layout.n_branch
        excess_va = currents.value * per_a - np.hypot(rows.value[:nb], rows.value[nb : 2 * nb])
        far = excess_va > self._jump[:nb]
        currents, doubted = _doubting(currents, far, state.doubted_i, used_at_s)
        return replace(state, doubted_i=doubted), currents

    def with_voltages(
        self, state: BeliefState, voltages: Reading, used_at_s: Array, expected_v: Array, model_v: Array, now_s: float
    ) -> tuple[BeliefState, Reading]:
        """Without voltages far from ``expected_v`` at buses that were read before, until enough of them came in a row.

        What a network does, most buses see; what one bus sees alone and for a moment is its meter's. What is ``wild``
        is never believed. ``model_v`` is what is expected without what meters have taught.
        """
        off = np.abs(voltages.value - expected_v) > FAR_PU * self.layout.grid.u_rated_v
        if some(off) or some(np.isfinite(state.wild_since_s)):
            state, voltages = self._without_wild(state, voltages, used_at_s, expected_v, now_s)
            off &= voltages.fresh
        far = off & np.isfinite(used_at_s)
        if some(far) or some(state.far_u):
            count = np.where(voltages.fresh, np.where(far, state.far_u + 1, 0), state.far_u)
            enough = COMMON_SAMPLES if 2 * far.sum() > voltages.fresh.sum() else LONE_SAMPLES
            state = replace(state, far_u=count)
            voltages = _without(voltages, far & (count < enough), used_at_s)
        if self.voltages.due(state.voltages, now_s):
            state = replace(state, voltages=self.voltages.update(state.voltages, voltages.value, model_v, now_s))
        return state, voltages

    def _without_wild(
        self, state: BeliefState, voltages: Reading, used_at_s: Array, expected_v: Array, now_s: float
    ) -> tuple[BeliefState, Reading]:
        """Without voltages that two others which agree show to be nothing that the network does.

        They are as good as read until that is proven, and age from then on.
        """
        if not some(voltages.fresh):
            return state, voltages
        error = (voltages.value - expected_v) / self.layout.grid.u_rated_v
        middle = float(np.median(error[voltages.fresh]))
        away = np.abs(error - middle)
        wild = (away > WILD_PU) & bool((away < AGREE_PU).sum() >= 2)
        since_s = np.where(wild, np.minimum(state.wild_since_s, now_s), state.wild_since_s)
        since_s = np.where(voltages.fresh & ~wild, np.inf, since_s)
        factor = np.where(wild, voltages.value / (expected_v + middle * self.layout.grid.u_rated_v), state.wild_factor)
        proven = wild & (now_s - since_s >= PROVEN_S)
        used = np.where(proven, used_at_s, voltages.used_at_s)
        believed = Reading(np.where(wild, np.nan, voltages.value), used)
        return replace(state, wild_since_s=since_s, wild_factor=factor), believed

    def believed_at_s(self, state: BeliefState, at_s: Array) -> Array:
        """``at_s`` by bus, never for voltages that are not believed."""
        return np.where(np.isfinite(state.wild_since_s), -np.inf, at_s)

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
        spikes = self._element[state.waiting.denied.nonzero()[0]]
        told = self.witness.flags(state.consistency, now_s) | self.voltages.flags(state.voltages)
        told |= {("meter.spike", self.witness.names[k]): "" for k in spikes.tolist()}
        for k in np.flatnonzero(now_s - state.wild_since_s >= PROVEN_S).tolist():
            bus, times = self.layout.site.topology.buses[k].id, state.wild_factor[k]
            told["meter.wrong_scale", f"bus.{bus}"] = f"reads {times:.2f} times what the other voltages say"
        return told


def _doubting(reading: Reading, far: BoolArray, doubted: BoolArray, used_at_s: Array) -> tuple[Reading, BoolArray]:
    """Readings without those that are ``far`` and follow a believed one, and whose newest is doubted now."""
    far = far & ~doubted
    doubted = np.where(reading.fresh, far, doubted)
    return (_without(reading, far, used_at_s) if some(far) else reading), doubted


def _without(reading: Reading, which: BoolArray, used_at_s: Array) -> Reading:
    return Reading(np.where(which, np.nan, reading.value), np.where(which, used_at_s, reading.used_at_s))
