"""One cycle of the fast loop: estimate, restrict, dispatch, cap, guard. A pure function of (state, snapshot).

Read from :func:`step`; each line is one stage and each stage lives in a file of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controller.control import modes
from controller.control.decision import Decision, decide, held_back_w
from controller.control.engine import Engine
from controller.control.override import receive
from controller.control.persistence import Persistence, persist
from controller.control.recovery import recover
from controller.control.report import build_record
from controller.control.settle import settle
from controller.control.state import ControlState
from controller.control.storage import observe_surplus
from controller.control.support import Attained, Judge, in_charge
from controller.control.support_state import ALL_SAFE, attained_in
from controller.control.trust import Trust, observe_trust
from controller.domain.instruction import Standing
from controller.domain.masks import some
from controller.domain.record import CycleRecord, Mode
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.estimate import Estimate
from controller.limits.in_force import Situation, consider

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def step(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
    """Think once about ``snapshot``; returns the next state and everything decided, with reasons."""
    engine = state.engine
    memory = state.estimator if state.estimator is not None else engine.estimator.initial(snapshot.now_s)
    memory, estimate = engine.estimator.update(memory, snapshot, state.history, state.held)
    received = receive(site, state.book, snapshot, state.set_p_w, judge_of(state, estimate, snapshot))
    situation = Situation(snapshot, estimate, received.book.standing, received.acts, state.limit_high)
    reasons, in_force, told = consider(engine.reasons, state.reasons, situation, engine.arbiter)
    readings = engine.readings(estimate, in_force)
    mode, ready_since_s = modes.next_mode(
        site, state.mode, state.ready_since_s, estimate, readings.quality, engine.metered, snapshot.now_s
    )
    silent, fresh = modes.lost_units(site, estimate), estimate.unit_age_s < 0.5 * site.cycle.cycle_s
    recovery = recover(state.recovery, silent, fresh, engine.reverts, snapshot.now_s, site.cycle)
    lost = recovery.lost
    persistence = persist(state.persistence, readings.loading_frac - 1.0, snapshot.now_s, site.cycle.cycle_s)
    trust = _trust(engine, state, estimate, lost)
    pace = engine.paces.advance(state.pace, estimate, snapshot.now_s)
    given_up = _given_up(state, lost, persistence)
    state = replace(state, persistence=persistence, given_up=given_up, trust=trust, pace=pace, book=received.book)
    decision = decide(engine, state, estimate, in_force, snapshot, lost, in_charge(received.book.standing))
    set_p, set_q, held, decided = settle(engine, state, estimate, decision, mode, lost)
    record, flags, bound_at_s = build_record(
        engine, state.seq, snapshot.now_s, mode, estimate, readings, decision, set_p, set_q, held, decided, lost, state,
        (*received.events, *told), memory.filter.x,
    )  # fmt: skip
    sent_p = np.array([s.p_w for s in record.setpoints])
    sent_q = np.array([s.q_var for s in record.setpoints])
    history = state.history
    if not (np.array_equal(sent_p, state.set_p_w) and np.array_equal(sent_q, state.set_q_var)):
        history = history.append(snapshot.now_s, sent_p, sent_q)
    new = ControlState(
        engine=engine,
        seq=state.seq + 1,
        estimator=memory,
        reasons=reasons,
        book=state.book,
        now_s=snapshot.now_s,
        history=history,
        set_p_w=sent_p,
        set_q_var=sent_q,
        held=held,
        probe=decision.reach.probe,
        surplus=observe_surplus(state.surplus, snapshot.now_s, engine.resources, held_back_w(decision)),
        persistence=persistence,
        given_up=given_up,
        recovery=recovery,
        pace=pace,
        trust=trust,
        mode=mode,
        ready_since_s=ready_since_s,
        flags=flags,
        bound_at_s=bound_at_s,
        limit_high=in_force.high,
        added_var=_added_var(state, decision, mode),
        expected=decision.plan.came_to,
    )
    return new, record


def judge_of(state: ControlState, estimate: Estimate, snapshot: Snapshot) -> Judge:
    """What could be had of a reactive instruction now: the whole decision, were it in charge, by the last memory."""

    def judge(asked: Standing) -> Attained:
        engine = state.engine
        situation = Situation(snapshot, estimate, state.book.standing, (), state.limit_high)
        _, in_force, _ = consider(engine.reasons, state.reasons, situation, engine.arbiter)
        decision = decide(engine, state, estimate, in_force, snapshot, state.recovery.lost, asked)
        attained = attained_in(decision, state.mode)
        if attained is None:
            raise ValueError(f"{asked.instruction.id} was not decided about; expected a reactive instruction")
        return attained

    return judge


def _added_var(state: ControlState, decision: Decision, mode: Mode) -> Array:
    """What support adds to each unit's reactive power from now on; nothing while they are at their fail-safe values."""
    if decision.support is None or mode in ALL_SAFE:
        return np.zeros_like(state.added_var)
    return decision.support.added_var


def _trust(engine: Engine, state: ControlState, estimate: Estimate, lost: BoolArray) -> Trust:
    """Who has shown by now that it follows: judged against the set points in force, whose way has been waited for."""
    units, p_w = engine.units, estimate.unit_p_w
    told = np.where(units.is_battery, p_w - state.set_p_w, np.maximum((p_w - state.set_p_w) * units.sign, 0.0))
    return observe_trust(state.trust, p_w, np.abs(told), units.p_rated_w, estimate.deaf | lost)


def _given_up(state: ControlState, lost: BoolArray, persistence: Persistence) -> BoolArray:
    """Units that hold their last set point, are not heard and are sent to their safe one: a limit is at stake."""
    at_stake = some(persistence.insist | (persistence.extra_frac > 0.0))
    out: BoolArray = lost & ~state.engine.reverts & (state.given_up | at_stake)
    return out
