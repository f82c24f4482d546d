"""Part of the day at the substation of a_day_in_the_life on a virtual clock: plant, controller, desk and history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from controller.clock import ManualClock
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.site import Site
from controller.history.collect import Collector
from controller.history.store import Store
from controller.runtime.loop_sync import VirtualLoop
from controller.runtime.publish import jsonable
from controller.runtime.stretch import stretch
from simulators.adapters.in_process import InProcessField
from simulators.clock_time import parse_clock
from simulators.market.auction import Outcome
from simulators.market.desk import MarketDesk, Saying
from simulators.market.model import Sale
from simulators.scenario import Scenario, load_scenario
from simulators.signals import Truth
from simulators.world import World

NAME = "a_day_in_the_life"
MIDNIGHT = datetime(2026, 4, 9, 23, 0, 0, tzinfo=UTC)  # of the site's local time, in the night of the scenario's day
STEP_S = 5.0
START_UP_MIN = 2.0
SPEED, CYCLE_MS = 144.0, 40.0  # the times of the site stretched as in the demo


@cache
def site() -> Site:
    return load_site(Path(__file__).parents[2] / "site_configs" / f"{NAME}.yaml")


def _scenario(outages: Sequence[tuple[str, str]] | None, market: bool) -> Scenario:
    """The scenario; where nobody bought anything, the depot has charged as it liked before the day is entered."""
    scenario = load_scenario(NAME)
    if not market:
        depot = replace(scenario.units["EVH1"], ev=replace(scenario.units["EVH1"].ev, before_w_max=math.inf))
        scenario = replace(scenario, units={**scenario.units, "EVH1": depot})
    if outages is None:
        return scenario
    hours = tuple((parse_clock(begins), parse_clock(ends)) for begins, ends in outages)
    return replace(scenario, market=replace(scenario.market, outages=hours))


def _asking(scenario: Scenario, q_var: float | None) -> Scenario:
    if q_var is None:
        return scenario
    requests = tuple(replace(request, q_var=q_var) for request in scenario.market.reactive)
    return replace(scenario, market=replace(scenario.market, reactive=requests))


class DayLoop:
    """The day from ``start`` (HH:MM) on; ``market`` False: nobody buys. ``store`` takes the history, if given.

    ``outages`` (pairs of HH:MM), ``q_var`` (of the request for voltage support) and ``margin_w`` (bought beyond the
    forecast) take the place of the scenario's.
    """

    def __init__(
        self,
        start: str,
        market: bool = True,
        seed: int = 1,
        store: Store | None = None,
        outages: Sequence[tuple[str, str]] | None = None,
        q_var: float | None = None,
        margin_w: float | None = None,
    ) -> None:
        scenario = _asking(_scenario(outages, market), q_var).starting_at(parse_clock(start))
        if margin_w is not None:
            scenario = replace(scenario, market=replace(scenario.market, margin_w=margin_w))
        stretched = stretch(site(), SPEED, CYCLE_MS)
        self.world = World(site(), scenario, seed)
        self.desk = MarketDesk(site(), scenario, seed, market)
        self.clock = ManualClock(started_utc=MIDNIGHT + timedelta(seconds=parse_clock(start)))
        field = InProcessField(self.world, stretched.devices)
        self.loop: VirtualLoop[ControlState] = VirtualLoop(
            stretched, field, step, initial_state(stretched), clock=self.clock
        )
        self.outcomes: list[Outcome] = []
        self.refused: list[str] = []
        self.answers: list[tuple[bool, str]] = []
        self.record: Mapping[str, Any] = {}
        self.sale: Sale | None = None
        self._collector, self._store = Collector(), store
        self._said = 0
        self._missed_wh = 0.0

    def run(self, minutes: float) -> DayLoop:
        """Go on for so long."""
        for _ in range(round(minutes * 60.0 / STEP_S)):
            self.step()
        return self

    def watched(self, minutes: float) -> list[Truth]:
        """Go on for so long; what was true after every step."""
        out = []
        for _ in range(round(minutes * 60.0 / STEP_S)):
            self.step()
            out.append(self.world.truth())
        return out

    def step(self) -> None:
        """One look of the desk, one of the controller, and the world moves on."""
        if self.world.now_s >= STEP_S:
            self._trade()
        record = self.loop.tick()
        if record is not None:
            self.record = jsonable(record.to_dict()) | {"utc": self.clock.utc().isoformat()}
            batch = self._collector.take(self.record) if self._store is not None else None
            if batch is not None and self._store is not None:
                self._store.append(batch)
        self.world.step(STEP_S)
        self.clock.advance(STEP_S)

    def order(self, unit: str, p_w: float, lasts_s: float = 1200.0) -> None:
        """A set point from the distribution operator's desk, beside what the market's stand-in says."""
        self._said += 1
        owner, issued_utc_s = Owner.FLEXIBILITY, self.clock.utc().timestamp()
        asked = Instruction(
            f"by-hand-{self._said}", "flexibility:dso", self._said, issued_utc_s, lasts_s, Action.OVERRIDE, unit, p_w,
            reason="activated", owner=owner,
        )  # fmt: skip
        self.loop.desk.submit(asked, self._by_hand)

    def _by_hand(self, accepted: bool, text: str) -> None:
        if not accepted:
            self.refused.append(text)

    def soc_frac(self) -> dict[str, float]:
        """Content of the storages as the controller publishes it."""
        found = {state["id"]: state["soc_frac"] for state in self.record.get("units", ())}
        return {name: value for name, value in found.items() if value is not None}

    def settled(self) -> DayLoop:
        """After the start, which finds the units at their fail-safe set points: what they miss by then is set aside."""
        self.run(START_UP_MIN)
        self._missed_wh = self._total_wh()
        return self

    def curtailed_wh(self) -> float:
        """Since the start-up, by the plant's own count, generators only."""
        return self._total_wh() - self._missed_wh

    def _total_wh(self) -> float:
        return float(sum(unit["curtailed_wh"] for unit in self.world.score.units()))

    def unit_w(self, unit: str) -> float:
        """What the unit does now, load convention."""
        return self.world.truth().unit_p_w[unit]

    def over_s(self, limit: str) -> float:
        """How long a limit has truly been exceeded."""
        return float(next(x["over_s"] for x in self.world.score.limits() if x["id"] == limit))

    def highest_frac(self, limit: str) -> float:
        """How far a limit has truly been used."""
        return float(next(x["highest_frac"] for x in self.world.score.limits() if x["id"] == limit))

    def _trade(self) -> None:
        looked = self.desk.look(self.world.now_s, self.world.truth().interface_q_var, self.soc_frac())
        self.outcomes += looked.outcomes
        self.sale = looked.sale or self.sale
        for saying in looked.sayings:
            self._said += 1
            self.loop.desk.submit(saying.instruction(self._said, self.clock.utc().timestamp()), self._answer_to(saying))

    def _answer_to(self, saying: Saying) -> Callable[[bool, str], None]:
        def answered(accepted: bool, text: str) -> None:
            if not accepted:
                self.refused.append(text)
            if saying.action is Action.REACTIVE:
                self.answers.append((accepted, text))

        return answered
