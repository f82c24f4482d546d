"""From what the station keeps on the disk to the forecast and the projection of the market's planner. Pure.

Series and what the meters say beyond the model are means of stored points, in the order of ``planning.priors``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from controller.domain.limit import LimitKind
from controller.domain.points import HUB_QUANTITIES
from controller.domain.unit import Unit
from controller.estimation.layout import Layout
from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import Forecast, forecast
from controller.planning.foretold import NOTHING_HEARD, Heard
from controller.planning.history import History, learn_quarter, new_history, see
from controller.planning.observation import like_kin
from controller.planning.outlook import Offsets
from controller.planning.priors import site_prior
from controller.planning.projection import COVER_FRAC, Projection, project
from controller.planning.uptake import Hubs, Plugged, Uptake, learn_hubs, new_hubs, uptakes
from controller.planning.warmth import points_of_warmth, warmth_of
from controller.planning.weather_forecast import forecast_in_weather
from controller.planning.weather_past import KNOTS, WeatherPast, beside, drives_of, new_weather_past

Array = NDArray[np.float64]
Means = Mapping[str, float]

CHANGES_DAYS = 3660
"""How far ahead the changes of the clocks are worked out: longer than any process lives."""
HELD_FRAC = 0.01  # of the rating: a unit that gives up more does not show what it could give


def calendar_at(now_utc_s: float, zone: str) -> Calendar:
    """Days of standard time with the changes of the clocks, in UTC seconds since 1970 as site seconds.

    Quarter 0 is 64 days back; changes are known for :data:`CHANGES_DAYS` from there on.
    """
    local = datetime.fromtimestamp(now_utc_s, ZoneInfo(zone))
    standard = _offset(local) - (local.dst() or timedelta())
    first = local.date() - timedelta(days=64)
    midnight = datetime.combine(first, time(), UTC) - standard
    return Calendar(midnight.timestamp(), first.weekday(), changes=_changes(midnight, standard, ZoneInfo(zone)))


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _changes(midnight: datetime, standard: timedelta, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """(first quarter hour, quarter hours ahead of standard time from then on), from quarter 0 at ``midnight`` on."""

    def ahead(quarter: int) -> int:
        local = (midnight + quarter * timedelta(seconds=QUARTER_S)).astimezone(zone)
        return round((_offset(local) - standard).total_seconds() / QUARTER_S)

    out = [(0, ahead(0))]
    for day in range(0, CHANGES_DAYS * SLOTS, SLOTS):
        if ahead(day + SLOTS) == out[-1][1]:
            continue
        first = next(quarter for quarter in range(day, day + SLOTS + 1) if ahead(quarter) != out[-1][1])
        out.append((first, ahead(first)))
    return tuple(out)


def points_of(layout: Layout) -> list[str]:
    """Every stored point that is read."""
    buses = [f"bus.{bus}.{field}" for bus in layout.grid.injection_buses for field in ("p_w", "q_var")]
    fields = ("p_w", "q_var", "p_avail_w", "curtailed_w", "p_set_w")
    units = [f"unit.{unit.id}.{field}" for unit in layout.site.units for field in fields]
    hubs = [f"unit.{unit.id}.{field}" for unit in _consumers(layout) for field in HUB_QUANTITIES]
    return [*buses, *units, *hubs, *(f"limit.{limit.id}.value" for limit in layout.site.limits)]


def present_points_of(layout: Layout) -> list[str]:
    """Every stored point that is read of the last minutes: contents of storages and temperatures are of now alone."""
    contents = [f"unit.{unit.id}.soc_frac" for unit in layout.site.units if unit.storage is not None]
    return [*points_of(layout), *contents, *points_of_warmth(layout.site)]


def series_of(layout: Layout, means: Means) -> Array:
    """Value of every series; NaN where nothing was stored, or a unit that does not report was held back."""
    buses = layout.grid.injection_buses
    injection = [means.get(f"bus.{bus}.{field}", math.nan) for field in ("p_w", "q_var") for bus in buses]
    available = [_available_w(unit, means) for unit in layout.site.units]
    storage = np.array([unit.storage is not None for unit in layout.site.units], dtype=bool)
    known = np.where(storage, 0.0, like_kin(layout.site, np.array(available)))
    return np.concatenate([np.array(injection), np.maximum(known, 0.0)])


def _available_w(unit: Unit, means: Means) -> float:
    reported = means.get(f"unit.{unit.id}.p_avail_w", math.nan)
    if math.isfinite(reported):
        return reported
    return math.nan if _held(unit, means) else abs(means.get(f"unit.{unit.id}.p_w", math.nan))


def _held(unit: Unit, means: Means) -> bool:
    """Whether it gave something up, or stood at the cap of whoever had ordered what it consumes."""
    if means.get(f"unit.{unit.id}.curtailed_w", 0.0) > HELD_FRAC * unit.p_rated_w:
        return True
    cap_w, p_w = (means.get(f"unit.{unit.id}.{field}", math.nan) for field in ("p_set_w", "p_w"))
    near_w = HELD_FRAC * unit.p_rated_w
    return unit.kind.consumes and cap_w < unit.p_max_w - near_w and p_w > cap_w - near_w


def _consumers(layout: Layout) -> list[Unit]:
    return [unit for unit in layout.site.units if unit.kind.consumes]


def plugged(layout: Layout, means: Means) -> Plugged:
    """One look at the consuming units, in the order of the site."""
    units = _consumers(layout)
    fields = ("p_w", *HUB_QUANTITIES)
    power_w, count, wanted_wh = (
        np.array([means.get(f"unit.{unit.id}.{field}", math.nan) for unit in units]) for field in fields
    )
    return Plugged(power_w, count, wanted_wh, np.array([_held(unit, means) for unit in units], dtype=bool))


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from complete quarter hours, of the site and of its ``hubs`` (every unit that consumes).

    ``weather`` is what forecasts of the weather said beside it. The next one to learn is ``next_quarter``.
    """

    history: History
    hubs: Hubs
    weather: WeatherPast
    next_quarter: int | None = None


def nothing_learned(layout: Layout, calendar: Calendar) -> Learned:
    """Before the first look at the store."""
    rated_w = np.array([unit.p_rated_w for unit in _consumers(layout)])
    prior = site_prior(layout, True)
    weather = new_weather_past(drives_of(layout), prior.high)
    return Learned(new_history(calendar, prior), new_hubs(calendar, rated_w), weather)


def learn(layout: Layout, learned: Learned, quarters: Mapping[int, Means], heard: Heard = NOTHING_HEARD) -> Learned:
    """After these complete quarter hours, by number; those between that nobody saw count as unknown.

    ``heard`` holds the forecasts of the weather that were in force in them.
    """
    if not quarters:
        return learned
    first = min(quarters) if learned.next_quarter is None else learned.next_quarter
    history, hubs, weather, last = learned.history, learned.hubs, learned.weather, max(quarters)
    for quarter in range(first, last + 1):
        found = quarters.get(quarter, {})
        start_s = history.calendar.start_s(quarter)
        weather = beside(weather, history, quarter, heard.of(start_s + QUARTER_S * KNOTS, start_s))
        history = learn_quarter(history, quarter, series_of(layout, found))
        hubs = learn_hubs(hubs, quarter, plugged(layout, found))
    return Learned(history, hubs, weather, last + 1)


def foresee(
    layout: Layout, learned: Learned, recent: Means, at_s: float, quarters: int, heard: Heard = NOTHING_HEARD
) -> Forecast:
    """Every series over ``quarters`` from ``at_s`` (UTC) on, with ``recent`` means as what is now."""
    history = see(learned.history, at_s, series_of(layout, recent))
    if heard.in_force(at_s) is None or history.next_quarter is None or not len(learned.weather.quarter):
        return forecast(history, quarters)
    starts_s = history.calendar.start_s(history.next_quarter) + QUARTER_S * np.arange(quarters, dtype=np.float64)
    return forecast_in_weather(history, learned.weather, heard.of(starts_s, at_s), quarters)


def project_ahead(
    layout: Layout, learned: Learned, recent: Means, at_s: float, quarters: int, heard: Heard = NOTHING_HEARD
) -> Projection:
    """Every limit over ``quarters`` from ``at_s`` (UTC) on, with ``recent`` means as what is now.

    Raises PowerFlowError when not even the middle future has a solution.
    """
    seen = foresee(layout, learned, recent, at_s, quarters, heard)
    warm = warmth_of(layout.site, recent, at_s, quarters)
    return replace(
        project(layout, seen, offsets_of(layout, recent), warm), uptake=_uptake(layout, learned, recent, at_s, seen)
    )


def _uptake(layout: Layout, learned: Learned, recent: Means, at_s: float, seen: Forecast) -> dict[str, Uptake]:
    """What every consuming unit can be counted on to take."""
    units = _consumers(layout)
    if not units:
        return {}
    series = [2 * layout.n_w + layout.site.units.index(unit) for unit in units]
    found = uptakes(learned.hubs, plugged(layout, recent), at_s, seen, series)
    return {unit.id: uptake for unit, uptake in zip(units, found, strict=True)}


def offsets_of(layout: Layout, recent: Means) -> Offsets:
    """What the meters say beyond the model: voltages that have a limit, and the power at the interface."""
    site, grid = layout.site, layout.grid
    none = Offsets(np.zeros(grid.n_bus), np.zeros(2 * layout.n_branch + 2))
    injection = _present(layout, recent)
    if not np.isfinite(injection).all():
        return none
    model = grid.solve_many(injection[None, :])[0]
    for limit in site.limits:
        value = recent.get(f"limit.{limit.id}.value", math.nan)
        if not math.isfinite(value):
            continue
        if limit.kind is LimitKind.VOLTAGE:
            k = grid.buses.index(limit.element)
            none.voltage_v[k] = value - model.u_v[k]
        elif limit.kind in (LimitKind.EXPORT, LimitKind.IMPORT):
            sign = -1.0 if limit.kind is LimitKind.EXPORT else 1.0
            none.flow[2 * layout.n_branch] = sign * value - model.interface_p_w
    return none


def _present(layout: Layout, recent: Means) -> Array:
    """Injection of every bus now, units included."""
    n_w, units = layout.n_w, layout.site.units
    out = series_of(layout, recent)[: 2 * n_w]
    for start, field in ((0, "p_w"), (n_w, "q_var")):
        power = np.array([recent.get(f"unit.{unit.id}.{field}", math.nan) for unit in units])
        out[start : start + n_w] += layout.incidence @ power
    return out


def less_ordered(projected: Projection, ordered: Sequence[tuple[Array, Mapping[int, float]]]) -> Projection:
    """What is left once everybody delivers: each (relief of every limit per watt, ordered W by quarter hour).

    What is too much in more than ``1 - COVER_FRAC`` of the futures is at least so likely.
    """
    limits = []
    for k, limit in enumerate(projected.limits):
        excess_w = limit.excess_w.copy()
        for relief, change_w in ordered:
            for quarter, w in change_w.items():
                if 0 <= quarter - projected.first_quarter < len(excess_w):
                    excess_w[quarter - projected.first_quarter] -= relief[k] * w
        likely = np.where(excess_w > 0.0, np.maximum(limit.probability, 1.0 - COVER_FRAC), limit.probability)
        limits.append(replace(limit, excess_w=excess_w, probability=likely))
    return replace(projected, limits=tuple(limits))
