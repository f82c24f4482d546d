"""Which unit moves by how much: one small QP per cycle around what the units are doing now.

Variables, in per unit of the largest unit: for every resource a move up and a move down from its present output, for
every unit a change of reactive power. Steady rows say where the moves end; transient rows say where they are within
the lead horizon, counting upward moves in full and downward moves only as far as lag and latency allow. That lets
fast units jump in while slow ones follow, and forbids swapping a slow reduction against a fast increase. Nothing is
counted twice: the moves start from the measured outputs, so commands still in flight are part of the move.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.control import qp
from controller.control.programme import Expected
from controller.control.resources import Resources
from controller.control.tuning import Tuning
from controller.domain.masks import every, some
from controller.limits.base import Rows

Array = NDArray[np.float64]
EFFECT_MIN_FRAC = 0.03
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]


@dataclass(frozen=True)
class Effects:
    """What moves do to the rows: per W of each resource's output and per var of each unit (per unit of the limit)."""

    by_resource: Array
    by_unit_q: Array

    def of(self, rows: BoolArray) -> Effects:
        """What moves do to some of the rows."""
        return Effects(self.by_resource[rows], self.by_unit_q[rows])

    @cached_property
    def worse(self) -> Array:
        """What a rise of each resource takes from every row, ≥ 0."""
        out: Array = np.maximum(self.by_resource, 0.0)
        return out

    def taken(self, up: Array, down: Array) -> Array:
        """What every row loses where who harms it by rising counts with ``up``, and who relieves it with ``down``.

        Σ max(g, 0)·up + max(−g, 0)·down, without a matrix for the other sign.
        """
        out: Array = self.worse @ (up + down) - self.by_resource @ down
        return out


def effects(rows: Rows, unit_bus: IndexArray, resources: Resources) -> Effects:
    """Effects of ``rows``; ``unit_bus`` is every unit's injection, −1 at the source, where it moves nothing.

    A unit whose effect is a few per cent of the most effective one's does not count: it would have to give way many
    times as much (the sensitivity threshold of active network management schemes).
    """
    n_w, n_unit = rows.sensitivity.shape[1] // 2, len(unit_bus)
    columns = np.concatenate([unit_bus, np.where(unit_bus < 0, -1, n_w + unit_bus)])
    both: Array = rows.sensitivity.take(columns, axis=1) if n_w else np.zeros((len(rows.room), len(columns)))
    both[:, columns < 0] = 0.0
    by_unit = both.reshape(len(both), 2, n_unit)  # of P, of Q
    size = np.abs(by_unit)
    by_unit[size < EFFECT_MIN_FRAC * size.max(axis=2, initial=0.0, keepdims=True)] = 0.0
    return Effects(by_unit[:, 0].take(resources.unit, axis=1) * resources.sign, by_unit[:, 1])


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far each resource may move, W ≥ 0, and each unit's reactive range (var, load convention).

    ``down_min_w`` is what it must come down by, whatever the limits say (a battery that is nearly full).
    """

    up_w: Array
    down_w: Array
    down_min_w: Array
    q_low_var: Array
    q_high_var: Array


@dataclass(frozen=True, slots=True)
class Target:
    """A soft wish inside the limits: ``|sensitivity · Δinjection − gap| ≤ tolerance`` (W or var), priced."""

    sensitivity: Array
    gap: float
    tolerance: float
    price_eur_per_mwh: float


@dataclass(frozen=True, slots=True)
class Wishes:
    """Soft rows over (moves up, moves down, reactive changes) in per unit of the power base: ``a @ x ≤ b``, priced."""

    a: Array
    b: Array
    penalty: Array


@dataclass(frozen=True, slots=True)
class Plan:
    """Result: outputs to aim at (W, magnitudes), reactive power (var), and what it took.

    ``violation`` and ``shadow`` are per row of the rows given: per unit of the limit left uncovered, and the price of
    one per unit of room in units of the dearest price times the power base. ``came_to`` is what the next one may expect
    where that saves time, in a large programme.
    """

    output_w: Array
    q_var: Array
    up_w: Array
    down_w: Array
    violation: Array
    shadow: Array
    came_to: Expected | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything one dispatch needs, already in arrays.

    ``lent_share`` (per resource): see ``trust.py``; ``insist`` (per row) marks limits that stay exceeded,
    ``is_current`` those of currents and powers, not voltages; ``expected`` what the last plan came to.
    """

    rows: Rows
    effects: Effects
    row_penalty: Array
    row_pool: Array
    output_w: Array
    q_var: Array
    bounds: Bounds
    marginal_price: Array
    curvature: Array
    lent_share: Array
    insist: BoolArray
    is_current: BoolArray
    target: Target | None
    cycle_s: float
    wishes: Wishes | None = None
    expected: Expected | None = None


def dispatch(problem: Problem, resources: Resources, incidence: Array, q_max_var: Array, tuning: Tuning) -> Plan:
    """Solve one cycle. ``incidence`` (n_w, n_unit) places units at buses; prices follow ``resources.price_scale``."""
    base, n_r = resources.base_w, len(resources.unit)
    keep = _reachable(problem).nonzero()[0]
    main = keep[problem.rows.main[keep]]
    k = lead(resources, problem.cycle_s, tuning)
    a, b, penalty = _assemble(problem, keep, main, k, resources, tuning)
    a, b, penalty = _with_target(problem.target, a, b, penalty, incidence, resources)
    a, b, penalty = _with_wishes(problem.wishes, a, b, penalty)
    h, f = _objective(problem, resources, q_max_var, tuning)
    low, high = _box(problem, base)
    family = _families(problem, keep, main, len(b)) if len(f) > qp.LARGE else None
    solution = qp.solve(h, f, low, high, a, b, penalty, family, problem.expected)
    up, down, dq = (solution.x[:n_r] * base, solution.x[n_r : 2 * n_r] * base, solution.x[2 * n_r :] * base)
    up = _within_earned_room(problem, up, down, dq, k)
    violation, shadow = np.zeros((2, len(problem.rows.room)))
    violation[keep], shadow[keep] = solution.violation[: len(keep)], solution.multiplier[: len(keep)]
    output = np.maximum(problem.output_w + up - down, 0.0)
    came_to = None if family is None else Expected.of(solution, low, high, family)
    return Plan(output, problem.q_var + dq, up, down, violation, shadow, came_to, solution.ok)


def _within_earned_room(problem: Problem, up: Array, down: Array, dq: Array, k: Array) -> Array:
    """Upward moves cut to the room that is there and that trusted units make within the lead horizon."""
    if every(problem.lent_share >= 1.0):
        return up
    relied = k * problem.lent_share
    earned = problem.effects.taken(relied * down, relied * up) - problem.effects.by_unit_q @ dq
    room, wanted = np.maximum(problem.rows.room, 0.0) + earned, problem.effects.worse @ up
    short = (problem.rows.main & problem.is_current & (wanted > room)).nonzero()[0]
    share = np.maximum(room[short], 0.0) / np.maximum(wanted[short], 1e-12)
    out: Array = up * np.where(problem.effects.worse[short] > 0.0, share[:, None], 1.0).min(axis=0, initial=1.0)
    return out


def _reachable(problem: Problem) -> BoolArray:
    """Rows that some allowed move could bring to their limit; the others need not be in the programme."""
    bounds, by_unit_q = problem.bounds, problem.effects.by_unit_q
    rise_q = np.maximum(bounds.q_high_var - problem.q_var, 0.0)
    fall_q = np.maximum(problem.q_var - bounds.q_low_var, 0.0)
    by_q = np.maximum(by_unit_q, 0.0) @ (rise_q + fall_q) - by_unit_q @ fall_q
    worse = problem.effects.taken(bounds.up_w, bounds.down_w) + by_q
    out: BoolArray = worse > problem.rows.room - problem.row_pool - 1e-9
    return out


def _families(problem: Problem, keep: IndexArray, main: IndexArray, n_row: int) -> IndexArray:
    """A number per row of the programme: steady rows by limit, transient ones by limit, every other one its own.

    A limit's two are the same in every cycle.
    """
    limit = problem.rows.limit
    alike = np.concatenate([2 * limit[keep], 2 * limit[main] + 1])
    others = 2 * (limit.max(initial=-1) + 1) + np.arange(n_row - len(alike))
    return np.concatenate([alike, others])


def lead(resources: Resources, cycle_s: float, tuning: Tuning) -> Array:
    """Share of a downward move that is done within the lead horizon, per resource."""
    horizon = max(tuning.lead_horizon_s, 1.5 * cycle_s)
    acting = np.maximum(horizon - resources.latency_s - 0.5 * cycle_s, 0.0)
    return np.maximum(1.0 - np.exp(-acting / resources.tau_s), tuning.lead_min_frac)


def _assemble(
    problem: Problem, keep: IndexArray, main: IndexArray, k: Array, resources: Resources, tuning: Tuning
) -> tuple[Array, Array, Array]:
    """Steady rows of all kept; transient rows of the main ones; of those that stay exceeded again with earned trust.

    In transient rows a move for the worse counts in full and relief only by its share ``k`` (≤ 1).
    """
    base, room, effect = resources.base_w, problem.rows.room, problem.effects
    urgent = main[problem.insist[main]] if some(problem.lent_share < 1.0) else main[:0]
    n_keep, n_main, n_r = len(keep), len(main), len(k)
    rows = np.concatenate([keep, main, urgent])
    a = np.empty((len(rows), 2 * n_r + effect.by_unit_q.shape[1]))  # filled in place: the largest array of a cycle
    up, down, lent = a[:, :n_r], a[:, n_r : 2 * n_r], k * problem.lent_share
    np.multiply(effect.by_resource[rows], base, out=up)
    np.negative(up, out=down)
    np.multiply(effect.by_unit_q[rows], base, out=a[:, 2 * n_r :])
    for part, share in ((slice(n_keep, n_keep + n_main), k), (slice(n_keep + n_main, None), lent)):
        relief = up[part] * share
        np.maximum(up[part], relief, out=up[part])
        np.maximum(down[part], -relief, out=down[part])
    b = np.concatenate([room[keep] - problem.row_pool[keep], room[main], room[urgent]])
    penalty = problem.row_penalty[rows]
    penalty[n_keep:] *= tuning.transient_penalty / tuning.thermal_penalty
    return a, b, penalty


def _with_target(
    target: Target | None, a: Array, b: Array, penalty: Array, incidence: Array, resources: Resources
) -> tuple[Array, Array, Array]:
    if target is None:
        return a, b, penalty
    n_w = incidence.shape[0]
    p, q = target.sensitivity[:n_w] @ incidence, target.sensitivity[n_w:] @ incidence
    by_resource = p[resources.unit] * resources.sign
    row = np.concatenate([by_resource, -by_resource, q])[None, :]
    gap, tolerance = target.gap / resources.base_w, target.tolerance / resources.base_w
    price = target.price_eur_per_mwh / resources.price_scale
    both = np.vstack([a, row, -row])
    return both, np.concatenate([b, [gap + tolerance, tolerance - gap]]), np.concatenate([penalty, [price, price]])


def _with_wishes(wishes: Wishes | None, a: Array, b: Array, penalty: Array) -> tuple[Array, Array, Array]:
    if wishes is None:
        return a, b, penalty
    return np.vstack([a, wishes.a]), np.concatenate([b, wishes.b]), np.concatenate([penalty, wishes.penalty])


def _objective(problem: Problem, resources: Resources, q_max_var: Array, tuning: Tuning) -> tuple[Array, Array]:
    rated = resources.rated_w / resources.base_w
    move = tuning.move_cost / rated + problem.curvature
    q_rated = np.maximum(q_max_var, 1.0) / resources.base_w
    q_now = problem.q_var / resources.base_w
    h = np.concatenate([move, move, (tuning.q_cost + tuning.q_move_cost) / q_rated])
    f = np.concatenate([-problem.marginal_price, problem.marginal_price, tuning.q_cost * q_now / q_rated])
    return h, f


def _box(problem: Problem, base: float) -> tuple[Array, Array]:
    bounds, n_r = problem.bounds, len(problem.output_w)
    dq_low = np.minimum(bounds.q_low_var - problem.q_var, bounds.q_high_var - problem.q_var)
    dq_high = np.maximum(bounds.q_high_var - problem.q_var, dq_low)
    low = np.concatenate([np.zeros(n_r), np.minimum(bounds.down_min_w, bounds.down_w) / base, dq_low / base])
    high = np.concatenate([bounds.up_w / base, bounds.down_w / base, dq_high / base])
    return low, np.maximum(high, low)
