"""The site at the national market: its bid of the day, and what the market activates of it.

The bid is made from the newest record, kept, and said until it is answered or too late; activations are the business of
:mod:`controller.balancing.national.delivery`. The loop waits for nothing: the area at the boundary is found in a thread
of its own, the memory belongs to another.
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog

from controller.balancing.national.client import submit
from controller.balancing.national.delivery import Claims, Delivery
from controller.balancing.national.hours import Hours, hours_of
from controller.balancing.national.memory import ACCEPTED, FOLDER, LATE, REFUSED, Memory, Offered
from controller.balancing.order_port import OrderPort
from controller.clock import utc_s
from controller.domain.national import Tender
from controller.domain.site import Site
from controller.planning.service_bid import ServiceBid, service_bid
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

T = TypeVar("T")

LOOK_S = 10.0
"""Period of looking whether something is to be made or said."""
MAKE_AGAIN_S = 60.0
"""After a record of which no bid could be made."""
FRESH_S = 60.0
"""A record older than this says nothing about now."""
ORDERS_S = 1.0
"""Period of looking what the control process has to be told."""
REQUEST_S = 20.0
"""Longest time for one request with its answer, machine seconds."""


async def nobody(_from_utc_s: float, _until_utc_s: float) -> Mapping[str, str]:
    """No local service has any unit."""
    return {}


class NationalLink:
    """One site and its tender. ``port`` leads to the control process; ``claims`` are what local services have."""

    def __init__(
        self,
        site: Site,
        tender: Tender,
        clock: Clock,
        data: Path,
        port: OrderPort,
        claims: Claims = nobody,
        request_s: float = REQUEST_S,
    ) -> None:
        self._site, self._tender, self._clock = site, tender, clock
        self._claims = claims
        self._delivery = Delivery(site, tender, clock, data, port, claims)
        self._folder, self._request_s = data / FOLDER, request_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="national")
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="boundary")
        self._memory: Memory | None = None
        self._record: tuple[Mapping[str, Any], float] | None = None
        self._tried_at_s = -math.inf
        self._troubles: dict[str, str] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """The newest record of the control process."""
        self._record = record, self._clock.now_s()
        self._delivery.take(record)

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name."""
        return {"national": self.run, "national-activations": self.run_activations, "national-orders": self.run_orders}

    async def open(self) -> None:
        """Open the memory. Raises OSError or sqlite3.Error."""
        await self._ask(self._open_files)

    async def aclose(self) -> None:
        """Let go of file and threads; what was offered is on the disk."""
        if self._memory is not None:
            await self._ask(self._delivery.close)
            await self._ask(self._memory.close)
        await asyncio.to_thread(self._thread.shutdown)
        await asyncio.to_thread(self._thinking.shutdown)

    async def run(self) -> None:
        """Look by the period until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._clock.real_s(LOOK_S))

    async def run_activations(self) -> None:
        """Ask what is activated by the period until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(self._clock.real_s(self._tender.poll_s))

    async def run_orders(self) -> None:
        """Tell the control process what is in force, until cancelled; the market is not needed for it."""
        while True:
            await self.order()
            await asyncio.sleep(self._clock.real_s(ORDERS_S))

    async def look(self) -> None:
        """Make today's bid when it is time, and say what has no answer yet."""
        now_utc_s = utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            self._tell("bid", "nobody knows the time of day")
            return
        await self._try("bid", self._make(now_utc_s), clears=False)
        await self._try("bid", self._say_waiting(now_utc_s), clears=False)

    async def poll(self) -> None:
        """Hear, judge and answer activations, and settle those that are over; nothing while nobody knows the time."""
        if not math.isfinite(utc_s(self._clock)):
            return
        delivery = self._delivery
        await self._try("activations", delivery.poll(self._fresh, self._request_s))
        await self._try("verdicts", delivery.judge())
        await self._try("settlement", delivery.settle())
        await self._try("answers", delivery.answer(self._request_s))

    async def order(self) -> None:
        """Say what is due to the control process."""
        if math.isfinite(utc_s(self._clock)):
            await self._try("orders", self._delivery.order())

    async def _try(self, what: str, work: Coroutine[Any, Any, None], *, clears: bool = True) -> None:
        """What does not succeed is tried again; a success ends the trouble that was told, if it is one that counts."""
        try:
            await work
        except (sqlite3.Error, OSError, ValueError, KeyError) as error:
            self._tell(what, f"{type(error).__name__}: {error}")
            return
        if clears:
            self._tell(what, "")

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
        claimed = await self._claims(hours.begins_utc_s, hours.ends_utc_s)
        bid = await loop.run_in_executor(self._thinking, self._bid, record, name, hours, claimed)
        if bid is None:
            raise ValueError("nothing is left to sell")
        document = json.dumps(bid.to_dict(), allow_nan=False)
        await self._ask(lambda: self._opened.put(Offered(name, now_utc_s, hours.gate_utc_s, document)))
        _log.info("national.offered", subject=name, up_w=bid.up_w, down_w=bid.down_w, price=bid.price_eur_per_mwh)

    def _fresh(self) -> Mapping[str, Any]:
        if self._record is None or not self._clock.now_s() - self._record[1] <= FRESH_S:
            raise ValueError(f"no record of the control process within {FRESH_S:g} s: nobody knows what is left")
        return self._record[0]

    def _bid(self, record: Mapping[str, Any], name: str, hours: Hours, claimed: Mapping[str, str]) -> ServiceBid | None:
        """Of what no local service has in that window."""
        tender = self._tender
        units = [u for u in self._site.units if u.id in tender.units and u.id not in claimed]
        prices = {u.id: u.price_eur_per_mwh for u in units}
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
        self._tell("bid", "")

    async def _settle(self, bid: Offered, fate: str, reason: str) -> None:
        await self._ask(lambda: self._opened.settle(bid.id, fate, reason))
        if fate == ACCEPTED:
            _log.info("national.accepted", subject=bid.id)
        else:
            _log.warning("national.not_sold", subject=bid.id, fate=fate, reason=reason)

    def _open_files(self) -> None:
        """Tried again after a failure, it goes on with what is open."""
        self._memory = self._memory or Memory(self._folder)
        self._delivery.open(self._memory, self._folder, self._thread)

    def _tell(self, what: str, trouble: str) -> None:
        """To the log, when it is something new."""
        before, self._troubles[what] = self._troubles.get(what, ""), trouble
        if trouble and trouble != before:
            _log.warning("national.stuck", subject=what, reason=trouble)
        elif before and not trouble:
            _log.info("national.unstuck", subject=what)

    @property
    def _opened(self) -> Memory:
        if self._memory is None:
            raise RuntimeError("the memory of the national market is not open; expected open() first")
        return self._memory

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
