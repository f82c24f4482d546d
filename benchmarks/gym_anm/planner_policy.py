"""Our planner and our dispatch as a policy for a gym-anm task.

Ours: the forecast (``controller.planning.forecast``, from what this policy has seen so far and nothing else), the
look-ahead (``schedule_storage``: storage over the next day), the network model, and the quadratic programme of the fast
loop (``controller.control.dispatch``), which corrects the plan's linear view until the limits hold in the AC power
flow. Not used, because the task has no use for them: estimation (the state is told), lags and caps (a step is 15
minutes), the guard and leases.

An action decided now meets the loads of the *next* step, which nobody knows: they are forecast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anm6_site import PRICE_EUR_PER_MWH, W_PER_MW, kind_of, site_of
from numpy.typing import NDArray

from controller.control.dispatch import Bounds, Effects, Problem, dispatch
from controller.control.resources import Resources
from controller.control.tuning import Tuning
from controller.estimation.actuator import UnitArrays
from controller.estimation.layout import Layout
from controller.grid.model import FlowState, GridModel
from controller.limits.base import Rows
from controller.planning.calendar import SLOTS, Calendar
from controller.planning.dispatch_programme import Costs
from controller.planning.forecast import forecast
from controller.planning.history import History, Prior, learn_quarter, new_history
from controller.planning.lookahead import schedule_storage
from controller.planning.outlook import Offsets, Room, Scenario, averaged, periods, room, tight

Array = NDArray[np.float64]

HORIZON_QUARTERS = 96
ROUNDS = 4  # dispatch and AC power flow in turn
STEP_H = 0.25
MARGIN_FRAC = 0.004  # between currents at rated voltage and apparent powers at either end
PLAN_MARGIN_FRAC = 0.03  # what the linear look-ahead may be wrong by
CAP_TOLERANCE_W = 1e4
TUNING = Tuning(pool_frac=0.0, pool_per_s=0.0, move_cost=0.02, q_cost=0.01, q_move_cost=0.01)
STORAGE_CURVATURE = 20.0  # leaving the plan's storage power by a tenth of the rating costs as much as curtailing that


@dataclass(frozen=True, slots=True)
class Seen:
    """What an observation says (load convention): the planner's series, contents of the units, slot of the day."""

    series: Array
    soc_frac: Array
    slot: int


@dataclass(frozen=True, slots=True)
class Point:
    """Operating point of one step: units' active and reactive power, W and var, load convention."""

    p_w: Array
    q_var: Array


class PlannerPolicy:
    """A policy with ``act(env)``, as the task's own policies have. It learns from every step it sees."""

    def __init__(self, env: Any) -> None:
        self.simulator = env.simulator
        self.site = site_of(env.simulator)
        self.layout = Layout(self.site, GridModel(self.site.topology))
        self.units = UnitArrays.of(self.site)
        self.resources = Resources.of(self.site, self.units)
        self.costs = Costs(energy_eur_per_mwh=PRICE_EUR_PER_MWH)
        self.no_offsets = Offsets(np.zeros(self.layout.grid.n_bus), np.zeros(2 * self.layout.n_branch + 2))
        self.days: list[Array] = []
        self.history: History | None = None
        self.quarter = 0

    def watch(self, env: Any) -> Seen:
        """Learn from the present state. The first day seen becomes what is expected; later ones refine it."""
        seen = self._seen(env)
        self.quarter = self._quarter_of(seen.slot)
        if self.history is None:
            self.history = new_history(Calendar(), self._first_guess(seen.series))
        self.history = replace(learn_quarter(self.history, self.quarter, seen.series), next_quarter=self.quarter)
        return seen

    def act(self, env: Any) -> Array:
        """The action for the next step."""
        seen = self.watch(env)
        ahead = self._ahead()
        injection, available = ahead[0, : 2 * self.layout.n_w], ahead[0, 2 * self.layout.n_w :]
        when = periods(HORIZON_QUARTERS)
        scenario = averaged(ahead, when, 2 * self.layout.n_w)
        grid = self.layout.grid.linearise(injection)
        limits = tight(self.site, room(self.layout, grid, scenario, self.no_offsets, PLAN_MARGIN_FRAC))
        planned = schedule_storage(self.site.units, scenario, limits, when, seen.soc_frac, self.costs)
        storage_w = planned[0] if planned is not None else np.zeros(self.layout.n_unit)
        return self._action(self._corrected(injection, available, storage_w, seen.soc_frac), available)

    def _quarter_of(self, slot: int) -> int:
        """The next quarter hour that has this slot of the day (a new episode starts at any)."""
        following = self.quarter + 1 if self.history is not None else 0
        return following + (slot - following) % SLOTS

    def _first_guess(self, series: Array) -> Prior:
        """Everything stays as it is, give or take a tenth of what is possible."""
        low, high = self.layout.load_box
        rated = np.array([0.0 if u.storage is not None else u.p_rated_w for u in self.site.units])
        low, high = np.concatenate([low, 0.0 * rated]), np.concatenate([high, rated])
        mean, spread = np.repeat(series[None], SLOTS, axis=0), np.repeat(0.1 * (high - low)[None], SLOTS, axis=0)
        n = len(series)
        return Prior(mean, spread, low, high, np.full(n, 6.0), np.ones(n), np.ones(n, dtype=bool), days=0.0)

    def _ahead(self) -> Array:
        """Median of the coming quarter hours (quarter, series), the next one first."""
        history = self.history
        assert history is not None
        mean, spread = history.expected(np.array([self.quarter + 1]))
        recent = mean[0] + history.deviation[-1] * spread[0]  # the deviation goes on, not the value
        coming = replace(history, next_quarter=self.quarter + 1, recent=recent)
        return forecast(coming, HORIZON_QUARTERS, (0.5,)).value[0]

    def _corrected(self, injection: Array, available_w: Array, storage_w: Array, soc_frac: Array) -> Point:
        """The plan's first step, moved until every limit holds in the AC power flow."""
        generation = np.where(self.units.is_battery, 0.0, -available_w)
        point = Point(generation + storage_w, np.zeros(self.layout.n_unit))
        for _ in range(ROUNDS):
            total = self._total(injection, point)
            grid = self.layout.grid.linearise(total)
            high = self._highest_voltage_pu(self.layout.grid.solve(total))
            here = Scenario(total[None], np.zeros((1, self.layout.n_unit)))
            limits = room(self.layout, grid, here, self.no_offsets, MARGIN_FRAC + max(high - 1.0, 0.0))
            point = self._dispatched(point, limits, available_w, soc_frac)
        return point

    def _total(self, injection: Array, point: Point) -> Array:
        units = np.concatenate([self.layout.incidence @ point.p_w, self.layout.incidence @ point.q_var])
        return np.asarray(injection + units)

    def _highest_voltage_pu(self, flow: FlowState) -> float:
        return float((flow.u_v / self.layout.grid.u_rated_v).max())

    def _dispatched(self, point: Point, limits: Room, available_w: Array, soc_frac: Array) -> Point:
        """One programme of the fast loop around ``point``."""
        r = self.resources
        output = r.output_w(point.p_w)
        effect = Effects(limits.effect_p[:, r.unit] * r.sign, limits.effect_q)
        m = len(limits.room)
        none = np.zeros(m, dtype=bool)
        rows = Rows(np.arange(m, dtype=np.intp), np.empty((m, 0)), limits.room, none)
        problem = Problem(
            rows=rows,
            effects=effect,
            row_penalty=np.full(m, TUNING.voltage_penalty),
            row_pool=np.zeros(m),
            output_w=output,
            q_var=point.q_var,
            bounds=self._bounds(output, available_w, soc_frac, point.p_w),
            marginal_price=np.where(r.is_storage, 0.0, 1.0),
            curvature=np.where(r.is_storage, STORAGE_CURVATURE, 0.0),
            lent_share=np.ones(len(r.unit)),
            insist=none,
            is_current=none,
            target=None,
            cycle_s=900.0,
        )
        plan = dispatch(problem, r, self.layout.incidence, self.units.q_max_var, TUNING)
        return Point(r.unit_p_w(plan.output_w, self.layout.n_unit), plan.q_var) if plan.ok else point

    def _bounds(self, output: Array, available_w: Array, soc_frac: Array, p_w: Array) -> Bounds:
        r = self.resources
        most = np.where(r.is_storage, self._storage_reach_w(soc_frac), available_w[r.unit])
        most = np.minimum(most, r.rated_w)
        q = self._reactive_reach_var(p_w)
        return Bounds(np.maximum(most - output, 0.0), output, np.maximum(output - most, 0.0), -q, q)

    def _storage_reach_w(self, soc_frac: Array) -> Array:
        """What each storage resource can do for one step."""
        out = np.zeros(len(self.resources.unit))
        for k, (unit, sign) in enumerate(zip(self.resources.unit, self.resources.sign, strict=True)):
            s = self.site.units[unit].storage
            if s is not None:
                left = (1.0 - soc_frac[unit]) / s.eff_charge_frac if sign > 0 else soc_frac[unit] * s.eff_discharge_frac
                out[k] = left * s.e_rated_wh / STEP_H
        return out

    def _reactive_reach_var(self, p_w: Array) -> Array:
        """Reactive power that the task's capability curves leave beside P."""
        out = np.zeros(self.layout.n_unit)
        base_w = self.simulator.baseMVA * W_PER_MW
        for k, unit in enumerate(self.site.units):
            d = self.simulator.devices[int(unit.id)]
            excess = max(abs(p_w[k]) / base_w - d.p_plus, 0.0)
            slope = (d.q_max - d.q_plus) / max(d.p_max - d.p_plus, 1e-9)
            out[k] = (d.q_max - slope * excess) * base_w
        return out

    def _action(self, point: Point, available_w: Array) -> Array:
        """In the task's order and sign: P and Q of generators, then of storage, MW and Mvar; caps open where free."""
        free = (available_w + point.p_w < CAP_TOLERANCE_W) & ~self.units.is_battery
        p_mw = np.where(free, self.units.p_rated_w, -point.p_w) / W_PER_MW
        q_mvar = -point.q_var / W_PER_MW
        stores = self.units.is_battery
        return np.concatenate([p_mw[~stores], q_mvar[~stores], p_mw[stores], q_mvar[stores]])

    def _seen(self, env: Any) -> Seen:
        lay, state = self.layout, env.simulator.state
        load, available = np.zeros(2 * lay.n_w), np.zeros(lay.n_unit)
        soc = np.full(lay.n_unit, np.nan)
        index = {u.id: k for k, u in enumerate(self.site.units)}
        for i, device in env.simulator.devices.items():
            if kind_of(device) == "Load":
                at = lay.grid.injection_index(str(device.bus_id))
                load[at] -= state["dev_p"]["MW"][i] * W_PER_MW
                load[lay.n_w + at] -= state["dev_q"]["MVAr"][i] * W_PER_MW
            elif kind_of(device) == "RenewableGen":
                available[index[str(i)]] = state["gen_p_max"]["MW"][i] * W_PER_MW
            elif kind_of(device) == "StorageUnit":
                k = index[str(i)]
                soc[k] = state["des_soc"]["pu"][i] / (device.soc_max - device.soc_min)
        return Seen(np.concatenate([load, available]), soc, int(env.state[-1]))
