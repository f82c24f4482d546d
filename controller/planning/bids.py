"""Flexibility offers against a forecast shortage: the values, and what a choice of offers costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

W_PER_MW = 1e6
HOUR_S = 3600.0

Grid = npt.NDArray[np.float64]  # constraint by period


@dataclass(frozen=True, slots=True)
class Bid:
    """One offer for the periods ``start`` … ``end − 1``.

    ``sensitivity_pu`` is the relief of each constraint per watt of the bid; negative makes the constraint worse. An
    indivisible bid is taken whole or not at all; ``activation_eur`` is due once when any part of it is taken. At most
    one bid of an ``asset`` is taken per period, and one of a ``group`` in all. ``shape`` is the share of ``power_w``
    in each of its periods (0…1); left out: all of it in every one.
    """

    id: str
    asset: str
    group: str | None
    start: int
    end: int
    power_w: float
    price_eur_per_mwh: float
    activation_eur: float
    divisible: bool
    sensitivity_pu: tuple[float, ...]
    shape: tuple[float, ...] = ()

    def power_w_at(self, period: int) -> float:
        """Its power in a period, 0 outside its own."""
        if not self.start <= period < self.end:
            return 0.0
        return self.power_w * (self.shape[period - self.start] if self.shape else 1.0)

    @property
    def powers_w(self) -> list[float]:
        """Its power in each of its periods."""
        return [self.power_w_at(period) for period in range(self.start, self.end)]


@dataclass(frozen=True, slots=True)
class BidProblem:
    """A forecast shortage and the offers for it.

    ``need_w[c, k]`` is to be relieved on constraint c in period k; where it is 0, ``spare_w[c, k]`` is the room left.
    What stays uncovered costs ``shortfall_eur_per_mwh``.
    """

    id: str
    period_s: float
    need_w: Grid
    spare_w: Grid
    shortfall_eur_per_mwh: float
    bids: tuple[Bid, ...]
    room_w: Grid = field(init=False)

    def __post_init__(self) -> None:
        """Room is what may be lost before anything is uncovered; a need is room below zero."""
        object.__setattr__(self, "room_w", np.where(self.need_w > 0.0, -self.need_w, self.spare_w))

    @property
    def period_mwh_per_w(self) -> float:
        """Energy of one watt over one period."""
        return self.period_s / HOUR_S / W_PER_MW


def bid_cost_eur(problem: BidProblem, bid: Bid, taken_frac: float) -> float:
    """What taking ``taken_frac`` of a bid costs: its energy and, once, its activation."""
    if taken_frac <= 0.0:
        return 0.0
    energy_mwh = taken_frac * sum(bid.powers_w) * problem.period_mwh_per_w
    return bid.price_eur_per_mwh * energy_mwh + bid.activation_eur


def relief_w(problem: BidProblem, accepted: Mapping[str, float]) -> Grid:
    """Relief of every constraint in every period by the accepted fractions."""
    total = np.zeros_like(problem.need_w)
    for bid in problem.bids:
        fraction = accepted.get(bid.id, 0.0)
        if fraction > 0.0:
            total[:, bid.start : bid.end] += np.outer(bid.sensitivity_pu, fraction * np.asarray(bid.powers_w))
    return total


def shortfall_eur(problem: BidProblem, relief: Grid) -> Grid:
    """Cost of what stays uncovered, per constraint and period."""
    uncovered_w = np.maximum(0.0, -(problem.room_w + relief))
    return uncovered_w * problem.period_mwh_per_w * problem.shortfall_eur_per_mwh


def total_eur(problem: BidProblem, accepted: Mapping[str, float]) -> float:
    """Everything that a choice costs: bids, activations and what stays uncovered."""
    bought = sum(bid_cost_eur(problem, bid, accepted.get(bid.id, 0.0)) for bid in problem.bids)
    return bought + float(shortfall_eur(problem, relief_w(problem, accepted)).sum())


def conflict(first: Bid, second: Bid) -> bool:
    """Whether two bids exclude each other: same group, or same asset at the same time."""
    if first.id == second.id:
        return False
    same_group = first.group is not None and first.group == second.group
    return same_group or (first.asset == second.asset and first.start < second.end and second.start < first.end)
