"""One cycle of the fast loop: estimate, restrict, dispatch, cap, guard. A pure function of (state, snapshot).

Read from :func:`step`; each line is one stage and each stage lives in a file of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.control import modes, wishes
from controller.control.access import access_prices
from controller.control.bounds import Probe, Reach, reach
from controller.control.caps import share_room
from controller.control.causes import Verdict, verdicts
from controller.control.dispatch import Effects, Plan, Problem, Target, dispatch, effects, lead
from controller.control.override import Book, receive
from controller.control.persistence import Persistence, initial_persistence, persist
from controller.control.reasons import reasons_of
from controller.control.recovery import Recovery, initial_recovery, recover
from controller.control.report import build_record
from controller.control.resources import Resources
from controller.control.storage import Surplus, observe_surplus, storage_marginal_price, stored_energy_value
from controller.control.trust import Trust, initial_trust, lent_share, observe_trust
from controller.control.tuning import DEFAULT, Tuning
from controller.domain.limit import Limit, LimitKind
from controller.domain.record import CycleRecord, Mode
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.unit import Unit
from controller.estimation.actuator import CommandHistory, UnitArrays
from controller.estimation.estimate import Estimate
from controller.estimation.estimator import Estimator, EstimatorState
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.limits.base import Reading, Rows, stack
from controller.limits.in_force import Arbiter, InForce, Situation, consider
from controller.limits.interface import InterfaceLimits
from controller.limits.thermal import ThermalLimits
from controller.limits.voltage import VoltageLimits

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

VOLTAGE_POOL_PU = 0.001
QUIET_FROM_FRAC = 0.9  # of the pool: nearer to the limit than this every move counts
VOLTAGE_RISE_PU = 0.002  # reactive power takes back within a cycle what a free unit's rise adds
P_MARGIN_FRAC = 0.02  # of rated power: what P may rise by before Q has to give way


def _open_p_w(unit: Unit) -> float:
    """Set point of a unit that nobody restricts (load convention)."""
    if unit.storage is not None:
        return 0.0
    return unit.p_min_w if unit.kind.generates else unit.p_max_w


def _extra_scale(site: Site, limit: Limit) -> float:
    """What a fraction of the limit is in the unit of its rows (voltage: per unit of the rated voltage)."""
    if limit.kind is not LimitKind.VOLTAGE:
        return 1.0
    rated_v = next(b.u_rated_v for b in site.topology.buses if b.id == limit.element)
    return 0.5 * (limit.high - (limit.low or 0.0)) / rated_v


class Engine:
    """Constants of one site, computed once; no operating state."""

    def __init__(self, site: Site, tuning: Tuning = DEFAULT) -> None:
        self.site, self.tuning = site, tuning
        self.grid = GridModel(site.topology)
        self.layout = Layout(site, self.grid)
        self.units = UnitArrays.of(site)
        self.resources = Resources.of(site, self.units)
        self.estimator = Estimator(self.layout, self.units)
        self.limits = (ThermalLimits(site), VoltageLimits(site), InterfaceLimits(site))
        self.reasons, self.arbiter = reasons_of(site), Arbiter(site.limits, [u.id for u in site.units])
        self.price, self.curvature = access_prices(site, self.resources)
        self.metered = modes.metered_elements(site)
        self.extra_scale = np.array([_extra_scale(site, x) for x in site.limits])
        self.is_voltage = np.array([x.kind is LimitKind.VOLTAGE for x in site.limits], dtype=bool)
        self.open_p_w = np.array([_open_p_w(u) for u in site.units])
        self.p_low_w, self.p_high_w = (np.array([getattr(u, k) for u in site.units]) for k in ("p_min_w", "p_max_w"))
        self.safe_p_w = np.array([u.fail_safe.p_w for u in site.units])
        self.reverts = np.array([math.isfinite(u.fail_safe.lease_s) for u in site.units], dtype=bool)
        self.safe_q_var = np.array([u.fail_safe.q_var for u in site.units])

    def rows(self, estimate: Estimate, in_force: InForce) -> Rows:
        """All limits' rows, each row knowing its limit."""
        return stack([x.evaluate(estimate, in_force) for x in self.limits], 2 * self.layout.n_w)

    def readings(self, estimate: Estimate, in_force: InForce) -> dict[int, Reading]:
        """All limits' present values by index."""
        return {k: v for x in self.limits for k, v in x.readings(estimate, in_force).items()}


@dataclass(frozen=True, slots=True)
class ControlState:
    """Memory of the fast loop between two cycles; replaced whole, never changed.

    ``reasons`` holds what each reason to restrict remembers, by its key, ``book`` what operators have in force.
    """

    engine: Engine
    seq: int
    estimator: EstimatorState | None
    reasons: Mapping[str, Any]
    book: Book
    now_s: float
    history: CommandHistory
    set_p_w: Array
    set_q_var: Array
    held: BoolArray
    probe: Probe
    surplus: Surplus
    persistence: Persistence
    given_up: BoolArray
    recovery: Recovery
    trust: Trust
    mode: Mode
    ready_since_s: float
    flags: frozenset[tuple[str, str]]
    bound_at_s: Array


def initial_state(site: Site, tuning: Tuning = DEFAULT) -> ControlState:
    """State before the first cycle: nothing commanded yet, every cap as the device has it by itself."""
    engine = Engine(site, tuning)
    n = len(site.units)
    history = CommandHistory(np.array([-np.inf]), engine.open_p_w[None, :], np.zeros((1, n)))
    held, n_r = engine.units.is_battery.copy(), len(engine.resources.unit)
    return ControlState(
        engine=engine,
        seq=0,
        estimator=None,
        reasons={},
        book=Book(),
        now_s=0.0,
        history=history,
        set_p_w=engine.open_p_w,
        set_q_var=np.zeros(n),
        held=held,
        probe=Probe(np.zeros(n_r), np.zeros(n_r)),
        surplus=Surplus(),
        persistence=initial_persistence(len(site.limits)),
        given_up=np.zeros(n, dtype=bool),
        recovery=initial_recovery(n),
        trust=initial_trust(n),
        mode=Mode.BOOT,
        ready_since_s=np.inf,
        flags=frozenset(),
        bound_at_s=np.full(len(site.limits), -np.inf),
    )


def step(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
    """Think once about ``snapshot``; returns the next state and everything decided, with reasons."""
    engine = state.engine
    memory = state.estimator if state.estimator is not None else engine.estimator.initial(snapshot.now_s)
    memory, estimate = engine.estimator.update(memory, snapshot, state.history, state.held)
    received = receive(site, state.book, snapshot, state.set_p_w)
    situation = Situation(snapshot, estimate, received.book.standing, received.acts)
    reasons, in_force, told = consider(engine.reasons, state.reasons, situation, engine.arbiter)
    readings = engine.readings(estimate, in_force)
    mode, ready_since_s = modes.next_mode(
        site, state.mode, state.ready_since_s, estimate, readings, engine.metered, snapshot.now_s
    )
    silent, fresh = modes.lost_units(site, estimate), estimate.unit_age_s < 0.5 * site.cycle.cycle_s
    recovery = recover(state.recovery, silent, fresh, engine.reverts, snapshot.now_s, site.cycle)
    lost = recovery.lost
    excess = np.array([readings[k].loading_frac - 1.0 for k in range(len(site.limits))])
    persistence = persist(state.persistence, excess, snapshot.now_s, site.cycle.cycle_s)
    trust = _trust(engine, state, estimate, lost)
    state = replace(state, persistence=persistence, given_up=_given_up(state, lost, persistence), trust=trust)
    decision = _decide(engine, state, estimate, in_force, snapshot, lost)
    set_p, set_q, held, decided = _settle(engine, state, estimate, decision, mode, lost)
    record, flags, bound_at_s = build_record(
        engine, state.seq, snapshot.now_s, mode, estimate, readings, decision, set_p, set_q, held, decided, lost, state,
        (*received.events, *told),
    )  # fmt: skip
    sent_p = np.array([s.p_w for s in record.setpoints])
    sent_q = np.array([s.q_var for s in record.setpoints])
    history = state.history
    if not (np.array_equal(sent_p, state.set_p_w) and np.array_equal(sent_q, state.set_q_var)):
        history = history.append(snapshot.now_s, sent_p, sent_q)
    new = replace(
        state,
        seq=state.seq + 1,
        estimator=memory,
        reasons=reasons,
        book=received.book,
        now_s=snapshot.now_s,
        history=history,
        set_p_w=sent_p,
        set_q_var=sent_q,
        held=held,
        probe=decision.reach.probe,
        surplus=observe_surplus(state.surplus, snapshot.now_s, engine.resources, _held_back_w(decision)),
        recovery=recovery,
        mode=mode,
        ready_since_s=ready_since_s,
        flags=flags,
        bound_at_s=bound_at_s,
    )
    return new, record


@dataclass(frozen=True, slots=True)
class Decision:
    """What the dispatch came to, before hysteresis and modes."""

    in_force: InForce
    span: wishes.Span
    rows: Rows
    effects: Effects
    reach: Reach
    plan: Plan
    slack_w: Array
    held: BoolArray


def _decide(
    engine: Engine, state: ControlState, estimate: Estimate, in_force: InForce, snapshot: Snapshot, lost: BoolArray
) -> Decision:
    t, r = engine.tuning, engine.resources
    site, incidence = engine.site, engine.layout.incidence
    rows = engine.rows(estimate, in_force)
    effect = effects(rows, incidence, r)
    bound = reach(site, engine.units, r, estimate, state.set_p_w, state.probe, lost, t)
    span = wishes.span_of(in_force.units, r)
    bound = replace(bound, bounds=wishes.within_caps(bound.bounds, bound.output_w, span))
    rows = replace(rows, room=rows.room - engine.extra_scale[rows.limit] * state.persistence.extra_frac[rows.limit])
    rows = _without_trust_in_lost(rows, effect, bound.output_w, state.set_p_w, lost, r)
    voltage = engine.is_voltage[rows.limit]
    gain, curvature = _prices(engine, state, estimate, bound, snapshot)
    problem = Problem(
        rows=rows,
        effects=effect,
        row_penalty=np.where(voltage, t.voltage_penalty, t.thermal_penalty),
        row_pool=np.where(voltage, VOLTAGE_POOL_PU, t.pool(site.cycle.cycle_s)),
        output_w=bound.output_w,
        q_var=estimate.unit_q_var,
        bounds=bound.bounds,
        marginal_price=gain,
        curvature=curvature,
        lent_share=lent_share(state.trust)[r.unit],
        insist=state.persistence.insist[rows.limit],
        is_current=~voltage,
        target=_reactive_target(site, estimate, snapshot.now_s),
        cycle_s=site.cycle.cycle_s,
        wishes=wishes.wishes(span, bound.output_w, estimate.unit_q_var, r) if span.asks else None,
    )
    plan = dispatch(problem, r, incidence, engine.units.q_max_var, t)
    held = _held(bound, plan, r, t)
    return Decision(in_force, span, rows, effect, bound, plan, _slack(engine, problem, bound, plan, held), held)


def _held_back_w(decision: Decision) -> Array:
    """What limits keep back per resource after this decision, W."""
    plan = decision.plan
    room = np.maximum(decision.span.cap_w - decision.reach.output_w, 0.0)
    withheld = np.where(decision.reach.probing, 0.0, np.minimum(decision.reach.withheld_w, room))
    return np.where(decision.held, withheld - plan.up_w + plan.down_w, 0.0)


def _prices(
    engine: Engine, state: ControlState, estimate: Estimate, bound: Reach, snapshot: Snapshot
) -> tuple[Array, Array]:
    """Gain of one more W per resource, and how it grows with the share withheld."""
    site, r, now_s = engine.site, engine.resources, snapshot.now_s
    started_s = state.estimator.started_at_s if state.estimator else now_s
    value = stored_energy_value(site, now_s, started_s, state.surplus, estimate.soc_frac, snapshot.storage_plan)
    storage = storage_marginal_price(site, r, value)
    gain = np.where(r.is_storage, storage, engine.price)
    could = np.maximum(bound.output_w + bound.withheld_w, 0.02 * r.rated_w)
    share = bound.withheld_w / could
    return gain + engine.curvature * share, engine.curvature * r.base_w / could


def _trust(engine: Engine, state: ControlState, estimate: Estimate, lost: BoolArray) -> Trust:
    """Who has shown by now that it follows: judged against the set points in force, whose way has been waited for."""
    units, p_w = engine.units, estimate.unit_p_w
    told = np.where(units.is_battery, p_w - state.set_p_w, np.maximum((p_w - state.set_p_w) * units.sign, 0.0))
    return observe_trust(state.trust, p_w, np.abs(told), units.p_rated_w, estimate.deaf | lost)


def _given_up(state: ControlState, lost: BoolArray, persistence: Persistence) -> BoolArray:
    """Units that hold their last set point, are not heard and are sent to their safe one: a limit is at stake."""
    at_stake = bool((persistence.insist | (persistence.extra_frac > 0.0)).any())
    out: BoolArray = lost & ~state.engine.reverts & (state.given_up | at_stake)
    return out


def _without_trust_in_lost(
    rows: Rows, effect: Effects, output_w: Array, set_p_w: Array, lost: BoolArray, r: Resources
) -> Rows:
    """Room less what units without telemetry may do behind our back: anything between zero and their cap.

    It forbids others to move closer; it does not cut them for what has not happened.
    """
    blind = lost[r.unit]
    if not blind.any():
        return rows
    cap = np.maximum(np.where(r.is_storage, r.rated_w, set_p_w[r.unit] * r.sign), 0.0)
    g = effect.by_resource[:, blind]
    jump = np.maximum(np.maximum(g * (cap - output_w)[blind], -g * output_w[blind]), 0.0)
    return replace(rows, room=np.maximum(rows.room - jump.sum(axis=1), np.minimum(rows.room, 0.0)))


def _reactive_target(site: Site, estimate: Estimate, now_s: float) -> Target | None:
    """The transmission operator's wish at the interface, if one is in force."""
    for request in site.reactive_requests:
        if request.t0_s <= now_s < request.t1_s:
            row = estimate.grid.jacobian[estimate.grid.rows_interface()][1]
            gap = request.q_var - estimate.interface_q_var
            return Target(row, gap, 0.5 * request.tolerance_var, request.penalty_eur_per_mvarh)
    return None


def _held(bound: Reach, plan: Plan, r: Resources, t: Tuning) -> BoolArray:
    """Resources whose set point, not their nature, decides their output from now on."""
    withheld = bound.withheld_w - plan.up_w + plan.down_w
    tolerance = np.where(bound.probing, 0.05 * t.probe_frac, t.free_frac) * r.rated_w
    out: BoolArray = r.is_storage | (plan.down_w > t.deadband_p_frac * r.rated_w) | (withheld > tolerance)
    return out


def _slack(engine: Engine, problem: Problem, bound: Reach, plan: Plan, held: BoolArray) -> Array:
    """Room for free resources to rise by themselves, W: what every limit leaves after the moves just decided."""
    r, t = engine.resources, engine.tuning
    g, k = problem.effects.by_resource, lead(r, problem.cycle_s, t)
    rise = np.maximum(g, 0.0) @ plan.up_w + np.maximum(-g, 0.0) @ plan.down_w
    relief = np.maximum(g, 0.0) @ (k * plan.down_w) + np.maximum(-g, 0.0) @ (k * plan.up_w)
    reactive = problem.effects.by_unit_q @ (plan.q_var - problem.q_var)
    left = problem.rows.room - rise + relief - reactive
    left = np.where(engine.is_voltage[problem.rows.limit], left + VOLTAGE_RISE_PU, left)
    wish = np.where(held | bound.fixed, 0.0, np.maximum(r.rated_w - plan.output_w, 0.0))
    shared = share_room(left, np.maximum(g, 0.0), wish)
    out: Array = np.where(held | bound.fixed, 0.0, np.minimum(np.maximum(shared, t.slack_min_frac * r.rated_w), wish))
    return out


def _settle(
    engine: Engine, state: ControlState, estimate: Estimate, decision: Decision, mode: Mode, lost: BoolArray
) -> tuple[Array, Array, BoolArray, list[Verdict]]:
    """Set points from the decision: hysteresis for what need not change, fail-safe where the mode says so."""
    r, t, n = engine.resources, engine.tuning, engine.layout.n_unit
    output, slack = decision.plan.output_w, decision.slack_w
    cap = np.where(output + slack > 0.995 * r.rated_w, r.rated_w, output + slack)
    previous = r.output_w(state.set_p_w)
    smallest = t.slack_min_frac * r.rated_w
    need, most = np.minimum(output + 0.3 * smallest, cap), np.maximum(cap, output + 1.6 * smallest)
    keep_free = ~decision.held & (previous >= need) & (previous <= most)
    band = t.deadband_p_frac * r.rated_w
    keep_held = decision.held & (np.abs(previous - cap) < np.where(cap < previous, 0.3 * band, band))
    value = np.where((keep_free | keep_held | decision.reach.fixed) & ~r.is_storage, previous, cap)
    value = np.where(r.is_storage & decision.reach.fixed, 0.0, value)
    share = np.where(r.is_storage, t.quiet_storage_frac, t.quiet_move_frac)
    small = np.abs(value - previous) < share * r.rated_w
    value = np.where(_quiet(engine, decision) & decision.held & small, previous, value)
    value = wishes.settle_within(value, cap, decision.plan, decision.span, decision.reach.fixed)
    set_p = np.clip(r.unit_p_w(value, n), engine.p_low_w, engine.p_high_w)
    still = engine.units.is_battery & (np.abs(set_p - state.set_p_w) < t.deadband_p_frac * engine.units.p_rated_w)
    set_p = np.where(still & (set_p != 0.0), state.set_p_w, set_p)
    set_q = _reactive(engine, state, decision, set_p, estimate)
    set_q = np.where(estimate.deaf, state.set_q_var, set_q)
    held_unit = np.bincount(r.unit, weights=decision.held, minlength=n) > 0
    if not decision.plan.ok:
        kept = np.minimum(r.output_w(state.set_p_w), decision.span.cap_w)
        set_p, set_q, held_unit = r.unit_p_w(kept, n), state.set_q_var, state.held
    all_safe = mode in (Mode.FAIL_SAFE, Mode.BOOT, Mode.STOPPING)
    set_p, set_q = np.where(lost, state.set_p_w, set_p), np.where(lost, state.set_q_var, set_q)
    safe = (lost & engine.reverts) | state.given_up | all_safe
    capped_safe = r.unit_p_w(
        np.where(r.is_storage, np.inf, decision.span.cap_w).clip(max=r.output_w(engine.safe_p_w)), n
    )
    set_p = np.where(safe, capped_safe, set_p)
    set_q = np.where(safe, engine.safe_q_var, set_q)
    held_unit = held_unit | safe
    return set_p, set_q, held_unit, verdicts(engine, decision, set_p, held_unit, safe, mode, lost)


def _quiet(engine: Engine, decision: Decision) -> bool:
    """True while every limit is kept and the nearest rating is used as well as noise allows: small moves can wait."""
    t, rows = engine.tuning, decision.rows
    pool = t.pool(engine.site.cycle.cycle_s)
    voltage = engine.is_voltage[rows.limit]
    nearest = float(rows.room[rows.main & ~voltage].min(initial=np.inf))
    kept = bool((rows.room[rows.main & voltage] > -VOLTAGE_POOL_PU).all())
    return kept and QUIET_FROM_FRAC * pool < nearest < pool + t.quiet_frac


def _reactive(engine: Engine, state: ControlState, decision: Decision, set_p_w: Array, estimate: Estimate) -> Array:
    """Reactive set points: kept within the dead-band, inside what the apparent power leaves beside P."""
    units, t, wanted_var = engine.units, engine.tuning, decision.plan.q_var
    band = t.quiet_q_frac if _quiet(engine, decision) else t.deadband_q_frac
    still = np.abs(wanted_var - state.set_q_var) < band * np.maximum(units.q_max_var, 1.0)
    p_w = np.minimum(np.abs(set_p_w), np.abs(estimate.unit_p_w) + P_MARGIN_FRAC * units.p_rated_w)
    limit = np.minimum(units.q_max_var, np.sqrt(np.maximum(units.s_rated_va**2 - p_w**2, 0.0)))
    return np.clip(np.where(still, state.set_q_var, wanted_var), -limit, limit)
