"""One soft quadratic programme as the solver takes it, DAQP; violations are computed, not taken from its flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import daqp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EndArray = NDArray[np.int32]

SOFT = 8
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


def solve_whole(p: Programme, guess: Array | None = None) -> Solution:
    """Solve in one go; the solver changes its mind once for every bound and row that it begins with wrongly.

    It begins with the rows that have a multiplier in ``guess``; without one at the optimum that no row disturbs, at
    which many moves are at a bound already.
    """
    free = np.divide(-p.f, p.h, out=np.zeros(len(p.f)), where=p.h > 0.0)
    best = np.minimum(np.maximum(free, p.low), p.high)
    start = {"primal_start": best} if guess is None else {"dual_start": np.concatenate([np.zeros(len(p.f)), guess])}
    found = _solved(p, start) or _solved(p, {})  # what depends on each other cannot all bind at the start
    if found is not None:
        return found
    x = np.minimum(np.maximum(0.0, p.low), p.high)
    return Solution(x, np.maximum(-p.b, 0.0), np.zeros(len(p.b)), False)


def _solved(p: Programme, start: Mapping[str, Array]) -> Solution | None:
    n, m = len(p.f), len(p.b)
    model = daqp.Model()
    model.settings = {"iter_limit": ITERATIONS_MAX}
    upper, lower = np.concatenate([p.high, p.b]), np.concatenate([p.low, np.full(m, -1e30)])
    sense = np.concatenate([np.zeros(n, np.int32), np.full(m, SOFT, np.int32)])
    f, a = np.ascontiguousarray(p.f), np.ascontiguousarray(p.a)
    flag, _ = model.setup(np.diag(p.h), f, a, upper, lower, sense, **start)
    if flag < 0:
        return None
    weight, quadratic = np.concatenate([np.zeros(n), p.penalty]), np.full(n + m, SLACK_RECIPROCAL)
    model.soft_weights(rho_l=quadratic, rho_u=quadratic, w_l=weight, w_u=weight)
    x, _, flag, info = model.solve()
    if flag <= 0 or not np.isfinite(x).all():
        return None
    x = np.minimum(np.maximum(x, p.low), p.high)
    multiplier = np.asarray(info["lam"])[n:] if m else np.zeros(0)
    return Solution(x, np.maximum(p.a @ x - p.b, 0.0), np.maximum(multiplier, 0.0), True)
