"""Current that an overhead line may carry in the present weather (IEEE 738 steady state).

Better weather is believed slowly, worse at once. Above the static rating only while the air temperature is measured;
wind and sun that are not measured are the design weather's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.documents import DocumentError, number
from controller.domain.limit import LimitKind
from controller.domain.record import Event
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.thermal import Overhead
from controller.domain.topology import Line
from controller.estimation.weather import Air, WeatherWatch, Wind
from controller.limits.in_force import Proposal, Situation
from controller.physics.conductor_thermal import Conductor, Surroundings, ampacity_a
from controller.physics.sunshine import normal_w_per_m2_max

REFRESH_S = 10.0
RISE_S = 600.0  # a gust is no cooling: the time constant of a conductor is about as long
KEPT_S = 600.0  # a longer gap leaves nothing of the weather before it
CURRENT_POSSIBLE_A = 1e5


@dataclass(frozen=True, slots=True)
class OverheadMemory:
    """The rating held now, when it was last computed, and whether it may lie above the static one."""

    at_s: float
    held_a: float
    slot: int
    measured: bool


class OverheadRating:
    """Reason to restrict one line (``limit`` is the index of its thermal limit)."""

    memory_type = OverheadMemory

    def __init__(self, site: Site, line: Line, overhead: Overhead, limit: int, turn_s: float) -> None:
        self.id, self.key, self.limit = line.id, f"overhead.{line.id}", limit
        self._overhead, self._turn_s = overhead, turn_s
        self._static_a, self._cap_a = site.limits[limit].rated_high, site.limits[limit].high
        self._weather = WeatherWatch(site.weather, site.timezone)
        self._conductor = Conductor(
            diameter_m=overhead.diameter_m,
            r25_ohm_per_m=overhead.r25_ohm_per_m,
            r75_ohm_per_m=overhead.r75_ohm_per_m,
            emissivity=overhead.emissivity,
            absorptivity=overhead.absorptivity,
        )

    def initial(self, now_s: float) -> OverheadMemory:
        """The static rating, from which better weather lifts it slowly."""
        return OverheadMemory(now_s, self._static_a, -1, measured=False)

    def propose(
        self, memory: OverheadMemory, situation: Situation
    ) -> tuple[OverheadMemory, Sequence[Proposal], Sequence[Event]]:
        """The rating that the weather of the last minutes leaves."""
        snapshot = situation.snapshot
        air, wind = self._weather.air(snapshot), self._weather.wind(snapshot)
        slot = math.floor((situation.now_s - self._turn_s) / REFRESH_S)
        if slot != memory.slot or air.measured != memory.measured:
            weather_a = min(self.rating_a(air, wind, snapshot), self._cap_a)
            memory = self._held(memory, weather_a, air.measured, situation.now_s, slot)
        high_a = memory.held_a if memory.measured else min(memory.held_a, self._static_a)
        cause = f"{self.id}.weather" if memory.measured else f"{self.id}.unproven"
        facts = {
            "ambient_c": air.ambient_c,
            "ambient_measured": float(air.measured),
            "wind_m_per_s": wind.speed_m_per_s,
            "wind_measured": float(wind.measured),
        }
        return memory, (Proposal(self.limit, high_a, cause=cause, rates=True, facts=facts),), ()

    def _held(
        self, before: OverheadMemory, weather_a: float, measured: bool, now_s: float, slot: int
    ) -> OverheadMemory:
        start_a = before.held_a if before.measured else min(before.held_a, self._static_a)
        share = -math.expm1(-max(now_s - before.at_s, 0.0) / RISE_S)
        risen_a = start_a + (weather_a - start_a) * share
        return OverheadMemory(now_s, min(weather_a, risen_a), slot, measured)

    def rating_a(self, air: Air, wind: Wind, snapshot: Snapshot) -> float:
        """All circuits together, at the highest conductor temperature."""
        over = self._overhead
        speed, angle_deg = self._across(wind)
        surroundings = Surroundings(air.ambient_c, speed, angle_deg, over.elevation_m)
        solar = self._solar_w_per_m2(snapshot) * over.absorptivity * over.diameter_m
        return over.circuits * ampacity_a(self._conductor, surroundings, solar, over.conductor_c_max)

    def _across(self, wind: Wind) -> tuple[float, float]:
        """Wind speed at the most sheltered span and its angle to the line; along it where a direction is unknown."""
        if not wind.measured:
            return wind.speed_m_per_s, self._weather.design.wind_angle_deg
        speed = wind.speed_m_per_s * self._overhead.wind_share_frac
        if self._overhead.azimuth_deg is None or not math.isfinite(wind.from_deg):
            return speed, 0.0
        apart_deg = (wind.from_deg - self._overhead.azimuth_deg) % 180.0
        return speed, min(apart_deg, 180.0 - apart_deg)

    def _solar_w_per_m2(self, snapshot: Snapshot) -> float:
        """On the conductor; the design value where it is not measured."""
        measured, design = self._weather.solar_w_per_m2(snapshot), self._weather.design.solar_w_per_m2
        return normal_w_per_m2_max(measured) if math.isfinite(measured) else design

    def dump(self, memory: OverheadMemory) -> Mapping[str, Any]:
        """The rating held."""
        return {"held_a": memory.held_a, "measured": float(memory.measured)}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> OverheadMemory:
        """The rating held before a short gap; after a long or unknown one the static rating."""
        held_a, measured = number(document, "held_a"), number(document, "measured")
        if not 0.0 <= held_a <= CURRENT_POSSIBLE_A:
            raise DocumentError(f"held_a is {held_a}; expected 0…{CURRENT_POSSIBLE_A:g}")
        if not gap_s <= KEPT_S:
            return self.initial(now_s)
        return OverheadMemory(now_s, min(held_a, self._cap_a), -1, measured=measured == 1.0)


def overhead_ratings(site: Site) -> Iterator[OverheadRating]:
    """One for every overhead line with a conductor and a limit."""
    index = {x.element: k for k, x in enumerate(site.limits) if x.kind is LimitKind.THERMAL}
    found = [(line, line.overhead) for line in site.topology.lines if line.overhead is not None and line.id in index]
    for turn, (line, overhead) in enumerate(found):
        yield OverheadRating(site, line, overhead, index[line.id], REFRESH_S * turn / len(found))
