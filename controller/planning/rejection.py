"""Why an offer was not taken, found from the solution: what taking it instead would have done."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.planning.acceptance import Acceptance
from controller.planning.bids import Bid, BidProblem, bid_cost_eur, conflict, relief_w, shortfall_eur, total_eur

Array = NDArray[np.float64]

CENT_EUR = 0.005


def rejection_reasons(problem: BidProblem, acceptance: Acceptance) -> dict[str, str]:
    """One sentence for every bid that was not taken."""
    return {bid.id: _reason(problem, acceptance, bid) for bid in problem.bids if bid.id not in acceptance.accepted}


def _reason(problem: BidProblem, acceptance: Acceptance, bid: Bid) -> str:
    """Put the bid in the place of those it excludes, at its best size, and see what becomes of the cost."""
    rivals = [other for other in problem.bids if other.id in acceptance.accepted and conflict(bid, other)]
    without = {
        bid_id: fraction
        for bid_id, fraction in acceptance.accepted.items()
        if bid_id not in {rival.id for rival in rivals}
    }
    fraction = _best_fraction(problem, without, bid)
    with_bid_eur = total_eur(problem, {**without, bid.id: fraction})
    if with_bid_eur < acceptance.total_eur - CENT_EUR:
        return f"not found in time: taking it would cost {acceptance.total_eur - with_bid_eur:.2f} EUR less"
    if rivals and with_bid_eur < total_eur(problem, without) - CENT_EUR:
        return _conflict_text(bid, rivals, with_bid_eur - acceptance.total_eur)
    return _worth_text(problem, without, bid, fraction)


def _best_fraction(problem: BidProblem, accepted: dict[str, float], bid: Bid) -> float:
    """The fraction at which adding the bid costs least; the cost is convex and bends only where a shortage ends."""
    if not bid.divisible:
        return 1.0
    per_whole_w = relief_w(problem, {bid.id: 1.0})
    touched = per_whole_w != 0.0
    per_whole_w, room_w = per_whole_w[touched], (problem.room_w + relief_w(problem, accepted))[touched]
    bends = np.unique(-room_w / per_whole_w)
    candidates = np.array([1.0, *bends[(bends > 0.0) & (bends < 1.0)]])
    uncovered_w = np.maximum(0.0, -(room_w + np.outer(candidates, per_whole_w))).sum(axis=1)
    energy_eur = bid_cost_eur(problem, bid, 1.0) - bid.activation_eur
    cost_eur = candidates * energy_eur + uncovered_w * problem.period_mwh_per_w * problem.shortfall_eur_per_mwh
    return float(candidates[np.argmin(cost_eur)])


def _conflict_text(bid: Bid, rivals: list[Bid], dearer_eur: float) -> str:
    names = ", ".join(
        f"{rival.id} (group {bid.group})"
        if bid.group is not None and rival.group == bid.group
        else f"{rival.id} (asset {bid.asset}, {_periods(max(bid.start, rival.start), min(bid.end, rival.end))})"
        for rival in rivals
    )
    return f"conflicts with accepted {names}; taking it instead would cost {max(dearer_eur, 0.0):.2f} EUR more"


def _worth_text(problem: BidProblem, accepted: dict[str, float], bid: Bid, fraction: float) -> str:
    """Why the bid is not worth its price, even with nothing in its way."""
    saved_eur = _saved_eur(problem, accepted, bid, fraction)
    if saved_eur.max() < CENT_EUR:  # a crumb of it relieves nothing; then all of it has to be spoken of
        fraction, saved_eur = 1.0, _saved_eur(problem, accepted, bid, 1.0)
    cost_eur = bid_cost_eur(problem, bid, fraction)
    relieved_eur = float(saved_eur[saved_eur > 0.0].sum())
    worst = int(np.argmin(saved_eur))
    worsened_eur = float(-saved_eur[saved_eur < 0.0].sum())
    if all(sensitivity <= 0.0 for sensitivity in bid.sensitivity_pu):
        return "relieves no constraint"
    if relieved_eur > cost_eur and worsened_eur > 0.0:
        return (
            f"makes constraint {worst} worse: relieves {relieved_eur:.2f} EUR of shortfall for {cost_eur:.2f} EUR, "
            f"but adds {worsened_eur:.2f} EUR of shortfall"
        )
    if relieved_eur < CENT_EUR:
        return f"not needed: nothing that it relieves stays uncovered in {_periods(bid.start, bid.end)}"
    harm = f" and make constraint {worst} worse by {worsened_eur:.2f} EUR" if worsened_eur >= CENT_EUR else ""
    return f"too dear: would cost {cost_eur:.2f} EUR to relieve {relieved_eur:.2f} EUR of shortfall{harm}"


def _saved_eur(problem: BidProblem, accepted: dict[str, float], bid: Bid, fraction: float) -> Array:
    """What a fraction of the bid takes off the shortfall of every constraint; negative where it adds to it."""
    before = shortfall_eur(problem, relief_w(problem, accepted))
    after = shortfall_eur(problem, relief_w(problem, {**accepted, bid.id: fraction}))
    saved: Array = (before - after).sum(axis=1)
    return saved


def _periods(start: int, end: int) -> str:
    return f"period {start}" if end == start + 1 else f"periods {start} to {end - 1}"
