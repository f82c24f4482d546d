"""The latest value of every point as the server reports changes, and the watch over the server's silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.opcua.deadline import deadline
from drivers.opcua.session.guard import field_faults
from drivers.opcua.session.limits import Ask, ServerLimits, batches
from drivers.opcua.session.protocol import LinkError, Note, RefusedError
from drivers.opcua.session.services import (
    CREATE_ITEMS,
    CREATE_SUBSCRIPTION,
    PUBLISH,
    Granted,
    Published,
    create_subscription_answer,
    create_subscription_request,
    monitor_answer,
    monitor_request,
    publish_answer,
    publish_request,
)
from drivers.opcua.values import NodeValue, has_changed
from drivers.tape.records import Kind

KEEP_ALIVE_S = 0.75
"""Wanted between two messages when nothing changes."""
KEEP_ALIVE_REVISED_MAX = 4.0 / 3.0
"""How much longer a server may make it."""
QUIET_S = 2.5
"""Silence after which the link counts as dead."""
LIFETIME_S = 10.0
"""How long the server keeps a subscription that we have abandoned."""
QUEUE = 1
"""Of a monitored item: only the newest value counts."""
PACE = 10.0
"""Messages are taken at most this many times as often as wished: a server does not decide how busy we are."""
_SEQUENCE_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Wish:
    """What we ask for, in machine seconds: changes every ``interval_s``, a sign of life every ``keep_alive_s``."""

    interval_s: float
    keep_alive_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """Values by point; all are from after ``sent_s`` and were complete at ``received_s`` (site seconds).

    ``moved`` names a point of which the server says that it is not what it was; empty when there is none.
    """

    values: Mapping[str, NodeValue]
    sent_s: float
    received_s: float
    moved: str = ""


class Messages:
    """What the messages of one subscription say, taken in the order in which they come.

    A value is as old as the publish request whose answer last spoke for it: the server can have made that answer only
    after the request was sent, and a message without the value says that it has not changed. Neither needs a clock of
    the server's.
    """

    def __init__(self, granted: Granted, names: list[str], monitored: int, now_s: float) -> None:
        """``names`` are the points by handle, of which the server monitors so many; ``now_s`` in site seconds."""
        self.values: dict[str, NodeValue] = {}
        self._granted = granted
        self._names = names
        self._monitored = monitored
        self._expected = 1
        self._as_of_s = self._received_s = now_s

    @property
    def complete(self) -> bool:
        """True when every monitored point has had a value."""
        return len(self.values) >= self._monitored

    @property
    def absent(self) -> list[str]:
        """Points that have no value yet."""
        return [name for name in self._names if name not in self.values]

    def heard(self) -> Heard:
        """What is known now."""
        return Heard(self.values, self._as_of_s, self._received_s)

    def take(self, message: Published, sent_s: float, received_s: float) -> None:
        """One message, to a request sent at ``sent_s`` (site seconds). Raises :class:`LinkError` at any doubt."""
        if message.subscription != self._granted.id:
            raise LinkError(f"message of subscription {message.subscription}; expected {self._granted.id}")
        self._check_sequence(message)
        for handle, value in message.changes.items():
            if handle >= len(self._names):
                raise LinkError(f"value of item {handle}, which nobody asked for")
            name = self._names[handle]
            self.values[name] = value
            if has_changed(value):  # said once; what comes next may be in another unit and does not say so
                raise LinkError(f"server says that unit, meaning or shape of {name} have changed; looking for it anew")
        if not message.more:
            self._as_of_s, self._received_s = max(self._as_of_s, sent_s), received_s

    def _check_sequence(self, message: Published) -> None:
        """Every message takes the next number; a keep-alive names the next one (some servers: the last)."""
        last = _SEQUENCE_MAX if self._expected == 1 else self._expected - 1
        right = (self._expected, last, 0) if message.keep_alive else (self._expected,)
        if message.sequence not in right:
            raise LinkError(f"message {message.sequence} came; expected {self._expected}: values were lost")
        if not message.keep_alive:
            self._expected = 1 if message.sequence == _SEQUENCE_MAX else message.sequence + 1


class Listening(Protocol):
    """What a subscription needs of the terms of its session."""

    @property
    def now_s(self) -> Callable[[], float]:
        """Tells site seconds."""

    @property
    def note(self) -> Note:
        """Who records."""


class Subscription:
    """One subscription of one session; ends at the first doubt, and then ``fault`` says why."""

    def __init__(
        self, ask: Ask, messages: Messages, terms: Listening, cut: Callable[[LinkError], None], wish: Wish
    ) -> None:
        """``messages`` gets what comes; ``cut`` ends the connection."""
        self.fault = ""
        self._ask = ask
        self._messages = messages
        self._terms = terms
        self._cut = cut
        self._pace_s = wish.interval_s / PACE
        self._acknowledge: list[tuple[int, int]] = []
        self._least_offset_s: float | None = None
        self._complete = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def first_values(self) -> None:
        """Wait until every point has its first value. Raises :class:`LinkError` when one does not come."""
        ended = asyncio.ensure_future(self._complete.wait())
        try:
            await asyncio.wait((ended, self._task), timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if not self._complete.is_set():
            absent = ", ".join(self._messages.absent[:5])
            raise LinkError(self.fault or f"no first value of {absent} within {QUIET_S:g} s")

    def check(self) -> None:
        """Raises :class:`LinkError` when the subscription has ended."""
        if self._task.done():
            if not self._task.cancelled():
                self._task.result()
            raise LinkError(self.fault or "the subscription has ended")

    def end(self) -> None:
        """Stop listening; safe to call twice."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._listen()
        except LinkError as fault:
            self.fault = str(fault)
            self._cut(fault)

    async def _listen(self) -> None:
        """Send a publish request and take its answer; one at a time, so that its sending bounds the values' age."""
        asked_s = asyncio.get_running_loop().time()
        sent_s, acknowledged = self._terms.now_s(), self._acknowledge
        self._acknowledge = []
        with field_faults("publish", None):
            try:
                async with deadline(QUIET_S):
                    reader = await self._ask(PUBLISH, publish_request(acknowledged))
            except TimeoutError:
                raise LinkError(f"the subscription has been quiet for {QUIET_S:g} s") from None
            received_s, arrived_s = self._terms.now_s(), asyncio.get_running_loop().time()
            message = await publish_answer(reader)
        self._check_lag(message, arrived_s)
        self._take(message, sent_s, received_s)
        await asyncio.sleep(max(0.0, asked_s + self._pace_s - arrived_s))

    def _take(self, message: Published, sent_s: float, received_s: float) -> None:
        self._messages.take(message, sent_s, received_s)
        self._terms.note(Kind.TAKEN, b"")
        if not message.keep_alive:
            self._acknowledge.append((message.subscription, message.sequence))
        if self._messages.complete:
            self._complete.set()

    def _check_lag(self, message: Published, arrived_s: float) -> None:
        """Messages that come ever later than they were made say that somebody between us and the server stores them."""
        if message.made_utc_s is None:
            return
        offset_s = arrived_s - message.made_utc_s
        least_s = offset_s if self._least_offset_s is None else min(offset_s, self._least_offset_s)
        self._least_offset_s = least_s
        if offset_s - least_s > QUIET_S:
            raise LinkError(f"messages come {offset_s - least_s:.1f} s late (or the server's clock was set)")


async def arrange(
    ask: Ask, nodes: Mapping[str, bytes], wish: Wish, limits: ServerLimits
) -> tuple[Granted, dict[str, str]]:
    """A subscription to every node, and the points that the server does not monitor, with why.

    Raises :class:`RefusedError` when the server turns it down or makes too little
    of it: there is another way to read, and the session is still good.
    """
    keep_alive_count = max(1, round(wish.keep_alive_s / wish.interval_s))
    lifetime_count = max(3 * keep_alive_count, round(LIFETIME_S / wish.interval_s))
    request = create_subscription_request(wish.interval_s, keep_alive_count, lifetime_count)
    granted = create_subscription_answer(await ask(CREATE_SUBSCRIPTION, request))
    _check_granted(granted, wish)
    problems: dict[str, str] = {}
    for batch in batches(list(enumerate(nodes.items())), limits.items):
        problems |= await _monitor(ask, granted.id, batch, wish.interval_s)
    if problems.keys() == nodes.keys():
        raise RefusedError(f"monitor: the server monitors nothing: {next(iter(problems.values()), 'no points')}")
    return granted, problems


async def _monitor(
    ask: Ask, subscription: int, batch: Sequence[tuple[int, tuple[str, bytes]]], interval_s: float
) -> dict[str, str]:
    """Create monitored items; what is wrong with which."""
    items = [(handle, node) for handle, (_, node) in batch]
    request = monitor_request(subscription, items, interval_s, QUEUE)
    made = monitor_answer(await ask(CREATE_ITEMS, request), len(items))
    return {name: made[at].problem for at, (_, (name, _)) in enumerate(batch) if made[at].problem}


def _check_granted(granted: Granted, wish: Wish) -> None:
    """What a server revises is checked, never assumed."""
    slowest_s = KEEP_ALIVE_REVISED_MAX * max(wish.interval_s, wish.keep_alive_s)
    if not 0.0 < granted.publishing_s <= slowest_s:
        raise RefusedError(f"subscribe: server publishes every {granted.publishing_s:g} s; expected {slowest_s:g} s")
    if not 0.0 < granted.keep_alive_s <= slowest_s:
        raise RefusedError(f"subscribe: server keeps alive every {granted.keep_alive_s:g} s; expected {slowest_s:g} s")
    if granted.lifetime_count * granted.publishing_s < QUIET_S:
        raise RefusedError(f"subscribe: server forgets after {granted.lifetime_count * granted.publishing_s:g} s")
