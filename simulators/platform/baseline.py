"""What a participant of the scenario's market means to do without any order: its D-Prognosis, by ISP of a usual day.

Outside the hours of its offers that is what its unit usually does, or what the participant means to do with it until
then: a depot lets its vehicles wait for what it hopes to sell. Inside them it is what the scenario says that taking
none of the offer means (``none_w``): the depot goes on waiting, a farm that sells a cap may give all of its rating. A
cap below a forecast instead would hold a farm back whenever the wind is better than forecast.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.domain.instruction import Action
from controller.domain.site import Site
from simulators.market.model import Lease, Offer
from simulators.ordinary_day import QUARTER_S, QUARTERS, OrdinaryDay
from simulators.platform.isps import inside


def plan_of(site: Site, offers: Sequence[Offer], usual: OrdinaryDay) -> list[int] | None:
    """W of every ISP (load convention); None for storage, which rests without an order, and nobody has to say so."""
    place, unit = next((k, u) for k, u in enumerate(site.units) if u.id == offers[0].asset)
    if unit.storage is not None:
        return None
    sign = -1.0 if unit.kind.generates else 1.0
    plan_w = usual.unit_w[:, place].tolist()
    for lease in (lease for offer in offers for lease in waits(offer)):
        for quarter in range(QUARTERS):
            if inside(quarter * QUARTER_S, lease.start, lease.end):
                plan_w[quarter] = sign * lease.w
    for offer in offers:
        none_w = next((lease.none_w for lease in offer.leases if lease.unit == unit.id), 0.0)
        for quarter in range(QUARTERS):
            if inside(quarter * QUARTER_S, offer.start, offer.end):
                plan_w[quarter] = sign * none_w
    return [round(w) for w in plan_w]


def waits(offer: Offer) -> list[Lease]:
    """What the participant does until the hours of its offer begin, whether anybody orders or not."""
    limits = (lease for lease in offer.leases if lease.action is Action.LIMIT)
    return [lease for lease in limits if not inside(lease.start, offer.start, offer.end)]
