"""Which offers to take: the cheapest choice without a conflict, proven, by mixed-integer optimisation (HiGHS).

Columns are, per bid, the fraction taken and (where a yes or no matters) whether it is taken at all, then one column of
uncovered power for every constraint and period in which something can stay uncovered. Powers are in megawatts, so
that the numbers the solver sees lie near one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import highspy
import numpy as np

from controller.planning.bids import W_PER_MW, BidProblem, bid_cost_eur, total_eur

ACCEPTED_ABOVE = 1e-7  # a smaller fraction is the solver's rounding
TIME_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The chosen fractions (only those above 0), what everything costs, and whether that is proven to be least."""

    accepted: dict[str, float]
    total_eur: float
    proven: bool


@dataclass(slots=True)
class _Model:
    """A mixed-integer programme under construction: columns, and rows as lists of (column, coefficient)."""

    cost_eur: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    rows: list[tuple[list[tuple[int, float]], float, float]] = field(default_factory=list)

    def column(self, cost_eur: float, upper: float, integer: bool = False) -> int:
        """A new column with lower bound 0."""
        self.cost_eur.append(cost_eur)
        self.upper.append(upper)
        self.integer.append(integer)
        return len(self.cost_eur) - 1

    def row(self, terms: list[tuple[int, float]], lower: float, upper: float) -> None:
        """A new row."""
        self.rows.append((terms, lower, upper))


@dataclass(frozen=True, slots=True)
class _BidColumns:
    """Where a bid is in the model; ``taken`` is the fraction itself when a fraction needs no yes or no."""

    fraction: int
    taken: int


def accept_bids(problem: BidProblem, time_limit_s: float = TIME_LIMIT_S) -> Acceptance:
    """The cheapest choice; with ``proven`` False when the time ran out before the proof (the choice is still valid).

    Raises ``RuntimeError`` when the solver returns no choice at all, which taking nothing should make impossible.
    """
    if not problem.bids:
        return Acceptance({}, total_eur(problem, {}), proven=True)
    model = _Model()
    columns = _add_bids(model, problem)
    _add_exclusions(model, problem, columns)
    _add_coverage(model, problem, columns)
    values, proven = _solve(model, time_limit_s)
    accepted = {
        bid.id: _snapped(values[where.fraction], bid.divisible)
        for bid, where in zip(problem.bids, columns, strict=True)
        if values[where.fraction] > ACCEPTED_ABOVE
    }
    return Acceptance(accepted, total_eur(problem, accepted), proven)


def _snapped(fraction: float, divisible: bool) -> float:
    """The fraction without the solver's rounding."""
    return 1.0 if not divisible or fraction > 1.0 - ACCEPTED_ABOVE else fraction


def _add_bids(model: _Model, problem: BidProblem) -> list[_BidColumns]:
    columns = []
    for bid in problem.bids:
        energy_eur = bid_cost_eur(problem, bid, 1.0) - bid.activation_eur
        if not bid.divisible:
            whole = model.column(energy_eur + bid.activation_eur, 1.0, integer=True)
            columns.append(_BidColumns(whole, whole))
            continue
        fraction = model.column(energy_eur, 1.0)
        taken = model.column(bid.activation_eur, 1.0, integer=True)
        model.row([(fraction, 1.0), (taken, -1.0)], -np.inf, 0.0)
        columns.append(_BidColumns(fraction, taken))
    return columns


def _add_exclusions(model: _Model, problem: BidProblem, columns: list[_BidColumns]) -> None:
    """At most one bid per group, and per asset and period; only the largest sets are written."""
    sets: dict[tuple[str, str | int, str], set[int]] = defaultdict(set)
    for i, bid in enumerate(problem.bids):
        if bid.group is not None:
            sets["group", 0, bid.group].add(i)
        for period in range(bid.start, bid.end):
            sets["asset", period, bid.asset].add(i)
    distinct = {frozenset(members) for members in sets.values() if len(members) > 1}
    for members in sorted((sorted(members) for members in distinct), key=lambda members: (len(members), members)):
        if not any(set(members) < other for other in distinct):
            model.row([(columns[i].taken, 1.0) for i in members], -np.inf, 1.0)


def _add_coverage(model: _Model, problem: BidProblem, columns: list[_BidColumns]) -> None:
    """relief + uncovered ≥ −room, wherever something can stay uncovered."""
    price_eur_per_mw = problem.shortfall_eur_per_mwh * problem.period_mwh_per_w * W_PER_MW
    constraints, periods = problem.need_w.shape
    for c in range(constraints):
        for k in range(periods):
            terms = [
                (where.fraction, bid.sensitivity_pu[c] * bid.power_w_at(k) / W_PER_MW)
                for bid, where in zip(problem.bids, columns, strict=True)
                if bid.start <= k < bid.end and bid.sensitivity_pu[c] != 0.0
            ]
            room_mw = float(problem.room_w[c, k]) / W_PER_MW
            if room_mw + sum(min(relief_mw, 0.0) for _, relief_mw in terms) < 0.0:
                uncovered = model.column(price_eur_per_mw, np.inf)
                model.row([*terms, (uncovered, 1.0)], -room_mw, np.inf)


def _solve(model: _Model, time_limit_s: float) -> tuple[list[float], bool]:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 1e-6)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", time_limit_s)
    solver.passModel(_as_lp(model))
    solver.run()
    status = solver.getModelStatus()
    solution = solver.getSolution()
    if not solution.value_valid:
        raise RuntimeError(f"the solver returned no choice of bids: {solver.modelStatusToString(status)}")
    return list(solution.col_value), status == highspy.HighsModelStatus.kOptimal


def _as_lp(model: _Model) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    lp.num_col_ = len(model.cost_eur)
    lp.num_row_ = len(model.rows)
    lp.col_cost_ = np.array(model.cost_eur)
    lp.col_lower_ = np.zeros(len(model.cost_eur))
    lp.col_upper_ = np.array(model.upper)
    lp.row_lower_ = np.array([lower for _, lower, _ in model.rows])
    lp.row_upper_ = np.array([upper for _, _, upper in model.rows])
    lp.integrality_ = [
        highspy.HighsVarType.kInteger if integer else highspy.HighsVarType.kContinuous for integer in model.integer
    ]
    terms = [row for row, _, _ in model.rows]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0, *(len(row) for row in terms)])
    lp.a_matrix_.index_ = np.array([column for row in terms for column, _ in row], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([value for row in terms for _, value in row])
    return lp
