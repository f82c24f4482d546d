"""One estimation cycle: readings → obedience → state filter → flows and voltages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.snapshot import Snapshot
from controller.estimation.actuator import ActuatorState, CommandHistory, UnitArrays, advance, modelled_output_w
from controller.estimation.apparent import Apparent, ApparentPower
from controller.estimation.belief import Belief, BeliefState
from controller.estimation.dynamics import Dynamics, DynamicsModels
from controller.estimation.estimate import Estimate
from controller.estimation.flows import FlowModel
from controller.estimation.layout import LOAD_RATE_FRAC, Layout
from controller.estimation.plausibility import FreezeWatch
from controller.estimation.reactive_response import ReactiveResponse, initial_reactive, observe_reactive, owed
from controller.estimation.readings import Reading, Sample, SitePoints, sample
from controller.estimation.response import LAG_ALLOWANCE, Look, Response, initial_response, observe
from controller.estimation.sensitivities import Sensitivities, first_sensitivities, refreshed
from controller.estimation.state_filter import (
    Evidence,
    FilterState,
    Motion,
    correct,
    initial_filter,
    predict,
    variance,
    widened,
)
from controller.estimation.unit_view import MATCH_FRAC, UnitView, settled
from controller.estimation.voltage import VoltageOffsets
from controller.estimation.voltage_gain import VoltageGain, VoltageGains
from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

UNIT_RATE_FRAC = 0.006  # of rated power per sqrt(s): how a free unit wanders
HELD_RATE_FRAC = 0.0005  # the same for a unit that sits on its set point
MOVING_FRAC, MOVING_RATE_FRAC = 0.005, 0.03  # a commanded move this large, and how far it may differ from the model
HELD_SIGMA_FRAC = 0.002  # how exactly a settled unit obeys
UNIT_JUMP_FRAC, HELD_JUMP_FRAC = 0.5, 0.05  # how far units may have jumped, one sigma
LOAD_SPREAD_P_FRAC, LOAD_SPREAD_Q_FRAC = 0.3, 0.1  # how far unseen demand strays from what is expected, one sigma
STALE_CYCLES = 3.0  # a unit that was not heard for this long is not known to sit on its set point
WRITE_CYCLES = 1.5  # what a set point may take from the decision to the device


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """Memory of the estimator between two cycles."""

    filter: FilterState
    watch: FreezeWatch
    belief: BeliefState
    actuator: ActuatorState
    dynamics: Dynamics
    response: Response
    reactive: ReactiveResponse
    sensitivities: Sensitivities
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
        self.dynamics = DynamicsModels(units)
        self.voltages = VoltageOffsets(layout.site, layout.grid.u_rated_v)
        self.gains = VoltageGains(layout.site)
        self._rated2 = np.tile(layout.p_rated_w, 2)
        self._q_scale = np.maximum(units.q_max_var, 0.01 * units.p_rated_w)
        self._q_match = np.maximum(self._q_scale, 0.2 * units.p_rated_w)
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
        """Before any measurement: expected loads, units at zero, everything uncertain. Raises PowerFlowError."""
        lay, n = self.layout, self.layout.n_unit
        x0 = np.concatenate([lay.expected_w, np.zeros(2 * n)])
        sigma0 = np.concatenate([np.tile(lay.load_scale_w, 2), self._rated2])
        open_p = np.where(self.units.is_battery, 0.0, self.units.p_rated_w)
        return EstimatorState(
            filter=initial_filter(x0, sigma0, lay.partition),
            watch=self.points.initial_watch(),
            belief=self.belief.initial(),
            actuator=ActuatorState(now_s, open_p, np.zeros(n)),
            dynamics=self.dynamics.initial(now_s),
            response=initial_response(self.units),
            reactive=initial_reactive(self.units),
            sensitivities=first_sensitivities(lay, lay.injection(x0), now_s),
            gain=self.gains.initial(),
            offset_v=np.zeros(lay.grid.n_bus),
            offset_flow=np.zeros(self._n_flow),
            rows_used_at_s=self.points.rows.never(),
            currents_used_at_s=self.points.currents.never(),
            voltages_used_at_s=self.points.voltages.never(),
            avail_w=np.full(n, np.nan),
            soc_frac=np.full(n, np.nan),
            unit_seen_at_s=np.full(n, -np.inf),
            apparent=self.apparent.initial(),
            now_s=now_s,
            started_at_s=now_s,
        )

    def update(
        self, state: EstimatorState, snapshot: Snapshot, history: CommandHistory, held: BoolArray
    ) -> tuple[EstimatorState, Estimate]:
        """One cycle. ``held`` marks units whose set point (not their nature) decided their output last cycle."""
        lay, now_s = self.layout, snapshot.now_s
        dt_s = max(now_s - state.now_s, 0.0)
        taken = sample(self.points.names, snapshot)
        watched = self.points.watch(state.watch, taken)
        frozen = watched.frozen
        rows = self.points.rows.take(taken, frozen, state.rows_used_at_s)
        currents = self.points.currents.take(taken, frozen, state.currents_used_at_s)
        used_at_s = state.rows_used_at_s, state.currents_used_at_s
        said = rows, currents
        belief, rows, currents = self.belief.honest(state.belief, rows, currents, used_at_s, now_s)
        state = self._without_lies(state, belief)
        available = self._available(taken, frozen)
        view = self._view(state, rows, available, history, held, now_s)
        before = _moved_by_command(predict(state.filter, lay.partition, self._motion(view), dt_s), view.step)
        grid = state.sensitivities.grid.grid
        stacked = self.flows.stacked(grid, grid.predict(lay.injection(before.x)), state.offset_flow, state.offset_v)
        belief, rows, currents = self._confirmed(state, belief, rows, currents, view, before, stacked)
        after, jumped = self._filter(state, before, stacked, rows, view)
        injection = lay.injection(after.x)
        predicted = grid.predict(injection)
        residual = rows.value[: self._n_flow] - self.flows.expected(grid, predicted) - state.offset_flow
        offset_flow = self.flows.learn(state.offset_flow, residual, rows, dt_s)
        sensitivities = refreshed(state.sensitivities, lay, injection, now_s)
        if sensitivities.grid is not state.sensitivities.grid:
            grid = sensitivities.grid.grid
            predicted = grid.predict(injection)
        voltages = self.points.voltages.take(taken, frozen, state.voltages_used_at_s)
        estimated_v = predicted[grid.rows_u()] + state.offset_v
        belief, voltages = self.belief.with_voltages(belief, voltages, state.voltages_used_at_s, estimated_v)
        offset_v = self.voltages.update(state.offset_v, voltages.value, estimated_v, state.voltages_used_at_s)
        stacked = self.flows.stacked(grid, predicted, offset_flow, offset_v)
        contents = self.points.contents.take(taken, frozen, self.points.contents.never()).value
        new = replace(
            state,
            filter=after,
            watch=watched,
            belief=belief,
            actuator=view.actuator,
            dynamics=view.dynamics,
            response=view.response,
            reactive=view.reactive,
            sensitivities=sensitivities,
            gain=self.gains.update(state.gain, voltages.value, injection, grid, now_s),
            offset_v=offset_v,
            offset_flow=offset_flow,
            rows_used_at_s=rows.used_at_s,
            currents_used_at_s=currents.used_at_s,
            voltages_used_at_s=voltages.used_at_s,
            avail_w=np.where(view.response.behind, np.nan, available),
            soc_frac=np.where(np.isfinite(contents), contents, state.soc_frac),
            unit_seen_at_s=np.where(np.isfinite(self._unit_rows(rows.value)[0]), now_s, state.unit_seen_at_s),
            apparent=self._apparent(state.apparent, *said, self.flows.per_a(grid, stacked), now_s),
            now_s=now_s,
        )
        return new, self._estimate(new, stacked, currents, view, jumped)

    def _confirmed(
        self, state: EstimatorState, belief: BeliefState, rows: Reading, currents: Reading, view: UnitView,
        before: FilterState, stacked: Array,
    ) -> tuple[BeliefState, Reading, Reading]:  # fmt: skip
        """Readings without lone jumps away from what was expected, branch P and Q improved by the currents."""
        grid = state.sensitivities.grid.grid
        expected = np.concatenate([self.flows.expected(grid, stacked), before.x[2 * self.layout.n_w :]])
        moving = np.abs(view.step) > MOVING_FRAC * self._rated2
        belief, rows = self.belief.confirmed(belief, rows, state.rows_used_at_s, expected, moving, grid)
        per_a = self.flows.per_a(grid, stacked)
        belief, currents = self.belief.with_currents(belief, rows, currents, state.currents_used_at_s, per_a)
        rows = self._with_currents(grid, rows, currents, stacked, self.belief.held_branches(belief))
        return belief, rows, currents

    def _apparent(self, before: Apparent, rows: Reading, currents: Reading, va_per_a: Array, now_s: float) -> Apparent:
        """Whether branch meters agree with themselves, by what they said before anybody judged them."""
        nb = self.layout.n_branch
        both = currents.fresh & rows.fresh[:nb]
        apart_s = np.full(nb, np.inf)
        apart_s[both] = currents.used_at_s[both] - rows.used_at_s[:nb][both]
        return self.apparent.update(before, rows.value[: 2 * nb], currents.value, apart_s, va_per_a, now_s)

    def _without_lies(self, state: EstimatorState, belief: BeliefState) -> EstimatorState:
        """The memory without what meters that were found out in this cycle have taught it."""
        if not belief.found.any():
            return state
        least_var = np.concatenate([self._load_jump_var, (UNIT_JUMP_FRAC * self._rated2) ** 2])
        wide = widened(state.filter, self.layout.partition, least_var)
        return replace(state, offset_flow=np.zeros_like(state.offset_flow), filter=wide)

    def _unit_rows(self, values: Array) -> tuple[Array, Array]:
        """The units' P and Q among the measured rows."""
        start, n = self._n_flow, self.layout.n_unit
        return values[start : start + n], values[start + n : start + 2 * n]

    def _of_units(self, values: Array) -> Array:
        """Per state from the units' (P, then Q); NaN for demand, which nobody reads directly."""
        return np.concatenate([np.full(2 * self.layout.n_w, np.nan), values])

    def _view(
        self,
        state: EstimatorState,
        rows: Reading,
        available: Array,
        history: CommandHistory,
        held: BoolArray,
        now_s: float,
    ) -> UnitView:
        lay, units = self.layout, state.dynamics.of(self.units)
        newest = float(rows.used_at_s[rows.fresh].max()) if rows.fresh.any() else now_s
        sample_s = max(newest, state.actuator.t_s)
        output_w = state.filter.x[2 * lay.n_w : 2 * lay.n_w + lay.n_unit]
        actuator = advance(state.actuator, sample_s, history, units, output_w)
        model_p = modelled_output_w(actuator, units)
        measured_p, measured_q = self._unit_rows(rows.value)
        slowest = state.dynamics.slowest(self.units)
        on_the_way_s = LAG_ALLOWANCE * slowest.latency_s + WRITE_CYCLES * lay.site.cycle.cycle_s
        low, high = history.span(sample_s - on_the_way_s, now_s)
        look = Look(measured_p, low, high, available, sample_s - state.actuator.t_s, now_s)
        response = observe(state.response, look, slowest)
        does_w = np.where(np.isfinite(measured_p), measured_p, output_w)
        told_q = owed(*history.span_q(sample_s - on_the_way_s, now_s), does_w, units)
        reactive = observe_reactive(state.reactive, measured_q, *told_q, look.dt_s, slowest)
        target_p, target_q = history.in_force(sample_s - units.latency_s)
        settled_p = held & settled(target_p, model_p, measured_p, units.p_rated_w, units.p_rated_w)
        settled_q = settled(target_q, actuator.q_var, measured_q, self._q_scale, self._q_match)
        seen_s = np.where(np.isfinite(measured_p), now_s, state.unit_seen_at_s)
        heard = now_s - seen_s <= STALE_CYCLES * lay.site.cycle.cycle_s
        able = heard & ~response.deaf & (response.limited(now_s) == 0.0)
        both_able = np.concatenate([able, able & ~reactive.deaf])
        at_rest = np.concatenate([settled_p, settled_q]) & both_able
        before_p = modelled_output_w(state.actuator, units)
        follows = held & (np.abs(output_w - before_p) < MATCH_FRAC * units.p_rated_w)
        step = np.concatenate([np.where(follows, model_p - before_p, 0.0), actuator.q_var - state.actuator.q_var])
        dynamics = self.dynamics.update(
            state.dynamics, sample_s, history, measured_p, np.where(response.behind, np.nan, available), able
        )
        return UnitView(actuator, dynamics, model_p, response, reactive, at_rest, np.where(both_able, step, 0.0))

    def _with_currents(
        self, grid: LinearGrid, rows: Reading, currents: Reading, stacked: Array, waiting: BoolArray
    ) -> Reading:
        nb = self.layout.n_branch
        current_a = np.where(waiting, np.nan, currents.value)
        pq = self.flows.with_current(grid, stacked, rows.value[: 2 * nb], current_a)
        made = np.isfinite(pq) & ~rows.fresh[: 2 * nb]
        used_at_s = rows.used_at_s.copy()
        used_at_s[: 2 * nb] = np.where(made, np.tile(currents.used_at_s, 2), used_at_s[: 2 * nb])
        return Reading(np.concatenate([pq, rows.value[2 * nb :]]), used_at_s)

    def _motion(self, view: UnitView) -> Motion:
        """How the states wander: demand as usual, units by whether they are settled, under way or free."""
        moving = np.abs(view.step) > MOVING_FRAC * self._rated2
        units = np.where(moving, self._moving_rate, np.where(view.settled, self._held_rate, self._unit_rate))
        demand = self._calm.variance_rate[: 2 * self.layout.n_w]
        return Motion(np.concatenate([demand, units]), self._calm.return_rate, self._calm.mean)

    def _filter(
        self, state: EstimatorState, before: FilterState, stacked: Array, rows: Reading, view: UnitView
    ) -> tuple[FilterState, bool]:
        grid, n_flow = state.sensitivities.grid, self._n_flow
        units = before.x[2 * self.layout.n_w :]
        flows = rows.value[:n_flow] - self.flows.expected(grid.grid, stacked)
        modelled = np.concatenate([view.model_p_w, view.actuator.q_var])
        unit_jump = np.where(view.settled, HELD_JUMP_FRAC, UNIT_JUMP_FRAC) * self._rated2
        after, jumped = correct(
            before,
            self.layout.partition,
            grid.flows,
            rows=Evidence(flows, self._flow_var),
            meters=Evidence(self._of_units(rows.value[n_flow:] - units), self._meter_var),
            models=Evidence(self._of_units(np.where(view.settled, modelled - units, np.nan)), self._model_var),
            jump_var=np.concatenate([self._load_jump_var, unit_jump**2]),
        )
        return self._credible(after), jumped

    def _credible(self, state: FilterState) -> FilterState:
        """The state with every demand inside what its load can be; what is left over goes to the branch offsets."""
        low, high = self.layout.load_box
        demand = np.minimum(np.maximum(state.x[: len(low)], low), high)
        return replace(state, x=np.concatenate([demand, state.x[len(low) :]]))

    def _available(self, taken: Sample, frozen: BoolArray) -> Array:
        """What units say they could give (magnitude, W); NaN where they do not say it."""
        said = self.points.available.take(taken, frozen, self.points.available.never()).value
        return np.where(self.units.is_battery, np.nan, said * self.units.sign)

    def _estimate(
        self, state: EstimatorState, stacked: Array, currents: Reading, view: UnitView, jumped: bool
    ) -> Estimate:
        lay, n, nb = self.layout, self.layout.n_unit, self.layout.n_branch
        grid = state.sensitivities.grid.grid
        magnitude, sigma, interface_sigma_w = self.flows.sigma(state.sensitivities.grid, state.filter, stacked)
        rows_age, bus_age = state.now_s - state.rows_used_at_s, state.now_s - state.voltages_used_at_s
        interface = stacked[grid.rows_interface()]
        doubt_w = self.belief.witness.doubt_w(state.belief.consistency, state.now_s)
        doubt_a = doubt_w / self.flows.per_a(grid, stacked)
        return Estimate(
            sample_s=view.actuator.t_s,
            unit_p_w=state.filter.x[2 * lay.n_w : 2 * lay.n_w + n],
            unit_q_var=state.filter.x[2 * lay.n_w + n :],
            unit_sigma_w=np.sqrt(variance(state.filter, lay.partition)[2 * lay.n_w : 2 * lay.n_w + n]),
            unit_age_s=state.now_s - state.unit_seen_at_s,
            deaf=view.response.deaf,
            deaf_q=view.reactive.deaf,
            behind=view.response.behind,
            limited_sign=view.response.limited(state.now_s),
            avail_w=state.avail_w,
            soc_frac=state.soc_frac,
            modelled_p_w=view.model_p_w,
            latency_s=self.units.latency_s * state.dynamics.latency_frac,
            tau_s=self.units.tau_p_s * state.dynamics.tau_frac,
            slower=state.dynamics.slower,
            branch_ip_a=stacked[grid.rows_branch("i_p_a")],
            branch_iq_a=stacked[grid.rows_branch("i_q_a")],
            branch_sigma_a=sigma,
            branch_excess_a=self.flows.excess_a(magnitude, sigma, currents.value) + doubt_a,
            branch_age_s=np.minimum(state.now_s - state.currents_used_at_s, rows_age[:nb]),
            bus_u_v=stacked[grid.rows_u()],
            bus_sigma_v=self.voltages.sigma_v(bus_age, stacked[grid.rows_u()], sigma) + self.gains.sigma_v(state.gain),
            bus_age_s=bus_age,
            interface_p_w=float(interface[0]),
            interface_q_var=float(interface[1]),
            interface_sigma_w=interface_sigma_w,
            interface_age_s=float(rows_age[2 * nb : 2 * nb + 2].max()),
            grid=self.gains.applied(state.gain, grid),
            grid_solved=state.sensitivities.solved,
            jumped=jumped,
            meters=self._meters(state),
        )

    def _meters(self, state: EstimatorState) -> dict[tuple[str, str], str]:
        """What is wrong with meters: event and subject, and what to say about it."""
        frozen = np.flatnonzero(state.watch.frozen).tolist()
        told = self.belief.flags(state.belief, state.now_s) | self.apparent.flags(state.apparent, state.now_s)
        return told | {("meter.frozen", self.points.elements[k]): "" for k in frozen}


def _moved_by_command(state: FilterState, step: Array) -> FilterState:
    """The prediction with the units' commanded moves (P, then Q) added."""
    x = state.x.copy()
    x[len(x) - len(step) :] += step
    return replace(state, x=x)
