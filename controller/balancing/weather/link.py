"""The weather forecast in the station process: asked for by the period, judged, kept. Nothing waits for it."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from controller.balancing.https import LinkError
from controller.balancing.weather.client import fetch
from controller.balancing.weather.memory import FOLDER, Memory
from controller.balancing.weather.reading import Refused, read_forecast
from controller.clock import utc_s
from controller.domain.weather import WeatherService
from controller.planning.foretold import Foretold
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

T = TypeVar("T")

RETRY_S, RETRY_S_MAX = 60.0, 300.0
"""Site seconds until it is asked again after no answer, or one that was refused: first, and at most."""
FAILURES_COUNTED = 1000
REQUEST_S = 20.0
"""Longest time for one request with its answer, machine seconds."""


class WeatherLink:
    """One site and the service of its forecast."""

    def __init__(self, service: WeatherService, clock: Clock, data: Path, request_s: float = REQUEST_S) -> None:
        self._service, self._clock, self._request_s = service, clock, request_s
        self._folder = data / FOLDER
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weather")
        self._memory: Memory | None = None
        self._last: Foretold | None = None
        self._trouble = ""
        self._stale = False
        self._failed = 0

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name."""
        return {"weather": self.run}

    async def open(self) -> None:
        """Open the memory. Raises OSError or sqlite3.Error."""
        self._memory = await self._ask(lambda: Memory(self._folder))
        self._last = await self._ask(self._opened.newest)

    async def aclose(self) -> None:
        """Let go of file and thread."""
        if self._memory is not None:
            await self._ask(self._memory.close)
        await asyncio.to_thread(self._thread.shutdown)

    async def run(self) -> None:
        """Ask by the period until cancelled; sooner after a question that came to nothing."""
        while True:
            await self.look()
            again_s = min(RETRY_S * self._failed, RETRY_S_MAX) if self._failed else math.inf
            await asyncio.sleep(self._clock.real_s(min(again_s, self._service.poll_s)))

    async def look(self) -> None:
        """One question; what comes of it is on the disk, in the log, or both."""
        now_utc_s = utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            self._stick("nobody knows the time of day")
            return
        try:
            body = await fetch(self._service, self._request_s)
            heard = await asyncio.to_thread(read_forecast, body, self._service, now_utc_s)
            kept = await self._ask(lambda: self._opened.keep(heard))
        except Refused as error:
            if self._is_new(f"refused: {error}"):
                _log.warning("weather.refused", reason=str(error))
        except (LinkError, OSError, sqlite3.Error) as error:
            self._stick(str(error) if isinstance(error, LinkError) else f"{type(error).__name__}: {error}")
        else:
            self._took(kept)
        self._judge_age(now_utc_s)

    def _took(self, kept: Foretold) -> None:
        if self._last is None or kept.issued_utc_s != self._last.issued_utc_s:
            _log.info("weather.foretold", hours=round((kept.end_utc_s - kept.heard_utc_s) / 3600.0, 1))
        self._last = kept
        self._failed = 0
        if self._trouble:
            _log.info("weather.unstuck")
        self._trouble = ""

    def _stick(self, reason: str) -> None:
        if self._is_new(reason):
            _log.warning("weather.stuck", reason=reason)

    def _is_new(self, trouble: str) -> bool:
        """Whether this trouble is another one than the last time."""
        self._failed = min(self._failed + 1, FAILURES_COUNTED)
        before, self._trouble = self._trouble, trouble
        return trouble != before

    def _judge_age(self, now_utc_s: float) -> None:
        """Say when the last good forecast counts no more, and when one does again."""
        last = self._last
        stale = last is not None and not 0.0 <= now_utc_s - last.issued_utc_s <= self._service.stale_s
        if stale and not self._stale and last is not None:
            hours = round((now_utc_s - last.issued_utc_s) / 3600.0, 1)
            _log.warning("weather.stale", hours=hours, text="the forecast goes by the history alone")
        self._stale = stale

    @property
    def _opened(self) -> Memory:
        if self._memory is None:
            raise RuntimeError("the memory of the weather is not open; expected open() first")
        return self._memory

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
