"""One time for the processes of a simulated site: it stands still while one of them gets no processor.

At 144 times the pace of the world a machine that is busy elsewhere for a tenth of a second has lost a quarter of a
minute of the site, and every meter is stale. That says nothing about the site, so it is not counted: the simulation
leads and hands out time in small pieces, the controller follows, and both their event loops and clocks go by what was
handed out. A process that is killed or stopped for longer than ``GONE_S`` is waited for no more: to the others it is
as gone as any box that has died.

A real site never has this: there, time is the machine's.
"""

from __future__ import annotations

import asyncio
import math
import mmap
import struct
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

STALL_S = 0.005
"""Longest piece of time that is handed out at once; whoever has not looked for longer is being waited for. Under load a
question and its answer wait for the processor some times each, so a piece is short against a time-out; machine s."""
GONE_S = 4.0
"""Nobody waits longer than this for a process that does not look any more: a crowded machine may keep one from the
processor for a second or two; machine s."""
BEAT_S = 0.002
"""How often an idle event loop looks at the time."""
_PAGE = struct.Struct("=ddd")  # s handed out; of these before the site's second zero; when the follower last looked
_BEGUN_AT, _SEEN_AT = 8, 16  # in the page
_DOUBLE = struct.Struct("=d")  # written whole: eight aligned bytes

T = TypeVar("T")
Machine = Callable[[], float]
"""A clock that all processes of this machine share, as CLOCK_MONOTONIC of Linux is."""


class LeadingTime:
    """Hands out the time on a page that it makes at ``path``.

    ``stood_s``: machine time that was not handed out. ``until_s``: as far as the leader's own work has come; time waits
    for it there.
    """

    def __init__(self, path: Path, machine_s: Machine = time.monotonic) -> None:
        """Raises OSError when the page cannot be made."""
        self.stood_s, self.until_s = 0.0, math.inf
        path.write_bytes(bytes(_PAGE.size))
        self._page = _opened(path)
        self._machine_s = machine_s
        self._now_s = 0.0
        self._looked_s = machine_s()

    def __call__(self) -> float:
        """Seconds handed out so far; each look hands out what has passed since the last one, or a piece of it."""
        machine_s = self._machine_s()
        passed_s, self._looked_s = machine_s - self._looked_s, machine_s
        given_s = min(passed_s, STALL_S, self.until_s - self._now_s) if self._followed(machine_s) else 0.0
        given_s = max(given_s, 0.0)
        self._now_s += given_s
        self.stood_s += passed_s - given_s
        _DOUBLE.pack_into(self._page, 0, self._now_s)
        return self._now_s

    def begin(self) -> float:
        """Now is the site's second zero, to the followers too; when that is."""
        begun_s = self()
        _DOUBLE.pack_into(self._page, _BEGUN_AT, begun_s)
        return begun_s

    def _followed(self, machine_s: float) -> bool:
        """Whether the follower has looked lately, if there is one: it writes when it looks."""
        seen_s: float = _DOUBLE.unpack_from(self._page, _SEEN_AT)[0]
        return seen_s == 0.0 or not STALL_S < machine_s - seen_s <= GONE_S


class FollowingTime:
    """The time that is handed out at ``path``; with ``waited_for`` it stands still while this process does.

    When nothing was handed out for ``GONE_S`` the leader is dead, and time goes on with the machine's.
    """

    def __init__(self, path: Path, *, waited_for: bool, machine_s: Machine = time.monotonic) -> None:
        """Raises OSError or ValueError when there is no such page."""
        if path.stat().st_size != _PAGE.size:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; expected a time page of {_PAGE.size}")
        self._page = _opened(path)
        self._waited_for = waited_for
        self._machine_s = machine_s
        self._led_s = self._now_s = 0.0
        self._moved_s = machine_s()

    def __call__(self) -> float:
        """Seconds handed out so far; never less than it was."""
        machine_s = self._machine_s()
        if self._waited_for:
            _DOUBLE.pack_into(self._page, _SEEN_AT, machine_s)
        led_s: float = _DOUBLE.unpack_from(self._page)[0]
        if led_s != self._led_s:
            self._led_s, self._moved_s = led_s, machine_s
        alone_s = max(machine_s - self._moved_s - GONE_S, 0.0)
        self._now_s = max(self._now_s, led_s + alone_s)
        return self._now_s

    def begin(self) -> float:
        """When the leader's second zero was: the site has one."""
        begun_s: float = _DOUBLE.unpack_from(self._page, _BEGUN_AT)[0]
        return begun_s


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


def _opened(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _PAGE.size)
