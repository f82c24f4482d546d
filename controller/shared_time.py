"""One time for the processes of a simulated site: it stands still while one of them gets no processor.

At 144 times the pace of the world a machine that is busy elsewhere for a tenth of a second has lost a quarter of a
minute of the site, and every meter is stale. That says nothing about the site, so it is not counted: the simulation
leads and hands out time in small pieces, the others follow, and their event loops and clocks go by what was handed
out. Time waits for whoever does not look at it, and for a piece of work beside a loop that takes long. A process that
is killed or stopped for longer than ``GONE_S``, or works for longer than ``WORK_S_MAX``, is waited for no more: to the
others it is as gone as any box that has died.

A real site never has this: there, time is the machine's.
"""

from __future__ import annotations

import asyncio
import math
import mmap
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, Unpack

import click

STALL_S = 0.005
"""Longest piece of time that is handed out at once; whoever has not looked for longer is being waited for. Under load a
question and its answer wait for the processor some times each, so a piece is short against a time-out; machine s."""
GONE_S = 4.0
"""Nobody waits longer than this for a process that does not look any more: a crowded machine may keep one from the
processor for a second or two; machine s."""
BEGIN_S = 60.0
"""Nobody waits longer than this for a process to begin; machine s."""
WORK_FREE_S = 0.02
"""As much time a piece of work beside an event loop takes of the site's, however long it lasts; machine s."""
WORK_S_MAX = 20.0
"""Nobody waits longer than this for a piece of work: it hangs; machine s."""
BEAT_S = 0.002
"""How often an idle event loop looks at the time."""
# The page, in doubles: s handed out; of these before the site's second zero; when the leader last looked.
_HANDED_OUT, _BEGUN, _LED = 0, 1, 2


class Follower(IntEnum):
    """Who is waited for, and where its doubles begin: when it last looked; when its oldest work began, or 0."""

    CONTROLLER = 3
    STATION = 5
    PLATFORM = 7


PAGE_BYTES = 9 * 8

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Machine = Callable[[], float]
"""A clock that all processes of this machine share, as CLOCK_MONOTONIC of Linux is."""


class LeadingTime:
    """Hands out the time on a page that it makes at ``path``.

    After the site's second zero it waits for the first look of all who are ``expected``. ``stood_s``: machine time that
    was not handed out since then. ``until_s``: as far as the leader's own work has come; time waits for it there.
    """

    def __init__(self, path: Path, machine_s: Machine = time.monotonic, expected: Collection[Follower] = ()) -> None:
        """Raises OSError when the page cannot be made."""
        self.stood_s, self.until_s = 0.0, math.inf
        path.write_bytes(bytes(PAGE_BYTES))
        self._page = _opened(path)
        self._machine_s = machine_s
        self._now_s = 0.0
        self._looked_s = machine_s()
        self._begun_s = math.nan
        self._expected = set(expected)
        self._page[_LED] = self._looked_s

    def __call__(self) -> float:
        """Seconds handed out so far; each look hands out what has passed since the last one, or a piece of it."""
        machine_s = self._machine_s()
        passed_s, self._looked_s = machine_s - self._looked_s, machine_s
        self._page[_LED] = machine_s
        if self._is_alone(machine_s):
            return self._now_s
        followed = all(self._follows(who, machine_s) for who in Follower)
        given_s = min(passed_s, STALL_S, self.until_s - self._now_s) if followed else 0.0
        given_s = max(given_s, 0.0)
        self._now_s += given_s
        self.stood_s += passed_s - given_s
        self._page[_HANDED_OUT] = self._now_s
        return self._now_s

    def begin(self) -> float:
        """Now is the site's second zero, to the followers too; when that is."""
        self._page[_BEGUN] = begun_s = self()
        self._begun_s = self._looked_s
        return begun_s

    def _is_alone(self, machine_s: float) -> bool:
        """Whether the site has begun and somebody who is still expected has not."""
        if not self._expected or math.isnan(self._begun_s):
            return False
        missing = {who for who in self._expected if self._page[who] == 0.0}
        self._expected = missing if machine_s - self._begun_s <= BEGIN_S else set()
        return bool(self._expected)

    def _follows(self, who: Follower, machine_s: float) -> bool:
        """Whether it has looked lately and nothing that it works at takes long; or is gone, or was never there."""
        seen_s, work_s = self._page[who], self._page[who + 1]
        if seen_s == 0.0 or machine_s - seen_s > GONE_S:
            return True
        works = work_s != 0.0 and WORK_FREE_S < machine_s - work_s <= WORK_S_MAX
        return machine_s - seen_s <= STALL_S and not works


class FollowingTime:
    """The time that is handed out at ``path``; it stands still while this process does, if that is ``who``.

    When the leader has not looked for ``GONE_S`` it is dead, and time goes on with the machine's.
    """

    def __init__(self, path: Path, who: Follower | None, machine_s: Machine = time.monotonic) -> None:
        """Raises OSError or ValueError when there is no such page."""
        if path.stat().st_size != PAGE_BYTES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; expected a time page of {PAGE_BYTES}")
        self._page = _opened(path)
        self._who = who
        self._machine_s = machine_s
        self._now_s = 0.0
        self._works: dict[object, float] = {}
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds handed out so far; never less than it was."""
        machine_s = self._machine_s()
        if self._who is not None:
            self._page[self._who + 1] = self._oldest_work_s()
            self._page[self._who] = machine_s
        alone_s = max(machine_s - self._page[_LED] - GONE_S, 0.0)
        self._now_s = max(self._now_s, self._page[_HANDED_OUT] + alone_s)
        return self._now_s

    def work(self) -> Callable[[], None]:
        """Work begins that is to take little of the site's time; the answer ends it. Both from any thread."""
        piece = object()
        with self._lock:
            self._works[piece] = self._machine_s()
        return partial(self._worked, piece)

    def begin(self) -> float:
        """When the leader's second zero was: the site has one."""
        return self._page[_BEGUN]

    def _worked(self, piece: object) -> None:
        with self._lock:
            self._works.pop(piece, None)

    def _oldest_work_s(self) -> float:
        with self._lock:
            return next(iter(self._works.values()), 0.0)


class WorkPool(ThreadPoolExecutor):
    """Threads whose work takes little of the site's time: from when it is put to them until it is done.

    ``work`` begins a piece of it, as :meth:`FollowingTime.work` does.
    """

    def __init__(self, threads: int, work: Callable[[], Callable[[], None]]) -> None:
        super().__init__(threads)
        self._work = work

    def submit(self, act: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As its base."""
        done = self._work()
        future = super().submit(act, *args, **kwargs)
        future.add_done_callback(lambda _: done())
        return future


SharedTime = LeadingTime | FollowingTime


time_page_option = click.option(
    "--time-page", type=click.Path(path_type=Path, dir_okay=False),
    help="Go by the time of a simulation, which stands still while it or its controller gets no processor.",
)  # fmt: skip


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose timers and time-outs go by a shared time."""

    def __init__(self, now: SharedTime) -> None:
        self._shared = now
        super().__init__()
        self._beat()

    def time(self) -> float:
        return self._shared()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """As its base; time waits for it."""
        future = super().run_in_executor(executor, func, *args)
        if isinstance(self._shared, FollowingTime):
            done = self._shared.work()
            future.add_done_callback(lambda _: done())
        return future

    def _beat(self) -> None:
        """Look again soon, so that an idle process is not taken for one that has no processor."""
        self.call_later(BEAT_S, self._beat)


def run(
    main: Coroutine[Any, Any, T],
    now: SharedTime | None,
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """:func:`asyncio.run`, by a shared time if there is one, else on a loop of ``make_loop`` (None: asyncio's own)."""
    with asyncio.Runner(loop_factory=make_loop if now is None else partial(_Loop, now)) as runner:
        return runner.run(main)


def _opened(path: Path) -> memoryview[float]:
    """Its doubles. An element is written and read whole; :func:`struct.pack_into` would show others a 0 meanwhile."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), PAGE_BYTES)).cast("d")
