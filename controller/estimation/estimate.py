"""The estimate of one cycle: unit outputs, branch currents, bus voltages, each with its standard deviation.

Flows come from the state filter plus one slowly learned offset per branch, which takes up what the network data get
wrong (how two parallel transformers share, losses); voltages from the network model plus one offset per bus, which
takes up the upstream voltage, tap positions and errors of the impedances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.measurement import Measurement
from controller.domain.snapshot import Snapshot
from controller.domain.topology import SQRT3
from controller.estimation.actuator import (
    ActuatorState,
    CommandHistory,
    UnitArrays,
    advance,
    modelled_output_w,
)
from controller.estimation.layout import LOAD_RATE_FRAC, Layout
from controller.estimation.plausibility import FreezeWatch, initial_watch, watch
from controller.estimation.response import LAG_ALLOWANCE, Response, initial_response, observe
from controller.estimation.state_filter import FilterState, Motion, correct, initial_filter, predict, row_sigma
from controller.grid.model import LinearGrid, PowerFlowError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

UNIT_RATE_FRAC = 0.004  # of rated power per sqrt(s): how a free unit wanders
HELD_RATE_FRAC = 0.0005  # the same for a unit that sits on its set point
HELD_SIGMA_FRAC = 0.002  # how exactly a settled unit obeys
LOAD_SPREAD_P_FRAC, LOAD_SPREAD_Q_FRAC = 0.3, 0.1  # how far unseen demand strays from what is expected, one sigma
SETTLED_FRAC = 0.005  # model this close to its target counts as settled
MATCH_FRAC = 0.025  # measurement this close to the model confirms it
RELINEARISE_FRAC = 0.04  # of the power base: move of any injection that asks for new sensitivities
RELINEARISE_S = 60.0
SOC_EDGE_FRAC = 0.02
VOLTAGE_TAU_S = 4.0
VOLTAGE_JUMP_SIGMA = 5.0
FLOW_OFFSET_TAU_S = 20.0
EXCESS_SIGMAS = 4.0  # a current read this far above its estimate is believed at once
CURRENT_MIN_FRAC = 0.15  # below this share of the rating a current reading adds nothing
AGREE_FRAC = 0.04  # current and P, Q this close describe the same flow
UNMEASURED_U_SIGMA_PU = 0.004


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """Memory of the estimator between two cycles."""

    filter: FilterState
    watch: FreezeWatch
    actuator: ActuatorState
    response: Response
    grid: LinearGrid
    linearised_at_s: float
    offset_v: Array
    offset_flow: Array
    row_used_at_s: Array
    current_used_at_s: Array
    bus_used_at_s: Array
    avail_w: Array
    soc_frac: Array
    unit_seen_at_s: Array
    now_s: float
    started_at_s: float
    solved: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known at ``sample_s``; arrays in the site's order, load convention.

    ``avail_w`` is the power that a unit could have without its cap (magnitude, NaN when unknown); sigmas are one
    standard deviation plus what unseen time adds; ``*_age_s`` is the time since a direct measurement was used.
    """

    sample_s: float
    unit_p_w: Array
    unit_q_var: Array
    unit_age_s: Array
    deaf: BoolArray
    avail_w: Array
    soc_frac: Array
    modelled_p_w: Array
    branch_ip_a: Array
    branch_iq_a: Array
    branch_sigma_a: Array
    branch_excess_a: Array
    branch_age_s: Array
    bus_u_v: Array
    bus_sigma_v: Array
    bus_age_s: Array
    interface_p_w: float
    interface_q_var: float
    interface_sigma_w: float
    interface_age_s: float
    load_w: Array
    grid: LinearGrid
    jumped: bool


class Estimator:
    """Pure functions of one site; holds only constants derived from it."""

    def __init__(self, layout: Layout, units: UnitArrays) -> None:
        self.layout = layout
        self.units = units
        site = layout.site
        self.row_points = layout.row_points
        self.row_element = [p.rsplit(".", 1)[0] for p in self.row_points]
        self.bus_points = [points.bus(b.id) for b in site.topology.buses]
        self.bus_element = [p.rsplit(".", 1)[0] for p in self.bus_points]
        self.avail_points = [points.unit(u.id, "p_avail_w") for u in site.units]
        self.soc_points = [points.unit(u.id, "soc_frac") for u in site.units]
        self.current_points = [points.branch(b.id, "i_a") for b in site.topology.branches]
        self.current_element = [p.rsplit(".", 1)[0] for p in self.current_points]
        self.groups = self._groups()
        self.r_var = np.concatenate([layout.row_sigma, np.zeros(2 * layout.n_unit)]) ** 2
        self.u_gain = 1.0 - math.exp(-site.cycle.cycle_s / VOLTAGE_TAU_S)
        self.u_noise_left = math.sqrt(self.u_gain / (2.0 - self.u_gain))
        ends = [getattr(b, "from_bus", None) or getattr(b, "lv_bus") for b in site.topology.branches]
        self.end_bus = np.array([layout.grid.buses.index(bus) for bus in ends], dtype=np.intp)
        self.i_max_a = np.array([b.i_max_a for b in site.topology.branches])
        self.q_load = np.tile((LOAD_RATE_FRAC * layout.load_scale_w) ** 2, 2)
        spread = np.repeat([LOAD_SPREAD_P_FRAC, LOAD_SPREAD_Q_FRAC], layout.n_w) * np.tile(layout.load_scale_w, 2)
        calm = np.zeros(2 * layout.n_unit)
        self.calm = Motion(
            np.concatenate([self.q_load, calm]),
            np.concatenate([self.q_load / (2.0 * spread**2), calm]),
            np.concatenate([layout.expected_w, calm]),
        )
        self.jump_load = spread**2

    def _groups(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name in self.row_points + self.current_points + self.bus_points:
            groups.setdefault(name.rsplit(".", 1)[0], []).append(name)
        return groups

    def initial(self, now_s: float) -> EstimatorState:
        """Before any measurement: expected loads, units at zero, everything uncertain. Raises PowerFlowError."""
        lay, n = self.layout, self.layout.n_unit
        x0 = np.concatenate([lay.expected_w, np.zeros(2 * n)])
        sigma0 = np.concatenate([np.tile(lay.load_scale_w, 2), np.tile(lay.p_rated_w, 2)])
        grid = lay.grid.linearise(lay.expand @ x0)
        return EstimatorState(
            filter=initial_filter(x0, sigma0),
            watch=initial_watch(),
            actuator=ActuatorState(now_s, np.where(self.units.is_battery, 0.0, self.units.p_rated_w), np.zeros(n)),
            response=initial_response(n),
            grid=grid,
            linearised_at_s=now_s,
            offset_v=np.zeros(lay.grid.n_bus),
            offset_flow=np.zeros(2 * lay.n_branch + 2),
            row_used_at_s=np.full(len(self.row_points), -np.inf),
            current_used_at_s=np.full(lay.n_branch, -np.inf),
            bus_used_at_s=np.full(lay.grid.n_bus, -np.inf),
            avail_w=np.full(n, np.nan),
            soc_frac=np.full(n, np.nan),
            unit_seen_at_s=np.full(n, -np.inf),
            now_s=now_s,
            started_at_s=now_s,
            solved=True,
        )

    def update(
        self, state: EstimatorState, snapshot: Snapshot, history: CommandHistory, held: BoolArray
    ) -> tuple[EstimatorState, Estimate]:
        """One cycle. ``held`` marks units whose set point (not their nature) decided their output last cycle."""
        lay, units = self.layout, self.units
        watched = watch(state.watch, self.groups, snapshot)
        values, at_s = self._read(snapshot, self.row_points, self.row_element, watched)
        current, current_at_s = self._read(snapshot, self.current_points, self.current_element, watched)
        current_fresh = np.isfinite(current) & (current_at_s > state.current_used_at_s)
        values, at_s = self._with_current(state, values, at_s, np.where(current_fresh, current, np.nan), current_at_s)
        fresh = np.isfinite(values) & (at_s > state.row_used_at_s)
        used_at = np.where(fresh, at_s, state.row_used_at_s)
        sample_s = max(float(at_s[fresh].max()) if fresh.any() else snapshot.now_s, state.actuator.t_s)
        n = lay.n_unit
        k_unit = 2 * lay.n_branch + 2
        x_unit = state.filter.x[2 * lay.n_w : 2 * lay.n_w + n]
        actuator = advance(state.actuator, sample_s, history, units, x_unit)
        model_p = modelled_output_w(actuator, units)
        measured_p = np.where(fresh[k_unit : k_unit + n], values[k_unit : k_unit + n], np.nan)
        target_p, target_q = history.in_force(sample_s - units.latency_s)
        cycle_s = lay.site.cycle.cycle_s
        on_the_way_s = LAG_ALLOWANCE * units.latency_s + lay.site.chain.latency_s + 2.0 * cycle_s
        low, high = history.span(snapshot.now_s - on_the_way_s, snapshot.now_s)
        response = observe(state.response, measured_p, low, high, snapshot.now_s, units, self._excused(state))
        seen = np.where(fresh[k_unit : k_unit + n], snapshot.now_s, state.unit_seen_at_s)

        settled_p = held & ~response.deaf & (np.abs(target_p - model_p) < SETTLED_FRAC * units.p_rated_w)
        settled_p &= ~(np.abs(measured_p - model_p) > MATCH_FRAC * units.p_rated_w)
        measured_q = np.where(fresh[k_unit + n : k_unit + 2 * n], values[k_unit + n : k_unit + 2 * n], np.nan)
        q_scale = np.maximum(units.q_max_var, 0.01 * units.p_rated_w)
        settled_q = ~response.deaf & (np.abs(target_q - actuator.q_var) < SETTLED_FRAC * q_scale)
        settled_q &= ~(np.abs(measured_q - actuator.q_var) > MATCH_FRAC * np.maximum(q_scale, 0.2 * units.p_rated_w))

        filtered, jumped, offset_flow = self._filter(
            state, values, fresh, settled_p, settled_q, model_p, actuator.q_var, max(snapshot.now_s - state.now_s, 0.0)
        )
        injection = lay.expand @ filtered.x
        grid, linearised_at, solved = self._grid(state, injection, snapshot.now_s)
        stacked = self._with_offset(grid, grid.predict(injection), offset_flow)
        offset, bus_used = self._voltage(state, snapshot, watched, stacked[grid.rows_u()])
        avail = self._avail(state, snapshot, watched)
        soc, _ = self._read(snapshot, self.soc_points, None, watched)
        soc = np.where(np.isfinite(soc), soc, state.soc_frac)
        new = EstimatorState(
            filtered, watched, actuator, response, grid, linearised_at, offset, offset_flow, used_at,
            np.where(current_fresh, current_at_s, state.current_used_at_s), bus_used, avail, soc, seen,
            snapshot.now_s, state.started_at_s, solved,
        )  # fmt: skip
        return new, self._estimate(new, stacked, sample_s, model_p, jumped, np.where(current_fresh, current, np.nan))

    def _read(
        self, snapshot: Snapshot, names: list[str], elements: list[str] | None, watched: FreezeWatch
    ) -> tuple[Array, Array]:
        values, at_s = np.full(len(names), np.nan), np.full(len(names), -np.inf)
        get = snapshot.points.get
        for k, name in enumerate(names):
            m: Measurement | None = get(name)
            if m is not None and m.usable and not (elements and watched.frozen(elements[k])):
                values[k], at_s[k] = m.value, m.measured_at_s
        return values, at_s

    def _filter(
        self,
        state: EstimatorState,
        values: Array,
        fresh: BoolArray,
        settled_p: BoolArray,
        settled_q: BoolArray,
        model_p: Array,
        model_q: Array,
        dt_s: float,
    ) -> tuple[FilterState, bool, Array]:
        lay, n = self.layout, self.layout.n_unit
        before = predict(state.filter, self.calm, dt_s)
        x = before.x
        h, expected = self._rows(state.grid, x, state.offset_flow)
        y = np.concatenate([values, model_p, model_q])
        settled = np.concatenate([settled_p, settled_q])
        mask = np.concatenate([fresh, settled]) & np.isfinite(y)
        r_var = self.r_var.copy()
        r_var[-2 * n :] = np.tile((HELD_SIGMA_FRAC * lay.p_rated_w) ** 2, 2)
        rate = np.where(settled, HELD_RATE_FRAC, UNIT_RATE_FRAC) * np.tile(lay.p_rated_w, 2)
        motion = replace(self.calm, variance_rate=np.concatenate([self.q_load, rate**2]))
        jump = np.concatenate([self.jump_load, np.where(settled, 0.05, 0.5) ** 2 * np.tile(lay.p_rated_w, 2) ** 2])
        key = np.packbits(np.concatenate([mask, settled])).tobytes() + np.float64(state.linearised_at_s).tobytes()
        judged = np.arange(len(y))[mask] < len(self.row_points)
        innovation = y - expected
        after, jumped = correct(before, motion, h[mask], innovation[mask], r_var[mask], jump, judged, key)
        return after, jumped, self._flow_offset(state, fresh, innovation - h @ (after.x - x), dt_s)

    def _flow_offset(self, state: EstimatorState, fresh: BoolArray, residual: Array, dt_s: float) -> Array:
        """What the filter could not explain, learned slowly per branch and at the interface (P, Q; W, var)."""
        nb = self.layout.n_branch
        rows = slice(0, 2 * nb + 2)
        gain = 1.0 - math.exp(-dt_s / FLOW_OFFSET_TAU_S)
        out: Array = state.offset_flow + np.where(fresh[rows], gain * residual[rows], 0.0)
        return out

    def _with_offset(self, grid: LinearGrid, stacked: Array, offset: Array) -> Array:
        """Predicted quantities with the learned branch offsets added (current components at the measured end)."""
        nb = self.layout.n_branch
        out = stacked.copy()
        p, q, ip, iq = (grid.rows_branch(k) for k in ("p_w", "q_var", "i_p_a", "i_q_a"))
        out[p] += offset[:nb]
        out[q] += offset[nb : 2 * nb]
        per_a = SQRT3 * out[grid.rows_u()][self.end_bus]
        out[ip] = out[p] / per_a
        out[iq] = out[q] / per_a
        out[grid.rows_interface()] += offset[2 * nb :]
        return out

    def _rows(self, grid: LinearGrid, x: Array, offset: Array) -> tuple[Array, Array]:
        """Measurement matrix and expected values at state ``x``."""
        lay, n = self.layout, self.layout.n_unit
        stacked = self._with_offset(grid, grid.predict(lay.expand @ x), offset)
        je = grid.jacobian @ lay.expand
        p, q = grid.rows_branch("p_w"), grid.rows_branch("q_var")
        unit_rows = np.hstack([np.zeros((2 * n, 2 * lay.n_w)), np.eye(2 * n)])
        h = np.vstack([je[p], je[q], je[grid.rows_interface()], unit_rows, unit_rows])
        units_x = x[2 * lay.n_w :]
        return h, np.concatenate([stacked[p], stacked[q], stacked[grid.rows_interface()], units_x, units_x])

    def _with_current(
        self, state: EstimatorState, values: Array, at_s: Array, current: Array, current_at_s: Array
    ) -> tuple[Array, Array]:
        """Readings of P and Q improved by the current's magnitude, or made from it where they are missing.

        Two instruments for one magnitude: where both agree, P and Q are scaled to their mean. A meter that gives only
        a current gets its direction from the prediction.
        """
        nb, grid = self.layout.n_branch, state.grid
        stacked = self._with_offset(grid, grid.predict(self.layout.expand @ state.filter.x), state.offset_flow)
        u_v = (stacked[grid.rows_u()] + state.offset_v)[self.end_bus]
        apparent = SQRT3 * u_v * current
        p, q = values[:nb], values[nb : 2 * nb]
        s = np.hypot(p, q)
        large = current > CURRENT_MIN_FRAC * self.i_max_a
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = apparent / s
        agree = large & (np.abs(ratio - 1.0) < AGREE_FRAC)
        scale = np.where(agree, 0.5 + 0.5 * ratio, 1.0)
        predicted = stacked[grid.rows_branch("p_w")] + 1j * stacked[grid.rows_branch("q_var")]
        alone = large & ~np.isfinite(p) & ~np.isfinite(q) & (np.abs(predicted) > 0.0)
        direction = predicted / np.maximum(np.abs(predicted), 1.0)
        new, at = values.copy(), at_s.copy()
        new[:nb] = np.where(alone, apparent * direction.real, p * scale)
        new[nb : 2 * nb] = np.where(alone, apparent * direction.imag, q * scale)
        at[: 2 * nb] = np.where(np.tile(alone, 2), np.tile(current_at_s, 2), at_s[: 2 * nb])
        return new, at

    def _grid(self, state: EstimatorState, injection: Array, now_s: float) -> tuple[LinearGrid, float, bool]:
        moved = np.abs(injection - state.grid.injection0).max(initial=0.0)
        due = now_s - state.linearised_at_s >= RELINEARISE_S
        if not due and moved < RELINEARISE_FRAC * self.layout.grid.power_base_w:
            return state.grid, state.linearised_at_s, state.solved
        try:
            return self.layout.grid.linearise(injection), now_s, True
        except PowerFlowError:
            return state.grid, now_s, False

    def _voltage(
        self, state: EstimatorState, snapshot: Snapshot, watched: FreezeWatch, modelled_v: Array
    ) -> tuple[Array, Array]:
        values, at_s = self._read(snapshot, self.bus_points, self.bus_element, watched)
        fresh = np.isfinite(values) & (at_s > state.bus_used_at_s)
        error = np.where(fresh, values - modelled_v - state.offset_v, 0.0)
        sigma = self.layout.site.chain.sigma_u_rel * self.layout.grid.u_rated_v
        first = ~np.isfinite(state.bus_used_at_s)
        gain = np.where(first | (np.abs(error) > VOLTAGE_JUMP_SIGMA * sigma), 1.0, self.u_gain)
        offset = state.offset_v + gain * error
        used_at = np.where(fresh, at_s, state.bus_used_at_s)
        never = ~np.isfinite(used_at)
        if never.any() and not never.all():
            pu = (offset / self.layout.grid.u_rated_v)[~never]
            offset = np.where(never, pu.mean() * self.layout.grid.u_rated_v, offset)
        return offset, used_at

    def _avail(self, state: EstimatorState, snapshot: Snapshot, watched: FreezeWatch) -> Array:
        values, _ = self._read(snapshot, self.avail_points, None, watched)
        out: Array = np.where(self.units.is_battery, np.nan, values * self.units.sign)
        return out

    def _excused(self, state: EstimatorState) -> BoolArray:
        """Batteries that cannot follow because they are full or empty."""
        out = np.zeros(self.layout.n_unit, dtype=bool)
        for k, unit in enumerate(self.layout.site.units):
            if unit.storage is not None:
                low, high = unit.storage.soc_min_frac + SOC_EDGE_FRAC, unit.storage.soc_max_frac - SOC_EDGE_FRAC
                out[k] = not low <= state.soc_frac[k] <= high
        return out

    @staticmethod
    def _age(state: EstimatorState, used_at_s: Array) -> Array:
        """Seconds since a direct reading; infinite when there never was one."""
        return np.where(np.isfinite(used_at_s), state.now_s - used_at_s, np.inf)

    def _excess_a(self, magnitude: Array, sigma: Array, current: Array) -> Array:
        """How far a fresh current reading lies above what the estimate can explain, A."""
        excess = current - magnitude - EXCESS_SIGMAS * np.hypot(sigma, self.layout.current_sigma_a)
        return np.where(np.isfinite(excess), np.maximum(excess, 0.0), 0.0)

    def _estimate(
        self, state: EstimatorState, stacked: Array, sample_s: float, model_p: Array, jumped: bool, current: Array
    ) -> Estimate:
        lay, grid, n = self.layout, state.grid, self.layout.n_unit
        ip, iq = stacked[grid.rows_branch("i_p_a")], stacked[grid.rows_branch("i_q_a")]
        je = grid.jacobian @ lay.expand
        row_age = self._age(state, state.row_used_at_s)
        nb = lay.n_branch
        branch_age = np.minimum(self._age(state, state.current_used_at_s), row_age[:nb])
        magnitude = np.maximum(np.hypot(ip, iq), 1e-9)
        along = (ip / magnitude)[:, None] * je[grid.rows_branch("i_p_a")] + (iq / magnitude)[:, None] * je[grid.rows_branch("i_q_a")]
        sigma = row_sigma(state.filter.cov, along)
        interface = row_sigma(state.filter.cov, je[grid.rows_interface()])
        bus_age = np.where(np.isfinite(state.bus_used_at_s), state.now_s - state.bus_used_at_s, np.inf)
        unit_age = self._age(state, state.unit_seen_at_s)
        u_sigma = np.where(bus_age < 30.0, self.u_noise_left * lay.site.chain.sigma_u_rel, UNMEASURED_U_SIGMA_PU)
        offset_k = 2 * nb
        return Estimate(
            sample_s=sample_s,
            unit_p_w=state.filter.x[2 * lay.n_w : 2 * lay.n_w + n],
            unit_q_var=state.filter.x[2 * lay.n_w + n :],
            unit_age_s=unit_age,
            deaf=state.response.deaf,
            avail_w=state.avail_w,
            soc_frac=state.soc_frac,
            modelled_p_w=model_p,
            branch_ip_a=ip,
            branch_iq_a=iq,
            branch_sigma_a=sigma,
            branch_excess_a=self._excess_a(magnitude, sigma, current),
            branch_age_s=branch_age,
            bus_u_v=stacked[grid.rows_u()] + state.offset_v,
            bus_sigma_v=u_sigma * lay.grid.u_rated_v,
            bus_age_s=bus_age,
            interface_p_w=float(stacked[grid.rows_interface()][0]),
            interface_q_var=float(stacked[grid.rows_interface()][1]),
            interface_sigma_w=float(interface[0]),
            interface_age_s=float(row_age[offset_k : offset_k + 2].max()),
            load_w=state.filter.x[: lay.n_w],
            grid=grid,
            jumped=jumped,
        )
