"""A sparse linear programme built from blocks of columns and rows, solved by HiGHS, and solved again after a change."""

from __future__ import annotations

import highspy
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

COEFFICIENT_MIN = 1e-9
TIME_LIMIT_S = 5.0


class LinearProgramme:
    """Minimise cost · x within bounds of columns and rows."""

    def __init__(self) -> None:
        self._columns: list[tuple[Array, Array, Array]] = []
        self._rows: list[tuple[Array, Array]] = []
        self._entries: list[tuple[Index, Index, Array]] = []
        self._n = self._m = 0

    def columns(self, low: Array, high: Array, cost: Array) -> Index:
        """New variables; their numbers in the common shape of the arguments."""
        low, high, cost = np.broadcast_arrays(low, high, cost)
        numbers = self._n + np.arange(low.size, dtype=np.intp).reshape(low.shape)
        self._columns.append((low.ravel(), high.ravel(), cost.ravel()))
        self._n += low.size
        return numbers

    def rows(self, terms: list[tuple[Index, Array]], low: Array, high: Array) -> Index:
        """New rows ``low ≤ Σ factors · x ≤ high``; each term holds (row, k) columns and factors. Their numbers."""
        m = len(terms[0][0])
        numbers = self._m + np.arange(m, dtype=np.intp)
        for column, factor in terms:
            column, factor = np.broadcast_arrays(column, factor)
            row = np.broadcast_to(numbers[:, None], column.shape)
            self._entries.append((row.ravel(), column.ravel(), factor.ravel()))
        self._rows.append((np.broadcast_to(low, m), np.broadcast_to(high, m)))
        self._m += m
        return numbers

    def solver(self) -> Solver:
        """The programme handed to the solver."""
        return Solver(self._as_lp())

    def _as_lp(self) -> highspy.HighsLp:
        row, column, value = (np.concatenate([e[k] for e in self._entries]) for k in range(3))
        keep = np.abs(value) > COEFFICIENT_MIN
        row, column, value = row[keep], column[keep], value[keep]
        order = np.argsort(row, kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self._n, self._m
        lp.col_lower_, lp.col_upper_, lp.col_cost_ = (np.concatenate([c[k] for c in self._columns]) for k in range(3))
        lp.row_lower_, lp.row_upper_ = (np.concatenate([r[k] for r in self._rows]) for k in range(2))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self._m))]).astype(np.int32)
        lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order].astype(np.int32), value[order]
        return lp


class Solver:
    """A programme that can be solved again with other right-hand sides, from the last basis."""

    def __init__(self, lp: highspy.HighsLp) -> None:
        self._highs = highspy.Highs()
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("time_limit", TIME_LIMIT_S)
        self._highs.passModel(lp)

    def fix_row(self, row: int, value: float) -> None:
        """Demand exactly this value of a row from now on."""
        self._highs.changeRowBounds(row, value, value)

    def solve(self) -> tuple[Array, Array] | None:
        """(x, d cost / d right-hand side per row), or None when there is no optimum in time."""
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._highs.getSolution()
        return np.array(solution.col_value), np.array(solution.row_dual)
