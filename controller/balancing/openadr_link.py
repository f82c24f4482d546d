"""The VEN: asks the platform for events, has them judged, tells the control process, and reports. Station process only.

Events that the platform lists no more are withdrawn, but only by a list that came whole; while it is silent, what was
accepted goes on until it expires.
"""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog

from controller.balancing.admission import Now
from controller.balancing.command import Command
from controller.balancing.desk import CommandDesk, Unreadable, Verdict
from controller.balancing.ledger import Ledger
from controller.balancing.meter import PeriodMeter
from controller.balancing.openadr.events import to_command
from controller.balancing.openadr.models import Event, Program, Report, dump, parse
from controller.balancing.openadr.reports import answer, measurements
from controller.balancing.openadr.strict_json import Malformed
from controller.balancing.order_port import OrderPort
from controller.balancing.orders import Key, Told, due, wanted
from controller.balancing.vtn_client import Declined, LinkError, VtnClient
from controller.clock import utc_s
from controller.domain.platform import Platform
from controller.domain.site import Site
from controller.ports import Clock

_log = structlog.get_logger()

T = TypeVar("T")

ORDERS_S = 1.0
"""Period of looking what the control process has to be told."""
BACKOFF_S_MAX = 300.0
REPORTS_MAX = 1000
"""Reports that wait for the platform; the oldest go first."""


class OpenAdrLink:
    """One site at its platform. ``folder`` holds the record of commands; ``port`` leads to the control process."""

    def __init__(self, site: Site, platform: Platform, clock: Clock, folder: Path, port: OrderPort) -> None:
        self._site = site
        self._platform = platform
        self._clock = clock
        self._folder = folder
        self._port = port
        self._meter = PeriodMeter(frozenset(unit.id for unit in site.units))
        self._events: dict[str, Event] = {}
        self._told: dict[Key, Told] = {}
        self._waiting: deque[Report] = deque(maxlen=REPORTS_MAX)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commands")
        self._desk: CommandDesk | None = None
        self._counter = 0
        self._trouble = ""
        self._up = False

    async def open(self) -> None:
        """Open the record of commands. Raises OSError or sqlite3.Error when it cannot be used."""
        self._desk = await self._ask(lambda: CommandDesk(self._site, Ledger(self._folder), self._now()))
        if self._desk.trouble:
            _log.error("platform.book_refused", reason=self._desk.trouble)

    def take(self, record: Mapping[str, Any]) -> None:
        """A record of the control process; never waits."""
        self._meter.add(record, utc_s(self._clock))

    async def run_orders(self) -> None:
        """Tell the control process what is in force, until cancelled; the platform is not needed for it."""
        while True:
            try:
                await self.order()
            except sqlite3.Error as error:
                self._lost(f"the record of commands: {error}")
            await asyncio.sleep(self._clock.real_s(ORDERS_S))

    async def run_link(self) -> None:
        """Talk to the platform until cancelled: by its period, more rarely while it does not answer."""
        period_s, failures = self._platform.link.poll_s, 0
        # Ten thousand boxes after one power cut must not all ask at once: each has its own place in the period.
        await asyncio.sleep(
            self._clock.real_s(period_s * (zlib.crc32(self._platform.link.ven_name.encode()) % 997) / 997)
        )
        while True:
            failures = 0 if await self.session() else failures + 1
            backoff_s = max(min(period_s * 2.0 ** min(failures, 10), BACKOFF_S_MAX), period_s)
            await asyncio.sleep(self._clock.real_s(backoff_s))

    async def session(self) -> bool:
        """Poll on one connection for as long as it goes well; False when not even the first time did."""
        polls, reported_s = 0, self._clock.now_s()
        try:
            async with VtnClient(self._platform.link, self._clock) as client:
                while True:
                    await self.poll(client)
                    if self._clock.now_s() - reported_s >= self._platform.link.report_s:
                        reported_s = self._clock.now_s()
                        self._measure()
                    await self._report(client)
                    polls += 1
                    self._recovered()
                    await asyncio.sleep(self._clock.real_s(self._platform.link.poll_s))
        except (LinkError, Malformed, sqlite3.Error) as error:
            self._lost(str(error))
        return polls > 0

    async def poll(self, client: VtnClient) -> None:
        """Everything that the platform asks for now, judged, reported, and in the book."""
        programs = [parse(Program, x) for x in await client.everything("/programs")]
        ours = {p.id: (p, x.account) for p in programs for x in self._platform.issuers if x.programme == p.programName}
        listed: list[Command | Unreadable] = []
        self._events = {}
        for program_id, (program, account) in ours.items():
            for document in await client.everything("/events", {"programID": program_id}):
                listed.append(self._read(document, program, account))
        verdicts = await self._ask(lambda: self._opened.judge(listed, self._now()))
        here = {(x.issuer, x.id) for x in listed}
        book = self._opened.book
        gone = [a.command for a in book.standing if (a.command.issuer, a.command.id) not in here]
        await self._ask(lambda: self._opened.withdraw(gone, self._now()))
        self._tell(verdicts)
        for command in gone:
            _log.info("platform.withdrawn", subject=command.id, issuer=command.issuer)

    async def order(self) -> None:
        """Say what is due; an answer that does not come is asked for again later."""
        now = self._now()
        await self._ask(lambda: self._opened.expire(now))
        orders = wanted(self._site, self._opened.book, now)
        self._counter = max(self._counter + 1, int(now.utc_s * 1e6) if math.isfinite(now.utc_s) else 0)
        for key, said in due(self._platform, orders, self._told, now, self._counter):
            self._counter = max(self._counter, said.counter)
            command = orders[key].command if key in orders else self._told[key].order.command
            try:
                accepted, text = await self._port.say(said)
            except OSError as error:
                accepted, text = False, f"no answer: {error}"
            await self._ask(lambda: self._opened.answered(said.issuer, command, said.id, accepted, text, now))  # noqa: B023
            if key in orders:
                self._told[key] = Told(orders[key], said.id, now.now_s, accepted)
            elif accepted or not text.startswith("no answer"):
                del self._told[key]
            if not accepted:
                _log.warning("platform.not_ordered", subject=command, issuer=said.issuer, text=text)

    async def aclose(self) -> None:
        """Let go of the thread; what was promised is on the disk already."""
        self._thread.shutdown(wait=True)

    def _read(self, document: Any, program: Program, account: str) -> Command | Unreadable:
        named = document.get("id") if isinstance(document, dict) else None
        event_id = named if isinstance(named, str) else ""
        try:
            event = parse(Event, document)
            self._events[event.id] = event
            return to_command(event, program, account)
        except Malformed as error:
            return Unreadable(event_id, account, f"malformed: {error}", json.dumps(document))

    def _tell(self, verdicts: list[Verdict]) -> None:
        """To the log, and to the platform what it can still use."""
        for verdict in verdicts:
            if verdict.accepted:
                _log.info("platform.accepted", subject=verdict.command, issuer=verdict.issuer)
            else:
                _log.warning("platform.refused", subject=verdict.command, issuer=verdict.issuer, text=verdict.reason)
            if not verdict.over and verdict.command in self._events:
                self._waiting.append(answer(verdict.command, self._platform.link.ven_name, verdict.reason))

    def _measure(self) -> None:
        period = self._meter.take(utc_s(self._clock))
        if period is None:
            return
        standing = {a.command.id for a in self._opened.book.standing}
        for event in self._events.values():
            made = (
                measurements(self._site, event, self._platform.link.ven_name, period) if event.id in standing else None
            )
            if made is not None:
                self._waiting.append(made)

    async def _report(self, client: VtnClient) -> None:
        while self._waiting:
            report = self._waiting[0]
            try:
                await client.post("/reports", dump(report))
            except Declined as error:
                _log.warning("platform.report_declined", subject=report.eventID, reason=str(error))
            self._waiting.popleft()

    def _recovered(self) -> None:
        if not self._up:
            _log.info("link.recovered", to=self._platform.link.url)
        self._up, self._trouble = True, ""

    def _lost(self, reason: str) -> None:
        if self._up or reason != self._trouble:
            _log.warning("link.lost", to=self._platform.link.url, reason=reason)
        self._up, self._trouble = False, reason

    def _now(self) -> Now:
        return Now(utc_s(self._clock), self._clock.now_s())

    @property
    def _opened(self) -> CommandDesk:
        if self._desk is None:
            raise RuntimeError("the record of commands is not open; expected open() first")
        return self._desk

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
