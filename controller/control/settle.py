"""From a decision to set points: hysteresis for what need not change, fail-safe where the mode says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control import wishes
from controller.control.causes import Verdict, verdicts
from controller.control.decision import VOLTAGE_POOL_PU, Decision
from controller.control.engine import Engine
from controller.control.state import ControlState
from controller.domain.record import Mode
from controller.estimation.estimate import Estimate

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
P_MARGIN_FRAC = 0.02  # of rated power: what P may rise by before Q has to give way


@dataclass(frozen=True, slots=True)
class Quiet:
    """When small moves can wait: the nearest rating is between ``from_frac`` of the pool (at a cycle of 1 s; the longer
    the cycle, the more of it is needed for gusts) and ``band_frac`` of the tuning's band above it, and no voltage is
    nearer to its edge's pool than ``voltage_pu`` allows."""

    from_frac: float
    band_frac: float
    voltage_pu: float


QUIET = Quiet(0.9, 1.0, VOLTAGE_POOL_PU)
STORAGE_QUIET = Quiet(0.1, 2.0, 0.0)  # wider: for its low price storage would follow the noise of the meters


def settle(
    engine: Engine, state: ControlState, estimate: Estimate, decision: Decision, mode: Mode, lost: BoolArray
) -> tuple[Array, Array, BoolArray, list[Verdict]]:
    """Set points from the decision: hysteresis for what need not change, fail-safe where the mode says so."""
    r, t = engine.resources, engine.tuning
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
    quiet = _quiet(engine, decision)
    share = np.where(r.is_storage, t.quiet_storage_frac, t.quiet_move_frac)
    small = np.abs(value - previous) < share * r.rated_w
    waits = np.where(r.is_storage, _quiet(engine, decision, STORAGE_QUIET), quiet)
    value = np.where(waits & decision.held & small, previous, value)
    value = engine.paces.at_most(value, state.pace, output)
    value = wishes.settle_within(value, cap, decision.plan, decision.span, decision.reach.fixed)
    set_p = np.minimum(np.maximum(r.unit_p_w(value), engine.p_low_w), engine.p_high_w)
    still = engine.units.is_battery & (np.abs(set_p - state.set_p_w) < t.deadband_p_frac * engine.units.p_rated_w)
    set_p = np.where(still & (set_p != 0.0), state.set_p_w, set_p)
    set_q = _reactive(engine, state, decision, set_p, estimate, quiet and decision.support is None)
    set_q = np.where(estimate.deaf, state.set_q_var, set_q)
    held_unit = r.by_unit(decision.held.astype(float)) > 0.0
    kept_p = r.unit_p_w(np.minimum(r.output_w(state.set_p_w), decision.span.cap_w))
    if not decision.plan.ok:
        set_p, set_q, held_unit = kept_p, state.set_q_var, state.held
    all_safe = mode in (Mode.FAIL_SAFE, Mode.BOOT, Mode.STOPPING)
    set_p, set_q = np.where(lost, kept_p, set_p), np.where(lost, state.set_q_var, set_q)
    safe = (lost & engine.reverts) | state.given_up | all_safe
    capped_safe = r.unit_p_w(np.minimum(np.where(r.is_storage, np.inf, decision.span.cap_w), engine.safe_output_w))
    set_p = np.where(safe, capped_safe, set_p)
    set_q = np.where(safe, engine.safe_q_var, set_q)
    held_unit = held_unit | safe
    return set_p, set_q, held_unit, verdicts(engine, decision, set_p, held_unit, safe, mode, lost)


def _quiet(engine: Engine, decision: Decision, when: Quiet = QUIET) -> bool:
    """True while every limit is kept and the nearest rating is used as well as noise allows: small moves can wait."""
    t, rows = engine.tuning, decision.rows
    pool = t.pool(engine.site.cycle.cycle_s)
    voltage = engine.is_voltage[rows.limit]
    nearest = float(rows.room[rows.main & ~voltage].min(initial=np.inf))
    kept = bool((rows.room[rows.main & voltage] > -when.voltage_pu).all())
    from_frac = 1.0 - (1.0 - when.from_frac) / max(engine.site.cycle.cycle_s, 1.0)
    return kept and from_frac * pool < nearest < pool + when.band_frac * t.quiet_frac


def _reactive(
    engine: Engine, state: ControlState, decision: Decision, set_p_w: Array, estimate: Estimate, quiet: bool
) -> Array:
    """Reactive set points: kept within the dead-band, inside what the apparent power leaves beside P.

    P is what a unit does where its set point is a cap, and the set point where that is the power itself.
    """
    units, t, wanted_var = engine.units, engine.tuning, decision.plan.q_var
    band = t.quiet_q_frac if quiet else t.deadband_q_frac
    still = np.abs(wanted_var - state.set_q_var) < band * np.maximum(units.q_max_var, 1.0)
    does_w = np.abs(estimate.unit_p_w) + P_MARGIN_FRAC * units.p_rated_w
    p_w = np.where(units.is_battery, np.abs(set_p_w), np.minimum(np.abs(set_p_w), does_w))
    limit = np.minimum(units.q_max_var, np.sqrt(np.maximum(units.s_rated_va**2 - p_w**2, 0.0)))
    out: Array = np.minimum(np.maximum(np.where(still, state.set_q_var, wanted_var), -limit), limit)
    return out
