"""Current that a transformer may carry from now on, by its hot spot and its top oil (IEC 60076-7).

The largest load that could be held for the horizon without either becoming too hot: more than the static rating for
a cold one (up to its short-time cap), less for a hot one. Above the static rating only on fresh data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from controller.documents import DocumentError, block, number, text
from controller.domain import points
from controller.domain.limit import LimitKind
from controller.domain.record import Event
from controller.domain.site import Site
from controller.domain.topology import Transformer
from controller.estimation.estimate import Estimate
from controller.estimation.transformer_state import Seen, TransformerWatch, Warmth
from controller.estimation.weather import Air, WeatherWatch, fresh
from controller.limits.base import MEASUREMENT_SIGMAS
from controller.limits.in_force import Proposal, Situation
from controller.physics.transformer_ageing import Paper
from controller.physics.transformer_characteristics import LoadingLimits
from controller.physics.transformer_limit import largest_load_pu, what_binds
from controller.physics.transformer_thermal import ThermalState

REFRESH_S = 10.0  # the limit moves with the oil, hours, and the winding, minutes; temperatures follow every cycle
AMBIENT_STEP_K = 1.0
BUDGET_FROM_FRAC = 0.8  # of the ageing budget: from here to all of it the hot spot is led back to its normal one
NORMAL_HOT_SPOT_C = {Paper.NORMAL: 98.0, Paper.UPGRADED: 110.0}  # relative ageing rate 1
LOAD_POSSIBLE_PU = 3.0  # of nameplate current, in the model: beyond it protection has opened the breaker
TEMPERATURE_C = (-80.0, 300.0)  # what a state file may hold


@dataclass(frozen=True, slots=True)
class HotSpotMemory:
    """Temperatures, and the limit that was last computed from them: when, per unit, why, and on what data."""

    warmth: Warmth
    slot: int = -1
    load_pu: float = 0.0
    bound_by: str = ""
    ambient_c: float = math.nan
    trusted: bool = False
    measured_ambient: bool = False


class HotSpot:
    """Reason to restrict one transformer (``limit`` is the index of its thermal limit)."""

    memory_type = HotSpotMemory

    def __init__(self, site: Site, transformer: Transformer, limit: int, turn_s: float) -> None:
        if transformer.thermal is None:
            raise ValueError(f"transformer {transformer.id} has no thermal characteristics; expected some")
        self.thermal, self.limit = transformer.thermal, limit
        self.id, self.key = transformer.id, f"transformer.{transformer.id}"
        self._i_rated_a = transformer.i_rated_a
        self._branch = [b.id for b in site.topology.branches].index(transformer.id)
        self._stale_s = 3.0 * site.cycle.cycle_s
        self._turn_s = turn_s
        self._static_pu = site.limits[limit].rated_high / transformer.i_rated_a
        self._cap_pu = site.limits[limit].high / transformer.i_rated_a
        self._weather = WeatherWatch(site.weather, site.timezone)
        design_c = max(site.weather.ambient_c) if self.thermal.ambient_c is None else self.thermal.ambient_c
        self.watch = TransformerWatch(self.thermal, self._static_pu, design_c + self.thermal.ambient_surcharge_k)

    def initial(self, now_s: float) -> HotSpotMemory:
        """Hot: what must be assumed of an unknown past."""
        return HotSpotMemory(self.watch.initial(now_s))

    def propose(
        self, memory: HotSpotMemory, situation: Situation
    ) -> tuple[HotSpotMemory, Sequence[Proposal], Sequence[Event]]:
        """Follow the temperatures by one cycle and say what may be carried."""
        air, seen = self._seen(situation)
        warmth = self.watch.advance(memory.warmth, seen, situation.now_s)
        told = self._told(memory, warmth, air)
        memory = replace(memory, warmth=warmth, measured_ambient=air.measured)
        trusted = seen.load_known and self._trusted(warmth)
        if self._due(memory, situation.now_s, seen.ambient_c, trusted):
            memory = self._computed(memory, situation.now_s, seen.ambient_c, trusted)
        facts, cause = self._facts(warmth, seen, air), f"{self.id}.{memory.bound_by}"
        high_a = memory.load_pu * self._i_rated_a
        return memory, (Proposal(self.limit, high_a, cause=cause, rates=True, facts=facts),), told

    def _seen(self, situation: Situation) -> tuple[Air, Seen]:
        snapshot, k = situation.snapshot, self._branch
        point = points.branch(self.id, "ambient_c")
        if not math.isfinite(fresh(snapshot, point)):
            point = points.ambient("temp_c")
        air = self._weather.air(snapshot, point, self.thermal.ambient_c)
        more_k = self.thermal.ambient_surcharge_k
        load_pu = _load_pu(situation.estimate, k, self._i_rated_a)
        known = math.isfinite(load_pu) and bool(situation.estimate.branch_age_s[k] <= self._stale_s)
        load_pu = load_pu if math.isfinite(load_pu) else LOAD_POSSIBLE_PU
        seen = Seen(
            load_pu=load_pu if known else max(load_pu, self._static_pu),
            load_known=known,
            ambient_c=air.ambient_c + more_k,
            coldest_c=air.coldest_c + more_k,
            top_oil_c=fresh(snapshot, points.branch(self.id, "top_oil_c")),
            hot_spot_c=fresh(snapshot, points.branch(self.id, "hot_spot_c")),
        )
        return air, seen

    def _trusted(self, warmth: Warmth) -> bool:
        """Whether the temperatures may lift the limit above the static rating.

        Not on a sensor that nothing explains, and not on one that was never tested: while hottest and coldest past
        are far apart, almost any reading lies between them.
        """
        apart_k = warmth.hottest.top_oil_c - warmth.coldest.top_oil_c
        return warmth.oil == "model" or (warmth.oil == "measured" and apart_k <= 2.0 * self.thermal.oil_tolerance_k)

    def _due(self, memory: HotSpotMemory, now_s: float, ambient_c: float, trusted: bool) -> bool:
        moved = not abs(ambient_c - memory.ambient_c) < AMBIENT_STEP_K
        return moved or trusted != memory.trusted or self._slot(now_s) != memory.slot

    def _slot(self, now_s: float) -> int:
        """Number of the refresh period; each transformer has its own turn in it."""
        return math.floor((now_s - self._turn_s) / REFRESH_S)

    def _computed(self, memory: HotSpotMemory, now_s: float, ambient_c: float, trusted: bool) -> HotSpotMemory:
        state, watch = memory.warmth.state, self.watch
        limits = LoadingLimits(self._hot_spot_c_max(memory.warmth), self.thermal.top_oil_c_max, self._cap_pu)
        horizon_s = self.thermal.horizon_s
        load_pu = largest_load_pu(watch.parameters, state, ambient_c, limits, horizon_s)
        bound_by = "load_cap"
        if load_pu < self._cap_pu:
            bound_by = what_binds(watch.parameters, state, load_pu, ambient_c, limits, horizon_s)
        if not trusted and load_pu > self._static_pu:
            load_pu, bound_by = self._static_pu, "unproven"
        return replace(
            memory, slot=self._slot(now_s), load_pu=load_pu, bound_by=bound_by, ambient_c=ambient_c, trusted=trusted
        )

    def _hot_spot_c_max(self, warmth: Warmth) -> float:
        """Highest hot spot allowed now: led back to normal ageing as the day's ageing budget is used up."""
        most_c, budget = self.thermal.hot_spot_c_max, self.thermal.ageing_rate_max
        if budget is None:
            return most_c
        normal_c = min(NORMAL_HOT_SPOT_C[self.watch.paper], most_c)
        used = (warmth.ageing_day / budget - BUDGET_FROM_FRAC) / (1.0 - BUDGET_FROM_FRAC)
        return most_c - (most_c - normal_c) * min(max(used, 0.0), 1.0)

    def _facts(self, warmth: Warmth, seen: Seen, air: Air) -> dict[str, float]:
        return {
            "hot_spot_c": warmth.state.hot_spot_c,
            "top_oil_c": warmth.state.top_oil_c,
            "rise_fast_k": warmth.state.rise_fast_k,
            "rise_slow_k": warmth.state.rise_slow_k,
            "hot_spot_c_max": self._hot_spot_c_max(warmth),
            "proven": float(self._trusted(warmth)),
            "ambient_c": seen.ambient_c,
            "ambient_measured": float(air.measured),
            "oil_measured": float(warmth.oil == "measured"),
            "ageing_rate": self.watch.rate(warmth.state),
            "life_lost_s": warmth.life_lost_s,
        }

    def _told(self, before: HotSpotMemory, warmth: Warmth, air: Air) -> list[Event]:
        """Sensors that are lost, found again, or contradict the model."""
        told = []
        reads = f"model {warmth.state.top_oil_c:.0f} °C, possible {warmth.coldest.top_oil_c:.0f}…"
        reads += f"{warmth.hottest.top_oil_c:.0f} °C"
        if warmth.oil == "refused" and before.warmth.oil != "refused":
            told.append(Event("oil.refused", self.id, reads))
        if before.warmth.oil == "refused" and warmth.oil != "refused":
            told.append(Event("oil.believed", self.id, reads))
        if before.measured_ambient and not air.measured:
            told.append(Event("ambient.assumed", self.id, f"{air.ambient_c:.0f} °C"))
        if air.measured and not before.measured_ambient:
            told.append(Event("ambient.measured", self.id, f"{air.ambient_c:.0f} °C"))
        return told

    def dump(self, memory: HotSpotMemory) -> Mapping[str, Any]:
        """Temperatures and ageing."""
        w = memory.warmth
        states = {name: asdict(getattr(w, name)) for name in ("state", "hottest", "coldest")}
        return {**states, "oil": w.oil, "life_lost_s": w.life_lost_s, "ageing_day": w.ageing_day}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> HotSpotMemory:
        """Temperatures after a gap at rated load in the hottest weather; after an unknown one only the ageing."""
        warmth = Warmth(
            at_s=now_s,
            state=_state(document, "state"),
            hottest=_state(document, "hottest"),
            coldest=_state(document, "coldest"),
            oil=_oil(document),
            life_lost_s=_not_negative(document, "life_lost_s"),
            ageing_day=_not_negative(document, "ageing_day"),
        )
        if warmth.coldest.top_oil_c > warmth.hottest.top_oil_c:
            raise DocumentError("coldest is hotter than hottest; expected the bounds of one temperature")
        if not math.isfinite(gap_s):
            hot = self.watch.initial(now_s)
            return HotSpotMemory(replace(hot, life_lost_s=warmth.life_lost_s))
        return HotSpotMemory(self.watch.after_gap(warmth, gap_s, now_s))


def hot_spots(site: Site) -> Iterator[HotSpot]:
    """One for every transformer with thermal characteristics and a limit."""
    found = [t for t in site.topology.transformers if t.thermal is not None]
    index = {x.element: k for k, x in enumerate(site.limits) if x.kind is LimitKind.THERMAL}
    limited = [t for t in found if t.id in index]
    for turn, transformer in enumerate(limited):
        yield HotSpot(site, transformer, index[transformer.id], REFRESH_S * turn / len(limited))


def _load_pu(estimate: Estimate, branch: int, i_rated_a: float) -> float:
    """Magnitude of the current with what measurement may hide, per unit; NaN when there is no estimate."""
    magnitude = math.hypot(estimate.branch_ip_a[branch], estimate.branch_iq_a[branch])
    hidden = MEASUREMENT_SIGMAS * estimate.branch_sigma_a[branch] + estimate.branch_excess_a[branch]
    load_pu = float(magnitude + hidden) / i_rated_a
    return min(load_pu, LOAD_POSSIBLE_PU) if math.isfinite(load_pu) else math.nan


def _state(document: Mapping[str, Any], key: str) -> ThermalState:
    part = block(document, key)
    low, high = TEMPERATURE_C
    values = {name: number(part, name, f"{key}.") for name in ("top_oil_c", "rise_fast_k", "rise_slow_k")}
    for name, value in values.items():
        if not low <= value <= high:
            raise DocumentError(f"{key}.{name} is {value}; expected {low:g}…{high:g}")
    return ThermalState(**values)


def _oil(document: Mapping[str, Any]) -> str:
    oil = text(document, "oil")
    if oil not in ("model", "measured", "refused"):
        raise DocumentError(f"oil is {oil!r}; expected model, measured or refused")
    return oil


def _not_negative(document: Mapping[str, Any], key: str) -> float:
    value = number(document, key)
    if value < 0.0:
        raise DocumentError(f"{key} is {value}; expected at least 0")
    return value
