"""From a projection to what is asked of the market, and from what it offers to what is ordered. Pure.

Participants are where their units are: the relief that a watt of theirs brings to a limit is the mean over their units'
buses. What is ordered must relieve what is needed without breaking another limit; the cheapest such choice is proven by
:mod:`controller.planning.acceptance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.layout import Layout
from controller.planning.acceptance import accept_bids
from controller.planning.bids import Bid, BidProblem
from controller.planning.calendar import QUARTER_S
from controller.planning.projection import PROBABILITY_MIN, Projection
from controller.planning.rejection import rejection_reasons

Array = NDArray[np.float64]

RELIEF_MIN_PU = 0.02  # a place that brings less cannot help
W_MAX = 1e9
SHARE_STEP = 100  # a share that is ordered has two decimals


@dataclass(frozen=True, slots=True)
class Asking:
    """What one quarter hour has room for: a change of consumption from ``low_w`` ≤ 0 to ``high_w`` ≥ 0, W.

    ``wanted`` when the change is needed; otherwise it would do no harm.
    """

    quarter: int
    wanted: bool
    low_w: float
    high_w: float


@dataclass(frozen=True, slots=True)
class Offered:
    """One option on the table: the change of consumption per quarter hour, W, and what all of it costs.

    Options with one ``group`` exclude each other. ``share_min`` is the least that may be taken of it, 0…1,
    ``share_max`` the most that its participant can be counted on to deliver.
    """

    id: str
    participant: str
    group: str
    price_eur: float
    share_min: float
    power_w: Mapping[int, float]
    share_max: float = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be ordered: shares by option, what is left over that nobody can relieve, EUR, and why others are not.

    ``proven`` says whether it is proven to be the cheapest.
    """

    shares: dict[str, float]
    total_eur: float
    proven: bool
    left_out: dict[str, str]


def relief_of(layout: Layout, projected: Projection, units: Sequence[str]) -> Array:
    """Relief of every limit of the projection per watt that these units consume more; 0 for units nobody knows."""
    places = [layout.grid.injection_index(u.bus) for u in layout.site.units if u.id in units]
    rows = [np.append(limit.relief_bus_pu, 0.0)[places] for limit in projected.limits]
    return np.array([float(row.mean()) if len(row) else 0.0 for row in rows])


def asking(projected: Projection, reliefs: Sequence[Array], probability_min: float = PROBABILITY_MIN) -> list[Asking]:
    """What to ask in every quarter hour, of participants at places with these reliefs.

    As much is asked as the place that helps most would have to give; as much is allowed without need as the place that
    harms most may take.
    """
    best = np.array(reliefs) if len(reliefs) else np.zeros((0, len(projected.limits)))
    count = len(projected.limits[0].excess_w) if projected.limits else 0
    return [_asking(projected, best, k, probability_min) for k in range(count)]


def _asking(projected: Projection, reliefs: Array, k: int, probability_min: float) -> Asking:
    up_w, down_w, room_up_w, room_down_w = 0.0, 0.0, W_MAX, W_MAX
    for limit, relief in zip(projected.limits, reliefs.T, strict=True):
        excess_w, most, least = float(limit.excess_w[k]), relief.max(initial=0.0), relief.min(initial=0.0)
        if excess_w > 0.0 and limit.probability[k] >= probability_min:
            up_w = max(up_w, excess_w / most if most > RELIEF_MIN_PU else 0.0)
            down_w = max(down_w, -excess_w / least if least < -RELIEF_MIN_PU else 0.0)
        room_w = max(-excess_w, 0.0)
        room_up_w = min(room_up_w, room_w / -least if least < -RELIEF_MIN_PU else math.inf)
        room_down_w = min(room_down_w, room_w / most if most > RELIEF_MIN_PU else math.inf)
    quarter = projected.first_quarter + k
    if up_w > 0.0 or down_w > 0.0:
        return Asking(quarter, True, -min(down_w, room_down_w), min(up_w, room_up_w))
    return Asking(quarter, False, -room_down_w, room_up_w)


def choose(
    projected: Projection,
    offered: Sequence[Offered],
    relief: Mapping[str, Array],
    shortfall_eur_per_mwh: float,
    probability_min: float = PROBABILITY_MIN,
) -> Chosen:
    """The cheapest options that relieve what is needed; ``relief`` by participant (:func:`relief_of`).

    What stays uncovered is counted at ``shortfall_eur_per_mwh``: what curtailing instead would cost. Options with gaps
    between their quarter hours, or with both directions, are left out. Shares are rounded up to what may be ordered.
    """
    left_out = {o.id: reason for o in offered if (reason := _unusable(projected, o, relief))}
    usable = [o for o in offered if o.id not in left_out]
    problem = _problem(projected, usable, relief, shortfall_eur_per_mwh, probability_min)
    found = accept_bids(problem)
    shares = {o.id: _share(found.accepted[o.id] * o.share_max, o) for o in usable if o.id in found.accepted}
    left_out |= rejection_reasons(problem, found)
    return Chosen(shares, found.total_eur, found.proven, left_out)


def _unusable(projected: Projection, offer: Offered, relief: Mapping[str, Array]) -> str:
    quarters, powers = sorted(offer.power_w), list(offer.power_w.values())
    last = projected.first_quarter + (len(projected.limits[0].excess_w) if projected.limits else 0)
    if offer.participant not in relief:
        return "nobody knows where the participant is"
    if not quarters or quarters[-1] - quarters[0] + 1 != len(quarters):
        return "uneven: its quarter hours are not consecutive"
    if min(powers) < 0.0 < max(powers):
        return "uneven: more consumption in some quarter hours, less in others"
    if quarters[0] < projected.first_quarter or quarters[-1] >= last:
        return "outside what is projected"
    numbers = (offer.price_eur, offer.share_min, *powers)
    if not all(math.isfinite(x) for x in numbers) or 0.0 in powers or offer.price_eur < 0.0:
        return "no power, or a number that is none"
    if offer.share_max < max(offer.share_min, 1.0 / SHARE_STEP):
        return f"vehicles: {offer.share_max:.0%} of it can be counted on, {offer.share_min:.0%} is the least to take"
    return ""


def _problem(
    projected: Projection,
    offered: Sequence[Offered],
    relief: Mapping[str, Array],
    shortfall_eur_per_mwh: float,
    probability_min: float,
) -> BidProblem:
    excess = np.array([limit.excess_w for limit in projected.limits])
    likely = np.array([limit.probability >= probability_min for limit in projected.limits])
    need, spare = np.where((excess > 0.0) & likely, excess, 0.0), np.maximum(-excess, 0.0)
    bids = tuple(_bid(projected, o, relief[o.participant]) for o in offered)
    return BidProblem("market", QUARTER_S, need, spare, shortfall_eur_per_mwh, bids)


def _bid(projected: Projection, offer: Offered, relief: Array) -> Bid:
    """As much of the offer as can be counted on; its price is that of the same share."""
    quarters = sorted(offer.power_w)
    powers_w = [offer.power_w[quarter] for quarter in quarters]
    most_w = max(powers_w, key=abs)
    energy_mwh = sum(map(abs, powers_w)) * QUARTER_S / 3.6e9
    return Bid(
        id=offer.id,
        asset=offer.participant,
        group=offer.group,
        start=quarters[0] - projected.first_quarter,
        end=quarters[-1] + 1 - projected.first_quarter,
        power_w=abs(most_w) * offer.share_max,
        price_eur_per_mwh=offer.price_eur / energy_mwh,
        activation_eur=0.0,
        divisible=offer.share_min < 1.0,
        sensitivity_pu=tuple((math.copysign(1.0, most_w) * relief).tolist()),
        shape=() if len(set(powers_w)) == 1 else tuple(w / most_w for w in powers_w),
    )


def _share(share: float, offer: Offered) -> float:
    """Two decimals, never less than is needed or than may be taken, nor more than can be counted on."""
    most = max(math.floor(round(offer.share_max * SHARE_STEP, 6)) / SHARE_STEP, offer.share_min)
    return min(max(math.ceil(round(share * SHARE_STEP, 6)) / SHARE_STEP, offer.share_min), most)
