"""What a session knows of the points of a profile: found anew, read or told, written."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.delivery import INTERVAL_S_MAX, INTERVAL_S_MIN, wants_subscription
from drivers.opcua.session.cross_check import CrossCheck
from drivers.opcua.session.facts import CHECK_S, Facts
from drivers.opcua.session.guard import field_faults
from drivers.opcua.session.limits import Ask, ServerLimits, batches, server_limits
from drivers.opcua.session.nodes import Found, Resolver
from drivers.opcua.session.protocol import LinkError, Note, RefusedError, unrecorded
from drivers.opcua.session.services import (
    READ,
    WRITE,
    read_answer,
    read_request,
    read_value_id,
    write_answer,
    write_value,
)
from drivers.opcua.session.subscription import KEEP_ALIVE_S, Heard, Messages, Wish, arrange
from drivers.opcua.values import NodeValue, has_changed
from drivers.profile import PointSpec, Profile
from drivers.tape.records import Kind

RESOLVE_AGAIN_S = 10.0
"""How soon points that were not found are looked for again in the same session."""

_VALUE_AND_NAME = (int(AttributeIds.Value), int(AttributeIds.BrowseName))
"""Read together: a node that was given to something else is noticed in the very answer that brings its value."""
_NODE_IS_GONE = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)


_T = TypeVar("_T")


class UnresolvedError(Exception):
    """A point that is to be written was not found on the server, or is not what the profile says."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a session is to be held; durations in machine seconds, ``now_s`` tells site seconds.

    ``session_s`` is how long the server keeps the session unused, ``interval_s`` how often values are wanted,
    ``stale_s`` how old they may get, ``delivery`` how they come (:mod:`drivers.opcua.delivery`), ``note`` who records,
    and ``number`` which session of its device it is.
    """

    within_s: float
    session_s: float
    interval_s: float
    stale_s: float
    now_s: Callable[[], float]
    delivery: str = "auto"
    note: Note = unrecorded
    number: int = 0


class Points:
    """The nodes that the profile's points are on a server, asked through ``ask``.

    ``problems`` says for every point that cannot be used why. Every method raises :class:`LinkError` for a fault;
    nothing of it is of use then.
    """

    def __init__(self, ask: Ask, profile: Profile, terms: Terms) -> None:
        self._ask = ask
        self._profile = profile
        self._terms = terms
        self._limits = ServerLimits()
        self._nodes: Mapping[str, bytes] = {}
        self._names: list[tuple[int, str]] = []
        self._requests: list[tuple[int, bytes]] = []
        self._flagged: set[str] = set()
        self._found = Found({}, {}, {})
        self._facts = Facts((), self._limits)
        self._cross_check = CrossCheck({}, self._limits)
        self._check_at_s = 0.0
        self._messages: Messages | None = None
        self._resolve_at_s = math.inf
        self.problems: Mapping[str, str] = {}

    async def settle(self) -> None:
        """Learn what the server takes, find the points, subscribe."""
        with field_faults("browse", None):
            self._limits = await server_limits(self._ask)
        await self._fitting(self.resolve)
        if not self._nodes or not self._wants_subscription():
            return
        try:
            await self._subscribe()
        except RefusedError:
            if self._terms.delivery == "subscription":
                raise

    @property
    def subscribed(self) -> bool:
        """True when the server reports changes by itself."""
        return self._messages is not None

    async def resolve(self) -> None:
        """Find the node of every point by namespace URI and browse path and check that it is what the profile says."""
        with field_faults("browse", None):
            found = await Resolver(self._ask, self._profile, self._limits).run()
        if self._messages is not None and found.nodes != self._nodes:
            raise LinkError("the server's nodes have changed; subscribing anew")
        self._nodes, self.problems = found.nodes, found.problems
        self._names = [found.names[name] for name in found.nodes]
        self._flagged.clear()
        self._found = found
        self._cut_requests()
        self._check_at_s = self._loop_s() + CHECK_S
        self._resolve_at_s = self._loop_s() + RESOLVE_AGAIN_S if self.problems else math.inf

    def _cut_requests(self) -> None:
        """As much in a call as the server takes."""
        nodes = self._found.nodes.values()
        items = [read_value_id(node, attribute) for node in nodes for attribute in _VALUE_AND_NAME]
        self._requests = [(len(batch), read_request(batch)) for batch in batches(items, self._limits.reads)]
        self._facts = Facts(self._found.facts, self._limits)
        self._cross_check = CrossCheck(self._found.nodes, self._limits)

    async def _fitting(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """What ``work`` returns, with less in a call each time that the server says it was too much."""
        while True:
            try:
                return await work()
            except RefusedError as refusal:
                smaller = self._limits.halved()
                if refusal.status & 0xFFFF_0000 != StatusCodes.BadTooManyOperations or smaller == self._limits:
                    raise
                self._limits = smaller
                self._cut_requests()

    async def read(self) -> Heard:
        """The value of every point that was found; looking again for those that were not comes first, when due."""
        if self._loop_s() > self._resolve_at_s:
            await self.resolve()
        heard = await self._fitting(self._believed)
        if any(value.status & 0xFFFF_0000 in _NODE_IS_GONE for value in heard.values.values() if value.status):
            self._resolve_at_s = min(self._resolve_at_s, self._loop_s() + RESOLVE_AGAIN_S)
        self._terms.note(Kind.LOOKED, b"")
        return heard

    async def write(self, writes: Sequence[tuple[PointSpec, float]]) -> list[NodeValue]:
        """One Write; a status per point, in order, as a :class:`NodeValue` without a value."""
        unresolved = [spec.name for spec, _ in writes if spec.name not in self._nodes]
        if unresolved:
            raise UnresolvedError("; ".join(f"{name}: {self.problems.get(name, 'unknown')}" for name in unresolved))
        statuses: list[NodeValue] = []
        with field_faults("write", None):
            for batch in batches(writes, self._limits.writes):
                items = [write_value(self._nodes[spec.name], spec.type, raw) for spec, raw in batch]
                request = len(items).to_bytes(4, "little") + b"".join(items)
                statuses += write_answer(await self._ask(WRITE, request), len(items))
        return statuses

    def _wants_subscription(self) -> bool:
        terms = self._terms
        return wants_subscription(terms.delivery, len(self._nodes), terms.interval_s, self._limits.sampling_s_min)

    async def _subscribe(self) -> None:
        """Let the server report changes. Raises :class:`RefusedError` when it does not, or too slowly."""
        interval_s = min(INTERVAL_S_MAX, max(INTERVAL_S_MIN, self._terms.interval_s))
        wish = Wish(interval_s, min(KEEP_ALIVE_S, self._terms.stale_s / 4.0))
        with field_faults("subscribe", None):
            granted, problems = await arrange(self._ask, self._nodes, wish, self._limits)
            names, monitored = list(self._nodes), len(self._nodes) - len(problems)
            self._messages = Messages(granted, names, monitored, self._terms.now_s())
            await self._listen(self._messages, wish)
        self.problems = {**self.problems, **problems}

    async def _listen(self, messages: Messages, wish: Wish) -> None:
        """Take messages from now on; over when every point has its first value."""
        raise NotImplementedError

    async def _believed(self) -> Heard:
        """Values of nodes that still are what they were found to be; where they are not, they are found anew first."""
        heard = await self._values()
        if not heard.moved and (not self._check_is_due() or await self._facts_hold()):
            return heard
        await self.resolve()
        heard = await self._values()
        if heard.moved:
            raise LinkError(f"{heard.moved} is not what it was when the points were found; looking for them anew")
        return heard

    async def _facts_hold(self) -> bool:
        self._check_at_s = self._loop_s() + CHECK_S
        with field_faults("look at the points again", None):
            hold = await self._facts.still_hold(self._ask)
            if hold and self._messages is not None:
                await self._cross_check.look(self._ask, self._messages.values)
            return hold

    def _check_is_due(self) -> bool:
        return self._loop_s() > self._check_at_s

    async def _values(self) -> Heard:
        return await self._read_all() if self._messages is None else self._messages.heard()

    async def _read_all(self) -> Heard:
        sent_s = self._terms.now_s()
        answers: list[NodeValue] = []
        with field_faults("read", None):
            for expected, request in self._requests:
                answers += await read_answer(await self._ask(READ, request), expected)
        values = dict(zip(self._nodes, answers[::2], strict=True))
        return Heard(values, sent_s, self._terms.now_s(), self._moved(values, answers[1::2]))

    def _moved(self, values: Mapping[str, NodeValue], names: Sequence[NodeValue]) -> str:
        """A point with a value of a node that is called otherwise, or of which was said that it has changed.

        As long as a server says so the value is bad anyhow; when it ceases to, the point has to be looked at.
        """
        called = zip(values.items(), names, self._names, strict=True)
        other = [name for (name, value), told, right in called if value.status >> 30 < 2 and told.value != right]
        flagged = {name for name, value in values.items() if has_changed(value)}
        other += sorted(self._flagged - flagged)
        self._flagged |= flagged
        return other[0] if other else ""

    @staticmethod
    def _loop_s() -> float:
        return asyncio.get_running_loop().time()
