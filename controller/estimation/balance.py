"""Power balances of the network: which meters must agree with each other, built once per site.

Buses that are joined by branches without a meter form one zone. What flows into a zone less what flows out, less what
its units take and its branches lose, is the demand of its loads, which is known to lie in a range. Elements are
counted as branches, then the interface, then units; powers in load convention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every
from controller.domain.site import Site
from controller.domain.topology import Branch, Line
from controller.estimation.layout import Layout

Array = NDArray[np.float64]
Index = NDArray[np.intp]

TOLERANCE_FRAC = 0.02  # of each meter's scale: class, bias and the time between two meters' samples
BOX_FRAC = 0.1  # of the loads' range beyond its ends
LOSS_DOUBT_FRAC = 0.5  # of the losses: wrong impedances
MOVE_FRAC = 0.05  # of its scale: a meter that moved by so much says something about the others


@dataclass(frozen=True)
class Balance:
    """One zone. ``sign`` is +1 where a member's reading is power into the zone, −1 where it is power out of it.

    ``loss_per_w`` turns |S|² of a member (VA²) into losses on its way into (or out of) the zone, W.
    """

    bus: str
    members: Index
    sign: Array
    loss_per_w: Array
    low_w: float
    high_w: float
    tolerance_w: float
    move_w: Array

    @property
    def lower(self) -> NDArray[np.bool_]:
        """Members through which power leaves the zone: feeders and units. The others bring it."""
        out: NDArray[np.bool_] = self.sign < 0.0
        return out

    def demand_w(self, p_w: Array, s2_va2: Array) -> tuple[float, float]:
        """Demand that the members' readings imply, and the losses in it. Both arrays by element."""
        loss_w = float(self.loss_per_w @ s2_va2[self.members])
        return float(self.sign @ p_w[self.members]) - loss_w, loss_w

    def box_w(self, loss_w: float) -> tuple[float, float]:
        """Least and most demand that readings may imply while nobody lies."""
        slack = self.tolerance_w + LOSS_DOUBT_FRAC * loss_w + BOX_FRAC * (self.high_w - self.low_w)
        return self.low_w - slack, self.high_w + slack

    def missing_w(self, k: int, p_w: Array, s2_va2: Array) -> tuple[float, float]:
        """What may be missing in the reading of element ``k`` if all others are right, from … to, W."""
        demand_w, loss_w = self.demand_w(p_w, s2_va2)
        low, high = self.box_w(loss_w)
        sign = float(self.sign[self.members == k][0])
        return (low - demand_w, high - demand_w) if sign > 0.0 else (demand_w - high, demand_w - low)


def element_names(site: Site) -> list[str]:
    """Point prefixes in the order of elements."""
    branches = [f"branch.{b.id}" for b in site.topology.branches]
    return [*branches, "interface", *(f"unit.{u.id}" for u in site.units)]


def balances(layout: Layout) -> tuple[Balance, ...]:
    """Every balance with at least two members of which one brings power and one takes it."""
    site, nb = layout.site, layout.n_branch
    metered = _metered(site)
    zone = _zones(site, metered)
    source = zone[site.topology.source.bus]
    drafts: dict[str, list[tuple[int, float, float]]] = {z: [] for z in zone.values()}
    for k, branch in enumerate(site.topology.branches):
        first, last = _ends(branch)
        if f"branch.{branch.id}" in metered and zone[first] != zone[last]:
            loss_first, loss_last = _losses(branch, {b.id: b.u_rated_v for b in site.topology.buses})
            drafts[zone[first]].append((k, -1.0, loss_first))
            drafts[zone[last]].append((k, 1.0, loss_last))
    for k, u in enumerate(site.units):
        drafts[zone[u.bus]].append((nb + 1 + k, -1.0, 0.0))
    drafts[source] = _at_interface(site, metered, nb)
    found = [_balance(layout, bus, zone, draft) for bus, draft in drafts.items()]
    return tuple(b for b in found if b is not None)


def _at_interface(site: Site, metered: frozenset[str], nb: int) -> list[tuple[int, float, float]]:
    """The interface is the sum of the source's transformers at their upstream side: no demand in between."""
    first = len(site.topology.lines)
    above = [(first + k, t) for k, t in enumerate(site.topology.transformers) if t.hv_bus == site.topology.source.bus]
    if "interface" not in metered or not all(f"branch.{t.id}" in metered for _, t in above):
        return []
    return [(nb, 1.0, 0.0), *((k, -1.0, t.pk_w / t.sn_va**2) for k, t in above)]


def _ends(branch: Branch) -> tuple[str, str]:
    return (branch.from_bus, branch.to_bus) if isinstance(branch, Line) else (branch.hv_bus, branch.lv_bus)


def _metered(site: Site) -> frozenset[str]:
    """Elements whose power is measured; without devices (a core driven by hand) all."""
    targets = [t.lstrip("-") for d in site.devices for t in d.feeds.values()]
    if not targets:
        return frozenset(element_names(site))
    return frozenset(t.rsplit(".", 1)[0] for t in targets if t.endswith(".p_w"))


def _zones(site: Site, metered: frozenset[str]) -> dict[str, str]:
    """Bus by bus the name of its zone: the first bus of those that unmetered branches join."""
    zone = {b.id: b.id for b in site.topology.buses}
    for branch in site.topology.branches:
        if f"branch.{branch.id}" not in metered:
            first, last = (zone[end] for end in _ends(branch))
            zone = {bus: first if z == last else z for bus, z in zone.items()}
    return zone


def _losses(branch: Branch, u_rated_v: dict[str, float]) -> tuple[float, float]:
    """Losses per VA² between the meter and either end: a line is measured at its start, a transformer at its end."""
    if isinstance(branch, Line):
        return 0.0, branch.r_ohm / u_rated_v[branch.from_bus] ** 2
    return branch.pk_w / branch.sn_va**2, 0.0


def _balance(layout: Layout, bus: str, zone: dict[str, str], draft: list[tuple[int, float, float]]) -> Balance | None:
    if len({sign for _, sign, _ in draft}) < 2:
        return None
    topology = layout.site.topology
    upstream = zone[topology.source.bus] == bus
    loads = [] if upstream else [x for x in topology.loads if zone[x.bus] == bus]
    iron_w = sum(t.p0_w for t in topology.transformers if upstream and t.hv_bus == topology.source.bus)
    members = np.array([k for k, _, _ in draft], dtype=np.intp)
    scale = element_scale(layout)[members]
    return Balance(
        bus=bus,
        members=members,
        sign=np.array([sign for _, sign, _ in draft]),
        loss_per_w=np.array([loss for _, _, loss in draft]),
        low_w=sum(x.p_min_w for x in loads),
        high_w=iron_w + sum(x.p_max_w for x in loads),
        tolerance_w=TOLERANCE_FRAC * float(np.sqrt(scale @ scale)),
        move_w=MOVE_FRAC * scale,
    )


@dataclass(frozen=True)
class Levels:
    """All balances at once, for the look at their levels in every cycle; rows are balances, columns elements."""

    sign: Array
    loss_per_w: Array
    member: Array
    low_w: Array
    high_w: Array
    tolerance_w: Array

    @staticmethod
    def of(found: tuple[Balance, ...], n_element: int) -> Levels:
        """The same balances as arrays."""
        sign, loss = np.zeros((len(found), n_element)), np.zeros((len(found), n_element))
        for j, b in enumerate(found):
            sign[j, b.members], loss[j, b.members] = b.sign, b.loss_per_w
        low_w, high_w = np.array([b.low_w for b in found]), np.array([b.high_w for b in found])
        slack = np.array([b.tolerance_w for b in found]) + BOX_FRAC * (high_w - low_w)
        return Levels(sign, loss, np.abs(sign), low_w, high_w, slack)

    def beyond_w(self, p_w: Array, s2_va2: Array, known: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Per balance how far the implied demand lies outside what its loads can be, signed, and how far losses may be
        other than they are reckoned, W; elements that are not ``known`` count as nothing."""
        loss_w = self.loss_per_w @ s2_va2
        demand_w = self.sign @ np.where(known, p_w, 0.0) - loss_w
        return demand_w - np.minimum(np.maximum(demand_w, self.low_w), self.high_w), LOSS_DOUBT_FRAC * loss_w

    def contradiction_w(self, p_w: Array, s2_va2: Array, fresh: NDArray[np.bool_]) -> Array:
        """Per balance how far the implied demand lies outside what its loads can be, W; NaN when not all is fresh.

        Positive where it is too much, negative where it is too little, 0 within what honest meters may be off by.
        """
        beyond_w, doubt_w = self.beyond_w(p_w, s2_va2, fresh)
        slack_w = self.tolerance_w + doubt_w
        off_w = np.where(np.abs(beyond_w) > slack_w, beyond_w, 0.0)
        return off_w if every(fresh) else np.where(self.member @ ~fresh > 0.0, np.nan, off_w)


def element_scale(layout: Layout) -> Array:
    """Rating behind every element's power, W; the interface's is that of all branches that leave the source's bus."""
    nb, n = layout.n_branch, layout.n_unit
    rows, topology = layout.row_scale, layout.site.topology
    source = [topology.source.bus in _ends(b) for b in topology.branches]
    sizes = [*(0.0 for _ in topology.lines), *(t.sn_va for t in topology.transformers)]
    interface = float(np.maximum(rows[:nb], sizes) @ source)
    interface = interface if interface > 0.0 else float(rows[2 * nb])
    return np.concatenate([rows[:nb], [interface], rows[2 * nb + 2 : 2 * nb + 2 + n]])
