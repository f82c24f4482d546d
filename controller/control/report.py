"""From a decision to guarded set points, the cycle record and its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.account import BINDING, Account
from controller.control.causes import Verdict, contested
from controller.control.explain import curtailed_w
from controller.control.guard import guard
from controller.control.support_state import attained_in, support_state
from controller.domain.command import Setpoint
from controller.domain.deferred import Deferred
from controller.domain.instruction import INTERFACE
from controller.domain.record import BusState, CycleRecord, Event, Mode
from controller.estimation.estimate import Estimate
from controller.limits.base import Readings, as_lists

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine
    from controller.control.state import ControlState

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Flags = frozenset[tuple[str, str]]

INFEASIBLE_PU = 0.002
RELEASED_AFTER_S = 30.0  # a limit that binds now and then in this time is one event, not many
KEPT_SENSITIVITIES = "sensitivities of the last operating point that has a power flow"

TRANSITIONS = {
    "limit.bound": ("limit.bound", "limit.released"),
    "support.short": ("support.short", "support.met"),
    "unit.behind": ("unit.behind", "unit.follows"),
    "unit.deaf": ("unit.deaf", "unit.obeys"),
    "unit.deaf_to_q": ("unit.deaf_to_q", "unit.gives_q"),
    "unit.slower_than_configured": ("unit.slower_than_configured", "unit.as_configured"),
    "unit.lost": ("unit.lost", "unit.back"),
    "unit.contested": ("unit.contested", "unit.settled"),
    "limit.unseen": ("limit.unseen", "limit.seen"),
    "meter.contradiction": ("meter.contradiction", "meter.agrees"),
    "meter.frozen": ("meter.frozen", "meter.moves"),
    "meter.above_estimate": ("meter.above_estimate", "meter.as_estimated"),
    "meter.inconsistent": ("meter.inconsistent", "meter.consistent"),
    "meter.late": ("meter.late", "meter.punctual"),
    "branch.out_of_service": ("branch.out_of_service", "branch.in_service"),
    "meter.spike": ("meter.spike", "meter.steady"),
    "meter.voltage_off": ("meter.voltage_off", "meter.voltage_agrees"),
    "meter.wired_backwards": ("meter.wired_backwards", "meter.trusted"),
    "meter.wrong_scale": ("meter.wrong_scale", "meter.trusted"),
    "site.infeasible": ("site.infeasible", "site.feasible"),
    "grid.no_solution": ("grid.no_solution", "grid.solved"),
}


def build_record(
    engine: Engine,
    seq: int,
    now_s: float,
    mode: Mode,
    estimate: Estimate,
    readings: Readings,
    decision: Decision,
    set_p_w: Array,
    set_q_var: Array,
    held: BoolArray,
    decided: list[Verdict],
    lost: BoolArray,
    state: ControlState,
    told: Sequence[Event],
    x: Array,
) -> tuple[CycleRecord, Flags, Array]:
    """The record of this cycle, and what its successor needs to tell transitions from states.

    ``told`` are the transitions of the reasons to restrict, ``x`` the estimated state (:mod:`estimation.layout`).
    """
    setpoints, faults = _guarded(engine, now_s, set_p_w, set_q_var, decided)
    shadow = _by_limit(engine, decision, decision.plan.shadow)
    violation = _by_limit(engine, decision, decision.plan.violation)
    curtailed = curtailed_w(engine, decision)
    account = Account(
        engine, decision, estimate, readings, shadow, setpoints, curtailed, held, lost, mode,
    )  # fmt: skip
    sacrificed = tuple(engine.limit_ids[k] for k in np.flatnonzero(violation > INFEASIBLE_PU))
    bound_at_s = np.where(shadow > BINDING, now_s, state.bound_at_s)
    conflicts = contested(engine, decision, setpoints)
    unkept = () if mode is Mode.BOOT else sacrificed  # before everything was read no limit can be said to be kept
    flags = _flags(engine, readings, estimate, lost, unkept, bound_at_s, now_s)
    flags |= {("unit.contested", unit_id) for unit_id in conflicts} | estimate.meters.keys()
    words = {**{("unit.contested", k): text for k, text in conflicts.items()}, **estimate.meters}
    attained, short = attained_in(decision, mode), ("support.short", INTERFACE)
    if attained is not None and not attained.in_full(short in state.flags):
        flags, words = flags | {short}, {**words, short: attained.words}
    events = (
        *told,
        *_transitions(engine, state.flags, flags, readings, words),
        *faults,
        *_mode_event(state.mode, mode),
    )
    record = CycleRecord(
        seq, now_s, mode, Deferred(account.limits), Deferred(account.units), setpoints, events,
        not sacrificed, sacrificed, engine.site.principle, float(curtailed.sum()), decision.in_force.restrictions,
        support_state(engine, decision, attained, estimate, now_s), Deferred(partial(_bus_states, engine, x)),
    )  # fmt: skip
    return record, flags, bound_at_s


def _guarded(
    engine: Engine, now_s: float, set_p_w: Array, set_q_var: Array, decided: list[Verdict]
) -> tuple[tuple[Setpoint, ...], list[Event]]:
    setpoints, events = [], []
    columns = zip(engine.site.units, set_p_w.tolist(), set_q_var.tolist(), engine.lease_s, decided, strict=True)
    for unit, p, q, lease_s, why in columns:
        wanted = Setpoint(unit.id, p, q, now_s, now_s + lease_s, why.owner.value, why.causes)
        checked, event = guard(wanted, unit, now_s)
        setpoints.append(checked)
        if event is not None:
            events.append(event)
    return tuple(setpoints), events


def _by_limit(engine: Engine, decision: Decision, per_row: Array) -> Array:
    out = np.zeros(len(engine.site.limits))
    np.maximum.at(out, decision.rows.limit, per_row)
    return out


def _bus_states(engine: Engine, x: Array) -> tuple[BusState, ...]:
    n_w = engine.layout.n_w
    rows = as_lists(x[:n_w], x[n_w : 2 * n_w])
    return tuple(BusState(bus, *row) for bus, row in zip(engine.layout.grid.injection_buses, rows, strict=True))


def _flags(
    engine: Engine,
    readings: Readings,
    estimate: Estimate,
    lost: BoolArray,
    sacrificed: tuple[str, ...],
    bound_at_s: Array,
    now_s: float,
) -> Flags:
    limits, units = engine.limit_ids, engine.unit_ids
    out = _flagged("limit.bound", limits, now_s - bound_at_s < RELEASED_AFTER_S)
    out |= _flagged("limit.unseen", limits, engine.metered & (readings.quality > 0))
    out |= _flagged("unit.lost", units, lost) | _flagged("unit.deaf", units, estimate.deaf & ~lost)
    out |= _flagged("unit.deaf_to_q", units, estimate.deaf_q & ~lost)
    out |= _flagged("unit.behind", units, estimate.behind)
    out |= _flagged("unit.slower_than_configured", units, estimate.slower)
    if sacrificed:
        out.add(("site.infeasible", ", ".join(sacrificed)))
    if not estimate.grid_solved:
        out.add(("grid.no_solution", "network"))
    return frozenset(out)


def _flagged(name: str, ids: Sequence[str], which: BoolArray) -> set[tuple[str, str]]:
    return {(name, ids[k]) for k in which.nonzero()[0].tolist()}


def _transitions(
    engine: Engine, before: Flags, now: Flags, readings: Readings, words: Mapping[tuple[str, str], str]
) -> list[Event]:
    """What began and what ended; ``words`` by flag, else a limit's loading."""
    if now == before:
        return []

    def said(subject: str) -> str:
        if subject == "network":
            return KEPT_SENSITIVITIES
        k = engine.limit_place.get(subject)
        if k is None:
            return ""
        return f"{100.0 * readings.loading_frac[k]:.1f} % of {engine.site.limits[k].kind.value} limit"

    begun = [Event(TRANSITIONS[k][0], x, words[k, x] if (k, x) in words else said(x)) for k, x in sorted(now - before)]
    return begun + [Event(TRANSITIONS[k][1], x, said(x)) for k, x in sorted(before - now)]


def _mode_event(before: Mode, now: Mode) -> list[Event]:
    return [] if before is now else [Event("mode.changed", "site", f"{before.value} -> {now.value}")]
