"""A loop whose seconds are those that the test has lived through: what the machine takes away from it does not count.

Driver and device of a socket test live in one process. While the machine runs somebody else nobody in the test acts,
and a time-out of 80 ms that runs out meanwhile says nothing about the product. So waiting counts for as long as it was
asked for and not until the machine came back, and work counts as processor time of the loop's thread. What is asserted
about time is then about the product: how long it decides to wait, and how much it computes.

It cannot see a coroutine that blocks without computing. How soon another process answers is the machine's business:
what a test wants of one, it waits for with a generous limit.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
import time

_machine_s = time.monotonic
_ROUNDING_S = 1e-3  # epoll waits for whole milliseconds
_GRACE_S_MAX = 0.05

Events = list[tuple[selectors.SelectorKey, int]]


class LivedTime:
    """Stands in for ``time.monotonic`` while a steady loop runs: begins with the machine's seconds and falls behind."""

    def __init__(self) -> None:
        self._thread = 0
        self._now_s = 0.0
        self._worked_s = 0.0
        self._behind_s = 0.0
        self._shown_s = 0.0
        self._showing = threading.Lock()

    def __call__(self) -> float:
        """Monotonic in every thread; threads other than the loop's see the machine's seconds, as far behind."""
        if self._thread == threading.get_ident():
            return self.work()
        with self._showing:
            self._shown_s = max(self._shown_s, _machine_s() - self._behind_s)
            return self._shown_s

    def begin(self) -> None:
        """The calling thread runs the loop from now on."""
        self._thread = threading.get_ident()
        self._now_s, self._worked_s = _machine_s(), time.thread_time()
        time.monotonic = self

    def end(self) -> None:
        """The machine's seconds again."""
        time.monotonic = _machine_s
        self._thread, self._behind_s = 0, 0.0

    def work(self) -> float:
        """Count what the thread has computed since the last look."""
        worked_s = time.thread_time()
        self._now_s += worked_s - self._worked_s
        self._worked_s = worked_s
        return self._now_s

    def wait(self, waited_s: float) -> None:
        """Count a wait; what the thread has computed in it is part of it."""
        self._now_s += waited_s
        self._worked_s = time.thread_time()
        self._behind_s = _machine_s() - self._now_s


class _LivedSelector(selectors.DefaultSelector):
    def __init__(self, lived: LivedTime) -> None:
        super().__init__()
        self._lived = lived

    def select(self, timeout: float | None = None) -> Events:
        """What is there already has cost no wait; what comes later comes before the timer that waits, not after."""
        self._lived.work()
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0.0):
            self._lived.wait(0.0)
            return events
        began_s = _machine_s()
        events = super().select(timeout)
        waited_s = _machine_s() - began_s
        if timeout is None:
            self._lived.wait(waited_s)
        elif events:
            self._lived.wait(min(waited_s, timeout / 2.0))
        else:
            late_s = waited_s - timeout - _ROUNDING_S
            events = super().select(min(late_s, _GRACE_S_MAX)) if late_s > 0.0 else []
            self._lived.wait(timeout / 2.0 if events else timeout + min(late_s, 0.0) + _ROUNDING_S)
        return events


LIVED = LivedTime()


class SteadyLoop(asyncio.SelectorEventLoop):
    """One at a time; in another thread, or beside another one, the machine's seconds count."""

    def __init__(self) -> None:
        super().__init__(_LivedSelector(LIVED))

    def time(self) -> float:
        return LIVED()

    def run_forever(self) -> None:
        LIVED.begin()
        try:
            super().run_forever()
        finally:
            LIVED.end()
