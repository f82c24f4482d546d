"""The only place that reads the time.

Monotonic site seconds decide ages, periods, leases and ramps; UTC is a label for records and people. A simulated
substation may run faster than the world: then a site second is shorter than a second of the machine, and whoever
waits asks the clock how long a site duration takes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from controller.ports import Clock
from controller.shared_time import SharedTime

TIME_IS_SET_AFTER = datetime(2024, 1, 1, tzinfo=UTC)
"""A machine that says less has lost its battery and was not told the time yet."""


def utc_s(clock: Clock) -> float:
    """Seconds since 1970 of the site's time of day; NaN when the machine does not know it."""
    now = clock.utc()
    return now.timestamp() if now > TIME_IS_SET_AFTER else math.nan


class SystemClock:
    """Time of this machine, or of a simulation that shares it; site seconds pass ``speed`` times faster."""

    def __init__(
        self, speed: float = 1.0, started_utc: datetime | None = None, shared: SharedTime | None = None
    ) -> None:
        if not 0.0 < speed <= 1e5:
            raise ValueError(f"clock speed is {speed!r}; expected a number above 0 and at most 100000")
        self.speed = speed
        self._monotonic_s: Callable[[], float] = time.monotonic if shared is None else shared
        self._t0_s = time.monotonic() if shared is None else shared.begin()
        self._follows_machine = speed == 1.0 and started_utc is None and shared is None
        self._utc0 = started_utc if started_utc is not None else datetime.now(UTC)

    def now_s(self) -> float:
        """Monotonic site seconds since the clock was made, or since the simulation began that shares its time."""
        return (self._monotonic_s() - self._t0_s) * self.speed

    def utc(self) -> datetime:
        """Time of day, for labels and seasons: that of the machine, corrections included, unless time is faster."""
        if self._follows_machine:
            return datetime.now(UTC)
        return self._utc0 + timedelta(seconds=self.now_s())

    def real_s(self, site_s: float) -> float:
        """How many seconds of this machine a site duration takes."""
        return site_s / self.speed


class ManualClock:
    """Time that moves only when told to; for tests, replay and co-simulation."""

    speed = 1.0

    def __init__(self, now_s: float = 0.0, started_utc: datetime | None = None) -> None:
        self._now_s = now_s
        self._utc0 = started_utc if started_utc is not None else datetime(2026, 1, 1, tzinfo=UTC)

    def now_s(self) -> float:
        """The instant last set."""
        return self._now_s

    def utc(self) -> datetime:
        """Label that goes with :meth:`now_s`."""
        return self._utc0 + timedelta(seconds=self._now_s)

    def real_s(self, site_s: float) -> float:
        """A manual second is a second."""
        return site_s

    def advance(self, dt_s: float) -> float:
        """Move forward (never back) and return the new instant."""
        if dt_s < 0.0:
            raise ValueError(f"the clock was asked to go back by {-dt_s} s")
        self._now_s += dt_s
        return self._now_s
