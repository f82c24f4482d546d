"""A sparse linear program built from blocks and solved by HiGHS."""

from __future__ import annotations

import highspy
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class LinearProgram:
    """Minimise cost . x under bounds on columns and rows."""

    def __init__(self) -> None:
        self._low: list[Array] = []
        self._high: list[Array] = []
        self._cost: list[Array] = []
        self._n = 0
        self._entries: list[tuple[Index, Index, Array]] = []
        self._row_low: list[Array] = []
        self._row_high: list[Array] = []
        self._m = 0

    def columns(self, low: Array, high: Array, cost: Array) -> Index:
        """New variables; returns their numbers in the shape of ``low``."""
        numbers = self._n + np.arange(low.size).reshape(low.shape)
        self._low.append(low.ravel())
        self._high.append(high.ravel())
        self._cost.append(np.broadcast_to(cost, low.shape).ravel())
        self._n += low.size
        return numbers

    def rows(self, terms: list[tuple[Index, Array]], low: Array | float, high: Array | float) -> None:
        """New rows: sum over ``terms`` of (columns, factors), both [row, term], between ``low`` and ``high``."""
        n = len(terms[0][0])
        index, value = np.concatenate([t[0] for t in terms], axis=1), np.concatenate([t[1] for t in terms], axis=1)
        number = np.broadcast_to(self._m + np.arange(n)[:, None], index.shape)
        self._entries.append((number.ravel(), index.ravel(), value.ravel()))
        self._row_low.append(np.broadcast_to(low, n))
        self._row_high.append(np.broadcast_to(high, n))
        self._m += n

    def solve(self) -> tuple[Array, float]:
        """Optimal x and its cost. Raises RuntimeError with HiGHS's status when there is none."""
        row, column, value = (np.concatenate([e[k] for e in self._entries]) for k in range(3))
        keep = np.abs(value) > 1e-9
        row, column, value = row[keep], column[keep], value[keep]
        order = np.argsort(row, kind="stable")
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self._n, self._m
        # In cost units near one: HiGHS's tolerances are absolute, and a period of one second costs little.
        cost = np.concatenate(self._cost)
        scale = 1.0 / float(np.median(np.abs(cost[cost != 0.0])))
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost * scale, np.concatenate(self._low), np.concatenate(self._high)
        lp.row_lower_, lp.row_upper_ = np.concatenate(self._row_low), np.concatenate(self._row_high)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self._m))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order], value[order]
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.passModel(lp)
        solver.run()
        status = solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"linear program of {self._n} columns: {solver.modelStatusToString(status)}")
        x = np.array(solver.getSolution().col_value)
        return x, float(cost @ x)
