"""Voltage support: reactive power moved toward what is asked at the interface, after everything else is decided.

Active power has been planned before, as if nobody asked and nothing had been given: nobody is curtailed for support.
What the limits leave after that is used by a second small programme over reactive powers alone. The plan that it begins
with is one of its solutions, so no limit is left worse than before; what it cannot reach is said together with what
stands in the way. Units go there together, a share of the way in every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.control import qp
from controller.control.dispatch import Plan, Problem, lead
from controller.control.programme import Solution
from controller.control.resources import Resources
from controller.control.support import Attained, tolerance_var
from controller.control.tuning import Tuning
from controller.domain.site import Site
from controller.domain.unit import UnitKind

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PENALTY = 0.5  # of the dearest price: above every move, below every limit; more lets Q circulate for scraps
MARGIN_FRAC = 0.02  # of rated power: what P may rise by before Q has to give way
SWING_PER_S = 0.1  # of a unit's reactive power: from nothing to all of it in ten seconds
SWING_MIN = 0.03  # per cycle, and more than a dead-band however short the cycle is
POOLS = 2.5  # of the room that is kept free under a limit: support is the first to stand back from it
AIM_FRAC = 0.1  # of the tolerance: the rest of it is for the dead-bands of the units
BINDS_MAX = 3  # limits named
EDGE_FRAC = 1e-3  # of a unit's reactive power: this near to the end of it, it has no more
WEIGHT_MIN = 1e-4


@dataclass(frozen=True, slots=True)
class Interface:
    """Reactive power at the interface now, and what it is asked to be, var (import positive).

    ``by_p`` and ``by_q`` are what one W and one var of each unit (load convention) do to it.
    """

    now_var: float
    asked_var: float
    by_p: Array
    by_q: Array


@dataclass(frozen=True, slots=True)
class _Box:
    """Changes of reactive power in per unit: what units may do, and what was planned without support."""

    low: Array
    high: Array
    planned: Array


def assist(
    site: Site, problem: Problem, plan: Plan, at: Interface, asked_q: BoolArray, r: Resources, tuning: Tuning
) -> tuple[Plan, Attained]:
    """The plan with support in it, and what comes of it. ``asked_q`` marks units whose own Q somebody has set."""
    idle = Attained(at.asked_var, at.now_var, at.now_var, tolerance_var(site.units))
    if not (plan.ok and np.isfinite(at.now_var) and np.isfinite(at.asked_var)):
        return plan, replace(idle, binds=("no plan",))
    box = _box(site, problem, plan, asked_q, r)
    rows = _rows(site, problem, plan, box, r, tuning)
    moved_p_var = float(at.by_p[r.unit] * r.sign @ (plan.up_w - plan.down_w))
    gap = (at.asked_var - at.now_var - moved_p_var) / r.base_w
    solution = _solve(site, problem, box, rows, at.by_q, gap, idle.tolerance_var, r, tuning)
    if not solution.ok:
        return plan, replace(idle, binds=("no plan",))
    rise, fall = np.split(solution.x, 2)
    moves = rise - fall
    reached_var = at.now_var + moved_p_var + float(at.by_q @ moves) * r.base_w
    found = replace(idle, reached_var=reached_var)
    if not found.in_full():
        spent = _spent(site, box, moves, at.by_q * np.sign(at.asked_var - reached_var))
        weight = solution.multiplier[: len(rows.b)]
        found = replace(found, binds=_binding(site, problem, rows.of[weight > WEIGHT_MIN], weight), spent=spent)
    made = box.planned + _share(site, problem, box, moves, r) * (moves - box.planned)
    return replace(plan, q_var=problem.q_var + made * r.base_w), found


def _share(site: Site, problem: Problem, box: _Box, moves: Array, r: Resources) -> float:
    """How much of the way is gone in this cycle: one share for all, so that what keeps the limits together stays so.

    The slowest decides. A large step would rest on sensitivities that have bent by its end.
    """
    step = max(SWING_PER_S * problem.cycle_s, SWING_MIN) * np.array([u.q_max_var for u in site.units]) / r.base_w
    way = moves - box.planned
    left = np.where(way > 0.0, step - box.planned, step + box.planned)
    share = np.divide(left, np.abs(way), out=np.full(len(way), np.inf), where=np.abs(way) > 0.0)
    return float(np.clip(share.min(initial=1.0), 0.0, 1.0))


def _box(site: Site, problem: Problem, plan: Plan, asked_q: BoolArray, r: Resources) -> _Box:
    """Reactive powers beside the active power that was just planned, which comes first."""
    planned = (plan.q_var - problem.q_var) / r.base_w
    rated_w = np.array([u.p_rated_w for u in site.units])
    is_battery = np.array([u.kind is UnitKind.BATTERY for u in site.units], dtype=bool)
    p_w = np.abs(r.unit_p_w(plan.output_w)) + np.where(is_battery, 0.0, MARGIN_FRAC * rated_w)
    apparent_va = np.array([u.s_rated_va for u in site.units])
    q_max_var = np.array([u.q_max_var for u in site.units])
    most = np.minimum(q_max_var, np.sqrt(np.maximum(apparent_va**2 - p_w**2, 0.0)))
    low = np.maximum(problem.bounds.q_low_var, -most) - problem.q_var
    high = np.minimum(problem.bounds.q_high_var, most) - problem.q_var
    low, high = np.minimum(low / r.base_w, planned), np.maximum(high / r.base_w, planned)
    return _Box(np.where(asked_q, planned, low), np.where(asked_q, planned, high), planned)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Limits over (rises, falls) of every unit: ``a @ x ≤ b``, priced; ``of`` is the row of the problem."""

    a: Array
    b: Array
    penalty: Array
    of: NDArray[np.intp]


def _rows(site: Site, problem: Problem, plan: Plan, box: _Box, r: Resources, tuning: Tuning) -> _Rows:
    """What is left of every limit after the moves of active power: when all is done, and within the lead horizon.

    Until then a move that worsens counts in full and one that relieves only as far as its unit's lag lets it come, so
    that no unit runs ahead of one that makes room for it. Rows that no move could reach are left out.
    """
    gq, main = problem.effects.by_unit_q * r.base_w, np.flatnonzero(problem.rows.main)
    effect, k = problem.effects, lead(r, problem.cycle_s, tuning)
    done = problem.rows.room - POOLS * problem.row_pool - effect.by_resource @ (plan.up_w - plan.down_w)
    soon = problem.rows.room - effect.taken(plan.up_w - k * plan.down_w, plan.down_w - k * plan.up_w)
    relief = gq[main] * _lead_q(site, problem.cycle_s, tuning)
    a = np.vstack([np.hstack([gq, -gq]), np.hstack([np.maximum(gq[main], relief), np.maximum(-gq[main], -relief)])])
    planned = np.concatenate([np.maximum(box.planned, 0.0), np.maximum(-box.planned, 0.0)])
    b = np.maximum(np.concatenate([done, soon[main]]), a @ planned)
    most = np.concatenate([np.maximum(box.high, 0.0), np.maximum(-box.low, 0.0)])
    keep = np.flatnonzero(np.maximum(a, 0.0) @ most > b)
    of = np.concatenate([np.arange(len(done)), main])[keep]
    return _Rows(a[keep], b[keep], problem.row_penalty[of], of)


def _lead_q(site: Site, cycle_s: float, tuning: Tuning) -> Array:
    """Share of a reactive move that is done within the lead horizon, per unit."""
    latency_s = np.array([u.actuator.latency_s for u in site.units])
    tau_s = np.maximum(np.array([u.actuator.tau_q_s for u in site.units]), 1e-3)
    acting_s = np.maximum(max(tuning.lead_horizon_s, 1.5 * cycle_s) - latency_s - 0.5 * cycle_s, 0.0)
    out: Array = np.maximum(1.0 - np.exp(-acting_s / tau_s), tuning.lead_min_frac)
    return out


def _solve(
    site: Site, problem: Problem, box: _Box, rows: _Rows, by_q: Array, gap: float, tolerance: float, r: Resources,
    tuning: Tuning,
) -> Solution:  # fmt: skip
    """Limits first, then the wish, at the least use of everybody's reactive power; rises, then falls."""
    rated = np.maximum(np.array([u.q_max_var for u in site.units]), 1.0) / r.base_w
    h = np.tile((tuning.q_cost + tuning.q_move_cost) / rated, 2)
    use = tuning.q_cost * problem.q_var / r.base_w / rated
    near = AIM_FRAC * tolerance / r.base_w
    wish = np.concatenate([by_q, -by_q])
    a = np.vstack([rows.a, wish, -wish])
    b = np.concatenate([rows.b, [gap + near, near - gap]])
    low = np.maximum(np.concatenate([box.low, -box.high]), 0.0)
    high = np.maximum(np.concatenate([box.high, -box.low]), low)
    return qp.solve(h, np.concatenate([use, -use]), low, high, a, b, np.concatenate([rows.penalty, [PENALTY, PENALTY]]))


def _binding(site: Site, problem: Problem, rows: NDArray[np.intp], weight: Array) -> tuple[str, ...]:
    """Limits that stand in the way, the heaviest first, each once."""
    order = rows[np.argsort(-weight[weight > WEIGHT_MIN], kind="stable")]
    return tuple(dict.fromkeys(site.limits[problem.rows.limit[i]].id for i in order))[:BINDS_MAX]


def _spent(site: Site, box: _Box, moves: Array, helps: Array) -> tuple[str, ...]:
    """Units that could help and are at the end of what they have."""
    out = []
    for k, unit in enumerate(site.units):
        if unit.q_max_var <= 0.0 or helps[k] == 0.0:
            continue
        left = box.high[k] - moves[k] if helps[k] > 0.0 else moves[k] - box.low[k]
        if left <= EDGE_FRAC * (box.high[k] - box.low[k]):
            out.append(unit.id)
    return tuple(out)
