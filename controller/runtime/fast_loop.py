"""The critical loop: freeze, decide, hand over the writes. Nothing in it waits for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter
from typing import Generic

import structlog

from controller.clock import utc_s
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.ports import Clock
from controller.runtime.commands import CommandPlanner
from controller.runtime.core import State, Step
from controller.runtime.cycle_times import CycleTimes
from controller.runtime.event_log import EventLog
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.process_image import ProcessImage
from controller.runtime.ticks import Ticks, on_grid
from controller.runtime.writer import Writer

_log = structlog.get_logger()

# All polls start on the grid; the loop thinks when their answers are in, so that one cycle sees one instant.
PHASE_FRAC = 0.4


class FastLoop(Generic[State]):
    """Runs the core by the clock.

    A late tick is skipped and counted, never caught up. ``publish`` gets every record and must not wait; ``beat`` is
    called after every cycle; operators' instructions wait at ``desk``. An exception of the core ends the loop, and with
    it the process.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        image: ProcessImage,
        planner: CommandPlanner,
        writers: Mapping[str, Writer],
        *,
        step: Step[State],
        state: State,
        publish: Callable[[CycleRecord], None],
        beat: Callable[[], None],
        desk: InstructionDesk | None = None,
    ) -> None:
        self.times = CycleTimes()
        self.last: CycleRecord | None = None
        self._site = site
        self._clock = clock
        self._image = image
        self._planner = planner
        self._writers = writers
        self._step = step
        self._state = state
        self._publish = publish
        self._beat = beat
        self._desk = desk if desk is not None else InstructionDesk()
        self._events = EventLog(clock)
        self._slipping = False
        self._halted = False

    @property
    def state(self) -> State:
        """The core's memory after the last cycle."""
        return self._state

    def halt(self) -> None:
        """Decide nothing from now on; the ticks go on."""
        self._halted = True

    async def run(self) -> None:
        """Tick until cancelled; the first cycle comes at once."""
        cycle_s = self._site.cycle.cycle_s
        now_s = self._clock.now_s()
        first_s = on_grid(now_s, cycle_s, PHASE_FRAC)
        ticks = Ticks(first_s if first_s >= now_s else first_s + cycle_s, cycle_s)
        while True:
            await asyncio.sleep(self._clock.real_s(ticks.due_s - self._clock.now_s()))
            if not self._halted:
                self._cycle()
            self._count_missed(ticks.done(self._clock.now_s()))

    def _cycle(self) -> None:
        began = perf_counter()
        now_s = self._clock.now_s()
        seen = replace(self._image.freeze(now_s, utc_s(self._clock)), instructions=self._desk.take())
        self._state, record = self._step(self._site, self._state, seen)
        for request in self._planner.due(record.setpoints, now_s):
            self._writers[request.device_id].submit(request)
        self.times.add(perf_counter() - began)
        self.last = record
        self._beat()
        self._publish(record)
        self._desk.settle(record.events)
        self._events.write(record.events)

    def _count_missed(self, missed: int) -> None:
        self.times.missed += missed
        if missed and not self._slipping:
            _log.warning("cycle.slipped", missed=missed, missed_total=self.times.missed)
        self._slipping = missed > 0
