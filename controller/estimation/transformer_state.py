"""How warm a transformer is: the model of IEC 60076-7 between a hottest and a coldest past, and its oil sensor.

Two models run beside the one that counts: one begins as hot as the transformer can be and takes every unknown at its
worst, one begins cold. What an oil sensor says is believed only between them (with a tolerance for what the model's
parameters do not know); they close as time passes. Above, it is believed because it is dangerous not to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from controller.domain.thermal import TransformerThermal
from controller.physics.transformer_ageing import Paper, ageing_rate
from controller.physics.transformer_thermal import (
    ThermalParameters,
    ThermalState,
    cold_state,
    steady_state,
    step,
    with_measured_top_oil,
)

DAY_S = 86400.0
OIL_POSSIBLE_C = (-50.0, 150.0)  # beyond it a sensor is broken: protection has long acted
HOT_SPOT_POSSIBLE_C = (-50.0, 220.0)
LATE_S = 30.0  # a step longer than this was not watched: the load in it counts at least as rated
STEP_S_MAX = 3600.0  # so that the ageing of an unwatched time follows the warming


@dataclass(frozen=True, slots=True)
class Seen:
    """What reached us of one transformer in one cycle.

    ``load_pu`` per unit of nameplate current, with what measurement may hide; ``load_known`` whether it was measured.
    Temperatures in °C; ``top_oil_c`` and ``hot_spot_c`` NaN without a good reading.
    """

    load_pu: float
    load_known: bool
    ambient_c: float
    coldest_c: float
    top_oil_c: float = math.nan
    hot_spot_c: float = math.nan


@dataclass(frozen=True, slots=True)
class Warmth:
    """Memory: the state that counts, the hottest and coldest possible ones, and what the paper has lost.

    ``oil`` is ``model``, ``measured`` or ``refused`` (a sensor that nothing explains); ``life_lost_s`` is L of the
    standard since counting began; ``ageing_day`` its relative rate V averaged over about a day.
    """

    at_s: float
    state: ThermalState
    hottest: ThermalState
    coldest: ThermalState
    oil: str
    life_lost_s: float
    ageing_day: float


class TransformerWatch:
    """Follows one transformer; ``rated_pu`` is its static rating in per unit of the nameplate current."""

    def __init__(self, thermal: TransformerThermal, rated_pu: float, hottest_ambient_c: float) -> None:
        self.thermal = thermal
        self.parameters = parameters_of(thermal)
        self.paper = Paper.UPGRADED if thermal.upgraded_paper else Paper.NORMAL
        self.rated_pu = rated_pu
        self.hottest_ambient_c = hottest_ambient_c
        self.coldest_ambient_c = hottest_ambient_c - 60.0

    def initial(self, now_s: float) -> Warmth:
        """As hot as rated load in the hottest weather makes it: what must be assumed of an unknown past."""
        hot = steady_state(self.parameters, self.rated_pu, self.hottest_ambient_c)
        cold = cold_state(self.coldest_ambient_c)
        return Warmth(now_s, hot, hot, cold, "model", 0.0, self.thermal.ageing_rate_max or 1.0)

    def advance(self, before: Warmth, seen: Seen, now_s: float) -> Warmth:
        """The memory after this cycle."""
        dt_s = max(now_s - before.at_s, 0.0)
        watched = seen.load_known and dt_s <= LATE_S
        most_pu = seen.load_pu if watched else max(seen.load_pu, self.rated_pu)
        least_pu = seen.load_pu if watched else 0.0
        moved = self._warm(replace(before, at_s=now_s), most_pu, seen.ambient_c, dt_s)
        coldest = step(self.parameters, before.coldest, least_pu, seen.coldest_c, dt_s)
        return self._with_sensors(replace(moved, coldest=coldest), seen)

    def after_gap(self, before: Warmth, gap_s: float, now_s: float) -> Warmth:
        """The memory after ``gap_s`` in which nobody looked: rated load in the hottest weather, or nothing at all."""
        warm = replace(before, at_s=now_s)
        left_s = gap_s
        while left_s > 0.0:
            part_s = min(left_s, STEP_S_MAX)
            warm = self._warm(warm, self.rated_pu, self.hottest_ambient_c, part_s)
            left_s -= part_s
        return replace(warm, coldest=step(self.parameters, before.coldest, 0.0, self.coldest_ambient_c, gap_s))

    def _warm(self, before: Warmth, load_pu: float, ambient_c: float, dt_s: float) -> Warmth:
        """State and hottest state after ``dt_s``; the paper ages over the step at the temperature that ends it."""
        state = step(self.parameters, before.state, load_pu, ambient_c, dt_s)
        hottest = step(self.parameters, before.hottest, load_pu, ambient_c, dt_s)
        rate = self.rate(state)
        fade = math.exp(-dt_s / DAY_S)
        day = rate + (before.ageing_day - rate) * fade
        return replace(
            before, state=state, hottest=hottest, life_lost_s=before.life_lost_s + rate * dt_s, ageing_day=day
        )

    def rate(self, state: ThermalState) -> float:
        """Relative ageing rate V."""
        return ageing_rate(self.paper, min(state.hot_spot_c, HOT_SPOT_POSSIBLE_C[1]))

    def _with_sensors(self, warm: Warmth, seen: Seen) -> Warmth:
        state, oil = self._with_oil(warm, seen.top_oil_c)
        low, high = HOT_SPOT_POSSIBLE_C
        if low < seen.hot_spot_c < high and seen.hot_spot_c > state.hot_spot_c:
            # A winding sensor sits where somebody expected the hot spot: it can prove that it is hotter, not cooler.
            state = replace(state, rise_fast_k=state.rise_fast_k + seen.hot_spot_c - state.hot_spot_c)
        return replace(warm, state=state, oil=oil)

    def _with_oil(self, warm: Warmth, top_oil_c: float) -> tuple[ThermalState, str]:
        """The state with the measured oil as far as it may be believed, and how far that is."""
        low, high = OIL_POSSIBLE_C
        if not math.isfinite(top_oil_c):
            return warm.state, "refused" if warm.oil == "refused" else "model"
        tolerance_k = self.thermal.oil_tolerance_k
        if not low < top_oil_c < high or top_oil_c < warm.coldest.top_oil_c - tolerance_k:
            return _hotter(warm.state, warm.hottest), "refused"
        if top_oil_c > warm.hottest.top_oil_c + tolerance_k:
            return with_measured_top_oil(warm.state, top_oil_c), "refused"
        return with_measured_top_oil(warm.state, top_oil_c), "measured"


def parameters_of(thermal: TransformerThermal) -> ThermalParameters:
    """The part that the physics takes. Raises ``ValueError`` for what describes no transformer."""
    return ThermalParameters(**{item.name: getattr(thermal, item.name) for item in fields(ThermalParameters)})


def _hotter(one: ThermalState, other: ThermalState) -> ThermalState:
    return other if other.top_oil_c > one.top_oil_c else one
