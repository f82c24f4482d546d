"""From a decision to set points: hysteresis for what need not change, fail-safe where the mode says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control import wishes
from controller.control.bands import Bands
from controller.control.causes import Verdict, verdicts
from controller.control.decision import VOLTAGE_POOL_PU, Decision
from controller.control.engine import Engine
from controller.control.reactive_orders import standing_q
from controller.control.resources import Resources
from controller.control.state import ControlState
from controller.domain.masks import some
from controller.domain.record import Mode
from controller.estimation.estimate import Estimate

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
DEAF_STEP_FRAC = 0.1  # of rated power: what deaf storage is told to come down by where a limit needs what it does
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
    r, bands = engine.resources, engine.bands
    output, previous = decision.plan.output_w, r.output_w(state.set_p_w)
    cap = output + decision.slack_w
    cap = np.where(cap > bands.full_w, r.rated_w, cap)
    keep = np.where(decision.held, _keep_held(previous, cap, bands), _keep_free(previous, cap, output, bands))
    value = np.where((keep | decision.reach.fixed) & ~r.is_storage, previous, cap)
    fixed_storage = r.is_storage & decision.reach.fixed
    if some(fixed_storage):
        value[fixed_storage] = _told_if_deaf(decision, r)[fixed_storage]
    quiet, storage_quiet = _quiet(engine, decision)
    if quiet or storage_quiet:
        waits = decision.held & np.where(r.is_storage, storage_quiet, quiet)
        value = np.where(waits & (np.abs(value - previous) < bands.small_w), previous, value)
    value = engine.paces.at_most(value, state.pace, output)
    value = wishes.settle_within(value, cap, decision.plan, decision.span, decision.reach.fixed)
    set_p = np.minimum(np.maximum(r.unit_p_w(value), engine.p_low_w), engine.p_high_w)
    still = engine.units.is_battery & (np.abs(set_p - state.set_p_w) < bands.still_unit_w)
    set_p = np.where(still & (set_p != 0.0), state.set_p_w, set_p)
    set_q = _reactive(engine, state, decision, set_p, estimate, quiet and decision.support is None)
    set_q = np.where(estimate.deaf, state.set_q_var, set_q)
    if some(estimate.deaf_q):
        standing = standing_q(decision, estimate, state.set_q_var, engine.units.q_max_var)
        set_q = np.where(estimate.deaf_q & ~estimate.deaf, standing, set_q)
    held_unit = r.most_by_unit(decision.held)
    kept_p = r.unit_p_w(np.minimum(previous, decision.span.cap_w))
    if not decision.plan.ok:
        set_p, set_q, held_unit = kept_p, state.set_q_var, state.held
    if some(lost):
        set_p, set_q = np.where(lost, kept_p, set_p), np.where(lost, state.set_q_var, set_q)
    safe = (lost & engine.reverts) | state.given_up | (mode in (Mode.FAIL_SAFE, Mode.BOOT, Mode.STOPPING))
    if some(safe):
        capped_safe = r.unit_p_w(np.minimum(np.where(r.is_storage, np.inf, decision.span.cap_w), engine.safe_output_w))
        set_p, set_q = np.where(safe, capped_safe, set_p), np.where(safe, engine.safe_q_var, set_q)
        held_unit = held_unit | safe
    return set_p, set_q, held_unit, verdicts(engine, decision, set_p, held_unit, safe, mode, lost)


def _told_if_deaf(decision: Decision, r: Resources) -> Array:
    """What deaf storage stands told: nothing, or, where stopping would break a limit, a step less than it does, W.

    It may hear again in any instant and then does what it is told at once; a step shows that it hears just as well.
    """
    does = decision.reach.output_w
    lost = (decision.effects.worse - decision.effects.by_resource) * does  # of each row's room, by each that stops
    breaks = ((lost > 0.0) & (lost > decision.rows.room[:, None])).any(axis=0)
    out: Array = np.where(breaks, np.maximum(does - DEAF_STEP_FRAC * r.rated_w, 0.0), 0.0)
    return out


def _keep_free(previous: Array, cap: Array, output: Array, bands: Bands) -> BoolArray:
    """Free resources whose cap leaves them what they need and not much more: it need not change."""
    need, most = np.minimum(output + bands.kept_w, cap), np.maximum(cap, output + bands.more_w)
    out: BoolArray = (previous >= need) & (previous <= most)
    return out


def _keep_held(previous: Array, cap: Array, bands: Bands) -> BoolArray:
    """Held resources whose cap would change by less than the dead-band."""
    out: BoolArray = np.abs(previous - cap) < np.where(cap < previous, bands.falls_w, bands.still_w)
    return out


def _quiet(engine: Engine, decision: Decision) -> tuple[bool, bool]:
    """Whether every limit is kept and the nearest rating is used as well as noise allows, so that small moves of units,
    and of storage, can wait."""
    rows, cycle_s = decision.rows, engine.site.cycle.cycle_s
    pool, voltage = engine.tuning.pool(cycle_s), engine.is_voltage[rows.limit]
    nearest = float(rows.room[rows.main & ~voltage].min(initial=np.inf))
    lowest = float(rows.room[rows.main & voltage].min(initial=np.inf))

    def quiet(when: Quiet) -> bool:
        from_frac = 1.0 - (1.0 - when.from_frac) / max(cycle_s, 1.0)
        near = from_frac * pool < nearest < pool + when.band_frac * engine.tuning.quiet_frac
        return near and lowest > -when.voltage_pu

    return quiet(QUIET), quiet(STORAGE_QUIET)


def _reactive(
    engine: Engine, state: ControlState, decision: Decision, set_p_w: Array, estimate: Estimate, quiet: bool
) -> Array:
    """Reactive set points: kept within the dead-band, inside what the apparent power leaves beside P.

    P is what a unit does where its set point is a cap, and the set point where that is the power itself.
    """
    units, t, wanted_var = engine.units, engine.tuning, decision.plan.q_var
    band = t.quiet_q_frac if quiet else t.deadband_q_frac
    still = np.abs(wanted_var - state.set_q_var) < band * engine.bands.q_var
    does_w = np.abs(estimate.unit_p_w) + P_MARGIN_FRAC * units.p_rated_w
    p_w = np.where(units.is_battery, np.abs(set_p_w), np.minimum(np.abs(set_p_w), does_w))
    limit = np.minimum(units.q_max_var, np.sqrt(np.maximum(units.s_rated_va**2 - p_w**2, 0.0)))
    out: Array = np.minimum(np.maximum(np.where(still, state.set_q_var, wanted_var), -limit), limit)
    return out
