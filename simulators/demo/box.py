"""The box in the demo: a process of ours that dies is started again, as a service manager does, unless unplugged."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from simulators.demo.children import Child, ChildDied
from simulators.demo.day import Day
from simulators.demo.feed import LAST_WORDS_S, Take, cancelled_at_end, connect, pump_and_close, reading
from simulators.demo.plugs import Refused
from simulators.faults import FaultKind

SHORT_S = 10.0
"""A process that dies within this time, ``DEATHS_MAX`` times in a row, cannot live; s of the machine."""
DEATHS_MAX = 3

ENDS = {
    "controller": "the box is off: every unit goes to its fail-safe set point when its lease ends",
    "station": "the station is off: control goes on, orders end by themselves, nothing is bought",
}
BEGINS = {"controller": "the box starts again", "station": "the station starts again"}


class Part:
    """The control process or the station. ``begins`` gives a process that waits for its command line.

    ``records``: where it says what it does, and who takes it in.
    """

    what = "process"

    def __init__(
        self,
        name: str,
        day: Day,
        arguments: Sequence[str],
        modules: Sequence[str],
        log: Path,
        records: tuple[Path, Take] | None = None,
    ) -> None:
        self.name = name
        self._day = day
        self._arguments = arguments
        self._modules = modules
        self._log = log
        self._records = records
        self._child: Child | None = None
        self._reading: asyncio.Task[None] | None = None
        self._spare: Child | None = None
        self._away_until_s = -math.inf  # of the site
        self._asked = False  # for its end
        self._began_s = 0.0  # of the machine
        self._deaths = 0

    async def begin(self, opened: AsyncExitStack, child: Child, wanted: Callable[[], bool]) -> None:
        """It runs as ``child``, told what to do; returns when it has been heard of, or nobody wants it any more."""
        self._take_over(child)
        if self._records is not None:
            path, take = self._records
            feed = await connect(path, lambda: child.running and wanted())
            if feed is not None:
                self._reading = reading(opened, feed, take)

    async def look(self, opened: AsyncExitStack) -> None:
        """Tell of its death and start it again, when it is time.

        Raises ChildDied when it cannot live, and what its reader raises.
        """
        if self._child is not None:
            if self._lives(self._child):
                return
            await self._bury(self._child)
        if self._spare is None:
            self._spare = await Child.warm(self.name, self._modules, self._log, again=True)
            opened.push_async_callback(self._spare.end)
        if self._day.course.t_s >= self._away_until_s:
            child, self._spare = self._spare, None
            child.tell(self._arguments)
            self._take_over(child)
            self._day.process_begins(self.name, BEGINS[self.name])
            if self._records is not None:
                self._reading = cancelled_at_end(opened, _hear(child, *self._records))

    def pull(self, kind: FaultKind, for_s: float) -> None:
        """End it at once; killed, it is started again, unplugged, it is away for ``for_s``."""
        if kind not in (FaultKind.SILENT, FaultKind.KILLED):
            raise Refused(f"the {self.name} can be unplugged or killed; expected --how unplug or kill")
        if self._child is None:
            raise Refused(f"the {self.name} is off already")
        self._away_until_s = self._day.course.t_s + for_s if kind is FaultKind.SILENT else -math.inf
        self._asked = True
        self._child.kill()

    def put_back(self) -> None:
        """Start it with the next look."""
        if self._child is not None and not self._asked:
            raise Refused(f"the {self.name} is running; nothing to put back")
        self._away_until_s = -math.inf

    def _take_over(self, child: Child) -> None:
        self._child, self._asked = child, False
        self._began_s = asyncio.get_running_loop().time()

    def _lives(self, child: Child) -> bool:
        return child.running and (self._reading is None or not self._reading.done())

    async def _bury(self, child: Child) -> None:
        """Take in its last words, and say that it is gone."""
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=LAST_WORDS_S)
            if self._reading.done():
                self._reading.result()
        await child.end(LAST_WORDS_S)
        short = not self._asked and asyncio.get_running_loop().time() - self._began_s < SHORT_S
        self._deaths = self._deaths + 1 if short else 0
        if self._deaths >= DEATHS_MAX:
            raise ChildDied(child.obituary())
        self._child, self._reading = None, None
        self._day.process_ends(self.name, ENDS[self.name])


async def _hear(child: Child, path: Path, take: Take) -> None:
    """Every line to ``take``, as soon as the process listens."""
    feed = await connect(path, lambda: child.running)
    if feed is not None:
        await pump_and_close(feed, take)
