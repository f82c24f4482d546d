"""What the national market activates: asked for, judged, ordered from the control process, measured and settled.

Everything is on the disk before anybody is told, in this order: the activation with its plan, the verdict with the book
of commands, the order to the control process, the answer to the market, the settlement. A station that is killed
between any two goes on there: an activation is planned, judged and delivered once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from controller.balancing.admission import Now, without_expired
from controller.balancing.command import Command
from controller.balancing.desk import CommandDesk, Unreadable
from controller.balancing.ledger import Ledger
from controller.balancing.national.activation import (
    Sold,
    named,
    read_activation,
    read_sold,
    refusal,
)
from controller.balancing.national.before import BEFORE_S, Before
from controller.balancing.national.client import activations, tell
from controller.balancing.national.memory import REFUSED, TAKEN, Asked, Memory
from controller.balancing.national.settling import dump_plan, dump_settlement, is_measured, load_plan, settle
from controller.balancing.national.sharing import Plan, plan_of, to_command
from controller.balancing.openadr.strict_json import Malformed
from controller.balancing.order_book import OrderBook
from controller.balancing.order_port import OrderPort
from controller.balancing.orders import wanted
from controller.clock import utc_s
from controller.domain.instruction import Instruction
from controller.domain.national import Tender
from controller.domain.site import Site
from controller.history.measured import measured_mean_w
from controller.ports import Clock

_log = structlog.get_logger()

T = TypeVar("T")

MEASURED_S = 86_400.0
"""So long after its end an activation waits for what was measured; then what nobody measured was not delivered."""
TELL_S = 7.0 * 86_400.0
"""So long the market is told what it did not confirm."""

ACTIVATIONS_MAX = 1000
"""Of one bid; who lists more is not listened to any further."""

Claims = Callable[[float, float], Awaitable[Mapping[str, str]]]
"""Units that local services have between two instants (UTC seconds since 1970), and which service."""


class Delivery:
    """One site's activations; memory and record of commands belong to ``thread``.

    Raises OSError, sqlite3.Error or ValueError when something cannot go on for now: it is tried again.
    """

    def __init__(self, site: Site, tender: Tender, clock: Clock, data: Path, port: OrderPort, claims: Claims) -> None:
        self._site, self._tender, self._clock, self._data = site, tender, clock, data
        self._port, self._claims = port, claims
        self._before = Before(frozenset(tender.units))
        self._files: _Files | None = None

    def take(self, record: Mapping[str, Any]) -> None:
        """The newest record of the control process."""
        self._before.add(record, self._clock.now_s())

    def open(self, memory: Memory, folder: Path, thread: ThreadPoolExecutor) -> None:
        """In that thread: open the record of commands beside the memory. Raises OSError or sqlite3.Error."""
        self._files = files = _Files(memory, Ledger(folder), self._site, self._tender, self._now(), thread)
        for trouble in filter(None, (files.commands.trouble, files.orders.trouble)):
            _log.error("platform.book_refused", reason=trouble)

    def close(self) -> None:
        """In that thread: let go of the record of commands."""
        if self._files is not None:
            self._files.ledger.close()

    async def poll(self, record: Callable[[], Mapping[str, Any]], request_s: float) -> None:
        """Ask what is activated of every bid that lives, and judge what is new; ``record`` gives the newest one."""
        memory, now_utc_s = self._opened.memory, self._now().utc_s
        for bid in await self._ask(partial(memory.live, now_utc_s)):
            sold = read_sold(bid.document)
            if now_utc_s < sold.until_utc_s:
                for entry in await activations(self._tender, sold.id, request_s):
                    await self._hear(entry, sold, record)

    async def judge(self) -> None:
        """Judge what is planned, and what an earlier life has left undecided."""
        memory = self._opened.memory
        for asked in await self._ask(memory.undecided):
            fate, reason = await self._ask(partial(self._judged, asked))
            await self._ask(partial(memory.decide, asked.id, fate, reason))
            if fate == TAKEN:
                _log.info("national.activated", subject=asked.id, w=_most_w(asked), missing=reason)
            else:
                _log.warning("national.refused", subject=asked.id, reason=reason)

    async def answer(self, request_s: float) -> None:
        """Tell the market what became of its activations, and what was delivered, until it knows."""
        memory, since_utc_s = self._opened.memory, self._now().utc_s - TELL_S
        for asked in await self._ask(partial(memory.unanswered, since_utc_s)):
            await tell(self._tender, f"{quote(asked.bid)}/activations/{asked.id}", asked.id, _answer(asked), request_s)
            await self._ask(partial(memory.answered, asked.id))
        for asked in await self._ask(partial(memory.untold, since_utc_s)):
            path = f"{quote(asked.bid)}/settlements/{asked.id}"
            await tell(self._tender, path, asked.id, asked.settlement, request_s)
            await self._ask(partial(memory.told, asked.id))

    async def order(self) -> None:
        """Tell the control process what is due; an answer that does not come is asked for again later.

        What was taken is said also while the disk refuses to keep that it was; that is raised when all is said.
        """
        now, files, troubles = self._now(), self._opened, []
        troubles.append(await self._refused(partial(files.commands.expire, now)))
        standing, _ = without_expired(files.commands.book, now)
        orders = wanted(self._site, standing, now, files.orders.told(), self._tender)
        for order, said in files.orders.due(self._tender, orders, now):
            troubles.append(await self._refused(partial(files.orders.saying, order, said, now)))
            accepted, text = await self._said(said)
            troubles.append(await self._refused(partial(files.orders.answered, order, said, accepted, text, now)))
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

    async def settle(self) -> None:
        """Settle what is over and measured."""
        memory, now_utc_s = self._opened.memory, self._now().utc_s
        for asked in await self._ask(memory.unsettled):
            activation, plan = read_activation(json.loads(asked.document)), load_plan(asked.plan)
            if now_utc_s < activation.ends_utc_s:
                continue
            measured_w = partial(measured_mean_w, self._data)
            known = await asyncio.to_thread(is_measured, activation, plan, measured_w)
            if not known and now_utc_s < activation.ends_utc_s + MEASURED_S:
                continue
            sold = await self._ask(partial(self._sold, asked.bid))
            settled = await asyncio.to_thread(settle, activation, plan, sold, self._tender.penalty_factor, measured_w)
            await self._ask(partial(memory.settled, asked.id, dump_settlement(settled)))
            _log.info("national.settled", subject=asked.id, share=settled.delivered_frac, net=settled.net_eur)

    async def _hear(self, entry: Mapping[str, Any], sold: Sold, record: Callable[[], Mapping[str, Any]]) -> None:
        """One entry of the list: planned and kept when it is new. Raises ValueError while nobody knows the units."""
        memory, name, text = self._opened.memory, named(entry), json.dumps(entry, sort_keys=True)
        known = await self._ask(partial(memory.activation, name))
        if known is not None and known.document == text:
            return
        if known is not None or not name:
            reason = "replayed: it was said before in other words" if name else "malformed: it has no id"
            await self._ask(partial(self._refuse, Unreadable(name, self._tender.desk.account, reason, text)))
            return
        if len(await self._ask(partial(memory.activations, sold.id))) >= ACTIVATIONS_MAX:
            raise ValueError(f"{ACTIVATIONS_MAX} activations of {sold.id} are known; expected fewer of one bid")
        plan, reason = await self._planned(entry, sold, record)
        kept = "" if plan is None else dump_plan(plan)
        asked = Asked(name, sold.id, self._now().utc_s, text, kept, reason=reason)
        await self._ask(partial(memory.hear, asked))

    async def _planned(
        self, entry: Mapping[str, Any], sold: Sold, record: Callable[[], Mapping[str, Any]]
    ) -> tuple[Plan | None, str]:
        """How it is delivered, or why it is not."""
        now = self._now()
        try:
            asked = read_activation(entry)
        except Malformed as error:
            return None, f"malformed: {error}"
        why = refusal(asked, sold, now.utc_s)
        if why:
            return None, why
        newest, claims = record(), await self._claims(asked.begins_utc_s, asked.ends_utc_s)
        before_w = self._before.means_w(now.now_s) | await self._ask(partial(self._began_from_w, sold, now.utc_s))
        plan = plan_of(self._site, newest, asked, sold, before_w, claims)
        return plan, plan.reason

    def _began_from_w(self, sold: Sold, now_utc_s: float) -> dict[str, float]:
        """Baselines of activations of the bid that are not over, or so lately that the units may still come back."""
        out: dict[str, float] = {}
        for earlier in self._opened.memory.activations(sold.id):
            if earlier.fate == TAKEN:
                over = read_activation(json.loads(earlier.document)).ends_utc_s <= now_utc_s - BEFORE_S
                out |= {} if over else load_plan(earlier.plan).baseline_w
        return out

    def _judged(self, asked: Asked) -> tuple[str, str]:
        """Fate and reason, by the desk's verdict: a new one, or what the record of an earlier life says."""
        account, files = self._tender.desk.account, self._opened
        verdicts = files.commands.judge([_as_said(asked, account)], self._now())
        if verdicts:
            accepted, why = verdicts[0].accepted, verdicts[0].reason
        else:
            word, why = files.ledger.verdict_on(account, asked.id) or (REFUSED, "nobody knows how it was judged")
            accepted = word == "accepted"
        return (TAKEN, asked.reason) if accepted else (REFUSED, why)

    def _sold(self, bid_id: str) -> Sold:
        bid = self._opened.memory.find(bid_id)
        if bid is None:
            raise ValueError(f"bid {bid_id} of an activation is not on the disk; expected every bid that was offered")
        return read_sold(bid.document)

    def _refuse(self, said: Unreadable) -> None:
        for verdict in self._opened.commands.judge([said], self._now()):
            _log.warning("national.refused", subject=said.id, reason=verdict.reason)

    async def _said(self, said: Instruction) -> tuple[bool | None, str]:
        try:
            return await self._port.say(said)
        except OSError as error:
            return None, f"no answer: {error}"

    def _now(self) -> Now:
        return Now(utc_s(self._clock), self._clock.now_s())

    @property
    def _opened(self) -> _Files:
        if self._files is None:
            raise RuntimeError("the record of activations is not open; expected open() first")
        return self._files

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._opened.thread, work)


class _Files:
    """What is on the disk, behind one thread."""

    def __init__(
        self, memory: Memory, ledger: Ledger, site: Site, tender: Tender, now: Now, thread: ThreadPoolExecutor
    ) -> None:
        self.memory, self.ledger, self.thread = memory, ledger, thread
        self.commands = CommandDesk(site, ledger, now, tender)
        self.orders = OrderBook(ledger)


def _as_said(asked: Asked, account: str) -> Command | Unreadable:
    """As the desk of commands judges it: always the same for the same activation."""
    if not asked.plan:
        return Unreadable(asked.id, account, asked.reason, asked.document)
    return to_command(read_activation(json.loads(asked.document)), load_plan(asked.plan), account)


def _answer(asked: Asked) -> str:
    """What the market is told: whether it is taken, and how much of each period."""
    periods: list[dict[str, float]] = []
    if asked.fate == TAKEN:
        activation, plan = read_activation(json.loads(asked.document)), load_plan(asked.plan)
        periods = [
            {"from_utc_s": period.from_utc_s, "until_utc_s": period.until_utc_s, "w": round(abs(w))}
            for period, w in zip(activation.periods, plan.taken_w, strict=True)
        ]
    return json.dumps({"id": asked.id, "taken": asked.fate == TAKEN, "reason": asked.reason, "periods": periods})


def _most_w(asked: Asked) -> int:
    taken_w = load_plan(asked.plan).taken_w
    return round(min(taken_w) if taken_w[0] < 0.0 else max(taken_w))
