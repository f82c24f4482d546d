"""Which offers to take: the cheapest choice without a conflict, proven, by mixed-integer optimisation (HiGHS).

Columns are, per bid, the fraction taken and (where a yes or no matters) whether it is taken at all, then one column of
uncovered power for every constraint and period in which something can stay uncovered. Powers are in units of the
problem's largest, so that the numbers the solver sees, and what it tolerates, fit a village as well as a city.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import highspy
import numpy as np

from controller.planning.bids import Bid, BidProblem, bid_cost_eur, total_eur

ACCEPTED_ABOVE = 1e-6  # a smaller fraction is the solver's rounding
TAKEN_ABOVE = 0.5  # a yes of which less is left is the solver's rounding too
TIME_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The chosen fractions (only those above 0), what everything costs, and whether that is proven to be least.

    No choice at all costs less than ``total_eur`` minus ``gap_eur``: 0 when proven, infinite when nothing is known.
    """

    accepted: dict[str, float]
    total_eur: float
    proven: bool
    gap_eur: float


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
    """Where a bid is in the model; ``taken`` is the fraction itself when a fraction needs no yes or no.

    It is taken where that column is above ``taken_above``.
    """

    fraction: int
    taken: int
    taken_above: float


def accept_bids(problem: BidProblem, time_limit_s: float = TIME_LIMIT_S) -> Acceptance:
    """The cheapest choice; with ``proven`` False when the time ran out before the proof (the choice is still valid).

    Where the time is too short for any choice nothing is taken. Raises ``RuntimeError`` when the solver fails, which
    taking nothing should make impossible.
    """
    if not problem.bids:
        return Acceptance({}, total_eur(problem, {}), proven=True, gap_eur=0.0)
    model = _Model()
    columns = _add_bids(model, problem)
    _add_exclusions(model, problem, columns)
    _add_coverage(model, problem, columns)
    found = _solve(model, time_limit_s)
    accepted = {
        bid.id: _snapped(found.values[where.fraction], bid.divisible)
        for bid, where in zip(problem.bids, columns, strict=True)
        if found.values[where.fraction] > ACCEPTED_ABOVE and found.values[where.taken] > where.taken_above
    }
    total = total_eur(problem, accepted)
    return Acceptance(accepted, total, found.proven, 0.0 if found.proven else max(total - found.least_eur, 0.0))


def _snapped(fraction: float, divisible: bool) -> float:
    """The fraction without the solver's rounding."""
    return 1.0 if not divisible or fraction > 1.0 - ACCEPTED_ABOVE else fraction


def _add_bids(model: _Model, problem: BidProblem) -> list[_BidColumns]:
    excluded = {i for members in _exclusions(problem) for i in members}
    return [_add_bid(model, problem, bid, i in excluded) for i, bid in enumerate(problem.bids)]


def _add_bid(model: _Model, problem: BidProblem, bid: Bid, excluded: bool) -> _BidColumns:
    energy_eur = bid_cost_eur(problem, bid, 1.0) - bid.activation_eur
    if not bid.divisible:
        whole = model.column(energy_eur + bid.activation_eur, 1.0, integer=True)
        return _BidColumns(whole, whole, TAKEN_ABOVE)
    fraction = model.column(energy_eur, 1.0)
    if bid.activation_eur == 0.0 and not excluded:
        return _BidColumns(fraction, fraction, 0.0)
    taken = model.column(bid.activation_eur, 1.0, integer=True)
    model.row([(fraction, 1.0), (taken, -1.0)], -np.inf, 0.0)
    return _BidColumns(fraction, taken, TAKEN_ABOVE)


def _exclusions(problem: BidProblem) -> list[list[int]]:
    """Sets of bids of which one may be taken, per group, and per asset and period; only the largest ones."""
    sets: dict[tuple[str, str | int, str], set[int]] = defaultdict(set)
    for i, bid in enumerate(problem.bids):
        if bid.group is not None:
            sets["group", 0, bid.group].add(i)
        for period in range(bid.start, bid.end):
            sets["asset", period, bid.asset].add(i)
    distinct = {frozenset(members) for members in sets.values() if len(members) > 1}
    largest = [members for members in distinct if not any(members < other for other in distinct)]
    return sorted((sorted(members) for members in largest), key=lambda members: (len(members), members))


def _add_exclusions(model: _Model, problem: BidProblem, columns: list[_BidColumns]) -> None:
    for members in _exclusions(problem):
        model.row([(columns[i].taken, 1.0) for i in members], -np.inf, 1.0)


def _add_coverage(model: _Model, problem: BidProblem, columns: list[_BidColumns]) -> None:
    """relief + uncovered ≥ −room, wherever something can stay uncovered."""
    base_w = _base_w(problem)
    price_eur = problem.shortfall_eur_per_mwh * problem.period_mwh_per_w * base_w
    constraints, periods = problem.need_w.shape
    for c in range(constraints):
        for k in range(periods):
            terms = [
                (where.fraction, bid.sensitivity_pu[c] * bid.power_w_at(k) / base_w)
                for bid, where in zip(problem.bids, columns, strict=True)
                if bid.start <= k < bid.end and bid.sensitivity_pu[c] != 0.0
            ]
            room = float(problem.room_w[c, k]) / base_w
            if room + sum(min(relief, 0.0) for _, relief in terms) < 0.0:
                uncovered = model.column(price_eur, np.inf)
                model.row([*terms, (uncovered, 1.0)], -room, np.inf)


def _base_w(problem: BidProblem) -> float:
    """The largest power in the problem: what the solver calls one."""
    return max(float(problem.need_w.max()), *(bid.power_w for bid in problem.bids)) or 1.0


@dataclass(frozen=True, slots=True)
class _Solution:
    """Columns of the best choice, whether it is proven, and what nothing is cheaper than."""

    values: list[float]
    proven: bool
    least_eur: float


def _solve(model: _Model, time_limit_s: float) -> _Solution:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 1e-6)
    solver.setOptionValue("mip_allow_restart", False)  # proofs of 200 bids take half the time so
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", time_limit_s)
    solver.passModel(_as_lp(model))
    solver.run()
    status = solver.getModelStatus()
    solution = solver.getSolution()
    proven = status == highspy.HighsModelStatus.kOptimal
    least_eur = float(solver.getInfo().mip_dual_bound) if any(model.integer) else -np.inf
    if solution.value_valid:
        return _Solution(list(solution.col_value), proven, least_eur)
    if status != highspy.HighsModelStatus.kTimeLimit:
        raise RuntimeError(f"the solver returned no choice of bids: {solver.modelStatusToString(status)}")
    return _Solution([0.0] * len(model.cost_eur), False, least_eur)


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
