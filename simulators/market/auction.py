"""One gate closure: the need, the offers that are there, and the cheapest set of them that does not conflict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.planning.acceptance import Acceptance, accept_bids
from controller.planning.bids import Bid, BidProblem, bid_cost_eur, relief_w
from controller.planning.rejection import rejection_reasons
from simulators.market.forecast import SurplusForecast
from simulators.market.model import Gate, Market, Offer, ReactiveRequest

Array = NDArray[np.float64]

SEARCH_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an auction decided; ``need_w`` is its largest need, ``from_s`` and ``to_s`` when there is one at all.

    ``taken`` are the accepted offers with their share, ``refused`` the reasons of the others, by id. ``reactive``: all
    powers are var. ``paid_eur`` is what the taken offers cost, without what stays uncovered.
    """

    at_s: float
    need_w: float
    from_s: float
    to_s: float
    taken: tuple[tuple[Offer, float], ...]
    refused: dict[str, str]
    paid_eur: float
    uncovered_w: float
    reactive: bool = False


def hold_auction(market: Market, gate: Gate, forecast: SurplusForecast) -> Outcome:
    """Buy relief for one window of active power."""
    first_s, last_s = market.at(gate.start), market.until(gate.end)
    surplus_w = forecast.surplus_w(first_s, last_s, market.period_s) + market.margin_w
    at_s = market.at(gate.at)
    inside = [
        offer
        for offer in market.offers
        if first_s <= market.at(offer.start) < market.until(offer.end) <= last_s
        and (offer.joins is None or market.at(offer.joins) <= at_s)
    ]
    return _settled(market, _Window(at_s, first_s, market.period_s), surplus_w, inside)


def hold_reactive(market: Market, request: ReactiveRequest) -> Outcome:
    """Find the cheapest providers of one reactive request; the powers are var."""
    at_s = market.at(request.at)
    window = _Window(at_s, at_s, request.lasts_s)
    return replace(_settled(market, window, np.array([abs(request.q_var)]), request.offers), reactive=True)


@dataclass(frozen=True, slots=True)
class _Window:
    """When an auction is held, and the first second and the length of the periods that it is about."""

    at_s: float
    first_s: float
    period_s: float


def _settled(market: Market, window: _Window, surplus: Array, offers: Sequence[Offer]) -> Outcome:
    bids = tuple(_bid(market, window, offer, len(surplus)) for offer in offers)
    need, spare = np.maximum(surplus, 0.0)[None, :], np.maximum(-surplus, 0.0)[None, :]
    problem = BidProblem(f"gate {window.at_s:.0f}", window.period_s, need, spare, market.shortfall_eur_per_mwh, bids)
    found = accept_bids(problem, SEARCH_S_MAX)
    needed = np.flatnonzero(surplus > 0.0)
    begins, ends = (int(needed[0]), int(needed[-1]) + 1) if len(needed) else (0, 0)
    return Outcome(
        at_s=window.at_s,
        need_w=float(need.max()),
        from_s=window.first_s + begins * window.period_s,
        to_s=window.first_s + ends * window.period_s,
        taken=tuple((offer, found.accepted[offer.id]) for offer in offers if offer.id in found.accepted),
        refused=rejection_reasons(problem, found),
        paid_eur=sum(bid_cost_eur(problem, bid, found.accepted.get(bid.id, 0.0)) for bid in bids),
        uncovered_w=_uncovered_w(problem, found),
    )


def _uncovered_w(problem: BidProblem, found: Acceptance) -> float:
    left_w = -(problem.room_w + relief_w(problem, found.accepted))
    return max(float(left_w.max()), 0.0)


def _bid(market: Market, window: _Window, offer: Offer, periods: int) -> Bid:
    begins = int((market.at(offer.start) - window.first_s) // window.period_s)
    ends = round((market.until(offer.end) - window.first_s) / window.period_s)
    return Bid(
        id=offer.id,
        asset=offer.asset,
        group=None,
        start=begins,
        end=min(max(ends, begins + 1), periods),
        power_w=offer.power_w,
        price_eur_per_mwh=offer.price_eur_per_mwh,
        activation_eur=offer.activation_eur,
        divisible=offer.divisible,
        sensitivity_pu=(1.0,),
    )
