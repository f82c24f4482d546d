"""Everything of the control process that runs while a site is controlled, put together."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic

import structlog

from controller.domain import points
from controller.domain.command import Setpoint
from controller.domain.record import CycleRecord, Mode
from controller.domain.site import Site
from controller.ports import Clock, FieldDevice
from controller.runtime.commands import CommandPlanner
from controller.runtime.core import State, Step
from controller.runtime.fast_loop import FastLoop
from controller.runtime.group_poller import CanGroup, GroupPoller, MakeGroup, groups_of
from controller.runtime.heartbeat import Heartbeats, feed_watchdog, notify
from controller.runtime.instruction_desk import InstructionDesk
from controller.runtime.leave_safe import close_all, write_safe
from controller.runtime.memory import keep_freed_memory
from controller.runtime.poller import Poller
from controller.runtime.process_image import ProcessImage
from controller.runtime.publish import Outlet, Publisher, Sink
from controller.runtime.realtime import threads_give_way
from controller.runtime.supervisor import Work, supervise
from controller.runtime.writer import Writer

_log = structlog.get_logger()

KEEP_S = 60.0
"""Machine seconds between two times that the memory is kept: what a crash may lose."""
KEPT_AT_ONCE = ("g100.", "instruction.")
"""Events after which the memory is kept without waiting: counters, lock-outs and what operators have said."""


class Station(Generic[State]):
    """One site under control.

    ``links`` holds the open device of every id in the site; ``supported`` the commands of each one's profile;
    ``watched`` are further outlets of records whose troubles are logged; ``stretch`` is only told to the readers.
    ``keep`` is given the core's memory every ``KEEP_S`` and at the end, to be kept over a restart; it must not wait.
    """

    def __init__(
        self,
        site: Site,
        clock: Clock,
        links: Mapping[str, FieldDevice],
        *,
        step: Step[State],
        state: State,
        supported: Mapping[str, frozenset[str]] | None = None,
        sinks: Sequence[Sink] = (),
        watched: Sequence[Outlet] = (),
        stretch: float = 1.0,
        keep: Callable[[State], None] | None = None,
        can_group: CanGroup | None = None,
        make_group: MakeGroup | None = None,
        desk: InstructionDesk | None = None,
    ) -> None:
        self._site = site
        self._keep = keep
        self._clock = clock
        self._links = links
        self._stretch = stretch
        self._image = ProcessImage(site.devices)
        self._hub_points = [points.unit(u.id, name) for u in site.units for name in points.HUB_QUANTITIES]
        self._planner = CommandPlanner(site, supported)
        self._beats = Heartbeats(clock)
        self._writers = {d.id: Writer(links[d.id], self._planner.forget) for d in site.devices if d.unit is not None}
        self._pollers = {device.id: self._poller(device.id) for device in site.devices}
        self._groups: dict[float, list[str]] = {}
        if can_group is not None and make_group is not None:
            self._groups = groups_of(site.devices, links, can_group)
            self._make_group = make_group
        self._publisher = Publisher(sinks, self._extra, watched)
        self._loop = FastLoop(
            site,
            clock,
            self._image,
            self._planner,
            self._writers,
            step=step,
            state=state,
            publish=self._tell,
            desk=desk,
            beat=partial(self._beats.beat, "fast loop"),
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Control the site until ``stop`` is set (0) or a critical task dies (1); leaves every unit safe either way."""
        self._beats.watch("fast loop", self._site.cycle.cycle_s)
        for device in self._site.devices:
            self._beats.watch(f"poll {device.id}", device.poll_s + 2.0 * device.timeout_s)  # a shared line: one more
        # What lives now lives to the end: taken out of every later collection, which would stop the loop for it.
        gc.collect()
        gc.freeze()
        keep_freed_memory()
        threads_give_way()
        notify("READY=1")
        _log.info("station.started", site=self._site.name, devices=len(self._links), cycle_s=self._site.cycle.cycle_s)
        deaths = await supervise(self._tasks(), stop, self._leave_safe)
        unclosed = await close_all(self._links)
        if unclosed:
            _log.warning("device.not_closed", devices=unclosed)
        _log.info("station.stopped", clean=not deaths)
        return 1 if deaths else 0

    def _tasks(self) -> dict[str, Work]:
        tasks: dict[str, Work] = {"fast loop": self._loop.run, "watchdog": partial(feed_watchdog, self._beats)}
        if self._keep is not None:
            tasks["keep memory"] = self._keep_memory
        together = {device_id for ids in self._groups.values() for device_id in ids}
        alone = [device_id for device_id in self._pollers if device_id not in together]
        tasks |= {f"poll {device_id}": self._pollers[device_id].run for device_id in alone}
        tasks |= {f"poll every {poll_s:g} s": self._group_poller(poll_s).run for poll_s in self._groups}
        tasks |= {f"write {device_id}": writer.run for device_id, writer in self._writers.items()}
        return tasks

    async def _keep_memory(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            self._keep_now()

    def _tell(self, record: CycleRecord) -> None:
        """Publish a record; what must outlive a crash at once is kept before anybody is answered."""
        self._publisher.publish(record)
        if any(event.name.startswith(KEPT_AT_ONCE) for event in record.events):
            self._keep_now()

    def _keep_now(self) -> None:
        if self._keep is not None:
            self._keep(self._loop.state)

    def _poller(self, device_id: str) -> Poller:
        device = next(device for device in self._site.devices if device.id == device_id)
        return Poller(
            device,
            self._links[device_id],
            self._image,
            self._clock,
            on_back=self._planner.forget,
            beat=partial(self._beats.beat, f"poll {device_id}"),
        )

    def _group_poller(self, poll_s: float) -> GroupPoller:
        ids = self._groups[poll_s]
        pollers = {device_id: self._pollers[device_id] for device_id in ids}
        links = [self._links[device_id] for device_id in ids]
        return GroupPoller(pollers, links, poll_s, self._clock, self._make_group)

    def _extra(self) -> dict[str, Any]:
        """What the shell adds to every published record."""
        pollers, now_s = self._pollers.values(), self._clock.now_s()
        health = self._image.health(now_s)
        return {
            "utc": self._clock.utc().isoformat(timespec="milliseconds"),
            "cycle_ms": self._loop.times.summary(),
            "polls": {"ok": sum(poller.ok for poller in pollers), "failed": sum(poller.failed for poller in pollers)},
            "stretch": self._stretch,
            "devices": {name: {"ok": found.ok, "age_s": found.age_s} for name, found in health.items()},
            "hubs": self._image.read(self._hub_points, now_s),
        }

    async def _leave_safe(self) -> None:
        notify("STOPPING=1")
        self._loop.halt()
        self._publish_stopping()
        self._keep_now()
        complaints = await write_safe(self._planner.safe(), self._writers)
        if complaints:
            _log.error("safe.incomplete", devices=complaints, text="their leases will end by themselves")
        else:
            _log.info("safe.written")

    def _publish_stopping(self) -> None:
        """Tell the readers what is being written, as a last record."""
        last = self._loop.last
        if last is None:
            return
        now_s = self._clock.now_s()
        setpoints = tuple(
            Setpoint(
                u.id, u.fail_safe.p_w, u.fail_safe.q_var, now_s, now_s + u.fail_safe.lease_s, "stop", ("stopping",)
            )
            for u in self._site.units
        )
        stopping = replace(last, seq=last.seq + 1, now_s=now_s, mode=Mode.STOPPING, setpoints=setpoints, events=())
        self._publisher.publish(stopping)
