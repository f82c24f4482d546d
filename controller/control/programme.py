"""One soft quadratic programme as the solver takes it, DAQP; violations are computed, not taken from its flags."""

from __future__ import annotations

from dataclasses import dataclass

import daqp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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


def solve_whole(p: Programme) -> Solution:
    """Solve in one go."""
    n, m = len(p.f), len(p.b)
    failed = Solution(np.clip(np.zeros(n), p.low, p.high), np.maximum(-p.b, 0.0), np.zeros(m), False)
    model = daqp.Model()
    model.settings = {"iter_limit": ITERATIONS_MAX}
    upper, lower = np.concatenate([p.high, p.b]), np.concatenate([p.low, np.full(m, -1e30)])
    sense = np.concatenate([np.zeros(n, np.int32), np.full(m, SOFT, np.int32)])
    flag, _ = model.setup(np.diag(p.h), np.ascontiguousarray(p.f), np.ascontiguousarray(p.a), upper, lower, sense)
    if flag < 0:
        return failed
    weight, quadratic = np.concatenate([np.zeros(n), p.penalty]), np.full(n + m, SLACK_RECIPROCAL)
    model.soft_weights(rho_l=quadratic, rho_u=quadratic, w_l=weight, w_u=weight)
    x, _, flag, info = model.solve()
    if flag <= 0 or not np.isfinite(x).all():
        return failed
    x = np.clip(x, p.low, p.high)
    multiplier = np.asarray(info["lam"])[n:] if m else np.zeros(0)
    return Solution(x, np.maximum(p.a @ x - p.b, 0.0), np.maximum(multiplier, 0.0), True)
