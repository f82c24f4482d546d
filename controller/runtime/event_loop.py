"""An event loop that wakes when it should, to a tenth of a millisecond, and does not spin for it.

``epoll_wait(2)`` counts its time-out in whole milliseconds and asyncio rounds up to the next one: a timer, and so a
tick, comes up to 2 ms late (``benchmarks/tick_lateness.py``). ``select(2)`` counts in microseconds and can wait for the
one descriptor that stands for all the others, but does not say which of them it was: that takes a second call. So it is
left to the last two milliseconds before a timer.

Every turn of the loop goes through :meth:`PreciseSelector.select`, so it does no more than it must: half of what
asyncio's own takes.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
from select import EPOLLIN, EPOLLOUT
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import Any

FD_SETSIZE = 1024  # <sys/select.h>: select(2) knows no descriptor from here on
EVENTS_MAX = 256
"""So many descriptors at most are told of in one turn; the others are in the next one."""


class PreciseSelector(selectors.EpollSelector):
    """Waits to the microsecond where a time limit is given; otherwise the one that asyncio uses anyhow."""

    def __init__(self) -> None:
        super().__init__()
        self._itself = (self.fileno(),)
        self._precise = self.fileno() < FD_SETSIZE
        self._same_epoll = select.epoll.fromfd(os.dup(self.fileno()))
        self._poll = self._same_epoll.poll
        self._keys: dict[int, SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Tell of ``events`` of ``fileobj`` from now on."""
        key = super().register(fileobj, events, data)
        self._keys[key.fd] = key
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Tell of it no more."""
        key = super().unregister(fileobj)
        self._keys.pop(key.fd, None)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Tell of other events, or with other data."""
        key = super().modify(fileobj, events, data)
        self._keys[key.fd] = key
        return key

    def close(self) -> None:
        """Tell of nothing any more."""
        self._same_epoll.close()
        self._keys.clear()
        super().close()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """What is ready, after ``timeout`` seconds at the latest; None waits for ever, 0 not at all.

        Returns before its time, empty-handed, where it is to go on with greater care; the loop asks again.
        """
        if timeout is None:
            timeout = -1.0
        elif timeout <= 0.0:
            timeout = 0.0
        elif self._precise:
            whole_ms = int(1e3 * timeout) - 1
            if whole_ms > 0:
                timeout = 1e-3 * whole_ms - 5e-4  # rounded up to whole milliseconds
            elif select.select(self._itself, (), (), timeout)[0]:
                timeout = 0.0
            else:
                return []
        ready: list[tuple[SelectorKey, int]] = []
        for fd, event in self._poll(timeout, EVENTS_MAX):
            key = self._keys.get(fd)
            if key is not None:
                ready.append((key, key.events & (EVENT_READ if event == EPOLLIN else _readiness(event))))
        return ready


def _readiness(event: int) -> int:
    """An error or an end of the connection is for whoever reads and whoever writes."""
    return (EVENT_READ if event & ~EPOLLOUT else 0) | (EVENT_WRITE if event & ~EPOLLIN else 0)


def precise_loop() -> asyncio.AbstractEventLoop:
    """A new event loop with such a selector."""
    return asyncio.SelectorEventLoop(PreciseSelector())
