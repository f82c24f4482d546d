"""A convex quadratic programme with soft rows: its data are checked here and nowhere else, then it is solved.

    min ½ xᵀ diag(h) x + fᵀ x + penaltyᵀ s    s.t.  low ≤ x ≤ high,  A x ≤ b + s,  s ≥ 0

The solver reports success for NaN data and for arrays of wrong length, so both are refused before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.programme import Expected, Programme, Solution, solve_whole
from controller.control.sifting import sift
from controller.domain.masks import every, some

Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]

LARGE = 128  # variables from which on a sequence of small programmes takes less time than one


def solve(
    h: Array, f: Array, low: Array, high: Array, a: Array, b: Array, penalty: Array,
    family: IndexArray | None = None, expected: Expected | None = None,
) -> Solution:  # fmt: skip
    """Solve once; never raises for data, says ``ok=False`` instead.

    Rows of one ``family`` (a number per row) are alike, such as the tangents of one limit; ``expected`` is what a
    similar programme came to, of no use when that had another number of variables. Both only matter to the time that
    a large programme takes.
    """
    n, m = len(f), len(b)
    shapes = h.shape == low.shape == high.shape == (n,) and a.shape == (m, n) and penalty.shape == (m,)
    if not shapes or (family is not None and family.shape != (m,)):
        raise ValueError(
            f"QP shapes do not fit: f {f.shape}, h {h.shape}, box {low.shape} {high.shape}, A {a.shape}, b {b.shape}"
        )
    if not all(every(np.isfinite(x)) for x in (h, f, low, high, a, b, penalty)) or some(low > high):
        return Solution(np.clip(np.zeros(n), low, high), np.maximum(-b, 0.0), np.zeros(m), False)
    if n == 0:
        return Solution(np.zeros(0), np.maximum(-b, 0.0), np.zeros(m), True)
    programme = Programme(h, f, low, high, a, b, penalty)
    if n <= LARGE:
        return solve_whole(programme)
    fitting = expected if expected is not None and len(expected.ends) == n else None
    solution = sift(programme, np.arange(m) if family is None else family, fitting)
    return solve_whole(programme) if solution is None else solution
