"""Who pushes power through a limited element, told from the network's layout and the present direction alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.domain import points
from controller.domain.limit import LimitKind
from controller.domain.masks import some
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.topology import SQRT3, Line
from controller.estimation.bus_tree import BusTree
from controller.estimation.estimate import Estimate

LIMITED = (LimitKind.THERMAL, LimitKind.EXPORT, LimitKind.IMPORT)


@dataclass(frozen=True, slots=True)
class Watched:
    """One limit of current or power: its index in the site's limits and the units behind the element.

    ``branch`` is the branch's place in the topology (−1: the interface), ``sign`` the direction that export and import
    limit; that of a branch is read. ``p_point``, ``q_point`` and ``i_point`` (empty: none) are what its meter reads.
    """

    index: int
    element: str
    branch: int
    rated_v: float
    behind: tuple[int, ...]
    sign: float
    p_point: str
    q_point: str = ""
    i_point: str = ""

    @property
    def is_branch(self) -> bool:
        """Limited in A, in both directions."""
        return self.branch >= 0


def watched_limits(site: Site) -> tuple[Watched, ...]:
    """Every thermal, export and import limit. In a ring all units count as behind a branch that closes it."""
    return tuple(_watched(site, BusTree(site.topology), k) for k, x in enumerate(site.limits) if x.kind in LIMITED)


def _watched(site: Site, tree: BusTree, k: int) -> Watched:
    limit, everybody = site.limits[k], tuple(range(len(site.units)))
    if limit.kind is not LimitKind.THERMAL:
        sign = -1.0 if limit.kind is LimitKind.EXPORT else 1.0
        return Watched(k, limit.element, -1, 0.0, everybody, sign, points.interface("p_w"))
    order = [b.id for b in site.topology.branches]
    at, buses = order.index(limit.element), [b.id for b in site.topology.buses]
    branch = site.topology.branches[at]
    end = branch.from_bus if isinstance(branch, Line) else branch.lv_bus
    below = tree.from_root[:, at] > 0.0
    behind = tuple(i for i, u in enumerate(site.units) if below[buses.index(u.bus)])
    rated_v = site.topology.buses[buses.index(end)].u_rated_v
    p, q, i = (points.branch(limit.element, x) for x in ("p_w", "q_var", "i_a"))
    return Watched(k, limit.element, at, rated_v, behind if some(below) else everybody, 0.0, p, q, i)


def loading_frac(limit: Watched, high: float, snapshot: Snapshot) -> float:
    """Share of the limit that its own meter reads; NaN without a good reading, or when nothing is allowed at all."""
    if limit.branch < 0:
        p = snapshot.get(limit.p_point)
        return max(limit.sign * p.value, 0.0) / high if p.usable and high > 0.0 else math.nan
    i = snapshot.get(limit.i_point)
    if i.usable:
        return i.value / high if high > 0.0 else math.nan
    p, q = snapshot.get(limit.p_point), snapshot.get(limit.q_point)
    if not (p.usable and q.usable and high > 0.0):
        return math.nan
    return math.hypot(p.value, q.value) / (SQRT3 * limit.rated_v * high)


def excess_w(limit: Watched, high: float, loading: float) -> float:
    """What is too much, W."""
    full = SQRT3 * limit.rated_v * high if limit.is_branch else high
    return max(loading - 1.0, 0.0) * full


def pushing_w(limit: Watched, estimate: Estimate) -> list[float]:
    """Per unit of the site: how much it adds to the present flow, W ≥ 0."""
    sign = limit.sign or math.copysign(1.0, float(estimate.branch_ip_a[limit.branch]))
    p_w = estimate.unit_p_w
    return [max(sign * float(p_w[k]), 0.0) if k in limit.behind else 0.0 for k in range(len(p_w))]
