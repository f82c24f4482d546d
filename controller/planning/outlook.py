"""The site's coming periods as the look-ahead sees them: scenarios of injections, and room under every limit.

Periods are quarter hours first and hours later. A scenario is one quantile of surplus: generation at that level,
demand at the opposite one, so that the first scenario is the day with the least surplus and the last the one with
the most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.estimation.layout import Layout
from controller.grid.model import LinearGrid, PowerFlowError
from controller.planning.forecast import Forecast

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

FINE_QUARTERS = 16  # four hours in quarters, the rest in hours
COARSE = 4
# Around the present phasor, dense near it; the far side counts where storage can turn the flow round.
TANGENTS_RAD = np.radians(
    [0, 8, -8, 20, -20, 40, -40, 65, -65, 90, -90, 115, -115, 140, -140, 160, -160, 172, -172, 180]
)
THERMAL_MARGIN_FRAC = 0.015  # what the fast loop keeps free for noise
VOLTAGE_MARGIN_FRAC = 0.002


@dataclass(frozen=True, slots=True)
class Periods:
    """Lengths of the periods, h, and the quarter hours that each covers (first, behind the last)."""

    hours: Array
    first: IntArray
    end: IntArray


def periods(quarters: int) -> Periods:
    """Periods that cover so many quarter hours."""
    fine = min(quarters, FINE_QUARTERS)
    first = np.concatenate([np.arange(fine), np.arange(fine, quarters, COARSE)]).astype(np.intp)
    end = np.append(first[1:], quarters).astype(np.intp)
    return Periods((end - first) / 4.0, first, end)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One possible future: what nobody controls (period, 2 n_w) and what units could give or take (period, unit), W."""

    injection: Array
    available_w: Array


def scenarios(layout: Layout, seen: Forecast, when: Periods) -> list[Scenario]:
    """One scenario per level of the forecast."""
    n_w = layout.n_w
    generates = np.array([u.kind.generates for u in layout.site.units], dtype=bool)
    rises = np.concatenate([np.zeros(2 * n_w, dtype=bool), generates])
    paths = (np.where(rises, rising, falling) for rising, falling in zip(seen.value, seen.value[::-1], strict=True))
    return [averaged(path, when, 2 * n_w) for path in paths]


def averaged(path: Array, when: Periods, n_injection: int) -> Scenario:
    """A scenario from values per quarter hour (quarter, series), of which the first ``n_injection`` are injections."""
    total = np.concatenate([np.zeros_like(path[:1]), np.cumsum(path, axis=0)])
    mean = (total[when.end] - total[when.first]) / (when.end - when.first)[:, None]
    return Scenario(mean[:, :n_injection], mean[:, n_injection:])


@dataclass(frozen=True, slots=True)
class Room:
    """Limits that may bind: ``effect_p @ ΔP + effect_q @ Q ≤ room`` per row, each belonging to one period.

    ΔP is the change of the units' power against doing all they could (storage: at rest), Q their reactive power; both
    in load convention, W and var; rows in per unit of the limit.
    """

    period: IntArray
    effect_p: Array
    effect_q: Array
    room: Array


@dataclass(frozen=True, slots=True)
class Offsets:
    """What the meters say beyond the model now: bus voltages (V), then P and Q of branches and interface (W, var)."""

    voltage_v: Array
    flow: Array


def injections(layout: Layout, scenario: Scenario) -> Array:
    """Bus injections (period, 2 n_w) with every unit doing all it could and storage at rest."""
    sign = np.array([-1.0 if u.kind.generates else 1.0 for u in layout.site.units])
    out = scenario.injection.copy()
    out[:, : layout.n_w] += (scenario.available_w * sign) @ layout.incidence.T
    return out


def flows(layout: Layout, grid: LinearGrid, scenario: Scenario, offsets: Offsets) -> Array:
    """Stacked quantities (period, k) with every unit doing all it could and storage at rest."""
    injection = injections(layout, scenario)
    try:
        out = layout.grid.stacked(injection)
    except PowerFlowError:
        out = np.array([grid.predict(x) for x in injection])
    nb = layout.n_branch
    u, ip, iq = grid.rows_u(), grid.rows_branch("i_p_a"), grid.rows_branch("i_q_a")
    per_a = layout.branch_va / np.array([b.i_max_a for b in layout.site.topology.branches])
    out[:, u] += offsets.voltage_v
    out[:, ip] += offsets.flow[:nb] / per_a
    out[:, iq] += offsets.flow[nb : 2 * nb] / per_a
    out[:, grid.rows_interface()] += offsets.flow[2 * nb :]
    return out


def room(
    layout: Layout,
    grid: LinearGrid,
    scenario: Scenario,
    offsets: Offsets,
    thermal_margin_frac: float = THERMAL_MARGIN_FRAC,
    agreed_w: Mapping[str, Array] | None = None,
) -> Room:
    """Rows of all limits; ``agreed_w`` is what may be exported and imported in each period, where that changes."""
    base = flows(layout, grid, scenario, offsets)
    n_w = layout.n_w
    p, q = grid.jacobian[:, :n_w] @ layout.incidence, grid.jacobian[:, n_w:] @ layout.incidence
    parts = [*_thermal(layout.site, grid, base, p, q, thermal_margin_frac), *_voltage(layout.site, grid, base, p, q)]
    parts += _interface(layout.site, grid, base, p, q, agreed_w or {})
    stacked = [np.concatenate([part[k] for part in parts]) for k in range(4)]
    return Room(stacked[0].astype(np.intp), stacked[1], stacked[2], stacked[3])


def tight(site: Site, rows: Room) -> Room:
    """The rows that full output breaks, or that storage and reactive power could break."""
    power = np.array([u.p_rated_w if u.storage is not None else 0.0 for u in site.units])
    reactive = np.array([u.q_max_var for u in site.units])
    keep = rows.room < np.abs(rows.effect_p) @ power + np.abs(rows.effect_q) @ reactive
    return Room(rows.period[keep], rows.effect_p[keep], rows.effect_q[keep], rows.room[keep])


Part = tuple[Array, Array, Array, Array]


def _thermal(site: Site, grid: LinearGrid, base: Array, p: Array, q: Array, margin_frac: float) -> list[Part]:
    order = [b.id for b in site.topology.branches]
    rows_p, rows_q = grid.rows_branch("i_p_a"), grid.rows_branch("i_q_a")
    out = []
    for limit in (x for x in site.limits if x.kind is LimitKind.THERMAL):
        k = order.index(limit.element)
        ip, iq = base[:, rows_p][:, k] / limit.high, base[:, rows_q][:, k] / limit.high
        angle = np.arctan2(iq, ip)[:, None] + TANGENTS_RAD
        cos, sin = np.cos(angle)[:, :, None], np.sin(angle)[:, :, None]
        effect_p = (cos * p[rows_p][k] + sin * p[rows_q][k]) / limit.high
        effect_q = (cos * q[rows_p][k] + sin * q[rows_q][k]) / limit.high
        left = 1.0 - margin_frac - (cos[:, :, 0] * ip[:, None] + sin[:, :, 0] * iq[:, None])
        out.append(_part(effect_p, effect_q, left))
    return out


def _part(effect_p: Array, effect_q: Array, left: Array) -> Part:
    """Rows of (period, tangent, …) below each other."""
    n, m = left.shape
    period = np.repeat(np.arange(n, dtype=float), m)
    return period, effect_p.reshape(n * m, -1), effect_q.reshape(n * m, -1), left.ravel()


def _voltage(site: Site, grid: LinearGrid, base: Array, p: Array, q: Array) -> list[Part]:
    order = {b.id: (k, b.u_rated_v) for k, b in enumerate(site.topology.buses)}
    rows, out = grid.rows_u(), []
    for limit in (x for x in site.limits if x.kind is LimitKind.VOLTAGE):
        k, rated = order[limit.element]
        u, up, uq = base[:, rows][:, k] / rated, p[rows][k] / rated, q[rows][k] / rated
        sides = [(1.0, limit.high / rated - VOLTAGE_MARGIN_FRAC - u)]
        if limit.low is not None:
            sides.append((-1.0, u - limit.low / rated - VOLTAGE_MARGIN_FRAC))
        for sign, left in sides:
            shape = (len(u), 1, len(up))
            out.append(_part(np.broadcast_to(sign * up, shape), np.broadcast_to(sign * uq, shape), left[:, None]))
    return out


def _interface(
    site: Site, grid: LinearGrid, base: Array, p: Array, q: Array, agreed_w: Mapping[str, Array]
) -> list[Part]:
    row, out = grid.rows_interface().start, []
    for limit in (x for x in site.limits if x.kind in (LimitKind.EXPORT, LimitKind.IMPORT)):
        sign, scale = (-1.0 if limit.kind is LimitKind.EXPORT else 1.0), max(limit.high, 1.0)
        high_w = agreed_w.get(limit.id, np.full(len(base), limit.high))
        left = (high_w * (1.0 - THERMAL_MARGIN_FRAC) - sign * base[:, row]) / scale
        shape = (len(left), 1, p.shape[1])
        effect_p, effect_q = (np.broadcast_to(sign * x[row] / scale, shape) for x in (p, q))
        out.append(_part(effect_p, effect_q, left[:, None]))
    return out
