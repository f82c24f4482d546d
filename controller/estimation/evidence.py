"""What the movements of meters say about each other: one balance at a time, learned from moves and not from levels.

The demand that a balance implies must not move with any of its meters. When a meter reads ``k`` times the truth, the
implied demand moves with it: with slope ``1/k − 1`` on a meter through which power leaves the zone, and with ``k − 1``
on all of those together when the meter that brings the power is the wrong one. Multiple regression over moves between
quiet moments (a reading counts once it has moved by ``MOVE_FRAC`` of its scale), with forgetting: what load and noise
do by themselves cancels out, and one coincidence proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some
from controller.estimation.balance import Balance

Array = NDArray[np.float64]

FORGET = 0.97  # per move
REFERENCE_S = 60.0  # a move that takes longer is mixed with the demand's
MOVES_MIN = 6.0
WRONG_SLOPE, CLEAN_SLOPE, CLEAN_SIGMA = 0.15, 0.08, 0.04
PROOF_SIGMAS = 8.0
NOISE_FRAC = 0.005  # of its scale: noise of one meter's move
COMMON = 0.1  # slopes that differ by no more (and a quarter of their mean) have one cause


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one balance has seen. ``reference_*`` is the last quiet moment that counted; sums over moves since.

    ``slope`` and ``sigma`` per lower member (NaN and inf while nothing is known).
    """

    reference_s: float
    reference_p_w: Array
    reference_demand_w: float
    info: Array
    cross: Array
    square: float
    weight: float
    moves: Array
    slope: Array
    sigma: Array


def no_evidence(balance: Balance) -> Evidence:
    """Nothing seen yet."""
    n = int(balance.lower.sum())
    zero, unknown = np.zeros(n), np.full(n, np.nan)
    square = np.zeros((n, n))
    return Evidence(-np.inf, zero, 0.0, square, zero, 0.0, 0.0, zero, unknown, np.full(n, np.inf))


def look(evidence: Evidence, balance: Balance, p_w: Array, demand_w: float, now_s: float) -> Evidence:
    """Take in a quiet moment: the members' readings (by element) and the demand that they imply."""
    mine = p_w[balance.members][balance.lower]
    if now_s - evidence.reference_s > REFERENCE_S:
        return replace(evidence, reference_s=now_s, reference_p_w=mine, reference_demand_w=demand_w)
    move, change = mine - evidence.reference_p_w, demand_w - evidence.reference_demand_w
    moved = np.abs(move) >= balance.move_w[balance.lower]
    if not some(moved):
        return evidence
    info = FORGET * evidence.info + np.outer(move, move)
    cross = FORGET * evidence.cross + move * change
    square, weight = FORGET * evidence.square + change**2, FORGET * evidence.weight + 1.0
    moves = FORGET * evidence.moves + moved
    slope, sigma = _regression(balance, info, cross, square, weight)
    enough = moves >= MOVES_MIN * FORGET**MOVES_MIN
    return Evidence(
        now_s, mine, demand_w, info, cross, square, weight, moves,
        np.where(enough, slope, np.nan), np.where(enough, sigma, np.inf),
    )  # fmt: skip


def _regression(balance: Balance, info: Array, cross: Array, square: float, weight: float) -> tuple[Array, Array]:
    """Least-squares slopes and their standard deviations; meters' noise regularises what did not move."""
    scale = balance.move_w[balance.lower]
    inverse = np.linalg.inv(info + np.diag((NOISE_FRAC * scale / 0.05) ** 2))
    slope: Array = inverse @ cross
    unexplained = max(square - float(cross @ slope), 0.0) / max(weight - len(slope), 1.0)
    floor = (NOISE_FRAC / 0.05) ** 2 * float(balance.move_w @ balance.move_w)
    sigma: Array = np.sqrt(np.diag(inverse) * (unexplained + floor))
    return slope, sigma


@dataclass(frozen=True, slots=True)
class Finding:
    """Per member of a balance: the factor that it reads of the truth (1 = proven right, NaN = nothing proven).

    ``shared`` when the factors are an either-or: a lower member, or the one that brings the power.
    """

    factor: Array
    shared: bool


def judge(evidence: Evidence, balance: Balance) -> Finding:
    """What the slopes prove."""
    slope, sigma = evidence.slope, evidence.sigma
    factor = np.full(len(balance.members), np.nan)
    clean = (np.abs(slope) < CLEAN_SLOPE) & (sigma < CLEAN_SIGMA)
    wrong = (np.abs(slope) > WRONG_SLOPE) & (np.abs(slope) > PROOF_SIGMAS * sigma)
    lower, upper = np.flatnonzero(balance.lower), np.flatnonzero(~balance.lower)
    factor[lower[clean]] = 1.0
    known = clean | wrong
    if not some(wrong):
        factor[upper] = 1.0 if some(clean) and len(upper) == 1 else np.nan
        return Finding(factor, False)
    mean = float(slope[known].mean())
    common = not some(clean) and every(np.abs(slope[known] - mean) < COMMON + 0.25 * abs(mean))
    alone = int(known.sum()) == 1
    with np.errstate(divide="ignore"):
        own = 1.0 / (1.0 + slope)
    if not common or alone:
        factor[lower[wrong]] = own[wrong]
    if common:
        factor[upper] = 1.0 + mean
    elif some(clean) and len(upper) == 1:
        factor[upper] = 1.0
    return Finding(factor, common and (alone or len(upper) > 1))
