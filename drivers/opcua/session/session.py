"""One session: connect, find the points, read or be told, write, close."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.deadline import deadline
from drivers.opcua.delivery import INTERVAL_S_MAX, INTERVAL_S_MIN, wants_subscription
from drivers.opcua.security import OpcUaSecurity
from drivers.opcua.session.guard import GuardedClient, abort, connect, field_faults, protocol_of
from drivers.opcua.session.limits import ServerLimits, batches, server_limits
from drivers.opcua.session.nodes import Resolver
from drivers.opcua.session.protocol import GuardedProtocol, LinkError, RefusedError
from drivers.opcua.session.services import (
    READ,
    WRITE,
    read_answer,
    read_request,
    read_value_id,
    write_answer,
    write_value,
)
from drivers.opcua.session.subscription import KEEP_ALIVE_S, Heard, Subscription, Wish, subscribe
from drivers.opcua.values import NodeValue
from drivers.profile import PointSpec, Profile

CLOSE_S = 0.25
RESOLVE_AGAIN_S = 10.0
"""How soon points that were not found are looked for again in the same session."""

_NODE_IS_GONE = (StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid)


class UnresolvedError(Exception):
    """A point that is to be written was not found on the server, or is not what the profile says."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a session is to be held; durations in machine seconds, ``now_s`` tells site seconds.

    ``session_s`` is how long the server keeps the session unused, ``interval_s`` how often values are wanted,
    ``stale_s`` how old they may get, ``delivery`` how they come (:mod:`drivers.opcua.delivery`).
    """

    within_s: float
    session_s: float
    interval_s: float
    stale_s: float
    now_s: Callable[[], float]
    delivery: str = "auto"


class OpcUaSession:
    """An activated session and the nodes that the profile's points are in it.

    ``problems`` says for every point that cannot be used why. Every method but :meth:`abort` and :meth:`close` raises
    :class:`LinkError` for a fault; the session is then dead.
    """

    def __init__(self, client: GuardedClient, profile: Profile, terms: Terms) -> None:
        self._client = client
        self._profile = profile
        self._terms = terms
        self._ask = protocol_of(client).ask
        self._limits = ServerLimits()
        self._nodes: dict[str, bytes] = {}
        self._requests: list[tuple[int, bytes]] = []
        self._subscription: Subscription | None = None
        self._renew_at_s = self._loop_s() + 0.5 * client.secure_channel_timeout / 1000.0
        self._resolve_at_s = math.inf
        self.problems: Mapping[str, str] = {}

    @classmethod
    async def open(cls, endpoint: str, profile: Profile, terms: Terms, security: OpcUaSecurity | None) -> OpcUaSession:
        """Connect with a new client, find every point and subscribe where that is wanted."""
        client = GuardedClient(endpoint, terms.within_s)
        client.session_timeout = int(terms.session_s * 1000)
        session: OpcUaSession | None = None
        try:
            with field_faults(f"connect to {endpoint}", security):
                async with deadline(terms.within_s):
                    await connect(client, security)
                    session = cls(client, profile, terms)
                    await session.settle()
        except BaseException:
            if session is not None:
                session.abort()
            abort(client)
            raise
        return session

    async def settle(self) -> None:
        """Learn what the server takes, find the points, subscribe."""
        with field_faults("browse", None):
            self._limits = await server_limits(self._ask)
        await self.resolve()
        if not self._nodes or not self._wants_subscription():
            return
        try:
            await self._subscribe()
        except RefusedError:
            if self._terms.delivery == "subscription":
                raise

    @property
    def alive(self) -> bool:
        """False once the peer or a fault has ended the connection."""
        protocol = self._client.uaclient.protocol
        return protocol is not None and protocol.transport is not None and not protocol.transport.is_closing()

    @property
    def subscribed(self) -> bool:
        """True when the server reports changes by itself."""
        return self._subscription is not None

    @property
    def fault(self) -> str:
        """Why the session has ended by itself; empty when nothing is known."""
        protocol = self._client.uaclient.protocol
        return protocol.fault if isinstance(protocol, GuardedProtocol) else ""

    async def resolve(self) -> None:
        """Find the node of every point by namespace URI and browse path and check that it is what the profile says."""
        with field_faults("browse", None):
            nodes, self.problems = await Resolver(self._ask, self._profile, self._limits).run()
        if self._subscription is not None and nodes != self._nodes:
            raise LinkError("the server's nodes have changed; subscribing anew")
        self._nodes = nodes
        items = [read_value_id(node) for node in nodes.values()]
        self._requests = [(len(batch), read_request(batch)) for batch in batches(items, self._limits.reads)]
        self._resolve_at_s = self._loop_s() + RESOLVE_AGAIN_S if self.problems else math.inf

    async def read(self) -> Heard:
        """The value of every point that was found; whatever else is due (renewal, looking again) comes first."""
        if self._loop_s() > self._resolve_at_s:
            await self.resolve()
        if self._loop_s() > self._renew_at_s:
            with field_faults("renew the channel", None):
                await self._renew()
        heard = await self._read_all() if self._subscription is None else self._subscription.heard()
        if any(value.status & 0xFFFF_0000 in _NODE_IS_GONE for value in heard.values.values() if value.status):
            self._resolve_at_s = min(self._resolve_at_s, self._loop_s() + RESOLVE_AGAIN_S)
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

    def abort(self) -> None:
        """Cut the connection now; requests under way fail at once."""
        if self._subscription is not None:
            self._subscription.end()
        abort(self._client)

    async def close(self) -> None:
        """Give the session back to the server if it answers soon, then cut."""
        try:
            with field_faults("close", None):
                async with deadline(CLOSE_S):
                    await self._client.close_session()
                    await self._client.close_secure_channel()
        except LinkError:
            return  # the server drops an abandoned session by itself
        finally:
            self.abort()

    def _wants_subscription(self) -> bool:
        terms = self._terms
        return wants_subscription(terms.delivery, len(self._nodes), terms.interval_s, self._limits.sampling_s_min)

    async def _subscribe(self) -> None:
        interval_s = min(INTERVAL_S_MAX, max(INTERVAL_S_MIN, self._terms.interval_s))
        wish = Wish(interval_s, min(KEEP_ALIVE_S, self._terms.stale_s / 4.0))
        cut = protocol_of(self._client).cut
        with field_faults("subscribe", None):
            self._subscription, problems = await subscribe(
                self._ask, self._nodes, wish, self._limits, self._terms.now_s, cut
            )
        self.problems = {**self.problems, **problems}

    async def _read_all(self) -> Heard:
        sent_s = self._terms.now_s()
        values: list[NodeValue] = []
        with field_faults("read", None):
            for expected, request in self._requests:
                values += await read_answer(await self._ask(READ, request), expected)
        return Heard(dict(zip(self._nodes, values, strict=True)), sent_s, self._terms.now_s())

    async def _renew(self) -> None:
        await self._client.open_secure_channel(renew=True)
        self._client.uaclient.revolve_security_token()
        self._renew_at_s = self._loop_s() + 0.5 * self._client.secure_channel_timeout / 1000.0

    @staticmethod
    def _loop_s() -> float:
        return asyncio.get_running_loop().time()
