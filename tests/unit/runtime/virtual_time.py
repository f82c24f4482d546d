"""An asyncio loop whose time moves only when everybody waits: a minute of the shell takes milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class _PatientSelector(selectors.SelectSelector):
    """Instead of waiting for ``timeout`` it moves the time on by it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: the test would hang")
        self.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code that waits only by asyncio timers."""

    def __init__(self) -> None:
        self._patient = _PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now_s


class LoopClock:
    """The clock that goes with the running loop; ``work`` lets time pass inside synchronous code."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._worked_s = 0.0

    def now_s(self) -> float:
        return asyncio.get_running_loop().time() * self.speed + self._worked_s

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now_s())

    def real_s(self, site_s: float) -> float:
        return site_s / self.speed

    def work(self, site_s: float) -> None:
        """Somebody computed for this long without giving way."""
        self._worked_s += site_s


def in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
