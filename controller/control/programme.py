"""One soft quadratic programme as the solver takes it, DAQP; violations are computed, not taken from its flags."""

from __future__ import annotations

from dataclasses import dataclass

import daqp
import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every

Array = NDArray[np.float64]
EndArray = NDArray[np.int32]
IndexArray = NDArray[np.intp]

# DAQP's marks of a constraint: binds, at its lower side, has a slack, the slack is 0 although the constraint binds.
ACTIVE, LOWER, SOFT, KEPT = 1, 2, 8, 32
ITERATIONS_MAX = 2000
SLACK_RECIPROCAL = 1e3  # quadratic share of a slack price is 1 / (2 × this): the price is as good as linear


@dataclass(frozen=True, slots=True)
class Programme:
    """min ½ xᵀ diag(h) x + fᵀ x + penaltyᵀ s  s.t.  low ≤ x ≤ high,  A x ≤ b + s,  s ≥ 0; finite and of one size."""

    h: Array
    f: Array
    low: Array
    high: Array
    a: Array
    b: Array
    penalty: Array


@dataclass(frozen=True, slots=True)
class Solution:
    """``x`` inside its box, ``violation`` and ``multiplier`` of every row (≥ 0); ``ok`` False means unusable."""

    x: Array
    violation: Array
    multiplier: Array
    ok: bool


def ends_of(x: Array, low: Array, high: Array) -> EndArray:
    """Where every move ends: at its lower bound (-1), at its upper one (1), or between them or without a choice (0)."""
    return np.subtract(x >= high, x <= low, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a programme came to, as a similar one may be expected to: ``ends`` of its moves (:func:`ends_of`), and the
    highest price of each family of its rows, by the family's number; 0 where none of them bound."""

    ends: EndArray
    prices: Array

    @staticmethod
    def of(solution: Solution, low: Array, high: Array, family: IndexArray) -> Expected:
        """Of the answer to the programme with these bounds and ``family`` of every row."""
        prices = np.zeros(family.max(initial=-1) + 1)
        np.maximum.at(prices, family, solution.multiplier)
        return Expected(ends_of(solution.x, low, high), prices)


def solve_whole(p: Programme, guess: Array | None = None) -> Solution:
    """Solve in one go; the solver changes its mind once for every bound and row that it begins with wrongly.

    It begins with the rows that have a multiplier in ``guess``; without one at the optimum that no row disturbs, at
    which many moves are at a bound already.
    """
    marks = np.zeros(len(p.f) + len(p.b), np.int32)
    marks[len(p.f) :] = SOFT
    begun = marks | _begun(p, guess)
    found = (_solved(p, begun) if guess is None else _solved(p, marks, begun)) or _solved(p, marks)
    if found is not None:
        return found
    x = np.minimum(np.maximum(0.0, p.low), p.high)
    return Solution(x, np.maximum(-p.b, 0.0), np.zeros(len(p.b)), False)


def _begun(p: Programme, guess: Array | None) -> NDArray[np.int32]:
    """The solver's marks of what is expected to bind: bounds of the undisturbed optimum, or rows of ``guess``."""
    out = np.zeros(len(p.f) + len(p.b), np.int32)
    if guess is None:
        free = np.divide(-p.f, p.h, out=np.zeros(len(p.f)), where=p.h > 0.0)
        out[: len(p.f)] = np.where(free <= p.low, ACTIVE | LOWER, np.where(free >= p.high, ACTIVE, 0))
    else:
        out[len(p.f) :] = np.where(guess > 0.0, np.where(guess < p.penalty, ACTIVE | KEPT, ACTIVE), 0)
    return out


def _solved(p: Programme, marks: NDArray[np.int32], begun: NDArray[np.int32] | None = None) -> Solution | None:
    """None when the solver finds no answer, as when what it begins with depends on each other and cannot all bind.

    Rows can only bind from the beginning (``begun``) when their slacks have prices; bounds have none and bind at once.
    """
    n, m = len(p.f), len(p.b)
    model = daqp.Model()
    model.settings = {"iter_limit": ITERATIONS_MAX}
    upper, lower = np.concatenate([p.high, p.b]), np.concatenate([p.low, np.full(m, -1e30)])
    f, a = np.ascontiguousarray(p.f), np.ascontiguousarray(p.a)
    flag, _ = model.setup(np.diag(p.h), f, a, upper, lower, marks)
    if flag < 0:
        return None
    weight, quadratic = np.concatenate([np.zeros(n), p.penalty]), np.full(n + m, SLACK_RECIPROCAL)
    model.soft_weights(rho_l=quadratic, rho_u=quadratic, w_l=weight, w_u=weight)
    if begun is not None and model.update(sense=begun) < 0:
        return None
    x, _, flag, info = model.solve()
    if flag <= 0 or not every(np.isfinite(x)):
        return None
    x = np.minimum(np.maximum(x, p.low), p.high)
    multiplier = np.asarray(info["lam"])[n:] if m else np.zeros(0)
    return Solution(x, np.maximum(p.a @ x - p.b, 0.0), np.maximum(multiplier, 0.0), True)
