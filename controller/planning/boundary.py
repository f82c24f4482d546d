"""What active and reactive power a site can offer where it meets the transmission system: a polygon in the P/Q plane.

For each of a number of directions a linear programme moves every unit within what it can do, under the rows of all
limits (:mod:`controller.planning.outlook`, the fast loop's margins included), as far that way as possible. The rows
are then taken anew at the point found, since losses and reactive power bend them. What remains of the error is taken
back: the point moves along the straight line toward the present operating point until the AC power flow keeps every
limit. So every corner is one that the network can really be in; between corners that is not checked. Where losses bow
the border outward between two corners, the polygon is smaller than the truth (``benchmarks/boundary_area.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.domain.unit import Unit
from controller.estimation.layout import Layout
from controller.grid.model import LinearGrid, PowerFlowError
from controller.planning.linear_program import LinearProgramme
from controller.planning.outlook import Offsets, Scenario, room

Array = NDArray[np.float64]

DIRECTIONS = 24
PASSES = 3  # linear programmes per direction, each around the point that the one before found
HALVINGS = 12
W_PER_MW = 1e6
CIRCLE_RAD = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)  # tangents of a converter's apparent power


@dataclass(frozen=True, slots=True)
class Flexibility:
    """What each unit can do in the period, load convention: ``low_w`` ≤ p ≤ ``high_w``; p, q now in ``p_w, q_var``."""

    low_w: Array
    high_w: Array
    p_w: Array
    q_var: Array


@dataclass(frozen=True, slots=True)
class Corner:
    """One point at the interface (load convention: import positive), and how the units get there."""

    p_w: float
    q_var: float
    unit_p_w: tuple[float, ...]
    unit_q_var: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Area:
    """The feasible area: the present point and the corners of the convex polygon, counter-clockwise."""

    now: Corner
    corners: tuple[Corner, ...]

    @property
    def size_w_var(self) -> float:
        """Area of the polygon, W·var."""
        p, q = np.array([c.p_w for c in self.corners]), np.array([c.q_var for c in self.corners])
        return 0.5 * float(np.abs(np.dot(p, np.roll(q, -1)) - np.dot(q, np.roll(p, -1))))

    def contains(self, p_w: float, q_var: float, tolerance_va: float = 1.0) -> bool:
        """Whether a point lies inside, or within ``tolerance_va`` of the border."""
        return all(
            (b.p_w - a.p_w) * (q_var - a.q_var) - (b.q_var - a.q_var) * (p_w - a.p_w)
            >= -tolerance_va * float(np.hypot(b.p_w - a.p_w, b.q_var - a.q_var))
            for a, b in _sides(self.corners)
        )


@dataclass(frozen=True, slots=True)
class Surplus:
    """What is left to sell at a scheduled point, magnitudes: less import or more export, and the other way round.

    ``q_up_var`` is how much more reactive power the site can absorb, ``q_down_var`` how much more it can give.
    """

    up_w: float
    down_w: float
    q_up_var: float
    q_down_var: float


def flexibility(units: tuple[Unit, ...], available_w: Array, p_w: Array, q_var: Array) -> Flexibility:
    """Ranges of all units from what each could give or take at most (magnitudes, W); unknown (NaN) means none.

    A storage is given its whole rated power both ways; whether its content lasts is the caller's to judge.
    """
    most = np.where(np.isfinite(available_w), np.maximum(available_w, 0.0), 0.0)
    low = np.array([max(u.p_min_w, -most[k] if u.kind.generates else -u.p_rated_w) for k, u in enumerate(units)])
    high = np.array([min(u.p_max_w, most[k] if u.kind.consumes else u.p_rated_w) for k, u in enumerate(units)])
    low, high = np.minimum(low, high), np.where([u.kind.generates for u in units], np.minimum(high, 0.0), high)
    return Flexibility(low, high, np.clip(p_w, low, high), q_var)


def feasible_area(
    layout: Layout, demand: Array, units: Flexibility, offsets: Offsets, directions: int = DIRECTIONS
) -> Area:
    """The area at one period; ``demand`` is what nobody controls (P of every injection bus, then Q; W, var).

    Raises PowerFlowError when the present point has no power flow solution.
    """
    start = _Point(units.p_w, units.q_var)
    now = _corner(layout, demand, start, offsets)
    around = np.linspace(0.0, 2.0 * np.pi, directions, endpoint=False)
    found = [_extreme(layout, demand, units, offsets, start, float(angle)) for angle in around]
    return Area(now, _hull([now, *found]))


def surplus(area: Area, p_w: float, q_var: float) -> Surplus:
    """What may be offered beyond a scheduled interface point; nothing at all when that lies outside the area."""
    if not area.contains(p_w, q_var):
        return Surplus(0.0, 0.0, 0.0, 0.0)
    left, right = _reach(area.corners, p_w, q_var, across=False)
    below, above = _reach(area.corners, p_w, q_var, across=True)
    return Surplus(p_w - left, right - p_w, above - q_var, q_var - below)


@dataclass(frozen=True, slots=True)
class _Point:
    p_w: Array
    q_var: Array

    def toward(self, other: _Point, share: float) -> _Point:
        return _Point(self.p_w + share * (other.p_w - self.p_w), self.q_var + share * (other.q_var - self.q_var))


def _injection(layout: Layout, demand: Array, at: _Point) -> Array:
    moved = np.concatenate([layout.incidence @ at.p_w, layout.incidence @ at.q_var])
    out: Array = demand + moved
    return out


def _corner(layout: Layout, demand: Array, at: _Point, offsets: Offsets) -> Corner:
    state = layout.grid.solve(_injection(layout, demand, at))
    p_w, q_var = (float(x) for x in offsets.flow[-2:])
    return Corner(
        state.interface_p_w + p_w, state.interface_q_var + q_var, tuple(at.p_w.tolist()), tuple(at.q_var.tolist())
    )


def _extreme(
    layout: Layout, demand: Array, units: Flexibility, offsets: Offsets, start: _Point, angle_rad: float
) -> Corner:
    """The point furthest in one direction, taken back until the power flow keeps every limit."""
    best = start
    for _ in range(PASSES):
        step = _linear_extreme(layout, demand, units, offsets, best, angle_rad)
        if step is None:
            break
        best = step
    safe = _taken_back(layout, demand, start, best, offsets)
    return _corner(layout, demand, safe, offsets)


def _linear_extreme(
    layout: Layout, demand: Array, units: Flexibility, offsets: Offsets, around: _Point, angle_rad: float
) -> _Point | None:
    """The furthest point of the linear programme around a point; None when it has none there."""
    try:
        grid = layout.grid.linearise(_injection(layout, demand, around))
    except PowerFlowError:
        return None
    rows = room(layout, grid, _as_scenario(layout, demand, around), offsets)
    lp, mw = LinearProgramme(), 1.0 / W_PER_MW
    cost_p, cost_q = _objective(layout, grid, angle_rad)
    q_max = np.array([u.q_max_var for u in layout.site.units])
    p = lp.columns((units.low_w - around.p_w) * mw, (units.high_w - around.p_w) * mw, -cost_p)
    q = lp.columns((-q_max - around.q_var) * mw, (q_max - around.q_var) * mw, -cost_q)
    for k, unit in enumerate(layout.site.units):
        _keep_apparent(lp, unit, (int(p[k]), int(q[k])), (float(around.p_w[k]), float(around.q_var[k])))
    if len(rows.room):
        n = len(rows.room)
        columns = np.tile(np.concatenate([p, q]), (n, 1))
        factors = np.hstack([rows.effect_p, rows.effect_q]) * W_PER_MW
        lp.rows([(columns, factors)], np.full(n, -np.inf), rows.room)
    solved = lp.solver().solve()
    if solved is None:
        return None
    moved = solved[0] * W_PER_MW
    return _Point(around.p_w + moved[p], around.q_var + moved[q])


def _objective(layout: Layout, grid: LinearGrid, angle_rad: float) -> tuple[Array, Array]:
    """How far one MW and one Mvar of each unit go in the direction, at the interface."""
    rows = grid.jacobian[grid.rows_interface()]
    toward = np.array([np.cos(angle_rad), np.sin(angle_rad)]) @ rows
    return toward[: layout.n_w] @ layout.incidence, toward[layout.n_w :] @ layout.incidence


def _keep_apparent(lp: LinearProgramme, unit: Unit, columns: tuple[int, int], at: tuple[float, float]) -> None:
    """p² + q² ≤ s² as tangents."""
    cos, sin = np.cos(CIRCLE_RAD), np.sin(CIRCLE_RAD)
    left = (unit.s_rated_va - (cos * at[0] + sin * at[1])) / W_PER_MW
    where = np.tile(np.array(columns, dtype=np.intp), (len(cos), 1))
    lp.rows([(where, np.stack([cos, sin], axis=1))], np.full(len(cos), -np.inf), np.maximum(left, 0.0))


def _as_scenario(layout: Layout, demand: Array, at: _Point) -> Scenario:
    """A point as the look-ahead's scenario of one period: its units as available power in the sign of their kind."""
    sign = np.array([-1.0 if u.kind.generates else 1.0 for u in layout.site.units])
    reactive = np.concatenate([np.zeros(layout.n_w), layout.incidence @ at.q_var])
    return Scenario((demand + reactive)[None, :], (sign * at.p_w)[None, :])


def _taken_back(layout: Layout, demand: Array, start: _Point, end: _Point, offsets: Offsets) -> _Point:
    """The last point on the way from ``start`` to ``end`` at which the AC power flow keeps every limit."""
    if _kept(layout, demand, end, offsets):
        return end
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _kept(layout, demand, start.toward(end, middle), offsets) else (low, middle)
    return start.toward(end, low)


def _kept(layout: Layout, demand: Array, at: _Point, offsets: Offsets) -> bool:
    try:
        state = layout.grid.solve(_injection(layout, demand, at))
    except PowerFlowError:
        return False
    nb = layout.n_branch
    per_a = layout.branch_va / np.array([b.i_max_a for b in layout.site.topology.branches])
    current_a = np.hypot(state.i_p_a + offsets.flow[:nb] / per_a, state.i_q_a + offsets.flow[nb : 2 * nb] / per_a)
    import_w = state.interface_p_w + float(offsets.flow[2 * nb])
    return limits_kept(layout.site, state.u_v + offsets.voltage_v, current_a, import_w)


def limits_kept(site: Site, voltage_v: Array, current_a: Array, import_w: float) -> bool:
    """Whether buses (V), branches (A) and the interface (W) are within every limit of the site."""
    buses = {b.id: k for k, b in enumerate(site.topology.buses)}
    branches = {b.id: k for k, b in enumerate(site.topology.branches)}
    for limit in site.limits:
        if limit.kind is LimitKind.VOLTAGE:
            value, low = float(voltage_v[buses[limit.element]]), limit.low
        elif limit.kind is LimitKind.THERMAL:
            value, low = float(current_a[branches[limit.element]]), None
        else:
            value, low = (-import_w if limit.kind is LimitKind.EXPORT else import_w), None
        if not (value <= limit.high and (low is None or value >= low)):
            return False
    return True


def _sides(corners: tuple[Corner, ...]) -> list[tuple[Corner, Corner]]:
    return list(zip(corners, (*corners[1:], *corners[:1]), strict=True))


def _reach(corners: tuple[Corner, ...], p_w: float, q_var: float, *, across: bool) -> tuple[float, float]:
    """Lowest and highest coordinate of the area on the line through a point: of P, or (``across``) of Q."""
    at, found = (p_w if across else q_var), [q_var if across else p_w]
    for a, b in _sides(corners):
        fixed_a, fixed_b, free_a, free_b = (
            (a.p_w, b.p_w, a.q_var, b.q_var) if across else (a.q_var, b.q_var, a.p_w, b.p_w)
        )
        if min(fixed_a, fixed_b) <= at <= max(fixed_a, fixed_b) and fixed_a != fixed_b:
            found.append(free_a + (at - fixed_a) / (fixed_b - fixed_a) * (free_b - free_a))
    return min(found), max(found)


def _hull(points: list[Corner]) -> tuple[Corner, ...]:
    """Convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(points, key=lambda c: (c.p_w, c.q_var))
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return (*lower[:-1], *upper[:-1]) or (points[0],)


def _chain(points: list[Corner]) -> list[Corner]:
    out: list[Corner] = []
    for c in points:
        while len(out) > 1 and _turn(out[-2], out[-1], c) <= 0.0:
            out.pop()
        out.append(c)
    return out


def _turn(a: Corner, b: Corner, c: Corner) -> float:
    """Above 0 when a → b → c turns left."""
    return (b.p_w - a.p_w) * (c.q_var - a.q_var) - (b.q_var - a.q_var) * (c.p_w - a.p_w)
