"""Where the coming quarter hours will press on which limit, how likely, and by how much: AC power flow over scenarios.

Every level of the forecast is one possible course of the day (:mod:`controller.planning.outlook`), with every unit
doing all it could and storage at rest. What is between two levels is taken to lie between their results; beyond the
outermost levels nothing more is known than what they say.

An excess is counted in watts at the limit itself: a current as √3·U·ΔI, a voltage as the power that the best placed
bus would have to move for it. Positive is too much, negative is room. A transformer that warms up slowly is held
against what it may carry after what it will have carried until then (IEC 60076-7), the limit kept on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import Transformer
from controller.estimation.layout import Layout
from controller.estimation.transformer_state import parameters_of
from controller.grid.model import LinearGrid
from controller.physics.transformer_characteristics import LoadingLimits
from controller.physics.transformer_limit import largest_load_pu
from controller.physics.transformer_thermal import ThermalState, step
from controller.planning.forecast import Forecast
from controller.planning.outlook import Offsets, Periods, Scenario, injections, scenarios
from controller.planning.outlook import flows as power_flows
from controller.planning.uptake import Uptake

Array = NDArray[np.float64]

QUARTER_H, HOUR_S = 0.25, 3600.0
SAMPLES = 400  # of the probability axis: a breach is known to 1/400
COVER_FRAC = 0.9  # share of the futures that what is bought must be enough for
PROBABILITY_MIN = 0.05  # below it nothing is asked for
EFFECT_MIN = 1e-9  # V per W: a bus where nothing helps


@dataclass(frozen=True, slots=True)
class Warm:
    """A transformer at the beginning: its temperatures, and the ambient temperature of every period, °C.

    ``hot_spot_c_max`` is what the paper's ageing leaves of the highest hot spot now; only with ``lifts`` is it known
    well enough to carry more than its continuous rating.
    """

    state: ThermalState
    ambient_c: Array
    hot_spot_c_max: float = np.inf
    lifts: bool = True


@dataclass(frozen=True, slots=True)
class LimitOutlook:
    """One side of one limit over the periods.

    ``probability`` that it would be broken if nobody did anything; ``excess_w`` what is enough to relieve in
    ``COVER_FRAC`` of the futures (negative: room that is left in as many). ``relief_bus_pu`` is the relief per watt
    that an injection bus consumes more (or generates less), at the period with the largest excess.
    """

    limit: str
    side: str
    probability: Array
    excess_w: Array
    relief_bus_pu: Array


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be bought for one limit: periods ``first`` … ``end − 1`` (counted from the projection's first).

    ``power_w`` ≥ 0 and ``probability`` per period; ``relief_bus_pu`` and ``relief_unit_pu`` by id: the relief per watt
    of more consumption (less generation) there. Negative: consumption there makes it worse.
    """

    limit: str
    side: str
    first: int
    end: int
    power_w: tuple[float, ...]
    probability: tuple[float, ...]
    relief_bus_pu: dict[str, float]
    relief_unit_pu: dict[str, float]

    @property
    def most_w(self) -> float:
        """The largest power in the window."""
        return max(self.power_w)


@dataclass(frozen=True, slots=True)
class Projection:
    """Every limit over the quarter hours from ``first_quarter`` (of the site's calendar) on.

    ``uptake`` is what consuming units can be counted on to take then, by id; empty where nobody looked.
    """

    first_quarter: int
    limits: tuple[LimitOutlook, ...]
    uptake: Mapping[str, Uptake] = field(default_factory=dict)

    @property
    def quarters(self) -> int:
        """How many quarter hours it has."""
        return len(self.limits[0].excess_w) if self.limits else 0


def project(layout: Layout, seen: Forecast, offsets: Offsets, warm: dict[str, Warm] | None = None) -> Projection:
    """All limits against a forecast; ``warm`` holds, by id, the transformers whose temperatures are known.

    A transformer that is not among them is held to its continuous rating. Where a future has no power-flow solution,
    the first-order one counts. Raises PowerFlowError when not even the middle future's first period has a solution.
    """
    when = quarters_of(seen)
    futures = scenarios(layout, seen, when)
    grid = layout.grid.linearise(injections(layout, futures[len(futures) // 2])[0])
    stacked = np.array([power_flows(layout, grid, future, offsets) for future in futures])
    sides = [x for limit in layout.site.limits for x in _sides(layout, limit, stacked, warm or {})]
    return Projection(seen.first_quarter, tuple(_outlook(layout, seen, futures, side) for side in sides))


def quarters_of(seen: Forecast) -> Periods:
    """Every quarter hour of a forecast as a period of its own: settlement knows no coarser ones."""
    first = np.arange(seen.value.shape[1], dtype=np.intp)
    return Periods(np.full(len(first), QUARTER_H), first, first + 1)


def needs(layout: Layout, projected: Projection, probability_min: float = PROBABILITY_MIN) -> list[Need]:
    """Windows in which a limit is likely enough to be broken to ask for help; the largest first."""
    found = [need for outlook in projected.limits for need in _windows(layout, outlook, probability_min)]
    return sorted(found, key=lambda need: (-need.most_w, need.limit, need.first))


@dataclass(frozen=True, slots=True)
class _Side:
    """Excess (level, period) of one side of a limit in its own unit, and how its rows answer to injections."""

    limit: Limit
    name: str
    excess: Array
    w_per_unit: float
    rows: tuple[slice, int]


def _sides(layout: Layout, limit: Limit, stacked: Array, warm: dict[str, Warm]) -> Iterator[_Side]:
    grid = layout.grid
    n_branch = layout.n_branch
    if limit.kind is LimitKind.VOLTAGE:
        k = grid.buses.index(limit.element)
        u_v = stacked[:, :, k]
        yield _Side(limit, "high", u_v - limit.high, np.nan, (slice(0, grid.n_bus), k))
        if limit.low is not None:
            yield _Side(limit, "low", limit.low - u_v, np.nan, (slice(0, grid.n_bus), k))
    elif limit.kind is LimitKind.THERMAL:
        k = [b.id for b in layout.site.topology.branches].index(limit.element)
        start = grid.n_bus + 2 * n_branch
        current_a = np.hypot(stacked[:, :, start + k], stacked[:, :, start + n_branch + k])
        excess = current_a - _allowed_a(layout.site, limit, k, current_a, warm)
        volts = layout.branch_va[k] / layout.site.topology.branches[k].i_max_a
        yield _Side(limit, "high", excess, float(volts), (slice(start, start + 2 * n_branch), k))
    else:
        sign = -1.0 if limit.kind is LimitKind.EXPORT else 1.0
        row = grid.n_bus + 4 * n_branch
        yield _Side(limit, "high", sign * stacked[:, :, row] - limit.high, 1.0, (slice(row, row + 1), 0))


def _allowed_a(site: Site, limit: Limit, branch: int, current_a: Array, warm: dict[str, Warm]) -> Array | float:
    """What the branch may carry in each future and period, A."""
    element = site.topology.branches[branch]
    start = warm.get(limit.element)
    if not isinstance(element, Transformer) or element.thermal is None or start is None:
        return limit.rated_high
    return np.array([_carried_warm(element, limit, course, start) for course in current_a])


def _carried_warm(element: Transformer, limit: Limit, current_a: Array, warm: Warm) -> Array:
    """What one transformer may carry period by period, A, while it never carries more than that."""
    thermal = element.thermal
    assert thermal is not None
    parameters = parameters_of(thermal)
    cap_a = limit.high if warm.lifts else limit.rated_high
    hot_spot_c_max = min(thermal.hot_spot_c_max, warm.hot_spot_c_max)
    most = LoadingLimits(hot_spot_c_max, thermal.top_oil_c_max, cap_a / element.i_rated_a)
    state, out = warm.state, []
    for load_pu, ambient_c in zip(current_a / element.i_rated_a, warm.ambient_c, strict=True):
        ambient = float(ambient_c) + thermal.ambient_surcharge_k
        allowed_pu = largest_load_pu(parameters, state, ambient, most, max(thermal.horizon_s, QUARTER_H * HOUR_S))
        out.append(allowed_pu * element.i_rated_a)
        state = step(parameters, state, min(float(load_pu), allowed_pu), ambient, QUARTER_H * HOUR_S)
    return np.array(out)


def _outlook(layout: Layout, seen: Forecast, futures: list[Scenario], side: _Side) -> LimitOutlook:
    level, period = np.unravel_index(int(np.argmax(side.excess)), side.excess.shape)
    grid = layout.grid.linearise(injections(layout, futures[int(level)])[period])
    relief, w_per_unit = _relief(layout, grid, side)
    probability, covered = spread_over_futures(seen.levels, side.excess)
    return LimitOutlook(side.limit.id, side.name, probability, covered * w_per_unit, relief)


def spread_over_futures(levels: tuple[float, ...], excess: Array) -> tuple[Array, Array]:
    """Probability of an excess above 0, and the excess that ``COVER_FRAC`` of the futures stay below, per period.

    ``excess`` (level, period) need not rise with the level: both come from the share of the probability axis.
    """
    at = (np.arange(SAMPLES) + 0.5) / SAMPLES
    between = np.array([np.interp(at, levels, column) for column in excess.T])
    covered: Array = np.quantile(between, COVER_FRAC, axis=1)
    return np.mean(between > 0.0, axis=1), covered


def _relief(layout: Layout, grid: LinearGrid, side: _Side) -> tuple[Array, float]:
    """Relief (per W of consumption at each injection bus, W), and watts per unit of the limit's own quantity."""
    rows, k = side.rows
    slope, base = grid.jacobian[rows, : layout.n_w], grid.base[rows]
    if side.limit.kind is LimitKind.THERMAL:
        n = layout.n_branch
        p, q = base[k], base[n + k]
        rises = (p * slope[k] + q * slope[n + k]) / max(float(np.hypot(p, q)), EFFECT_MIN)
    else:
        rises = slope[k] * (-1.0 if side.name == "low" or side.limit.kind is LimitKind.EXPORT else 1.0)
    scale = side.w_per_unit
    if not np.isfinite(scale):
        scale = 1.0 / max(float(np.abs(rises).max(initial=0.0)), EFFECT_MIN)
    return -rises * scale, scale


def _windows(layout: Layout, outlook: LimitOutlook, probability_min: float) -> Iterator[Need]:
    likely = np.concatenate([[False], (outlook.probability >= probability_min) & (outlook.excess_w > 0.0), [False]])
    edges = np.flatnonzero(np.diff(likely.astype(int)))
    buses = dict(zip(layout.grid.injection_buses, outlook.relief_bus_pu.tolist(), strict=True))
    units = {u.id: buses.get(u.bus, 0.0) for u in layout.site.units}
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        power = tuple(outlook.excess_w[first:end].tolist())
        yield Need(
            outlook.limit, outlook.side, first, end, power, tuple(outlook.probability[first:end].tolist()), buses, units
        )
