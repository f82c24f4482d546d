"""A convex quadratic programme with soft rows, solved by DAQP; inputs and outputs are checked here and nowhere else.

    min ½ xᵀ diag(h) x + fᵀ x + penaltyᵀ s    s.t.  low ≤ x ≤ high,  A x ≤ b + s,  s ≥ 0

DAQP reports success for NaN data and for arrays of wrong length, so both are refused before; violations are computed
from the solution, not from its flags.
"""

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
class Solution:
    """``x`` inside its box, ``violation`` and ``multiplier`` of every row (≥ 0); ``ok`` False means unusable."""

    x: Array
    violation: Array
    multiplier: Array
    ok: bool


def solve(h: Array, f: Array, low: Array, high: Array, a: Array, b: Array, penalty: Array) -> Solution:
    """Solve once; never raises for data, says ``ok=False`` instead."""
    n, m = len(f), len(b)
    shapes = h.shape == low.shape == high.shape == (n,) and a.shape == (m, n) and penalty.shape == (m,)
    if not shapes:
        raise ValueError(
            f"QP shapes do not fit: f {f.shape}, h {h.shape}, box {low.shape} {high.shape}, A {a.shape}, b {b.shape}"
        )
    failed = Solution(np.clip(np.zeros(n), low, high), np.maximum(-b, 0.0), np.zeros(m), False)
    if not all(np.isfinite(x).all() for x in (h, f, low, high, a, b, penalty)) or (low > high).any():
        return failed
    model = daqp.Model()
    model.settings = {"iter_limit": ITERATIONS_MAX}
    upper = np.ascontiguousarray(np.concatenate([high, b]))
    lower = np.ascontiguousarray(np.concatenate([low, np.full(m, -1e30)]))
    sense = np.concatenate([np.zeros(n, np.int32), np.full(m, SOFT, np.int32)]).astype(np.int32)
    flag, _ = model.setup(np.diag(h), np.ascontiguousarray(f), np.ascontiguousarray(a), upper, lower, sense)
    if flag < 0:
        return failed
    weight, quadratic = np.concatenate([np.zeros(n), penalty]), np.full(n + m, SLACK_RECIPROCAL)
    model.soft_weights(rho_l=quadratic, rho_u=quadratic, w_l=weight, w_u=weight)
    x, _, flag, info = model.solve()
    if flag <= 0 or not np.isfinite(x).all():
        return failed
    x = np.clip(x, low, high)
    multiplier = np.asarray(info["lam"])[n:] if m else np.zeros(0)
    return Solution(x, np.maximum(a @ x - b, 0.0), np.maximum(multiplier, 0.0), True)
