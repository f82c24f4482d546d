"""The whole closed loop on a manual clock, without asyncio and sockets: for tests, scenarios and replay.

It is built from the same parts as the real shell (process image, core, command planner), so what is shown here about
limits and fail-safe behaviour is shown about the product; only waiting and wires are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, Protocol

from controller.clock import ManualClock, utc_s
from controller.domain.command import Outcome, OutcomeState
from controller.domain.measurement import Measurement
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.runtime.commands import CommandPlanner
from controller.runtime.core import State, Step
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.process_image import ProcessImage
from controller.runtime.ticks import Ticks


class VirtualField(Protocol):
    """Every device of the site behind one in-process object; field faults come back as quality, never as exceptions."""

    def poll(self, device_id: str, now_s: float) -> Mapping[str, Measurement]:
        """What the device answers at ``now_s``, keyed by the profile's point names."""
        ...

    def write(
        self, device_id: str, values: Mapping[str, float], lease_s: float, revert: Mapping[str, float]
    ) -> Outcome:
        """Give the device a leased set point."""
        ...


@dataclass(slots=True)
class LoopCounts:
    """What the loop did since it was made."""

    cycles: int = 0
    polls: int = 0
    polls_failed: int = 0
    writes: int = 0
    writes_failed: int = 0


class VirtualLoop(Generic[State]):
    """Closed loop that is moved by hand.

    Whoever owns the world calls :meth:`tick` and then moves the world and ``clock`` by the same step. The first polls
    and the first cycle happen in the first tick.
    """

    def __init__(
        self,
        site: Site,
        field: VirtualField,
        step: Step[State],
        state: State,
        *,
        clock: ManualClock | None = None,
        supported: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.site = site
        self.clock = clock if clock is not None else ManualClock()
        self.state = state
        self.counts = LoopCounts()
        self.image = ProcessImage(site.devices)
        self.desk = InstructionDesk()
        self._planner = CommandPlanner(site, supported)
        self._field = field
        self._step = step
        now_s = self.clock.now_s()
        self._polls = {device.id: Ticks(now_s, device.poll_s) for device in site.devices}
        self._cycles = Ticks(now_s, site.cycle.cycle_s)

    def tick(self) -> CycleRecord | None:
        """Poll what is due, then freeze, decide and write if a cycle is due; its record, else None."""
        now_s = self.clock.now_s()
        self._poll(now_s)
        return self._cycle(now_s) if self._cycles.is_due(now_s) else None

    def write_safe(self) -> None:
        """Write every unit's fail-safe set point, as the real shell does when it stops."""
        for request in self._planner.safe():
            self._field.write(request.device_id, request.values, request.lease_s, request.revert)

    def _poll(self, now_s: float) -> None:
        for device_id, ticks in self._polls.items():
            if not ticks.is_due(now_s):
                continue
            ticks.done(now_s)
            self.counts.polls += 1
            if not self.image.update(device_id, self._field.poll(device_id, now_s)):
                self.counts.polls_failed += 1

    def _cycle(self, now_s: float) -> CycleRecord:
        self._cycles.done(now_s)
        seen = replace(self.image.freeze(now_s, utc_s(self.clock)), instructions=self.desk.take())
        self.state, record = self._step(self.site, self.state, seen)
        self.desk.settle(record.events)
        for request in self._planner.due(record.setpoints, now_s):
            outcome = self._field.write(request.device_id, request.values, request.lease_s, request.revert)
            self.counts.writes += 1
            if outcome.state is OutcomeState.FAILED:
                self.counts.writes_failed += 1
                self._planner.forget(request.device_id)
        self.counts.cycles += 1
        return record


def run_virtual(
    site: Site,
    field: VirtualField,
    world_step: Callable[[float], None],
    duration_s: float,
    dt_s: float,
    *,
    on_record: Callable[[CycleRecord], None],
    step: Step[State],
    state: State,
    clock: ManualClock | None = None,
    supported: Mapping[str, frozenset[str]] | None = None,
) -> VirtualLoop[State]:
    """Run the closed loop for ``duration_s`` of virtual time and return it (to look at, or to go on with).

    ``world_step(dt_s)`` moves the physics; ``on_record`` gets the record of every cycle before the world moves on.
    ``supported`` names the commands that each device's profile has (default: all). Raises ValueError when ``dt_s`` is
    not above zero.
    """
    if not dt_s > 0.0:
        raise ValueError(f"world step is {dt_s!r} s; expected more than 0")
    loop = VirtualLoop(site, field, step, state, clock=clock, supported=supported)
    for _ in range(round(duration_s / dt_s)):
        record = loop.tick()
        if record is not None:
            on_record(record)
        world_step(dt_s)
        loop.clock.advance(dt_s)
    return loop
