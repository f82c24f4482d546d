"""The whole controller against the simulated substation on a virtual clock, and an observer that knows the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from controller.clock import ManualClock
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.connection import Connection
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.unit import Unit
from controller.runtime.core import Step
from controller.runtime.loop_sync import VirtualLoop
from simulators.adapters.in_process import InProcessField
from simulators.faults import Fault, FaultKind
from simulators.scenario import Scenario, load_scenario
from simulators.world import World

SITES = Path(__file__).resolve().parents[2] / "site_configs"
START_UP_S = 60.0  # from when on no limit may be exceeded at all
OVER_IN_A_ROW_S = 10.0  # longest time over a limit before that
HOUR_S = 3600.0


@cache
def site_of(name: str) -> Site:
    """A site of the repository, loaded once."""
    return load_site(SITES / f"{name}.yaml")


def scenario_of(name: str, start_h: float, with_faults: bool) -> Scenario:
    """Its simulated day from that hour on."""
    scenario = load_scenario(name).starting_at(start_h * HOUR_S)
    return scenario if with_faults else replace(scenario, faults=())


@dataclass
class Observer:
    """Limits by the true plant, second by second; knows nothing of the controller's opinion."""

    site: Site
    over: dict[str, list[float]] = field(default_factory=dict)
    highest_frac: dict[str, float] = field(default_factory=dict)

    def look(self, world: World) -> None:
        """Note who is over now."""
        fractions = world.score.fractions(world.state_row).tolist()
        for limit, frac in zip(self.site.limits, fractions, strict=True):
            self.highest_frac[limit.id] = max(frac, self.highest_frac.get(limit.id, 0.0))
            if frac > 1.0:
                self.over.setdefault(limit.id, []).append(world.now_s)

    def over_after(self, from_s: float) -> dict[str, list[float]]:
        """Seconds in which each limit was exceeded later than ``from_s``."""
        late = {name: [t for t in at if t > from_s] for name, at in self.over.items()}
        return {name: at for name, at in late.items() if at}

    def longest_s(self) -> float:
        """The longest time in a row that any limit was exceeded, at one look a second."""
        longest = 0.0
        for at in self.over.values():
            runs = np.split(np.array(at), np.flatnonzero(np.diff(at) > 1.5) + 1)
            longest = max(longest, *(len(run) * 1.0 for run in runs))
        return longest


class ClosedLoop:
    """Controller and world, a second at a time.

    ``core`` is the step of the fast loop, or one around it; ``connection`` what the site's agreement asks for instead,
    ``site`` another one with the devices of that name's.
    """

    def __init__(
        self,
        name: str,
        start_h: float,
        seed: int,
        with_faults: bool = True,
        core: Step[ControlState] = step,
        connection: Connection | None = None,
        site: Site | None = None,
    ) -> None:
        self.site = site_of(name) if site is None else site
        if connection is not None:
            self.site = replace(self.site, connection=connection)
        self.seed = seed
        self.world = World(self.site, scenario_of(name, start_h, with_faults), seed)
        clock = ManualClock()
        field = InProcessField(self.world, self.site.devices)
        self.loop: VirtualLoop[ControlState] = VirtualLoop(
            self.site, field, core, initial_state(self.site), clock=clock
        )
        self.observer = Observer(self.site)
        self.records: list[CycleRecord] = []

    @property
    def now_s(self) -> float:
        """World seconds since the start."""
        return self.world.now_s

    def run(self, seconds: float, each: Callable[[], None] | None = None) -> ClosedLoop:
        """Go on for so long; ``each`` is called after every second."""
        for _ in range(round(seconds)):
            record = self.loop.tick()
            if record is not None:
                self.records.append(record)
            self.world.step(1.0)
            self.loop.clock.advance(1.0)
            self.observer.look(self.world)
            if each is not None:
                each()
        return self

    def inject(self, kind: FaultKind, device: str, for_s: float = math.inf) -> None:
        """A fault now."""
        self.world.inject(Fault(kind, device, for_s=for_s))

    def setpoints(self, unit_id: str) -> np.ndarray:
        """Every commanded P of a unit, W (load convention)."""
        return np.array([s.p_w for r in self.records for s in r.setpoints if s.unit == unit_id])

    def held(self, unit_id: str) -> dict[str, float]:
        """What the unit's device says it holds now, by the profile's point names."""
        device = next(d for d in self.site.devices if d.unit == unit_id)
        return dict(self.world.devices[device.id].values())


def uncontrolled(name: str, start_h: float, seconds: float, seed: int) -> Observer:
    """The same hours with nobody in control."""
    world = World(site_of(name), scenario_of(name, start_h, with_faults=False), seed, controlled=False)
    observer = Observer(world.site)
    for _ in range(round(seconds)):
        world.step(1.0)
        observer.look(world)
    return observer


def set_power(loop: ClosedLoop, unit: Unit) -> tuple[float, float]:
    """P and Q that the unit's device holds, in load convention, whichever way its profile writes them."""
    device = next(d for d in loop.site.devices if d.unit == unit.id)
    block = loop.world.devices[device.id].block
    assert block is not None
    effective = block.at(loop.now_s)
    if unit.kind.generates:
        return -min(effective.generation_w_max, unit.p_rated_w), effective.q_var
    if unit.kind.consumes:
        return min(effective.consumption_w_max, unit.p_rated_w), effective.q_var
    return (0.0 if effective.p_w is None else effective.p_w), effective.q_var


def reversals(setpoints: np.ndarray, dead_band: float) -> int:
    """How often a course turns round by more than the dead band."""
    turns, direction, anchor = 0, 0, float(setpoints[0])
    for value in setpoints.tolist():
        if (direction >= 0 and value > anchor) or (direction <= 0 and value < anchor):
            direction = direction or (1 if value > anchor else -1)
            anchor = value
        elif abs(value - anchor) > dead_band:
            turns, direction, anchor = turns + 1, -direction, value
    return turns
