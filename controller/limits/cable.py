"""Current that a cable may carry for the next while, by what it carried before: one thermal time constant.

A cool cable may exceed its rating until it has reached its rated temperature; above that only within the hours a year
that its owner allows. Above the static rating only while its current is measured.
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
from controller.domain.thermal import CableThermal
from controller.domain.topology import Line
from controller.estimation.weather import WeatherWatch
from controller.limits.base import MEASUREMENT_SIGMAS
from controller.limits.in_force import Proposal, Situation
from controller.physics.cable_thermal import Cable, emergency_load_pu

HEAT_POSSIBLE_PU = 20.0
ABOVE_RATED_K = 0.5  # from here on the time counts as emergency
RETURN_PU = 0.8  # load on the way back from an emergency
RELIEF_PU = 0.9  # of the rated rise: cooler than this it may begin another emergency
WORTH_S = 900.0  # a shorter rest of the year's emergency is not begun
LATE_S = 30.0  # a step longer than this was not watched: the load in it counts at least as rated
SECONDS_POSSIBLE = 400.0 * 86400.0


@dataclass(frozen=True, slots=True)
class CableMemory:
    """``heat_pu`` is the conductor's rise over the ground in per unit of the rated one (the square of a steady load).

    ``emergency_s`` were spent above the rated temperature in ``year`` (0: unknown); ``returning`` when the rest of them
    is kept for cooling down.
    """

    at_s: float
    heat_pu: float
    emergency_s: float
    year: int
    returning: bool = True


class CableRating:
    """Reason to restrict one cable (``limit`` is the index of its thermal limit)."""

    memory_type = CableMemory

    def __init__(self, site: Site, line: Line, thermal: CableThermal, limit: int) -> None:
        self.id, self.key, self.limit, self.thermal = line.id, f"cable.{line.id}", limit, thermal
        self._rated_a = line.i_max_a
        self._static_a = site.limits[limit].rated_high
        self._branch = [b.id for b in site.topology.branches].index(line.id)
        self._stale_s = 3.0 * site.cycle.cycle_s
        self._weather = WeatherWatch(site.weather, site.timezone)
        rated_rise_k = thermal.rated_c - thermal.ambient_c
        self._emergency_heat_pu = (thermal.emergency_c - thermal.ambient_c) / rated_rise_k
        self._tolerance_pu = ABOVE_RATED_K / rated_rise_k
        self._normal = Cable(thermal.rated_c, thermal.rated_c, thermal.time_constant_s)
        self._emergency = Cable(thermal.rated_c, thermal.emergency_c, thermal.time_constant_s, thermal.resistance_ratio)

    def initial(self, now_s: float) -> CableMemory:
        """At its rated temperature, with no emergency left."""
        return CableMemory(now_s, 1.0, self.thermal.emergency_s_per_year, 0)

    def propose(
        self, memory: CableMemory, situation: Situation
    ) -> tuple[CableMemory, Sequence[Proposal], Sequence[Event]]:
        """Follow the temperature by one cycle and say what may be carried."""
        load_pu, known = self._load_pu(situation)
        dt_s = max(situation.now_s - memory.at_s, 0.0)
        watched = known and dt_s <= LATE_S
        after = self._advanced(memory, load_pu if watched else max(load_pu, 1.0), dt_s, situation)
        high_a = self.largest_pu(after.heat_pu, not after.returning) * self._rated_a
        cause = f"{self.id}.conductor" if after.returning else f"{self.id}.emergency"
        if not known and high_a > self._static_a:
            high_a, cause = self._static_a, f"{self.id}.unproven"
        facts = {"conductor_c": self._conductor_c(after.heat_pu), "emergency_s": after.emergency_s}
        told = self._told(memory, after)
        return after, (Proposal(self.limit, high_a, cause=cause, rates=True, facts=facts),), told

    def largest_pu(self, heat_pu: float, emergency: bool) -> float:
        """Constant load that reaches the allowed temperature at the end of the horizon, per unit of the rating.

        One that is too hot already gets what cools it down.
        """
        cable, allowed_pu = (self._emergency, self._emergency_heat_pu) if emergency else (self._normal, 1.0)
        if heat_pu > allowed_pu + self._tolerance_pu:
            return RETURN_PU
        prior_pu = math.sqrt(min(heat_pu, allowed_pu))
        return emergency_load_pu(cable, prior_pu, self.thermal.ambient_c, self.thermal.horizon_s)

    def _load_pu(self, situation: Situation) -> tuple[float, bool]:
        """Current with what measurement may hide, per unit of the rating, and whether it is measured."""
        estimate, k = situation.estimate, self._branch
        magnitude = math.hypot(estimate.branch_ip_a[k], estimate.branch_iq_a[k])
        hidden = MEASUREMENT_SIGMAS * estimate.branch_sigma_a[k] + estimate.branch_excess_a[k]
        load_pu = float(magnitude + hidden) / self._rated_a
        if not math.isfinite(load_pu):
            return 1.0, False
        return min(load_pu, math.sqrt(HEAT_POSSIBLE_PU)), bool(estimate.branch_age_s[k] <= self._stale_s)

    def _advanced(self, before: CableMemory, load_pu: float, dt_s: float, situation: Situation) -> CableMemory:
        heat_pu = self._heated(before.heat_pu, load_pu, dt_s)
        year = self._weather.year(situation.utc_s)
        used_s = before.emergency_s
        if year is not None and before.year not in (0, year):
            used_s = 0.0
        if heat_pu > 1.0 + self._tolerance_pu:
            used_s = min(used_s + dt_s, SECONDS_POSSIBLE)
        back = self._must_return(heat_pu, used_s, before.returning)
        return CableMemory(situation.now_s, heat_pu, used_s, before.year if year is None else year, back)

    def _must_return(self, heat_pu: float, used_s: float, returning: bool) -> bool:
        """Whether what is left of the year's emergency is only enough to cool down to the rated temperature.

        Once on the way back it stays there until there was real relief: no coming and going at the edge.
        """
        left_s = self.thermal.emergency_s_per_year - used_s
        if returning and not (heat_pu < RELIEF_PU and left_s > WORTH_S):
            return True
        cooling_s = self.thermal.time_constant_s * math.log(max((heat_pu - RETURN_PU**2) / (1.0 - RETURN_PU**2), 1.0))
        return left_s <= cooling_s

    def _heated(self, heat_pu: float, load_pu: float, dt_s: float) -> float:
        """One time constant; a conductor above its rated temperature resists more."""
        span_pu = self._emergency_heat_pu - 1.0
        hotter = min(max((heat_pu - 1.0) / span_pu, 0.0), 1.0) if span_pu > 0.0 else 0.0
        end_pu = load_pu**2 * (1.0 + (self.thermal.resistance_ratio - 1.0) * hotter)
        return min(end_pu + (heat_pu - end_pu) * math.exp(-dt_s / self.thermal.time_constant_s), HEAT_POSSIBLE_PU)

    def _conductor_c(self, heat_pu: float) -> float:
        return self.thermal.ambient_c + heat_pu * (self.thermal.rated_c - self.thermal.ambient_c)

    def _told(self, before: CableMemory, after: CableMemory) -> Sequence[Event]:
        above, was_above = (x.heat_pu > 1.0 + self._tolerance_pu for x in (after, before))
        if above == was_above:
            return ()
        text = f"{self._conductor_c(after.heat_pu):.0f} °C, {after.emergency_s / 3600.0:.1f} h this year"
        return (Event("cable.emergency" if above else "cable.normal", self.id, text),)

    def dump(self, memory: CableMemory) -> Mapping[str, Any]:
        """Heat and the year's emergency."""
        returning = float(memory.returning)
        return {
            "heat_pu": memory.heat_pu,
            "emergency_s": memory.emergency_s,
            "year": memory.year,
            "returning": returning,
        }

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> CableMemory:
        """After a gap at rated load; after an unknown one at least at the rated temperature."""
        heat_pu, used_s, year = (number(document, key) for key in ("heat_pu", "emergency_s", "year"))
        if not 0.0 <= heat_pu <= HEAT_POSSIBLE_PU:
            raise DocumentError(f"heat_pu is {heat_pu}; expected 0…{HEAT_POSSIBLE_PU:g}")
        if not 0.0 <= used_s <= SECONDS_POSSIBLE:
            raise DocumentError(f"emergency_s is {used_s}; expected 0…{SECONDS_POSSIBLE:g}")
        known = math.isfinite(gap_s)
        heat_pu = self._heated(heat_pu, 1.0, gap_s) if known else max(heat_pu, 1.0)
        return CableMemory(now_s, heat_pu, used_s, int(year), number(document, "returning") != 0.0)


def cable_ratings(site: Site) -> Iterator[CableRating]:
    """One for every cable with a thermal model and a limit."""
    index = {x.element: k for k, x in enumerate(site.limits) if x.kind is LimitKind.THERMAL}
    for line in site.topology.lines:
        if line.cable is not None and line.id in index:
            yield CableRating(site, line, line.cable, index[line.id])
