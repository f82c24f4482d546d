"""The area that a small station can offer at the boundary, against a sweep of AC power flows over its units."""

from __future__ import annotations

from dataclasses import replace

import core_planning_kit as kit
import numpy as np
import pytest

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.planning.boundary import Area, Flexibility, feasible_area, flexibility, limits_kept, surplus
from controller.planning.outlook import THERMAL_MARGIN_FRAC, VOLTAGE_MARGIN_FRAC, Offsets

AVAILABLE_W = np.array([2.8e6, 1.9e6, 0.0])


def reactive_station(export_w: float | None = None) -> Layout:
    """The station of the kit with converters that can also give reactive power."""
    layout, _ = kit.station()
    units = tuple(replace(u, q_max_var=0.4 * u.p_rated_w) for u in layout.site.units)
    limits = layout.site.limits
    if export_w is not None:
        limits = (*limits, Limit("export", LimitKind.EXPORT, "interface", export_w))
    return Layout(replace(layout.site, units=units, limits=limits), layout.grid)


def demand(layout: Layout) -> np.ndarray:
    out = np.zeros(2 * layout.n_w)
    k = layout.grid.injection_index("BB")
    out[k], out[layout.n_w + k] = 0.5e6, 0.1e6
    return out


def offsets(layout: Layout) -> Offsets:
    return Offsets(np.zeros(layout.grid.n_bus), np.zeros(2 * layout.n_branch + 2))


def can_do(layout: Layout) -> Flexibility:
    now = np.array([-1.0e6, -1.0e6, 0.0])
    return flexibility(layout.site.units, AVAILABLE_W, now, np.zeros(3))


def area_of(layout: Layout) -> Area:
    return feasible_area(layout, demand(layout), can_do(layout), offsets(layout))


def sweep(layout: Layout, n: int, seed: int) -> np.ndarray:
    """Interface P and Q of every random choice of set points that keeps all limits, with the fast loop's margins."""
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    ranges, units = can_do(layout), layout.site.units
    p = ranges.low_w + draw.beta(0.4, 0.4, (n, 3)) * (ranges.high_w - ranges.low_w)
    q = (2.0 * draw.beta(0.4, 0.4, (n, 3)) - 1.0) * np.array([u.q_max_var for u in units])
    inside = np.all(np.hypot(p, q) <= np.array([u.s_rated_va for u in units]), axis=1)
    p, q = p[inside], q[inside]
    states = layout.grid.solve_many(demand(layout) + np.hstack([p @ layout.incidence.T, q @ layout.incidence.T]))
    kept = [s for s in states if limits_kept(with_margins(layout), s.u_v, s.i_a, s.interface_p_w)]
    return np.array([[s.interface_p_w, s.interface_q_var] for s in kept])


def with_margins(layout: Layout) -> Site:
    rated = {b.id: b.u_rated_v for b in layout.site.topology.buses}

    def narrowed(limit: Limit) -> Limit:
        if limit.kind is not LimitKind.VOLTAGE:
            return replace(limit, high=limit.high * (1.0 - THERMAL_MARGIN_FRAC))
        margin_v = VOLTAGE_MARGIN_FRAC * rated[limit.element]
        return replace(limit, high=limit.high - margin_v, low=None if limit.low is None else limit.low + margin_v)

    return replace(layout.site, limits=tuple(narrowed(x) for x in layout.site.limits))


def test_what_the_power_flow_can_reach_lies_in_the_area() -> None:
    """But for the bows between corners, where losses bend: at most 2.5 % of the transformer's rating."""
    layout = reactive_station()
    area, reached = area_of(layout), sweep(layout, 4000, seed=11)
    assert len(reached) > 1000
    outside = [pq for pq in reached if not area.contains(*pq, tolerance_va=0.025 * 3e6)]
    assert len(outside) == 0


def test_the_area_is_not_larger_than_what_the_power_flow_can_reach() -> None:
    """The support of a fine sweep comes close to every corner: within 6 % of the transformer's rating."""
    layout = reactive_station()
    area, reached = area_of(layout), sweep(layout, 12_000, seed=12)
    for corner in area.corners:
        gap_va = np.hypot(reached[:, 0] - corner.p_w, reached[:, 1] - corner.q_var).min()
        assert gap_va < 0.06 * 3e6


def test_every_corner_keeps_every_limit_in_the_power_flow() -> None:
    layout = reactive_station(export_w=2.0e6)
    area = area_of(layout)
    for corner in area.corners:
        moved = [layout.incidence @ np.array(x) for x in (corner.unit_p_w, corner.unit_q_var)]
        state = layout.grid.solve(demand(layout) + np.concatenate(moved))
        assert limits_kept(layout.site, state.u_v, state.i_a, state.interface_p_w)
        assert state.interface_p_w == pytest.approx(corner.p_w)


def test_an_export_limit_cuts_the_area() -> None:
    free, limited = area_of(reactive_station()), area_of(reactive_station(export_w=2.0e6))
    assert limited.size_w_var < 0.9 * free.size_w_var
    assert min(c.p_w for c in limited.corners) == pytest.approx(-2.0e6, rel=0.03)


def test_surplus_at_a_point_is_what_is_left_on_both_sides() -> None:
    layout = reactive_station(export_w=2.0e6)
    area = area_of(layout)
    offer = surplus(area, area.now.p_w, area.now.q_var)
    assert offer.up_w == pytest.approx(2.0e6 + area.now.p_w, rel=0.1)
    assert offer.down_w > 1.0e6
    assert offer.q_up_var > 0.0 < offer.q_down_var


def test_nothing_is_offered_from_a_point_that_cannot_be() -> None:
    area = area_of(reactive_station(export_w=2.0e6))
    offer = surplus(area, -3.0e6, 0.0)
    assert (offer.up_w, offer.down_w, offer.q_up_var, offer.q_down_var) == (0.0, 0.0, 0.0, 0.0)


def test_what_a_unit_could_give_and_nobody_knows_is_not_offered() -> None:
    layout = reactive_station()
    known = flexibility(layout.site.units, AVAILABLE_W, np.zeros(3), np.zeros(3))
    blind = flexibility(layout.site.units, np.array([np.nan, 1.9e6, np.nan]), np.zeros(3), np.zeros(3))
    assert known.low_w[0] == -2.8e6
    assert blind.low_w[0] == 0.0
    assert (blind.low_w[2], blind.high_w[2]) == (-0.5e6, 0.5e6)
