"""An event loop that wakes when it should, to a tenth of a millisecond, and does not spin for it.

``epoll_wait(2)`` counts its time-out in whole milliseconds and asyncio rounds up to the next one: a timer, and so a
tick, comes up to 2 ms late (``benchmarks/tick_lateness.py``). ``select(2)`` counts in microseconds and can wait for the
one descriptor that stands for all the others, but does not say which of them it was: that takes a second call. So it is
left to the last two milliseconds before a timer.
"""

from __future__ import annotations

import asyncio
import select
import selectors

FD_SETSIZE = 1024  # <sys/select.h>: select(2) knows no descriptor from here on


class PreciseSelector(selectors.EpollSelector):
    """Waits to the microsecond where a time limit is given; otherwise the one that asyncio uses anyhow."""

    def __init__(self) -> None:
        super().__init__()
        self._itself = (self.fileno(),)
        self._precise = self.fileno() < FD_SETSIZE

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, after ``timeout`` seconds at the latest; None waits for ever, 0 not at all.

        Returns before its time, empty-handed, where it is to go on with greater care; the loop asks again.
        """
        if self._precise and timeout is not None and timeout > 0.0:
            whole_ms = int(1e3 * timeout) - 1
            if whole_ms > 0:
                return super().select(1e-3 * whole_ms - 5e-4)  # rounded up to whole milliseconds
            if not select.select(self._itself, (), (), timeout)[0]:
                return []
            timeout = 0.0
        return super().select(timeout)


def precise_loop() -> asyncio.AbstractEventLoop:
    """A new event loop with such a selector."""
    return asyncio.SelectorEventLoop(PreciseSelector())
