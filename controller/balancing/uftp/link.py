"""The market in the station process: both ends of the wire, the planner's clock, and orders for the control process.

Desk, memory and record of orders belong to one thread, forecast and projection to another; the loop waits for neither.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from controller.balancing.admission import Now
from controller.balancing.ledger import Ledger
from controller.balancing.lookout import Blind, Lookout
from controller.balancing.order_book import OrderBook
from controller.balancing.order_port import OrderPort
from controller.balancing.uftp import wire
from controller.balancing.uftp.delivery import Delivery, baseline_of, deliveries
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.endpoint import Endpoint
from controller.balancing.uftp.memory import Memory, Said
from controller.balancing.uftp.planner import Moved, ask_who_is_active, move, publish_portfolio
from controller.balancing.uftp.reminders import KINDS, Reminders
from controller.balancing.uftp.rounds import Rounds
from controller.balancing.uftp.sender import Sender
from controller.balancing.uftp.tls import inward_tls, outward_tls
from controller.balancing.uftp.values import day_of
from controller.clock import utc_s
from controller.domain.instruction import Instruction
from controller.domain.market import Marketplace
from controller.domain.site import Site
from controller.durable_file import NotOpen
from controller.estimation.layout import Layout
from controller.grid.model import PowerFlowError
from controller.planning.calendar import Calendar
from controller.planning.projection import Projection
from controller.planning.schedule import Slot
from controller.planning.settlement import Proof
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

T = TypeVar("T")

FOLDER = "market"
ORDERS_S = 1.0
"""Period of looking what the control process has to be told."""
SETTLE_DAYS = 7
"""How many days back are settled as soon as everything is known."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What participants have said to deliver from a day on, and their D-Prognoses of it."""

    day: date
    slots: tuple[Slot, ...]
    prognoses_w: Mapping[str, Mapping[int, float]]


class Sight(Protocol):
    """What the planner sees of the site and of its coming hours: a :class:`Lookout`, or what stands for it."""

    layout: Layout
    calendar: Calendar

    def look(self, now_utc_s: float) -> Projection:
        """The projection from now on. Raises Blind, sqlite3.Error, or PowerFlowError."""
        ...

    def proof(self) -> Proof:
        """What is known of the units for a settlement. Raises ValueError."""
        ...


class MarketLink:
    """One site on its market. Without a ``port`` orders are sent to participants, but none to the control process.

    ``sight`` is the look at the station's history unless another is given.

    Raises OSError for a file that cannot be read, ValueError for a signing key that is none.
    """

    def __init__(
        self,
        site: Site,
        place: Marketplace,
        clock: Clock,
        data: Path,
        port: OrderPort | None,
        sight: Sight | None = None,
    ) -> None:
        self._site, self._place, self._clock, self._port = site, place, clock, port
        self._folder = data / FOLDER
        self._key = _signing_key(Path(place.wire.signing_key_file))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="market")
        self._thinking = ThreadPoolExecutor(1, thread_name_prefix="lookout")
        self._lookout: Sight = sight or Lookout(site, data, place.rules.time_zone, place.timetable.horizon_s)
        self._sender = Sender(
            self._waiting,
            self._attempted,
            self._seal,
            lambda: place.rules.participants,
            clock,
            lambda: outward_tls(place.wire),
        )
        outward_tls(place.wire)  # files that cannot be used are told now, not with the first order
        self._inward = inward_tls(place.wire)
        tls = None if self._inward is None else self._inward.context
        self.endpoint = Endpoint(place.wire.host, place.wire.port, self._receive, tls)
        self._files: tuple[Memory, Ledger] | None = None
        self._desk: Desk | None = None
        self._book: OrderBook | None = None
        self._standing: _Standing | None = None
        self._troubles: dict[str, str] = {}
        self._short: dict[str, str] = {}
        self._reminders = Reminders()

    async def open(self) -> None:
        """Open the memory, then listen. Raises OSError or sqlite3.Error."""
        await self._ask(self._open_files)
        await self.endpoint.open()
        _log.info("market.opened", port=self.endpoint.port, participants=len(self._place.rules.participants))

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name."""
        out: dict[str, Work] = {"market-sender": self._sender.run, "market-planner": self.run_planner}
        return out if self._port is None else out | {"market-orders": self.run_orders}

    async def aclose(self) -> None:
        """Stop listening and let go of the files; what was promised is on the disk already."""
        await self.endpoint.aclose()
        for file in self._files or ():
            if (trouble := await self._refused(file.close)) is not None:
                self._tell("memory", str(trouble))
        self._thinking.shutdown(wait=True)
        self._thread.shutdown(wait=True)

    async def run_planner(self) -> None:
        """Look, ask, order and settle until cancelled: by its period, and when a deadline has passed."""
        while True:
            again_utc_s = await self.plan()
            left_s = min(again_utc_s - utc_s(self._clock), self._place.timetable.plan_s)
            await asyncio.sleep(self._clock.real_s(max(left_s, 0.0) + 0.1 if math.isfinite(left_s) else 60.0))

    async def plan(self) -> float:
        """One look at the market; the instant (UTC seconds since 1970) of the next deadline."""
        now_utc_s = utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            self._tell("plan", "nobody knows the time of day")
            return math.inf
        loop = asyncio.get_running_loop()
        try:
            await self._ask(lambda: self._ask_operators(now_utc_s))
            projected = await loop.run_in_executor(self._thinking, self._lookout.look, now_utc_s)
            moved = await self._ask(lambda: self._move(projected, now_utc_s))
            await self._settle(now_utc_s)
        except (Blind, PowerFlowError, sqlite3.Error, ValueError) as error:
            self._tell("plan", f"{type(error).__name__}: {error}")
            return math.inf
        self._tell("plan", "")
        self._standing = None
        self._log_moved(moved)
        self._sender.wake()
        return moved.look_again_utc_s

    async def run_orders(self) -> None:
        """Tell the control process what is in force, until cancelled; nobody on the market is needed for it."""
        while True:
            try:
                await self.order()
                self._tell("orders", "")
            except sqlite3.Error as error:
                self._tell("orders", str(error))
            await asyncio.sleep(self._clock.real_s(ORDERS_S))

    async def claims(self, from_utc_s: float, until_utc_s: float) -> dict[str, str]:
        """Units behind orders of that time that were not turned down."""
        return await self._ask(lambda: self._claims(from_utc_s, until_utc_s))

    def _claims(self, from_utc_s: float, until_utc_s: float) -> dict[str, str]:
        rounds, participants = self._rounds(), self._place.rules.participants
        days = sorted({self._today(at_s) for at_s in (from_utc_s, until_utc_s)})
        slots = [slot for day in days for slot in rounds.slots(day)]
        return {
            unit: f"order {slot.order} of {slot.participant}"
            for slot in slots
            if slot.start_utc_s < until_utc_s and from_utc_s < slot.end_utc_s and slot.participant in participants
            for unit in participants[slot.participant].units
        }

    async def order(self) -> None:
        """Say what is due; an answer that does not come is asked for again later.

        What was ordered is said also while the disk refuses to keep that it was; that is raised when all is said.
        """
        now, troubles = Now(utc_s(self._clock), self._clock.now_s()), []
        if self._port is None or not math.isfinite(now.utc_s):
            return
        delivery = await self._ask(lambda: self._deliveries(now.utc_s))
        for who in self._place.rules.participants:
            self._tell(f"delivery of {who}", delivery.obstacles.get(who, ""))
        for order, said in await self._ask(lambda: self._opened[1].due(self._place, delivery.orders, now)):
            troubles.append(await self._refused(partial(self._opened[1].saying, order, said, now)))
            accepted, text = await self._said(self._port, said)
            troubles.append(await self._refused(partial(self._opened[1].answered, order, said, accepted, text, now)))
            if not accepted:
                _log.warning("platform.not_ordered", subject=order.command, issuer=said.issuer, text=text)
        for trouble in filter(None, troubles):
            raise trouble

    async def _refused(self, work: Callable[[], object]) -> sqlite3.Error | None:
        """Why the disk did not keep it."""
        try:
            await self._ask(work)
        except sqlite3.Error as error:
            return error
        return None

    async def _said(self, port: OrderPort, said: Instruction) -> tuple[bool | None, str]:
        try:
            return await port.say(said)
        except OSError as error:
            return None, f"no answer: {error}"

    def _open_files(self) -> None:
        with ExitStack() as on_failure:
            memory = on_failure.enter_context(closing(Memory(self._folder)))
            self._files = memory, Ledger(self._folder)
            on_failure.pop_all()
        self._desk, self._book = Desk(self._place.rules, memory), OrderBook(self._files[1])

    def _move(self, projected: Projection, now_utc_s: float) -> Moved:
        return move(self._opened[0], self._rounds(), self._place.timetable, projected, now_utc_s)

    def _ask_operators(self, now_utc_s: float) -> None:
        """The common reference operators need no projection."""
        desk, today = self._opened[0], self._today(now_utc_s)
        publish_portfolio(desk, today, now_utc_s)
        ask_who_is_active(desk, today, now_utc_s)

    def _rounds(self) -> Rounds:
        lookout = self._lookout
        return Rounds(self._opened[0], lookout.layout, lookout.calendar, self._place.shortfall_eur_per_mwh)

    async def _settle(self, now_utc_s: float) -> None:
        """Settle the days that are over and of which everything is known by now."""
        today = self._today(now_utc_s)
        days = [today - timedelta(days=back) for back in range(1, SETTLE_DAYS + 1)]
        due = await self._ask(lambda: [day for day in days if self._rounds().unsettled(day)])
        if not due:
            return
        proof = await asyncio.get_running_loop().run_in_executor(self._thinking, self._lookout.proof)
        for day in due:
            settled = await self._ask(lambda: self._rounds().settle(day, proof, now_utc_s))  # noqa: B023
            lacking = "; ".join(f"{one.order.reference}: {one.reason}" for one in settled if one.result is None)
            self._tell(f"settlement of {day}", lacking)
            for one in settled:
                if one.result is not None:
                    _log.info("market.settled", to=one.participant, order=one.order.reference, net=one.result.net_eur)

    def _deliveries(self, now_utc_s: float) -> Delivery:
        today = self._today(now_utc_s)
        rules, standing = self._place.rules, self._standing
        if standing is None or standing.day != today:
            self._standing = standing = self._read_standing(today)
        isp = day_of(now_utc_s, rules.isp_s, rules.time_zone, rules.congestion_point).isp_at(now_utc_s)
        baselines = {
            domain: baseline_of(self._site, who, standing.prognoses_w.get(domain, {}), isp)
            for domain, who in rules.participants.items()
        }
        return deliveries(self._site, self._place.desk.account, standing.slots, baselines, now_utc_s)

    def _read_standing(self, today: date) -> _Standing:
        rounds, (desk, _) = self._rounds(), self._opened
        days = (today, today + timedelta(days=1))
        slots = tuple(slot for day in days for slot in rounds.slots(day, taken=True))
        return _Standing(today, slots, {who: desk.baseline_w(who, today) for who in self._place.rules.participants})

    def _today(self, now_utc_s: float) -> date:
        rules = self._place.rules
        return day_of(now_utc_s, rules.isp_s, rules.time_zone, rules.congestion_point).period

    async def _receive(self, body: bytes) -> int:
        now_utc_s = utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            return HTTPStatus.SERVICE_UNAVAILABLE
        try:
            verdict = await self._ask(lambda: self._opened[0].hear(body, now_utc_s))
        except wire.Unreadable as error:
            _log.warning("market.refused", sender="", kind="", reason=str(error))
            return error.status
        except sqlite3.Error as error:
            self._tell("memory", str(error))
            return HTTPStatus.SERVICE_UNAVAILABLE
        self._tell("memory", "")
        if verdict.reason:
            _log.warning("market.refused", sender=verdict.sender, kind=verdict.kind, reason=verdict.reason)
        else:
            _log.info("market.heard", sender=verdict.sender, kind=verdict.kind)
        self._standing = None
        self._sender.wake()
        return HTTPStatus.OK

    async def _waiting(self) -> list[Said]:
        if self._inward is not None:
            self._tell("certificate", await asyncio.to_thread(self._inward.renew))
        try:
            for said in await self._ask(self._said_again):
                _log.warning("market.unanswered", to=said.recipient, kind=said.kind, subject=said.message_id)
            return await self._ask(self._memory.waiting)
        except sqlite3.Error as error:
            self._tell("memory", str(error))
            return []

    def _said_again(self) -> list[Said]:
        """What arrived and was not answered goes out once more."""
        due = self._reminders.due(self._memory.unanswered(KINDS, utc_s(self._clock)), self._clock.now_s())
        for said in due:
            self._memory.say_again(said.message_id)
        return due

    async def _attempted(self, message_id: str, fate: str) -> None:
        try:
            await self._ask(lambda: self._memory.attempted(message_id, fate))
        except sqlite3.Error as error:
            self._tell("memory", str(error))

    def _seal(self, text: bytes) -> bytes:
        return wire.seal(text, self._place.rules.domain, self._key)

    def _log_moved(self, moved: Moved) -> None:
        for asked in moved.asked:
            _log.info("market.asked", to=sorted(asked), need_w=round(moved.need_w))
        for order in moved.orders:
            most_w = max(order.ordered_w.values(), key=abs)
            _log.info("market.ordered", subject=order.reference, w=round(most_w), price=order.price)
        for option, reason in sorted(moved.not_taken.items()):
            _log.info("market.not_taken", subject=option, reason=reason)
        for kept in moved.released:
            most_w = max(kept.power_w.values(), key=abs)
            _log.info("market.reserved", subject=kept.contract, period=str(kept.day.period), w=round(most_w))
        for reference in sorted(moved.short.keys() - self._short.keys()):
            _log.warning("market.short", subject=reference, reason=moved.short[reference])
        for reference in sorted(self._short.keys() - moved.short.keys()):
            _log.info("market.whole", subject=reference)
        self._short = moved.short

    def _tell(self, what: str, trouble: str) -> None:
        """To the log, when it is something new."""
        before, self._troubles[what] = self._troubles.get(what, ""), trouble
        if trouble and trouble != before:
            _log.warning("market.stuck", subject=what, reason=trouble)
        elif before and not trouble:
            _log.info("market.unstuck", subject=what)

    @property
    def _opened(self) -> tuple[Desk, OrderBook]:
        if self._desk is None or self._book is None:
            raise NotOpen("the memory of the market is not open")
        return self._desk, self._book

    @property
    def _memory(self) -> Memory:
        if self._files is None:
            raise NotOpen("the memory of the market is not open")
        return self._files[0]

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _signing_key(file: Path) -> str:
    try:
        return wire.read_secret(file.read_text("ascii"))
    except ValueError as error:
        raise ValueError(f"market.signing_key {file}: {error}") from error
