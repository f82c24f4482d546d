"""From a decision to guarded set points, the cycle record and its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.control.causes import Verdict, contested
from controller.control.explain import access_ranks, attributed, curtailed_w, withheld_w
from controller.control.guard import guard
from controller.control.support_state import ALL_SAFE, attained_in, causes_of_power, support_state
from controller.domain.command import LEASE_S_MAX, Setpoint
from controller.domain.instruction import INTERFACE
from controller.domain.record import CycleRecord, Event, LimitState, Mode, UnitState, Withheld
from controller.estimation.estimate import Estimate
from controller.limits.base import Reading, as_lists
from controller.limits.in_force import InForce

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.engine import Engine
    from controller.control.state import ControlState

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Flags = frozenset[tuple[str, str]]

INFEASIBLE_PU = 0.002
RELEASED_AFTER_S = 30.0  # a limit that binds now and then in this time is one event, not many
NAN = float("nan")
KEPT_SENSITIVITIES = "sensitivities of the last operating point that has a power flow"

TRANSITIONS = {
    "limit.bound": ("limit.bound", "limit.released"),
    "support.short": ("support.short", "support.met"),
    "unit.behind": ("unit.behind", "unit.follows"),
    "unit.deaf": ("unit.deaf", "unit.obeys"),
    "unit.slower_than_configured": ("unit.slower_than_configured", "unit.as_configured"),
    "unit.lost": ("unit.lost", "unit.back"),
    "unit.contested": ("unit.contested", "unit.settled"),
    "limit.unseen": ("limit.unseen", "limit.seen"),
    "meter.contradiction": ("meter.contradiction", "meter.agrees"),
    "meter.frozen": ("meter.frozen", "meter.moves"),
    "meter.spike": ("meter.spike", "meter.steady"),
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
    readings: Mapping[int, Reading],
    decision: Decision,
    set_p_w: Array,
    set_q_var: Array,
    held: BoolArray,
    decided: list[Verdict],
    lost: BoolArray,
    state: ControlState,
    told: Sequence[Event],
) -> tuple[CycleRecord, Flags, Array]:
    """The record of this cycle, and what its successor needs to tell transitions from states.

    ``told`` are the transitions of the reasons to restrict.
    """
    setpoints, faults = _guarded(engine, now_s, set_p_w, set_q_var, decided)
    shadow = _by_limit(engine, decision, decision.plan.shadow)
    violation = _by_limit(engine, decision, decision.plan.violation)
    curtailed, by_limit = curtailed_w(engine, decision), withheld_w(engine, decision)
    limits = _limit_states(engine, decision.in_force, readings, shadow, by_limit.sum(axis=1))
    withheld = attributed(engine, by_limit, curtailed, [causes_of_power(s.causes, decision) for s in setpoints])
    units = _unit_states(engine, estimate, setpoints, decision, held, lost, mode, curtailed, withheld)
    sacrificed = tuple(x.id for x, v in zip(engine.site.limits, violation, strict=True) if v > INFEASIBLE_PU)
    bound_at_s = np.where([x.binding for x in limits], now_s, state.bound_at_s)
    conflicts = contested(engine, decision, setpoints)
    flags = _flags(limits, units, sacrificed, engine, bound_at_s, now_s)
    flags |= {("unit.behind", u.id) for u, behind in zip(engine.site.units, estimate.behind, strict=True) if behind}
    flags |= {("unit.slower_than_configured", u.id) for u, x in zip(units, estimate.slower, strict=True) if x}
    if not estimate.grid_solved:
        flags |= {("grid.no_solution", "network")}
    flags |= {("unit.contested", unit_id) for unit_id in conflicts} | estimate.meters.keys()
    words = {**{("unit.contested", k): text for k, text in conflicts.items()}, **estimate.meters}
    attained, short = attained_in(decision, mode), ("support.short", INTERFACE)
    if attained is not None and not attained.in_full(short in state.flags):
        flags, words = flags | {short}, {**words, short: attained.words}
    events = (*told, *_transitions(state.flags, flags, limits, words), *faults, *_mode_event(state.mode, mode))
    record = CycleRecord(
        seq, now_s, mode, limits, units, setpoints, events, not sacrificed, sacrificed,
        engine.site.principle, float(curtailed.sum()), decision.in_force.restrictions,
        support_state(engine, decision, attained, estimate, now_s),
    )  # fmt: skip
    return record, flags, bound_at_s


def _guarded(
    engine: Engine, now_s: float, set_p_w: Array, set_q_var: Array, decided: list[Verdict]
) -> tuple[tuple[Setpoint, ...], list[Event]]:
    setpoints, events = [], []
    for unit, p, q, why in zip(engine.site.units, set_p_w.tolist(), set_q_var.tolist(), decided, strict=True):
        expires_at_s = now_s + min(unit.fail_safe.lease_s, LEASE_S_MAX)
        wanted = Setpoint(unit.id, p, q, now_s, expires_at_s, why.owner.value, why.causes)
        checked, event = guard(wanted, unit, now_s)
        setpoints.append(checked)
        if event is not None:
            events.append(event)
    return tuple(setpoints), events


def _by_limit(engine: Engine, decision: Decision, per_row: Array) -> Array:
    out = np.zeros(len(engine.site.limits))
    np.maximum.at(out, decision.rows.limit, per_row)
    return out


def _limit_states(
    engine: Engine, in_force: InForce, readings: Mapping[int, Reading], shadow: Array, given_up_w: Array
) -> tuple[LimitState, ...]:
    scale = engine.resources.price_scale * engine.resources.base_w / 1e6
    out = []
    numbers = as_lists(in_force.high, in_force.low, shadow, given_up_w)
    for k, (limit, (high, low, price, given_up)) in enumerate(zip(engine.site.limits, numbers, strict=True)):
        r = readings[k]
        out.append(
            LimitState(
                limit.id, limit.kind.value, limit.element, r.value, r.worst, high, None if limit.low is None else low,
                r.loading_frac, r.worst_frac, r.quality, price > 1e-4, price * scale,
                in_force.cause[k], in_force.facts[k], given_up,
            )
        )  # fmt: skip
    return tuple(out)


def _unit_states(
    engine: Engine,
    estimate: Estimate,
    setpoints: tuple[Setpoint, ...],
    decision: Decision,
    held: BoolArray,
    lost: BoolArray,
    mode: Mode,
    curtailed: Array,
    withheld: list[tuple[Withheld, ...]],
) -> tuple[UnitState, ...]:
    ranks = access_ranks(engine, decision)
    out = []
    e = estimate
    columns = as_lists(
        e.unit_p_w, e.unit_q_var, e.avail_w, e.soc_frac, curtailed, e.latency_s, e.tau_s, e.deaf, lost, held
    )
    for unit, s, why, rank, (p_w, q_var, avail_w, soc, kept_w, latency_s, tau_s, is_deaf, is_lost, is_held) in zip(
        engine.site.units, setpoints, withheld, ranks, columns, strict=True
    ):
        status = _status(is_deaf, is_lost, mode, is_held and bool(s.causes))
        out.append(
            UnitState(
                unit.id,
                unit.kind.value,
                p_w,
                q_var,
                avail_w,
                s.p_w,
                s.q_var,
                kept_w,
                soc,
                status,
                s.causes,
                why,
                rank,
                latency_s,
                tau_s,
            )
        )
    return tuple(out)


def _status(deaf: bool, lost: bool, mode: Mode, held: bool) -> str:
    if lost:
        return "lost"
    if deaf:
        return "deaf"
    if mode in ALL_SAFE:
        return "safe"
    return "held" if held else "free"


def _flags(
    limits: tuple[LimitState, ...],
    units: tuple[UnitState, ...],
    sacrificed: tuple[str, ...],
    engine: Engine,
    bound_at_s: Array,
    now_s: float,
) -> Flags:
    out = {("limit.bound", x.id) for x, t in zip(limits, bound_at_s, strict=True) if now_s - t < RELEASED_AFTER_S}
    out |= {("limit.unseen", x.id) for x in limits if x.quality != "measured" and x.element in engine.metered}
    out |= {(f"unit.{u.status}", u.id) for u in units if u.status in ("deaf", "lost")}
    if sacrificed:
        out.add(("site.infeasible", ", ".join(sacrificed)))
    return frozenset(out)


def _transitions(
    before: Flags, now: Flags, limits: tuple[LimitState, ...], words: Mapping[tuple[str, str], str]
) -> list[Event]:
    """What began and what ended; ``words`` by flag, else a limit's loading."""
    if now == before:
        return []
    said = {x.id: f"{100.0 * x.loading_frac:.1f} % of {x.kind} limit" for x in limits} | {"network": KEPT_SENSITIVITIES}
    begun = [Event(TRANSITIONS[k][0], x, words.get((k, x), said.get(x, ""))) for k, x in sorted(now - before)]
    return begun + [Event(TRANSITIONS[k][1], x, said.get(x, "")) for k, x in sorted(before - now)]


def _mode_event(before: Mode, now: Mode) -> list[Event]:
    return [] if before is now else [Event("mode.changed", "site", f"{before.value} -> {now.value}")]
