"""A large programme as a sequence of small ones with the same optimum (sifting: Bixby et al., Oper. Res. 40, 1992).

Of hundreds of moves most end at a bound, and of thousands of rows few bind. Each round solves for the moves that seem
to end between their bounds, under a few rows of each limit. A move at its bound that would lower the cost by leaving
it, and a row that the answer breaks, join the next round. When there is neither, the answer meets the optimality
conditions (Karush-Kuhn-Tucker) of the whole programme, which is strictly convex: it is its only optimum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.programme import SLACK_RECIPROCAL, Expected, Programme, Solution, ends_of, solve_whole
from controller.domain.masks import some

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

ROUNDS_MAX = 40
ROUNDS_FAR = 2  # with nothing expected: until then most moves have still to join, and what binds says little
ROUNDS_FREE = 8  # from then on no move leaves any more, so that rounds cannot repeat themselves
TOLERANCE = 1e-9  # of a row, and of a reduced cost
ROUNDING = 1e-12
FEW = 32  # broken rows that join together: mostly tangents of a few limits, which would come one by one
NO_MOVE = 1e-6  # effect below which the moves of a round cannot mend a row


def sift(p: Programme, family: IndexArray, expected: Expected | None = None) -> Solution | None:
    """The optimum, or None when the rounds come to no end.

    Of every ``family`` the row nearest to its limit is there from the start. With what is ``expected`` the moves begin
    at their ends, and of these rows those that have a price or are broken there; it costs rounds where it is wrong,
    and nothing else. A round may then overshoot and break hundreds of rows: the worst of them bring most others back.
    """
    x, every, able = np.minimum(np.maximum(0.0, p.low), p.high), np.zeros(len(p.b)), p.high > p.low
    far, ends = (ROUNDS_FAR, ends_of(x, p.low, p.high)) if expected is None else (0, expected.ends)
    x, inside = np.where(ends < 0, p.low, np.where(ends > 0, p.high, x)), able & (ends == 0)
    over = p.a @ x - p.b
    rows = _worst(over, -np.inf, family)
    if expected is not None:
        price = _price(expected, family[rows])
        likely = (price > 0.0) | (over[rows] > 0.0)
        rows = rows[likely]
        every[rows] = price[likely]
    taken = p.a[rows]
    for number in range(ROUNDS_MAX):
        answer = _round(p, x, inside, rows, taken, every[rows] if number >= far else None)
        if answer is None:
            return None
        x, multiplier = answer
        every[rows] = multiplier
        over, binding = p.a @ x - p.b, multiplier.nonzero()[0]
        cost = p.h * x + p.f + multiplier[binding] @ taken[binding]
        leaving = ~inside & able & np.where(x <= p.low, cost < -TOLERANCE, cost > TOLERANCE)
        outside = over.copy()
        outside[rows] = -np.inf
        broken = _joining(outside, family)
        if not some(leaving) and not len(broken):
            return Solution(x, np.maximum(over, 0.0), every, True)
        if number < ROUNDS_FREE:
            inside = inside & (x > p.low) & (x < p.high)
        inside = inside | leaving
        if len(broken):
            rows, taken = np.concatenate([rows, broken]), np.concatenate([taken, p.a[broken]])
    return None


def _round(
    p: Programme, x: Array, inside: BoolArray, rows: IndexArray, taken: Array, before: Array | None
) -> tuple[Array, Array] | None:
    """All moves, and the multipliers of ``rows``, when only the moves ``inside`` may change; None = not solved.

    ``taken`` are the rows' coefficients, ``before`` their multipliers of the last round, where few of them will change.
    """
    moves, penalty = inside.nonzero()[0], p.penalty[rows]
    a, rest = taken.take(moves, axis=1), p.b[rows] - taken @ np.where(inside, 0.0, x)
    # The solver ignores a row that no move of the round touches; if it is broken, its price is known all the same.
    live = (np.abs(a).max(axis=1, initial=0.0) > NO_MOVE).nonzero()[0]
    h, f, low, high = (v[moves] for v in (p.h, p.f, p.low, p.high))
    some = Programme(h, f, low, high, a[live], rest[live], penalty[live])
    small = solve_whole(some, None if before is None else before[live])
    if not small.ok:
        return None
    moved = x.copy()
    moved[moves] = small.x
    # The solver leaves a move at its bound a rounding error away from it.
    moved = np.where(moved < p.low + ROUNDING, p.low, np.where(moved > p.high - ROUNDING, p.high, moved))
    over = a @ small.x - rest
    multiplier = np.where(over > 0.0, penalty + over / SLACK_RECIPROCAL, 0.0)
    multiplier[live] = small.multiplier
    return moved, multiplier


def _price(expected: Expected, family: IndexArray) -> Array:
    """What is expected of rows of these families; nothing of one that was not there."""
    known = family < len(expected.prices)
    out = np.zeros(len(family))
    out[known] = expected.prices[family[known]]
    return out


def _joining(over: Array, family: IndexArray) -> IndexArray:
    """Broken rows that join the next round: all, while they are few, else the worst ones of different families."""
    broken = np.flatnonzero(over > TOLERANCE)
    if len(broken) > FEW:
        broken = _worst(over, TOLERANCE, family)
    return broken if len(broken) <= FEW else broken[np.argpartition(-over[broken], FEW)[:FEW]]


def _worst(over: Array, least: float, family: IndexArray) -> IndexArray:
    """Rows above ``least``, of every family only the one furthest above."""
    found = np.flatnonzero(over > least)
    ordered = found[np.lexsort((-over[found], family[found]))]
    first: IndexArray = ordered[np.diff(family[ordered], prepend=-1) != 0]
    return first
