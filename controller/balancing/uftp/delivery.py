"""From what participants have said to deliver to set points of their units. Pure.

An order is a change against the baseline: the participant's D-Prognosis, or rest where all its units are storage.
Without a baseline nobody knows what the order means, and nothing is passed on. Several units share by their rating.
Of a participant that delivers as needed the fast loop takes what limits need: of storage at most that much in either
direction; of generation that sold less of it, and of demand that sold less, what they do beyond baseline plus order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.balancing.orders import Key, Order, Use
from controller.domain.market import Participant
from controller.domain.site import Site
from controller.domain.unit import Unit
from controller.planning.schedule import Slot, in_force

HANDOVER_S = 5.0
"""An order that another one follows directly holds so much longer: there is no gap while the next is being said."""
ROUNDING_W = 0.5


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the control process is to be told, and why some of it cannot be, by participant."""

    orders: dict[Key, Order]
    obstacles: dict[str, str]


def deliveries(
    site: Site, account: str, slots: Sequence[Slot], baselines: Mapping[str, float | None], now_utc_s: float
) -> Delivery:
    """Set points in force now. ``baselines`` (W) by participant: None where nobody knows one for this period."""
    if site.market is None:
        return Delivery({}, {})
    orders: dict[Key, Order] = {}
    obstacles: dict[str, str] = {}
    for domain, who in sorted(site.market.rules.participants.items()):
        held = in_force(domain, slots, (), now_utc_s)
        if who.delivers_itself or not held.source.startswith("order:"):
            continue
        baseline_w = baselines.get(domain)
        if baseline_w is None:
            obstacles[domain] = "no D-Prognosis of this period: nobody knows what the order is a change of"
            continue
        until_utc_s = _until(domain, slots, held.change_w, held.until_utc_s)
        for unit, p_w in _shared(site, who, baseline_w + held.change_w):
            w, use = (abs(p_w), used(unit, held.change_w)) if who.as_needed else (p_w, Use.TARGET)
            reference = held.source.removeprefix("order:")
            order = Order(account, unit.id, w, until_utc_s, reference, "market order", use=use)
            orders[order.key] = order
    return Delivery(orders, obstacles)


def used(unit: Unit, change_w: float) -> Use:
    """How an order for as much as is needed is used: whoever sold to do less is not held down while no limit needs it.

    Storage has no output of its own to give up, and who sold to do more (vehicles that waited) spreads it as agreed.
    """
    sells_less = change_w > 0.0 if unit.kind.generates else change_w < 0.0
    return Use.RESERVE if unit.storage is None and sells_less else Use.CAP


def units_of(site: Site, who: Participant) -> list[Unit]:
    """The units that a participant stands for."""
    return [unit for unit in site.units if unit.id in who.units]


def baseline_of(site: Site, who: Participant, prognosis_w: Mapping[int, float], isp: int) -> float | None:
    """What the participant would do unasked in one period, W: as it said, or rest if all it has is storage."""
    if isp in prognosis_w:
        return prognosis_w[isp]
    return 0.0 if all(unit.storage is not None for unit in units_of(site, who)) else None


def _shared(site: Site, who: Participant, p_w: float) -> list[tuple[Unit, float]]:
    """The sum over the units by their rating, each within what it can do."""
    units = units_of(site, who)
    rated_w = sum(unit.p_rated_w for unit in units)
    shares = [(unit, p_w * unit.p_rated_w / rated_w) for unit in units] if rated_w > 0.0 else []
    return [(unit, min(max(share_w, unit.p_min_w), unit.p_max_w)) for unit, share_w in shares]


def _until(domain: str, slots: Sequence[Slot], change_w: float, until_utc_s: float) -> float:
    """End of the run of periods with the same change, a little later where another one follows."""
    while True:
        following = in_force(domain, slots, (), until_utc_s)
        if not following.source.startswith("order:"):
            return until_utc_s
        if abs(following.change_w - change_w) > ROUNDING_W:
            return until_utc_s + HANDOVER_S
        until_utc_s = following.until_utc_s
