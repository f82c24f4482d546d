"""What to aim at: rows of all limits, reach of all units, the programme, and the room that is left to share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.control import wishes
from controller.control.assist import Interface, assist
from controller.control.bounds import Reach, reach
from controller.control.caps import share_room
from controller.control.dispatch import Effects, Plan, Problem, Target, dispatch, effects, lead
from controller.control.engine import Engine
from controller.control.headroom import kept_free, uncovered
from controller.control.reactive_orders import ahead_of_reversion, without_sudden_q
from controller.control.resources import Resources
from controller.control.sold import apart, sold_above_w, unsold_w
from controller.control.state import ControlState
from controller.control.storage import Worth, prices_in_force, storage_marginal_price, stored_energy_value
from controller.control.support import Attained
from controller.control.trust import lent_share
from controller.control.tuning import Tuning
from controller.domain.instruction import Standing
from controller.domain.masks import some
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.estimate import Estimate
from controller.limits.base import Rows
from controller.limits.in_force import InForce

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
VOLTAGE_POOL_PU = 0.001
ASSISTS_FRAC = 1e-3  # of its reactive power: what is less is rounding
VOLTAGE_RISE_PU = 0.002  # reactive power takes back within a cycle what a free unit's rise adds


@dataclass(frozen=True, slots=True)
class Support:
    """Voltage support in this cycle: for whom, what comes of it, and what it adds to the units' reactive power, var."""

    standing: Standing
    attained: Attained
    added_var: Array
    assisting: BoolArray


@dataclass(frozen=True, slots=True)
class Decision:
    """What the dispatch came to, before hysteresis and modes; ``sold_above_w`` per resource, infinite: nothing sold."""

    in_force: InForce
    span: wishes.Span
    rows: Rows
    effects: Effects
    reach: Reach
    plan: Plan
    slack_w: Array
    held: BoolArray
    worth: Worth
    sold_above_w: Array
    support: Support | None = None


def decide(
    engine: Engine,
    state: ControlState,
    estimate: Estimate,
    in_force: InForce,
    snapshot: Snapshot,
    lost: BoolArray,
    asked: Standing | None = None,
) -> Decision:
    """One decision; ``asked`` is the reactive instruction in charge, if one stands."""
    t, r = engine.tuning, engine.resources.paced(estimate.latency_s, estimate.tau_s)
    site, incidence = engine.site, engine.layout.incidence
    rows = engine.rows(estimate, in_force)
    effect = effects(rows, engine.layout.unit_bus, r)
    bound = reach(site, engine.units, r, estimate, state.set_p_w, state.probe, lost, t)
    span, above_w = wishes.span_of(in_force.units, r), sold_above_w(in_force.units, r)
    if asks := span.asks:
        bound = replace(bound, bounds=wishes.within_caps(bound.bounds, bound.output_w, span))
    if some(state.persistence.extra_frac):
        extra = engine.extra_scale * state.persistence.extra_frac
        rows = replace(rows, room=rows.room - extra[rows.limit])
    rows = _without_trust_in_lost(rows, effect, bound.output_w, state.set_p_w, lost, r)
    rows = without_sudden_q(rows, effect.by_unit_q, estimate, state.set_q_var)
    rows = ahead_of_reversion(
        rows, effect.by_unit_q, estimate.unit_q_var, bound.bounds, lost & engine.reverts, engine.safe_q_var
    )
    if engine.paces.asked:
        slowed = engine.paces.slowed(bound.bounds, state.pace, estimate, rows, effect, incidence)
        bound = replace(bound, bounds=slowed)
    voltage = engine.is_voltage[rows.limit]
    rows = _with_headroom(engine, rows, effect, ~voltage, bound.output_w, estimate, r)
    worth = _worth(engine, state, estimate, snapshot)
    gain, curvature = _prices(engine, bound, worth, above_w)
    problem = Problem(
        rows=rows,
        effects=effect,
        row_penalty=engine.limit_penalty[rows.limit],
        row_pool=np.where(voltage, VOLTAGE_POOL_PU, t.pool(site.cycle.cycle_s)),
        output_w=bound.output_w,
        q_var=estimate.unit_q_var,
        bounds=bound.bounds,
        marginal_price=gain,
        curvature=curvature,
        lent_share=lent_share(state.trust)[r.unit],
        insist=state.persistence.insist[rows.limit],
        is_current=~voltage,
        target=_reactive_target(site, estimate, snapshot.now_s) if asked is None else None,
        cycle_s=site.cycle.cycle_s,
        wishes=wishes.wishes(span, bound.output_w, estimate.unit_q_var, r) if asks else None,
        expected=state.expected,
    )
    support = None
    alone = problem if asked is None else _as_if_nobody_asked(problem, state.added_var)
    parts = apart(alone, r, above_w, engine.price, gain)
    plan = parts.whole(dispatch(parts.problem, parts.resources, incidence, engine.units.q_max_var, t))
    if asked is not None:
        plan, support = _supported(engine, estimate, problem, plan, asked, np.isfinite(span.q_var), r)
    held = _held(bound, plan, r, t)
    slack = _slack(engine, r, problem, bound, plan, held)
    return Decision(in_force, span, rows, effect, bound, plan, slack, held, worth, above_w, support)


def _with_headroom(
    engine: Engine, rows: Rows, effect: Effects, current: BoolArray, output_w: Array, estimate: Estimate, r: Resources
) -> Rows:
    """Room of ``current`` rows less what nobody could take back if the worst link died or the deaf did their worst."""
    keep = np.zeros(len(rows.room))
    keep[current] = uncovered(
        effect.of(current), r, output_w, estimate.unit_p_w, engine.safe_p_w, engine.reverts, estimate.deaf
    )
    return replace(rows, room=kept_free(rows.room, keep))


def _as_if_nobody_asked(problem: Problem, added_var: Array) -> Problem:
    """The problem with the support of before taken back: what it has used is there for active power first."""
    room = problem.rows.room + problem.effects.by_unit_q @ added_var
    return replace(problem, rows=replace(problem.rows, room=room), q_var=problem.q_var - added_var)


def _supported(
    engine: Engine,
    estimate: Estimate,
    problem: Problem,
    plan: Plan,
    asked: Standing,
    asked_q: BoolArray,
    r: Resources,
) -> tuple[Plan, Support]:
    """The plan with what the reactive instruction asks for, as far as limits and units allow."""
    row, n_w = estimate.grid.jacobian[estimate.grid.rows_interface()][1], engine.layout.n_w
    by_p, by_q = row[:n_w] @ engine.layout.incidence, row[n_w:] @ engine.layout.incidence
    wanted_var = math.nan if asked.instruction.q_var is None else asked.instruction.q_var
    at = Interface(estimate.interface_q_var, wanted_var, by_p, by_q)
    made, attained = assist(engine.site, problem, plan, at, asked_q, r, engine.tuning)
    added_var = made.q_var - plan.q_var
    used = np.abs(added_var) > ASSISTS_FRAC * np.maximum(engine.units.q_max_var, 1.0)
    return made, Support(asked, attained, added_var, used)


def held_back_w(decision: Decision) -> Array:
    """What limits keep back per resource after this decision, W."""
    plan, above_w = decision.plan, decision.reach.output_w - decision.span.cap_w
    withheld = np.where(decision.reach.probing, 0.0, np.minimum(decision.reach.withheld_w, np.maximum(-above_w, 0.0)))
    down_w = np.maximum(plan.down_w - np.maximum(above_w, 0.0), 0.0)  # what an order takes, no limit does
    return np.where(decision.held, withheld - plan.up_w + down_w, 0.0)


def _worth(engine: Engine, state: ControlState, estimate: Estimate, snapshot: Snapshot) -> Worth:
    now_s = snapshot.now_s
    started_s = state.estimator.started_at_s if state.estimator else now_s
    prices = prices_in_force(snapshot.storage_plan, state.book.standing, now_s)
    return stored_energy_value(engine.site, now_s, started_s, state.surplus, estimate.soc_frac, prices)


def _prices(engine: Engine, bound: Reach, worth: Worth, above_w: Array) -> tuple[Array, Array]:
    """Gain of one more W per resource, and how it grows with the share withheld of what is not sold."""
    r = engine.resources
    storage = storage_marginal_price(engine.site, r, worth.eur_per_mwh)
    gain = np.where(r.is_storage, storage, engine.price)
    could, withheld = unsold_w(bound.output_w, bound.withheld_w, above_w)
    could = np.maximum(could, 0.02 * r.rated_w)
    share = withheld / could
    return gain + engine.curvature * share, engine.curvature * r.base_w / could


def _without_trust_in_lost(
    rows: Rows, effect: Effects, output_w: Array, set_p_w: Array, lost: BoolArray, r: Resources
) -> Rows:
    """Room less what units without telemetry may do behind our back: anything between zero and their cap."""
    blind = lost[r.unit]
    if not some(blind):
        return rows
    cap = np.maximum(np.where(r.is_storage, r.rated_w, set_p_w[r.unit] * r.sign), 0.0)
    g = effect.by_resource[:, blind]
    jump = np.maximum(np.maximum(g * (cap - output_w)[blind], -g * output_w[blind]), 0.0)
    return replace(rows, room=kept_free(rows.room, jump.sum(axis=1)))


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


def _slack(engine: Engine, r: Resources, problem: Problem, bound: Reach, plan: Plan, held: BoolArray) -> Array:
    """Room for free resources to rise by themselves, W: what every limit leaves after the moves just decided."""
    t = engine.tuning
    k = lead(r, problem.cycle_s, t)
    rise = problem.effects.taken(plan.up_w - k * plan.down_w, plan.down_w - k * plan.up_w)
    reactive = problem.effects.by_unit_q @ (plan.q_var - problem.q_var)
    left = problem.rows.room - rise - reactive
    left = np.where(engine.is_voltage[problem.rows.limit], left + VOLTAGE_RISE_PU, left)
    wish = np.where(held | bound.fixed, 0.0, np.maximum(r.rated_w - plan.output_w, 0.0))
    shared = share_room(left, problem.effects.worse, wish)
    out: Array = np.minimum(np.maximum(shared, engine.bands.smallest_w), wish)  # nothing where nothing is wished
    return out
