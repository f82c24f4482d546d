"""How well the P/Q area at the boundary agrees with a sweep of AC power flows over the units' set points.

Every random choice of set points that keeps all limits (the fast loop's margins included) is a point that the site can
reach. The polygon should hold all of them and be no larger than they show.

    python benchmarks/boundary_area.py [--site demo_primary] [--samples 40000] [--seed 7]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.grid.model import FlowState, GridModel, PowerFlowError
from controller.planning.boundary import Area, Flexibility, feasible_area, flexibility, limits_kept
from controller.planning.outlook import THERMAL_MARGIN_FRAC, VOLTAGE_MARGIN_FRAC, Offsets

AVAILABLE_FRAC = 0.6
BATCH = 2000


def with_margins(site: Site) -> Site:
    """The site with every limit narrowed by what the fast loop keeps free."""
    rated = {b.id: b.u_rated_v for b in site.topology.buses}

    def narrowed(limit: Limit) -> Limit:
        if limit.kind is not LimitKind.VOLTAGE:
            return replace(limit, high=limit.high * (1.0 - THERMAL_MARGIN_FRAC))
        margin_v = VOLTAGE_MARGIN_FRAC * rated[limit.element]
        return replace(limit, high=limit.high - margin_v, low=None if limit.low is None else limit.low + margin_v)

    return replace(site, limits=tuple(narrowed(x) for x in site.limits))


def solved(layout: Layout, injections: np.ndarray) -> list[FlowState]:
    """The power flows that have a solution."""
    try:
        return layout.grid.solve_many(injections)
    except PowerFlowError:
        if len(injections) == 1:
            return []
        half = len(injections) // 2
        return solved(layout, injections[:half]) + solved(layout, injections[half:])


def reachable(layout: Layout, demand: np.ndarray, units: Flexibility, samples: int, seed: int) -> np.ndarray:
    """Interface P and Q of random set points that keep every limit; most of them near the ends of the ranges."""
    draw, site = np.random.default_rng(seed), with_margins(layout.site)
    q_max = np.array([u.q_max_var for u in layout.site.units])
    s_max = np.array([u.s_rated_va for u in layout.site.units])
    out = []
    for _ in range(0, samples, BATCH):
        shape = (BATCH, layout.n_unit)
        p = units.low_w + draw.beta(0.4, 0.4, shape) * (units.high_w - units.low_w)
        q = (2.0 * draw.beta(0.4, 0.4, shape) - 1.0) * np.minimum(q_max, np.sqrt(np.maximum(s_max**2 - p**2, 0.0)))
        moved = np.hstack([p @ layout.incidence.T, q @ layout.incidence.T])
        kept = [s for s in solved(layout, demand + moved) if limits_kept(site, s.u_v, s.i_a, s.interface_p_w)]
        out += [(s.interface_p_w, s.interface_q_var) for s in kept]
    return np.array(out)


def outside_va(area: Area, p_w: float, q_var: float) -> float:
    """How far outside the polygon a point lies, VA; 0 inside."""
    corners = area.corners
    return max(
        0.0,
        *(
            ((b.q_var - a.q_var) * (p_w - a.p_w) - (b.p_w - a.p_w) * (q_var - a.q_var))
            / float(np.hypot(b.p_w - a.p_w, b.q_var - a.q_var))
            for a, b in zip(corners, (*corners[1:], corners[0]), strict=True)
        ),
    )


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", default="demo_primary")
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    site = load_site(find_site(asked.site))
    layout = Layout(site, GridModel(site.topology))
    rated = np.array([u.p_rated_w for u in site.units])
    most = AVAILABLE_FRAC * rated
    now = np.array([-0.3 if u.kind.generates else 0.0 for u in site.units]) * rated
    units = flexibility(site.units, most, now, np.zeros(layout.n_unit))
    nothing = Offsets(np.zeros(layout.grid.n_bus), np.zeros(2 * layout.n_branch + 2))
    began = time.perf_counter()
    area = feasible_area(layout, layout.expected_w, units, nothing)
    took_s = time.perf_counter() - began
    points = reachable(layout, layout.expected_w, units, asked.samples, asked.seed)
    beyond = np.array([outside_va(area, p, q) for p, q in points])
    base_va = layout.grid.power_base_w
    print(f"site {site.name}, {len(site.units)} units, seed {asked.seed}, {asked.samples} AC power flows")
    print(f"polygon: {len(area.corners)} corners, {area.size_w_var / 1e12:.2f} MW·Mvar, {took_s:.2f} s")
    print(f"sweep: {len(points)} points keep every limit")
    print(f"outside the polygon: {np.mean(beyond > 1.0):.3%} of them, furthest {beyond.max():.0f} VA", end=" ")
    print(f"({beyond.max() / base_va:.2%} of {base_va / 1e6:g} MVA)")


if __name__ == "__main__":
    main()
