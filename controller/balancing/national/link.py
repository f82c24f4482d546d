"""The site's bid at the national market: made from the newest record, kept, said until it is answered or too late.

The loop waits for nothing: the area at the boundary is found in a thread of its own, the memory belongs to another.
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog

from controller.balancing.national.client import submit
from controller.balancing.national.hours import Hours, hours_of
from controller.balancing.national.memory import ACCEPTED, LATE, REFUSED, Memory, Offered
from controller.clock import utc_s
from controller.domain.national import Tender
from controller.domain.site import Site
from controller.planning.service_bid import ServiceBid, service_bid
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

T = TypeVar("T")

FOLDER = "national"
LOOK_S = 10.0
"""Period of looking whether something is to be made or said."""
MAKE_AGAIN_S = 60.0
"""After a record of which no bid could be made."""
FRESH_S = 60.0
"""A record older than this says nothing about now."""
REQUEST_S = 20.0
"""Longest time for one request with its answer, machine seconds."""


class NationalLink:
    """One site and its tender."""

    def __init__(self, site: Site, tender: Tender, clock: Clock, data: Path, request_s: float = REQUEST_S) -> None:
        self._site, self._tender, self._clock = site, tender, clock
        self._folder, self._request_s = data / FOLDER, request_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="national")
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="boundary")
        self._memory: Memory | None = None
        self._record: tuple[Mapping[str, Any], float] | None = None
        self._tried_at_s = -math.inf
        self._trouble = ""

    def take(self, record: Mapping[str, Any]) -> None:
        """The newest record of the control process."""
        self._record = record, self._clock.now_s()

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name."""
        return {"national": self.run}

    async def open(self) -> None:
        """Open the memory. Raises OSError or sqlite3.Error."""
        self._folder.mkdir(exist_ok=True)
        self._memory = await self._ask(lambda: Memory(self._folder))

    async def aclose(self) -> None:
        """Let go of file and threads; what was offered is on the disk."""
        if self._memory is not None:
            await self._ask(self._memory.close)
        await asyncio.to_thread(self._thread.shutdown)
        await asyncio.to_thread(self._thinking.shutdown)

    async def run(self) -> None:
        """Look by the period until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._clock.real_s(LOOK_S))

    async def look(self) -> None:
        """Make today's bid when it is time, and say what has no answer yet."""
        now_utc_s = utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            self._tell("nobody knows the time of day")
            return
        for work in (self._make, self._say_waiting):
            try:
                await work(now_utc_s)
            except (sqlite3.Error, OSError, ValueError) as error:
                self._tell(f"{type(error).__name__}: {error}")

    async def _say_waiting(self, now_utc_s: float) -> None:
        for bid in await self._ask(self._opened.waiting):
            await self._say(bid, now_utc_s)

    async def _make(self, now_utc_s: float) -> None:
        """Today's bid, unless there is one. Raises ValueError when none can be made of the record."""
        hours = hours_of(self._tender, now_utc_s, self._site.timezone)
        name = f"{self._site.name}-{int(hours.begins_utc_s)}"
        if not hours.at_utc_s <= now_utc_s < hours.gate_utc_s:
            return
        known = await self._ask(lambda: self._opened.find(name))
        if known is not None or self._clock.now_s() - self._tried_at_s < MAKE_AGAIN_S:
            return
        self._tried_at_s = self._clock.now_s()
        record = self._fresh()
        loop = asyncio.get_running_loop()
        bid = await loop.run_in_executor(self._thinking, self._bid, record, name, hours)
        if bid is None:
            raise ValueError("nothing is left to sell")
        document = json.dumps(bid.to_dict(), allow_nan=False)
        await self._ask(lambda: self._opened.put(Offered(name, now_utc_s, hours.gate_utc_s, document)))
        _log.info("national.offered", subject=name, up_w=bid.up_w, down_w=bid.down_w, price=bid.price_eur_per_mwh)

    def _fresh(self) -> Mapping[str, Any]:
        if self._record is None or not self._clock.now_s() - self._record[1] <= FRESH_S:
            raise ValueError(f"no record of the control process within {FRESH_S:g} s: nobody knows what is left")
        return self._record[0]

    def _bid(self, record: Mapping[str, Any], name: str, hours: Hours) -> ServiceBid | None:
        tender = self._tender
        prices = {u.id: u.price_eur_per_mwh for u in self._site.units if u.id in tender.units}
        window = (hours.begins_utc_s, hours.ends_utc_s)
        return service_bid(self._site, record, name, window, prices, tender.margin_eur_per_mwh)

    async def _say(self, bid: Offered, now_utc_s: float) -> None:
        """Once more; behind the gate nobody takes it. Raises OSError (it may be said again) or sqlite3.Error."""
        if now_utc_s >= bid.gate_utc_s:
            await self._settle(bid, LATE, "the gate closed without an answer")
            return
        await self._ask(lambda: self._opened.saying(bid.id))
        answer = await submit(self._tender, bid.id, bid.document, self._request_s)
        await self._settle(bid, ACCEPTED if answer.accepted else REFUSED, answer.reason)
        self._tell("")

    async def _settle(self, bid: Offered, fate: str, reason: str) -> None:
        await self._ask(lambda: self._opened.settle(bid.id, fate, reason))
        if fate == ACCEPTED:
            _log.info("national.accepted", subject=bid.id)
        else:
            _log.warning("national.not_sold", subject=bid.id, fate=fate, reason=reason)

    def _tell(self, trouble: str) -> None:
        """To the log, when it is something new."""
        if trouble and trouble != self._trouble:
            _log.warning("national.stuck", reason=trouble)
        elif self._trouble and not trouble:
            _log.info("national.unstuck")
        self._trouble = trouble

    @property
    def _opened(self) -> Memory:
        if self._memory is None:
            raise RuntimeError("the memory of the national market is not open; expected open() first")
        return self._memory

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
