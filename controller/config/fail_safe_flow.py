"""The worst flow that can be left when every unit sits at its fail-safe set point.

A screening with sums, not a power flow, and on the safe side of one: powers downstream of a branch are added, the
largest credible |P| and |Q| are taken together, 3 % are added for losses, and the current is taken at the lowest
voltage that the site allows there (0.9 of nominal where it states no band). A cap bounds a unit from one side only, so
a capped generator may also stand still; a battery may be empty or full. Branches side by side between the same two
buses share by admittance. A branch inside a loop is not judged: how a loop shares is a question for a power flow.
Neither is a voltage band: where the tap changer then stands is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.config.wiring import reachable
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import SQRT3, Branch, Line, Load, Transformer
from controller.domain.unit import Unit

LOSSES_FRAC = 0.03
U_LOW_PU = 0.9


@dataclass(frozen=True, slots=True)
class Span:
    """Bounds of what may flow into a part of the network (load convention, W and var)."""

    p_low_w: float = 0.0
    p_high_w: float = 0.0
    q_low_var: float = 0.0
    q_high_var: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(
            self.p_low_w + other.p_low_w,
            self.p_high_w + other.p_high_w,
            self.q_low_var + other.q_low_var,
            self.q_high_var + other.q_high_var,
        )

    @property
    def s_va_max(self) -> float:
        """Largest apparent power within the bounds."""
        p = max(abs(self.p_low_w), abs(self.p_high_w))
        return math.hypot(p, max(abs(self.q_low_var), abs(self.q_high_var)))


@dataclass(frozen=True, slots=True)
class Worst:
    """Worst value of one limit (A or W, magnitude) at fail-safe, and the units that take part in it."""

    limit: Limit
    value: float
    outward: bool
    units: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """True when the limit is kept, at its lowest season and without help from a cold past."""
        return self.value <= self.limit.rated_high


def worst_flows(site: Site, load_q_var: Mapping[str, tuple[float, float]]) -> tuple[Worst, ...]:
    """Worst value of every limit that can be judged; ``load_q_var`` is least and most, by load."""
    found = []
    for limit in site.limits:
        if limit.kind is LimitKind.THERMAL:
            found += _worst_current(site, limit, load_q_var)
        elif limit.kind in (LimitKind.EXPORT, LimitKind.IMPORT):
            found.append(_worst_interface(site, limit, load_q_var))
    return tuple(found)


def unit_span(unit: Unit) -> Span:
    """What a unit can do at its fail-safe set point."""
    p_w, q_var = unit.fail_safe.p_w, unit.fail_safe.q_var
    low_w, high_w = min(p_w, 0.0), max(p_w, 0.0)
    if unit.kind.generates:
        low_w, high_w = p_w, unit.p_max_w
    elif unit.kind.consumes:
        low_w, high_w = unit.p_min_w, p_w
    return Span(low_w, high_w, min(q_var, 0.0), max(q_var, 0.0))


def _load_span(load: Load, q_var: tuple[float, float]) -> Span:
    return Span(load.p_min_w, load.p_max_w, *q_var)


def _total(site: Site, buses: Iterable[str], load_q_var: Mapping[str, tuple[float, float]]) -> tuple[Span, list[Unit]]:
    inside = set(buses)
    units = [unit for unit in site.units if unit.bus in inside]
    total = sum((unit_span(unit) for unit in units), Span())
    loads = (_load_span(load, load_q_var[load.id]) for load in site.topology.loads if load.bus in inside)
    return sum(loads, total), units


def _worst_interface(site: Site, limit: Limit, load_q_var: Mapping[str, tuple[float, float]]) -> Worst:
    total, units = _total(site, (bus.id for bus in site.topology.buses), load_q_var)
    outward = limit.kind is LimitKind.EXPORT
    value = max(0.0, -total.p_low_w if outward else total.p_high_w * (1.0 + LOSSES_FRAC))
    return Worst(limit, value, outward, _movers(units, outward))


def _worst_current(site: Site, limit: Limit, load_q_var: Mapping[str, tuple[float, float]]) -> list[Worst]:
    """One entry, or none for a branch inside a loop."""
    topology = site.topology
    branch = next(item for item in topology.branches if item.id == limit.element)
    group = [item for item in topology.branches if set(ends(item)) == set(ends(branch))]
    rest = [ends(item) for item in topology.branches if item not in group]
    upstream = reachable(topology.source.bus, rest)
    if set(ends(branch)) <= upstream:
        return []
    total, units = _total(site, (bus.id for bus in topology.buses if bus.id not in upstream), load_q_var)
    share = _admittance(branch) / sum(_admittance(item) for item in group)
    outward = -total.p_low_w > total.p_high_w
    value = total.s_va_max * (1.0 + LOSSES_FRAC) * share / (SQRT3 * _lowest_v(site, branch))
    return [Worst(limit, value, outward, _movers(units, outward))]


def ends(branch: Branch) -> tuple[str, str]:
    """The two buses of a branch."""
    return (branch.from_bus, branch.to_bus) if isinstance(branch, Line) else (branch.hv_bus, branch.lv_bus)


def _admittance(branch: Branch) -> float:
    """Magnitude of the series admittance in siemens, a transformer's at its lower-voltage side."""
    if isinstance(branch, Transformer):
        return branch.sn_va / (branch.uk_pu * branch.u2_v**2)
    return 1.0 / math.hypot(branch.r_ohm, branch.x_ohm)


def _lowest_v(site: Site, branch: Branch) -> float:
    """Lowest voltage allowed where the current of the branch counts: either end, a transformer's LV side."""
    buses = {branch.lv_bus} if isinstance(branch, Transformer) else set(ends(branch))
    edges = {limit.element: limit.low for limit in site.limits if limit.kind is LimitKind.VOLTAGE}
    rated_v = {bus.id: bus.u_rated_v for bus in site.topology.buses}
    return min(edges.get(bus) or U_LOW_PU * rated_v[bus] for bus in buses)


def _movers(units: list[Unit], outward: bool) -> tuple[str, ...]:
    """Units that push in the bad direction, the strongest first."""
    pushes = {unit.id: -unit_span(unit).p_low_w if outward else unit_span(unit).p_high_w for unit in units}
    return tuple(sorted((name for name, push in pushes.items() if push > 0.0), key=lambda name: -pushes[name]))
