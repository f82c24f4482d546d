"""The VEN: asks the platform for events, has them judged, tells the control process, and reports. Station process only.

Events that the platform lists no more are withdrawn, but only by a list that came whole; while it is silent, what was
accepted goes on until it expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from controller.balancing.admission import Now, without_expired
from controller.balancing.command import Command, Kind
from controller.balancing.desk import CommandDesk, Unreadable, Verdict
from controller.balancing.https import LinkError
from controller.balancing.ledger import Ledger, Waiting
from controller.balancing.meter import PeriodMeter
from controller.balancing.openadr.events import ReactivePayload, to_command
from controller.balancing.openadr.models import Event, Program, dump, parse
from controller.balancing.openadr.reports import answer, measurements, ordered
from controller.balancing.openadr.strict_json import Malformed
from controller.balancing.order_book import OrderBook
from controller.balancing.order_port import OrderPort
from controller.balancing.orders import Key, Order, wanted
from controller.balancing.vtn_client import Declined, VtnClient
from controller.clock import utc_s
from controller.domain.instruction import Action, Instruction
from controller.domain.owner import Owner
from controller.domain.platform import Platform
from controller.domain.site import Site
from controller.durable_file import NotOpen
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

T = TypeVar("T")

ORDERS_S = 1.0
"""Period of looking what the control process has to be told."""
BACKOFF_S_MAX = 300.0
PROGRAMS_MAX = 16
"""Programs that bear the names of our desks; and the events of all of them together."""
EVENTS_MAX = 1000
_ID_MAX = 128
HINT_S = 1.0
"""Shortest time between two polls, however often the platform says that something has changed."""


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
        self._passed_on: dict[Key, tuple[str, str]] = {}
        self._reactive = ReactivePayload(platform.reactive_payload, platform.reactive_sign)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commands")
        self._desk: _Desk | None = None
        self._trouble = ""
        self._up = False
        self._hinted = asyncio.Event()

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name. Raises ValueError when the extra ``mqtt`` is wanted and not installed."""
        out: dict[str, Work] = {"platform": self.run_link, "orders": self.run_orders, "reports": self.run_reports}
        return out | ({"notices": self._notices()} if self._platform.link.notified else {})

    def _notices(self) -> Work:
        try:
            from controller.balancing.openadr_notices import Notices
        except ModuleNotFoundError as missing:
            if missing.name not in ("aiomqtt", "paho"):
                raise
            raise ValueError(
                "platform.notifications: the MQTT client is not installed; expected the extra 'mqtt': pip install "
                "'gridedge[mqtt]'"
            ) from missing
        return Notices(self._platform, self._clock, self.hint).run

    async def open(self) -> None:
        """Open the record of commands. Raises OSError or sqlite3.Error when it cannot be used."""
        self._desk = desk = await self._ask(lambda: _Desk.of(self._site, Ledger(self._folder), self._now()))
        for trouble in filter(None, (desk.commands.trouble, desk.orders.trouble)):
            _log.error("platform.book_refused", reason=trouble)

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

    async def run_reports(self) -> None:
        """Measure by the period until cancelled, whether the platform is there or not: what it misses waits."""
        while True:
            await asyncio.sleep(self._clock.real_s(self._platform.link.report_s))
            await self._measure()

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
        polls = 0
        try:
            async with VtnClient(self._platform.link, self._clock) as client:
                while True:
                    await self.poll(client)
                    await self._report(client)
                    polls += 1
                    self._recovered()
                    await self._pause()
        except (LinkError, Malformed, sqlite3.Error) as error:
            self._lost(str(error))
        return polls > 0

    async def _pause(self) -> None:
        """Until the next period, or until something may have changed: but never shorter than ``HINT_S``."""
        period_s = self._platform.link.poll_s
        await asyncio.sleep(self._clock.real_s(min(HINT_S, period_s)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._clock.real_s(max(period_s - HINT_S, 0.0))):
                await self._hinted.wait()
        self._hinted.clear()

    def hint(self) -> None:
        """Something may have changed at the platform: look soon."""
        self._hinted.set()

    async def poll(self, client: VtnClient) -> None:
        """Everything that the platform asks for now, judged, reported, and in the book."""
        programs = [parse(Program, x) for x in await client.everything("/programs")]
        ours = {p.id: (p, x.account) for p in programs for x in self._platform.issuers if x.programme == p.programName}
        if len(ours) > PROGRAMS_MAX:
            raise LinkError(f"{len(ours)} programs have the names of our desks; expected at most {PROGRAMS_MAX}")
        listed: list[Command | Unreadable] = []
        events: dict[str, Event] = {}
        for program_id, (program, account) in ours.items():
            for document in await client.everything("/events", {"programID": program_id}):
                listed.append(self._read(document, program, account, events))
            if len(listed) > EVENTS_MAX:
                raise LinkError(f"more than {EVENTS_MAX} events for us; expected fewer")
        self._events = events
        commands = self._opened.commands
        verdicts = await self._ask(lambda: commands.judge(listed, self._now(), self._reply))
        here = {(x.issuer, x.id) for x in listed}
        gone = [a.command for a in commands.book.standing if (a.command.issuer, a.command.id) not in here]
        await self._ask(lambda: commands.withdraw(gone, self._now()))
        for verdict in verdicts:
            _log_verdict(verdict)
        for command in gone:
            _log.info("platform.withdrawn", subject=command.id, issuer=command.issuer)

    async def claims(self, from_utc_s: float, until_utc_s: float) -> dict[str, str]:
        """Units that a desk above the services to the transmission operator, or one of these, has in that time."""
        standing, _ = without_expired(self._opened.commands.book, self._now())
        out: dict[str, str] = {}
        for command in (admitted.command for admitted in standing.standing):
            issuer = self._platform.issuer(command.issuer)
            first = issuer is not None and issuer.service.priority <= Owner.TSO.priority
            for part in command.parts if first else ():
                if part.kind is Kind.SET_POINT and any(
                    s.start_utc_s < until_utc_s and from_utc_s < s.end_utc_s for s in part.steps
                ):
                    out[part.subject] = f"{command.issuer} ({command.id})"
        return out

    async def order(self) -> None:
        """Say what is due; an answer that does not come is asked for again later.

        What was accepted is said also while the disk refuses to keep that it was: a limit must not wait for a disk.
        """
        now, desk = self._now(), self._opened
        await self._on_disk(lambda: desk.commands.expire(now))
        standing, _ = without_expired(desk.commands.book, now)
        orders = wanted(self._site, standing, now, desk.orders.told())
        for order, said in desk.orders.due(self._platform, orders, now):
            await self._on_disk(lambda: desk.orders.saying(order, said, now))  # noqa: B023
            accepted, text = await self._said(said)
            await self._on_disk(lambda: desk.orders.answered(order, said, accepted, text, now))  # noqa: B023
            await self._pass_on(order, said, accepted, text)
            if not accepted:
                _log.warning("platform.not_ordered", subject=order.command, issuer=said.issuer, text=text)

    async def _pass_on(self, order: Order, said: Instruction, accepted: bool | None, text: str) -> None:
        """To the platform what the control process makes of a reactive request, whenever that is something new."""
        if said.action is not Action.REACTIVE or accepted is None:
            return
        _, found, more = text.partition(f": {said.reason}; ")
        words = more if found else text
        if self._passed_on.get(order.key) == (order.command, words):
            return
        self._passed_on[order.key] = (order.command, words)
        report = ordered(order.command, self._platform.link.ven_name, not accepted, words, said.id)
        waiting = Waiting(order.command, json.dumps(dump(report)), answers=True)
        await self._on_disk(lambda: self._opened.ledger.queue([waiting]))

    async def aclose(self) -> None:
        """Let go of the file and the thread; what was promised is on the disk already."""
        if self._desk is not None:
            self._thread.submit(self._desk.ledger.close)
        self._thread.shutdown(wait=True)

    async def _said(self, said: Instruction) -> tuple[bool | None, str]:
        try:
            return await self._port.say(said)
        except OSError as error:
            return None, f"no answer: {error}"

    async def _on_disk(self, work: Callable[[], object]) -> None:
        try:
            await self._ask(work)
        except sqlite3.Error as error:
            self._lost(f"the record of commands: {error}")

    def _read(self, document: Any, program: Program, account: str, events: dict[str, Event]) -> Command | Unreadable:
        named = document.get("id") if isinstance(document, dict) else None
        event_id = named[:_ID_MAX] if isinstance(named, str) else ""
        try:
            event = parse(Event, document)
            events[event.id] = event
            return to_command(event, program, account, self._reactive)
        except Malformed as error:
            return Unreadable(event_id, account, f"malformed: {error}", json.dumps(document))

    def _reply(self, verdict: Verdict, name: str) -> Waiting | None:
        """What the platform is told about its event, when it can still use it."""
        if verdict.over or verdict.command not in self._events:
            return None
        report = answer(verdict.command, self._platform.link.ven_name, verdict.reason, name)
        return Waiting(verdict.command, json.dumps(dump(report)), answers=True)

    async def _measure(self) -> None:
        """Put what the events in force ask for where it waits for the platform."""
        period = self._meter.take(utc_s(self._clock)) if self._events else None
        if period is None:
            return
        standing = {a.command.id for a in self._opened.commands.book.standing}
        name, sign = self._platform.link.ven_name, self._reactive.sign
        made = [measurements(self._site, e, name, period, sign) for e in self._events.values() if e.id in standing]
        waiting = [Waiting(one.eventID or "", json.dumps(dump(one)), answers=False) for one in made if one is not None]
        await self._on_disk(lambda: self._opened.ledger.queue(waiting))

    async def _report(self, client: VtnClient) -> None:
        """Say what waits, oldest first, each until the platform has it; a kill in between says the last one twice."""
        ledger = self._opened.ledger
        while (report := await self._ask(ledger.waiting)) is not None:
            try:
                await client.post("/reports", json.loads(report.text))
            except Declined as error:
                _log.warning("platform.report_declined", subject=report.about, reason=str(error))
            await self._ask(lambda: ledger.confirmed(report))

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
    def _opened(self) -> _Desk:
        if self._desk is None:
            raise NotOpen("the record of commands is not open")
        return self._desk

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is on the disk, behind one thread."""

    ledger: Ledger
    commands: CommandDesk
    orders: OrderBook

    @classmethod
    def of(cls, site: Site, ledger: Ledger, now: Now) -> _Desk:
        return cls(ledger, CommandDesk(site, ledger, now), OrderBook(ledger))


def _log_verdict(verdict: Verdict) -> None:
    if verdict.accepted:
        _log.info("platform.accepted", subject=verdict.command, issuer=verdict.issuer)
    else:
        _log.warning("platform.refused", subject=verdict.command, issuer=verdict.issuer, text=verdict.reason)
