"""One estimation cycle: readings → obedience → state filter → flows and voltages."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.snapshot import Snapshot
from controller.estimation import hindsight
from controller.estimation.actuator import CommandHistory, UnitArrays
from controller.estimation.apparent import Apparent, ApparentPower
from controller.estimation.belief import Belief, BeliefState
from controller.estimation.consistency import FRESH_CYCLES
from controller.estimation.estimate import Estimate
from controller.estimation.excess import Excess, ExcessWatch
from controller.estimation.flows import FlowModel
from controller.estimation.hindsight import Past, StatesThen, Told
from controller.estimation.lateness import Lateness, LatenessWatch
from controller.estimation.layout import LOAD_RATE_FRAC, Layout
from controller.estimation.obedience import Obedience, Seen, UnitMemory, UnitView
from controller.estimation.plausibility import FreezeWatch
from controller.estimation.readings import Reading, SitePoints, sample
from controller.estimation.sensitivities import Sensitivities, first_sensitivities, refreshed
from controller.estimation.state_filter import (
    Evidence,
    FilterState,
    Motion,
    initial_filter,
    moved_by,
    predict,
    variance,
    widened,
    within,
)
from controller.estimation.switching import Flows, Switching
from controller.estimation.voltage import VoltageOffsets
from controller.estimation.voltage_gain import VoltageGain, VoltageGains

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

UNIT_RATE_FRAC = 0.006  # of rated power per sqrt(s): how a free unit wanders
HELD_RATE_FRAC = 0.0005  # the same for a unit that sits on its set point
MOVING_RATE_FRAC = 0.03  # how far a commanded move may differ from the model
HELD_SIGMA_FRAC = 0.002  # how exactly a settled unit obeys
UNIT_JUMP_FRAC, HELD_JUMP_FRAC = 0.5, 0.05  # how far units may have jumped, one sigma
LOAD_SPREAD_P_FRAC, LOAD_SPREAD_Q_FRAC = 0.3, 0.1  # how far unseen demand strays from what is expected, one sigma


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """Memory of the estimator between two cycles."""

    filter: FilterState
    watch: FreezeWatch
    belief: BeliefState
    units: UnitMemory
    sensitivities: Sensitivities
    seen: Flows
    gain: VoltageGain
    offset_v: Array
    offset_flow: Array
    rows_used_at_s: Array
    currents_used_at_s: Array
    voltages_used_at_s: Array
    avail_w: Array
    soc_frac: Array
    unit_seen_at_s: Array
    apparent: Apparent
    excess: Excess
    lateness: Lateness
    past: Past
    now_s: float
    started_at_s: float


class Estimator:
    """Estimation of one site; holds only constants derived from it."""

    def __init__(self, layout: Layout, units: UnitArrays) -> None:
        self.layout, self.units = layout, units
        i_max_a = np.array([b.i_max_a for b in layout.site.topology.branches])
        self.points = SitePoints(layout.site, layout.row_points, layout.row_scale, i_max_a, layout.grid.u_rated_v)
        self.flows = FlowModel(layout)
        self.belief = Belief(layout)
        self.apparent = ApparentPower(layout)
        self.excess = ExcessWatch(layout)
        self.lateness = LatenessWatch(layout, self.belief.witness)
        self.switching = Switching(layout)
        self.obedience = Obedience(units, layout.site.cycle.cycle_s)
        self.voltages = VoltageOffsets(layout.site, layout.grid.u_rated_v)
        self.gains = VoltageGains(layout.site)
        self._rated2 = np.tile(layout.p_rated_w, 2)
        self._unit_rate, self._held_rate, self._moving_rate = (
            (share * self._rated2) ** 2 for share in (UNIT_RATE_FRAC, HELD_RATE_FRAC, MOVING_RATE_FRAC)
        )
        self._n_flow = 2 * layout.n_branch + 2
        self._flow_var = layout.row_sigma[: self._n_flow] ** 2
        self._meter_var = self._of_units(layout.row_sigma[self._n_flow :] ** 2)
        self._model_var = self._of_units((HELD_SIGMA_FRAC * self._rated2) ** 2)
        spread = np.repeat([LOAD_SPREAD_P_FRAC, LOAD_SPREAD_Q_FRAC], layout.n_w) * np.tile(layout.load_scale_w, 2)
        rate = np.tile((LOAD_RATE_FRAC * layout.load_scale_w) ** 2, 2)
        none = np.zeros(2 * layout.n_unit)
        self._calm = Motion(
            variance_rate=np.concatenate([rate, none]),
            return_rate=np.concatenate([rate / (2.0 * spread**2), none]),
            mean=np.concatenate([layout.expected_w, none]),
        )
        self._load_jump_var = spread**2

    def initial(self, now_s: float) -> EstimatorState:
        """Before any measurement: loads as expected, but for what they stray; units unknown. Raises PowerFlowError."""
        lay, n = self.layout, self.layout.n_unit
        x0 = np.concatenate([lay.expected_w, np.zeros(2 * n)])
        sigma0 = np.concatenate([np.sqrt(self._load_jump_var), self._rated2])
        never = self.points.never()
        return EstimatorState(
            filter=initial_filter(x0, sigma0, lay.partition),
            watch=self.points.initial_watch(),
            belief=self.belief.initial(),
            units=self.obedience.initial(now_s),
            sensitivities=first_sensitivities(lay, lay.injection(x0), now_s),
            seen=self.switching.initial(),
            gain=self.gains.initial(),
            offset_v=np.zeros(lay.grid.n_bus),
            offset_flow=np.zeros(self._n_flow),
            rows_used_at_s=never[0],
            currents_used_at_s=never[1],
            voltages_used_at_s=never[2],
            avail_w=np.full(n, np.nan),
            soc_frac=np.full(n, np.nan),
            unit_seen_at_s=np.full(n, -np.inf),
            apparent=self.apparent.initial(),
            excess=self.excess.initial(),
            lateness=self.lateness.initial(),
            past=(),
            now_s=now_s,
            started_at_s=now_s,
        )

    def update(
        self, state: EstimatorState, snapshot: Snapshot, history: CommandHistory, held: BoolArray
    ) -> tuple[EstimatorState, Estimate]:
        """One cycle. ``held`` marks units whose set point (not their nature) decided their output last cycle."""
        lay, now_s, dt_s = self.layout, snapshot.now_s, max(snapshot.now_s - state.now_s, 0.0)
        taken = sample(self.points.names, snapshot)
        watched = self.points.watch(state.watch, taken)
        used_at_s = state.rows_used_at_s, state.currents_used_at_s, state.voltages_used_at_s
        said = self.points.take(taken, watched.frozen | (watched.doubtful & self.points.of_network), used_at_s)
        available = np.where(self.units.is_battery, np.nan, said.available * self.units.sign)
        belief, rows, currents = self.belief.honest(
            state.belief, said.rows, said.currents, used_at_s[:2], now_s, state.lateness
        )
        state = self._without_lies(state, belief)
        seen = self._seen(state, rows, available, now_s)
        view = self.obedience.view(state.units, seen, history, held, now_s)
        before = moved_by(predict(state.filter, lay.partition, self._motion(view), dt_s), view.step)
        state = self._switched(state, rows, before.x, now_s)
        grid = state.sensitivities.grid.grid
        then = hindsight.states_then(state.past, before.x, state.lateness, view.memory.actuator.t_s)
        expected = self.flows.stacked(grid.predict(lay.injection(then.network)), state.offset_flow, state.offset_v)
        belief, rows, currents = self._confirmed(state, belief, rows, currents, view, then, expected)
        after, jumped, past = self._filter(state, before, expected[0], rows, view, then)
        seen_x = hindsight.states_then(past, after.x, state.lateness, view.memory.actuator.t_s).network
        injection, read = lay.injection(after.x), lay.injection(seen_x)
        predicted_read = grid.predict(read)
        offset_flow = self._offset_flow(state, rows, predicted_read, dt_s)
        sensitivities = refreshed(state.sensitivities, lay, injection, now_s)
        if sensitivities.grid is not state.sensitivities.grid:
            grid = sensitivities.grid.grid
            predicted_read = grid.predict(read)
        predicted = predicted_read if seen_x is after.x else grid.predict(injection)
        estimated_v = predicted_read[grid.rows_u()] + state.offset_v
        belief, voltages = self._voltages(state, belief, said.voltages, estimated_v, now_s)
        offset_v = self._offset_v(state, belief, voltages, estimated_v)
        stacked, per_a = self.flows.stacked(predicted, offset_flow, offset_v)
        new = EstimatorState(
            filter=after,
            watch=watched,
            belief=belief,
            units=view.memory,
            sensitivities=sensitivities,
            seen=state.seen,
            gain=self.gains.update(state.gain, voltages.value, read, grid, now_s),
            offset_v=offset_v,
            offset_flow=offset_flow,
            rows_used_at_s=rows.used_at_s,
            currents_used_at_s=currents.used_at_s,
            voltages_used_at_s=voltages.used_at_s,
            avail_w=np.where(view.memory.response.behind, np.nan, available),
            soc_frac=np.where(np.isfinite(said.contents), said.contents, state.soc_frac),
            unit_seen_at_s=np.where(np.isfinite(self._of_unit(rows.value)[0]), now_s, state.unit_seen_at_s),
            apparent=self._apparent(state.apparent, said.rows, said.currents, per_a, now_s),
            excess=self._excess(state.excess, belief, (said.rows, rows, currents), stacked, per_a, now_s),
            lateness=self._lateness(state, belief, said.rows, now_s),
            past=past,
            now_s=now_s,
            started_at_s=state.started_at_s,
        )
        return self._estimate(new, stacked, per_a, currents, view, jumped)

    def _seen(self, state: EstimatorState, rows: Reading, available: Array, now_s: float) -> Seen:
        """What this cycle's readings say of the units."""
        first, n = 2 * self.layout.n_w, self.layout.n_unit
        newest_s = float(rows.used_at_s[rows.fresh].max(initial=-np.inf))
        newest_s, output_w = newest_s if math.isfinite(newest_s) else now_s, state.filter.x[first : first + n]
        late_s = state.lateness.unit_s
        modelled = hindsight.modelled_then(state.past, newest_s - late_s) if some(late_s) else None
        both = self._of_unit(rows.value)
        return Seen(both, newest_s, available, output_w, state.unit_seen_at_s, late_s, modelled)

    def _voltages(
        self, state: EstimatorState, belief: BeliefState, said: Reading, estimated_v: Array, now_s: float
    ) -> tuple[BeliefState, Reading]:
        """The voltages that are believed; the model is held against what they say without what they have taught it."""
        model_v = estimated_v - state.offset_v
        return self.belief.with_voltages(belief, said, state.voltages_used_at_s, estimated_v, model_v, now_s)

    def _offset_v(self, state: EstimatorState, belief: BeliefState, voltages: Reading, estimated_v: Array) -> Array:
        """What the model gets wrong of voltages, learned."""
        seen_before_s = self.belief.believed_at_s(belief, state.voltages_used_at_s)
        return self.voltages.update(state.offset_v, voltages.value, estimated_v, seen_before_s)

    def _offset_flow(self, state: EstimatorState, rows: Reading, predicted: Array, dt_s: float) -> Array:
        """What the filter could not explain of the flows, learned slowly; ``predicted`` is of the readings' instant."""
        residual = rows.value[: self._n_flow] - self.flows.expected(predicted) - state.offset_flow
        return self.flows.learn(state.offset_flow, residual, rows, dt_s)

    def _lateness(self, state: EstimatorState, belief: BeliefState, rows: Reading, now_s: float) -> Lateness:
        """How late readings are, by what meters said before anybody judged them."""
        if not self.lateness.due(state.lateness, now_s):
            return state.lateness
        recent = now_s - belief.consistency.at_s <= FRESH_CYCLES * self.layout.site.cycle.cycle_s
        return self.lateness.update(state.lateness, self.belief.witness.elements(rows.value), recent, now_s)

    def _confirmed(
        self, state: EstimatorState, belief: BeliefState, rows: Reading, currents: Reading, view: UnitView,
        then: StatesThen, predicted: tuple[Array, Array],
    ) -> tuple[BeliefState, Reading, Reading]:  # fmt: skip
        """Readings without lone jumps away from what was predicted, branch P and Q improved by the currents."""
        grid, (stacked, per_a) = state.sensitivities.grid.grid, predicted
        expected = np.concatenate([self.flows.expected(stacked), then.units])
        belief, rows = self.belief.confirmed(
            belief, rows, state.rows_used_at_s, expected, view.moving, grid, state.lateness
        )
        belief, currents = self.belief.with_currents(belief, rows, currents, state.currents_used_at_s, per_a)
        return belief, self._with_currents(rows, currents, predicted, self.belief.held_branches(belief)), currents

    def _apparent(self, before: Apparent, rows: Reading, currents: Reading, va_per_a: Array, now_s: float) -> Apparent:
        """Whether branch meters agree with themselves, by what they said before anybody judged them."""
        nb = self.layout.n_branch
        both = np.isfinite(currents.value) & np.isfinite(rows.value[:nb])
        apart_s = np.where(both, currents.used_at_s, np.inf) - np.where(both, rows.used_at_s[:nb], 0.0)
        return self.apparent.update(before, rows.value[: 2 * nb], currents.value, apart_s, va_per_a, now_s)

    def _excess(
        self, before: Excess, belief: BeliefState, read: tuple[Reading, ...], stacked: Array, per_a: Array, now_s: float
    ) -> Excess:
        """Whether branch meters show more than is made of them: ``read`` rows as said and as believed, and currents."""
        if not self.excess.due(before, now_s):
            return before
        nb, (said, rows, currents) = self.layout.n_branch, read
        pq = np.where(np.isfinite(rows.value[: 2 * nb]), said.value[: 2 * nb], np.nan)
        lying = belief.consistency.quarantined[:nb]
        estimated_va = per_a * self.flows.magnitude(stacked)
        return self.excess.update(before, pq, per_a * currents.value, estimated_va, lying, now_s)

    def _without_lies(self, state: EstimatorState, belief: BeliefState) -> EstimatorState:
        """The memory without what meters that were found out in this cycle have taught it."""
        if not some(belief.found):
            return state
        least_var = np.concatenate([self._load_jump_var, (UNIT_JUMP_FRAC * self._rated2) ** 2])
        wide = widened(state.filter, self.layout.partition, least_var)
        return replace(state, offset_flow=np.zeros_like(state.offset_flow), filter=wide)

    def _switched(self, state: EstimatorState, rows: Reading, x: Array, now_s: float) -> EstimatorState:
        """With the network as it is switched now; what was learned of another one's flows is of no use then."""
        if not self.switching.possible:
            return state
        seen, used = self.switching.update(state.seen, rows, state.sensitivities, self.layout.injection(x), now_s)
        offset = state.offset_flow if used is state.sensitivities else np.zeros_like(state.offset_flow)
        return replace(state, seen=seen, sensitivities=used, offset_flow=offset)

    def _of_unit(self, values: Array) -> Array:
        """The units' P (first row) and Q among the measured rows."""
        return values[self._n_flow :].reshape(2, -1)

    def _of_units(self, values: Array) -> Array:
        """Per state from the units' (P, then Q); NaN for demand, which nobody reads directly."""
        return np.concatenate([np.full(2 * self.layout.n_w, np.nan), values])

    def _with_currents(
        self, rows: Reading, currents: Reading, predicted: tuple[Array, Array], waiting: BoolArray
    ) -> Reading:
        nb = self.layout.n_branch
        current_a = np.where(waiting, np.nan, currents.value)
        pq = self.flows.with_current(*predicted, rows.value[: 2 * nb], current_a)
        made = np.isfinite(pq) & np.isnan(rows.value[: 2 * nb])
        used_at_s = rows.used_at_s
        if some(made):
            used_at_s = used_at_s.copy()
            used_at_s[: 2 * nb] = np.where(made, np.tile(currents.used_at_s, 2), used_at_s[: 2 * nb])
        return Reading(np.concatenate([pq, rows.value[2 * nb :]]), used_at_s)

    def _motion(self, view: UnitView) -> Motion:
        """How the states wander: demand as usual, units by whether they are settled, under way or free."""
        units = np.where(view.moving, self._moving_rate, np.where(view.settled, self._held_rate, self._unit_rate))
        demand = self._calm.variance_rate[: 2 * self.layout.n_w]
        return Motion(np.concatenate([demand, units]), self._calm.return_rate, self._calm.mean)

    def _filter(
        self, state: EstimatorState, before: FilterState, stacked: Array, rows: Reading, view: UnitView,
        then: StatesThen,
    ) -> tuple[FilterState, bool, Past]:  # fmt: skip
        """The state with what was read, whether it jumped, and the past as it is seen now."""
        sight, n_flow = state.sensitivities.grid.flows, self._n_flow
        units = before.x[2 * self.layout.n_w :]
        flows = rows.value[:n_flow] - self.flows.expected(stacked)
        unit_jump = np.where(view.settled, HELD_JUMP_FRAC, UNIT_JUMP_FRAC) * self._rated2
        told = Told(
            rows=Evidence(flows, self._flow_var),
            meters=Evidence(self._of_units(rows.value[n_flow:] - then.units), self._meter_var),
            models=Evidence(self._of_units(np.where(view.settled, view.modelled - units, np.nan)), self._model_var),
            jump_var=np.concatenate([self._load_jump_var, unit_jump**2]),
        )
        if not state.lateness.anybody:
            after, jumped = hindsight.corrected(before, self.layout.partition, sight, told)
            return within(after, self.layout.load_box), jumped, state.past
        rate = self._motion(view).variance_rate
        after, jumped, past = hindsight.corrected_late(
            before, self.layout.partition, sight, told, rate, state.lateness, state.past, view.memory.actuator.t_s
        )
        return within(after, self.layout.load_box), jumped, past

    def _estimate(
        self, state: EstimatorState, stacked: Array, per_a: Array, currents: Reading, view: UnitView, jumped: bool
    ) -> tuple[EstimatorState, Estimate]:
        lay, n, nb = self.layout, self.layout.n_unit, self.layout.n_branch
        dynamics, response = state.units.dynamics, state.units.response
        grid = state.sensitivities.grid.grid
        magnitude, sigma, interface_sigma_w = self.flows.sigma(state.sensitivities.grid, state.filter, stacked)
        rows_age, bus_age = state.now_s - state.rows_used_at_s, state.now_s - state.voltages_used_at_s
        interface = stacked[grid.rows_interface()]
        moment = hindsight.Moment(state.units.actuator.t_s, state.filter.x, view.modelled, magnitude, jumped)
        past = hindsight.remembered(state.past, moment)
        magnitude = hindsight.current_then(past, state.lateness, magnitude)
        believed_age = state.now_s - self.belief.believed_at_s(state.belief, state.voltages_used_at_s)
        above_v, below_v = self.belief.voltages.hidden_v(state.belief.voltages)
        doubt_w = self.belief.witness.doubt_w(state.belief.consistency, state.now_s)
        doubt_a = np.maximum(doubt_w[:nb] / per_a, self.excess.hidden_frac(state.excess, state.now_s) * magnitude)
        estimate = Estimate(
            sample_s=state.units.actuator.t_s,
            unit_p_w=state.filter.x[2 * lay.n_w : 2 * lay.n_w + n],
            unit_q_var=state.filter.x[2 * lay.n_w + n :],
            unit_sigma_w=np.sqrt(variance(state.filter, lay.partition)[2 * lay.n_w : 2 * lay.n_w + n]),
            unit_age_s=state.now_s - state.unit_seen_at_s,
            deaf=response.deaf,
            deaf_q=state.units.reactive.deaf,
            behind=response.behind,
            limited_sign=response.limited(state.now_s),
            avail_w=state.avail_w,
            soc_frac=state.soc_frac,
            modelled_p_w=view.modelled[:n],
            latency_s=self.units.latency_s * dynamics.latency_frac,
            tau_s=self.units.tau_p_s * dynamics.tau_frac,
            slower=dynamics.slower,
            branch_ip_a=stacked[grid.rows_branch("i_p_a")],
            branch_iq_a=stacked[grid.rows_branch("i_q_a")],
            branch_sigma_a=sigma,
            branch_excess_a=self.flows.excess_a(magnitude, sigma, currents.value, doubt_a),
            branch_age_s=np.minimum(state.now_s - state.currents_used_at_s, rows_age[:nb]),
            bus_u_v=stacked[grid.rows_u()],
            bus_sigma_v=self.voltages.sigma_v(believed_age, stacked[grid.rows_u()], sigma)
            + self.gains.sigma_v(state.gain),
            bus_above_v=above_v,
            bus_below_v=below_v,
            bus_age_s=bus_age,
            interface_p_w=float(interface[0]),
            interface_q_var=float(interface[1]),
            interface_sigma_w=interface_sigma_w,
            interface_excess_w=float(doubt_w[nb]),
            interface_age_s=float(rows_age[2 * nb : 2 * nb + 2].max()),
            grid=self.gains.applied(state.gain, grid),
            grid_solved=state.sensitivities.solved,
            jumped=jumped,
            meters=self._meters(state),
        )
        return replace(state, past=past), estimate

    def _meters(self, state: EstimatorState) -> dict[tuple[str, str], str]:
        """What is wrong with meters, and what they show of switches: event and subject, and what to say about it."""
        frozen = np.flatnonzero(state.watch.frozen).tolist()
        told = self.belief.flags(state.belief, state.now_s) | self.apparent.flags(state.apparent, state.now_s)
        told |= self.lateness.flags(state.lateness) | self.excess.flags(state.excess)
        told |= self.switching.flags(state.sensitivities.out)
        return told | {("meter.frozen", self.points.elements[k]): "" for k in frozen}
