"""Voltage support: reactive power moved toward what is asked at the interface, after everything else is decided.

Active power has been planned before, as if nobody asked: nobody is curtailed for support. What the limits leave after
that is used by a second small programme over reactive powers alone. The plan that it begins with is one of its
solutions, so no limit is left worse than before; what it cannot reach is said together with what stands in the way.
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

PENALTY = 1.0  # of the dearest price, as for a reactive set point of one unit: above every move, below every limit
MARGIN_FRAC = 0.02  # of rated power: what P may rise by before Q has to give way
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
    gq = problem.effects.by_unit_q * r.base_w
    room = np.maximum(_room_left(problem, plan, r, tuning), gq @ box.planned)
    most = np.maximum(gq, 0.0) @ box.high + np.minimum(gq, 0.0) @ box.low
    keep = np.flatnonzero(most > room)
    moved_p_var = float(at.by_p[r.unit] * r.sign @ (plan.up_w - plan.down_w))
    gap = (at.asked_var - at.now_var - moved_p_var) / r.base_w
    solution = _solve(site, problem, box, gq[keep], room[keep], keep, at.by_q, gap, idle.tolerance_var, r, tuning)
    if not solution.ok:
        return plan, replace(idle, binds=("no plan",))
    reached_var = at.now_var + moved_p_var + float(at.by_q @ solution.x) * r.base_w
    toward = np.sign(at.asked_var - reached_var)
    weight = np.zeros(len(room))
    weight[keep] = solution.multiplier[: len(keep)]
    found = replace(idle, reached_var=reached_var)
    if not found.in_full():
        spent = _spent(site, box, solution.x, at.by_q * toward)
        found = replace(found, binds=_binding(site, problem, weight), spent=spent)
    return replace(plan, q_var=problem.q_var + solution.x * r.base_w), found


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


def _room_left(problem: Problem, plan: Plan, r: Resources, tuning: Tuning) -> Array:
    """What every row has left after the moves of active power, when they are done and within the lead horizon."""
    worse, better, k = problem.effects.worse, problem.effects.better, lead(r, problem.cycle_s, tuning)
    done = problem.rows.room - problem.row_pool - (worse - better) @ (plan.up_w - plan.down_w)
    soon = worse @ (plan.up_w - k * plan.down_w) + better @ (plan.down_w - k * plan.up_w)
    out: Array = np.where(problem.rows.main, np.minimum(done, problem.rows.room - soon), done)
    return out


def _solve(
    site: Site, problem: Problem, box: _Box, gq: Array, room: Array, keep: NDArray[np.intp], by_q: Array, gap: float,
    tolerance: float, r: Resources, tuning: Tuning,
) -> Solution:  # fmt: skip
    """Limits first, then the wish, at the least use of everybody's reactive power."""
    rated = np.maximum(np.array([u.q_max_var for u in site.units]), 1.0) / r.base_w
    h = (tuning.q_cost + tuning.q_move_cost) / rated
    f = tuning.q_cost * problem.q_var / r.base_w / rated
    near = AIM_FRAC * tolerance / r.base_w
    a = np.vstack([gq, by_q, -by_q])
    b = np.concatenate([room, [gap + near, near - gap]])
    penalty = np.concatenate([problem.row_penalty[keep], [PENALTY, PENALTY]])
    return qp.solve(h, f, box.low, box.high, a, b, penalty)


def _binding(site: Site, problem: Problem, weight: Array) -> tuple[str, ...]:
    """Limits that stand in the way, the heaviest first, each once."""
    rows = np.flatnonzero(weight > WEIGHT_MIN)
    order = rows[np.argsort(-weight[rows], kind="stable")]
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
