"""The estimate of one cycle: unit outputs, branch currents, bus voltages, each with its standard deviation.

Flows come from the state filter; voltages from the network model plus one slowly learned offset per bus, which takes
up the upstream voltage, tap positions and errors of the impedances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.measurement import Measurement
from controller.domain.snapshot import Snapshot
from controller.estimation.actuator import (
    ActuatorState,
    CommandHistory,
    UnitArrays,
    advance,
    modelled_output_w,
)
from controller.estimation.layout import LOAD_RATE_FRAC, Layout
from controller.estimation.plausibility import FreezeWatch, initial_watch, watch
from controller.estimation.response import Response, initial_response, observe
from controller.estimation.state_filter import FilterState, initial_filter, predict_and_correct, row_sigma
from controller.grid.model import LinearGrid, PowerFlowError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

UNIT_RATE_FRAC = 0.006  # of rated power per sqrt(s): how a free unit wanders
HELD_RATE_FRAC = 0.0005  # the same for a unit that sits on its set point
HELD_SIGMA_FRAC = 0.002  # how exactly a settled unit obeys
SETTLED_FRAC = 0.005  # model this close to its target counts as settled
MATCH_FRAC = 0.025  # measurement this close to the model confirms it
RELINEARISE_FRAC = 0.04  # of the power base: move of any injection that asks for new sensitivities
RELINEARISE_S = 60.0
VOLTAGE_TAU_S = 4.0
VOLTAGE_JUMP_SIGMA = 5.0
CURRENT_ROW_FRAC = 0.15  # below this share of the rating a magnitude says nothing about the phasor
UNMEASURED_U_SIGMA_PU = 0.004
RAMP_FRAC_PER_S = 0.0005  # of the rating: how fast an unseen quantity is assumed to move toward danger
UNSEEN_MAX_FRAC = 0.25


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
    row_used_at_s: Array
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
        self.groups = self._groups()
        self.r_var = np.concatenate([layout.row_sigma, np.zeros(2 * layout.n_unit)]) ** 2
        self.u_gain = 1.0 - math.exp(-site.cycle.cycle_s / VOLTAGE_TAU_S)
        self.u_noise_left = math.sqrt(self.u_gain / (2.0 - self.u_gain))
        self.i_max_a = np.array([b.i_max_a for b in site.topology.branches])
        self.q_load = np.tile((LOAD_RATE_FRAC * layout.load_scale_w) ** 2, 2)
        self.jump_load = np.tile((0.3 * layout.load_scale_w) ** 2, 2)

    def _groups(self) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name, element in zip(self.row_points + self.bus_points, self.row_element + self.bus_element, strict=True):
            groups.setdefault(element, []).append(name)
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
            row_used_at_s=np.full(len(self.row_points), -np.inf),
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
        fresh = np.isfinite(values) & (at_s > state.row_used_at_s)
        used_at = np.where(fresh, at_s, state.row_used_at_s)
        sample_s = max(float(at_s[fresh].max()) if fresh.any() else snapshot.now_s, state.actuator.t_s)
        n = lay.n_unit
        k_unit = 3 * lay.n_branch + 2
        x_unit = state.filter.x[2 * lay.n_w : 2 * lay.n_w + n]
        actuator = advance(state.actuator, sample_s, history, units, x_unit)
        model_p = modelled_output_w(actuator, units)
        measured_p = np.where(fresh[k_unit : k_unit + n], values[k_unit : k_unit + n], np.nan)
        target_p, target_q = history.in_force(sample_s - units.latency_s)
        cycle_s = lay.site.cycle.cycle_s
        response = observe(state.response, measured_p, target_p, snapshot.now_s, lay.site.chain.latency_s + 2.0 * cycle_s, units)
        seen = np.where(fresh[k_unit : k_unit + n], snapshot.now_s, state.unit_seen_at_s)

        settled_p = held & ~response.deaf & (np.abs(target_p - model_p) < SETTLED_FRAC * units.p_rated_w)
        settled_p &= ~(np.abs(measured_p - model_p) > MATCH_FRAC * units.p_rated_w)
        measured_q = np.where(fresh[k_unit + n : k_unit + 2 * n], values[k_unit + n : k_unit + 2 * n], np.nan)
        q_scale = np.maximum(units.q_max_var, 0.01 * units.p_rated_w)
        settled_q = ~response.deaf & (np.abs(target_q - actuator.q_var) < SETTLED_FRAC * q_scale)
        settled_q &= ~(np.abs(measured_q - actuator.q_var) > MATCH_FRAC * np.maximum(q_scale, 0.2 * units.p_rated_w))

        filtered, jumped = self._filter(
            state, values, fresh, settled_p, settled_q, model_p, actuator.q_var, max(snapshot.now_s - state.now_s, 0.0)
        )
        injection = lay.expand @ filtered.x
        grid, linearised_at, solved = self._grid(state, injection, snapshot.now_s)
        stacked = grid.predict(injection)
        offset, bus_used = self._voltage(state, snapshot, watched, stacked[grid.rows_u()])
        avail = self._avail(state, snapshot, watched)
        soc, _ = self._read(snapshot, self.soc_points, None, watched)
        soc = np.where(np.isfinite(soc), soc, state.soc_frac)
        new = EstimatorState(
            filtered, watched, actuator, response, grid, linearised_at, offset, used_at, bus_used, avail, soc, seen,
            snapshot.now_s, state.started_at_s, solved,
        )  # fmt: skip
        return new, self._estimate(new, stacked, sample_s, model_p, jumped)

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
    ) -> tuple[FilterState, bool]:
        lay, n = self.layout, self.layout.n_unit
        x = state.filter.x
        h, expected, informative = self._rows(state.grid, x)
        y = np.concatenate([values, model_p, model_q])
        settled = np.concatenate([settled_p, settled_q])
        mask = np.concatenate([fresh, settled]) & informative & np.isfinite(y)
        r_var = self.r_var.copy()
        r_var[-2 * n :] = np.tile((HELD_SIGMA_FRAC * lay.p_rated_w) ** 2, 2)
        rate = np.where(settled, HELD_RATE_FRAC, UNIT_RATE_FRAC) * np.tile(lay.p_rated_w, 2)
        q_var = np.concatenate([self.q_load, rate**2]) * max(dt_s, 1e-3)
        jump = np.concatenate([self.jump_load, np.where(settled, 0.05, 0.5) ** 2 * np.tile(lay.p_rated_w, 2) ** 2])
        key = np.packbits(np.concatenate([mask, settled])).tobytes() + np.float64(state.linearised_at_s).tobytes()
        judged = np.arange(len(y))[mask] < len(self.row_points)
        return predict_and_correct(state.filter, h[mask], (y - expected)[mask], r_var[mask], q_var, jump, judged, key)

    def _rows(self, grid: LinearGrid, x: Array) -> tuple[Array, Array, BoolArray]:
        """Measurement matrix, expected values and which rows say something, at state ``x``."""
        lay, nb, n = self.layout, self.layout.n_branch, self.layout.n_unit
        stacked = grid.predict(lay.expand @ x)
        je = grid.jacobian @ lay.expand
        p, q, ip, iq = (grid.rows_branch(k) for k in ("p_w", "q_var", "i_p_a", "i_q_a"))
        magnitude = np.hypot(stacked[ip], stacked[iq])
        cos, sin = (stacked[k] / np.maximum(magnitude, 1e-9) for k in (ip, iq))
        unit_rows = np.hstack([np.zeros((2 * n, 2 * lay.n_w)), np.eye(2 * n)])
        h = np.vstack([je[p], je[q], cos[:, None] * je[ip] + sin[:, None] * je[iq], je[grid.rows_interface()], unit_rows, unit_rows])
        units_x = x[2 * lay.n_w :]
        expected = np.concatenate([stacked[p], stacked[q], magnitude, stacked[grid.rows_interface()], units_x, units_x])
        informative = np.ones(len(expected), dtype=bool)
        informative[2 * nb : 3 * nb] = magnitude > CURRENT_ROW_FRAC * self.i_max_a
        return h, expected, informative

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

    def _estimate(self, state: EstimatorState, stacked: Array, sample_s: float, model_p: Array, jumped: bool) -> Estimate:
        lay, grid, n = self.layout, state.grid, self.layout.n_unit
        ip, iq = stacked[grid.rows_branch("i_p_a")], stacked[grid.rows_branch("i_q_a")]
        je = grid.jacobian @ lay.expand
        row_age = np.where(np.isfinite(state.row_used_at_s), state.now_s - state.row_used_at_s, state.now_s - state.started_at_s)
        nb = lay.n_branch
        branch_age = np.minimum(row_age[2 * nb : 3 * nb], np.maximum(row_age[:nb], row_age[nb : 2 * nb]))
        magnitude = np.maximum(np.hypot(ip, iq), 1e-9)
        along = (ip / magnitude)[:, None] * je[grid.rows_branch("i_p_a")] + (iq / magnitude)[:, None] * je[grid.rows_branch("i_q_a")]
        sigma = row_sigma(state.filter.cov, along)
        interface = row_sigma(state.filter.cov, je[grid.rows_interface()])
        bus_age = np.where(np.isfinite(state.bus_used_at_s), state.now_s - state.bus_used_at_s, np.inf)
        unit_age = np.where(np.isfinite(state.unit_seen_at_s), state.now_s - state.unit_seen_at_s, state.now_s - state.started_at_s)
        u_sigma = np.where(bus_age < 30.0, self.u_noise_left * lay.site.chain.sigma_u_rel, UNMEASURED_U_SIGMA_PU)
        offset_k = 3 * nb
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
