"""One session: connect, find the points, read or be told, write, close."""

from __future__ import annotations

from drivers.opcua.deadline import deadline
from drivers.opcua.security import OpcUaSecurity
from drivers.opcua.session.guard import CHANNEL_LIFETIME_S, GuardedClient, abort, connect, field_faults, protocol_of
from drivers.opcua.session.points import Points, Terms
from drivers.opcua.session.protocol import GuardedProtocol, LinkError
from drivers.opcua.session.subscription import Heard, Messages, Subscription, Wish
from drivers.profile import Profile
from drivers.tape.records import Kind

CLOSE_S = 0.25
LIFETIME_S_MIN = 10.0
"""Shortest life of a channel; a renewal takes our private key, and it is not the server that decides how often."""


class OpcUaSession(Points):
    """An activated session and the nodes that the profile's points are in it.

    Every method but :meth:`abort` and :meth:`close` raises :class:`LinkError` for a fault; the session is then dead.
    """

    def __init__(self, client: GuardedClient, profile: Profile, terms: Terms) -> None:
        super().__init__(protocol_of(client).ask, profile, terms)
        self._client = client
        self._subscription: Subscription | None = None
        self._ended = False
        self._renew_at_s = self._loop_s() + 0.5 * self._channel_lifetime_s()

    @classmethod
    async def open(cls, endpoint: str, profile: Profile, terms: Terms, security: OpcUaSecurity | None) -> OpcUaSession:
        """Connect with a new client, find every point and subscribe where that is wanted."""
        client = GuardedClient(endpoint, terms.within_s, terms.note)
        client.session_timeout = int(terms.session_s * 1000)
        session: OpcUaSession | None = None
        try:
            with field_faults(f"connect to {endpoint}", security):
                async with deadline(terms.within_s):
                    await connect(client, security)
                    terms.note(Kind.OPENED, terms.number.to_bytes(4, "big"))
                    session = cls(client, profile, terms)
                    await session.settle()
        except BaseException as fault:
            if session is not None:
                session.abort(str(fault))
            abort(client)
            raise
        return session

    @property
    def alive(self) -> bool:
        """False once the peer or a fault has ended the connection."""
        protocol = self._client.uaclient.protocol
        return protocol is not None and protocol.transport is not None and not protocol.transport.is_closing()

    @property
    def fault(self) -> str:
        """Why the session has ended by itself; empty when nothing is known."""
        protocol = self._client.uaclient.protocol
        return protocol.fault if isinstance(protocol, GuardedProtocol) else ""

    async def read(self) -> Heard:
        """The value of every point that was found; whatever else is due (renewal, looking again) comes first."""
        if self._loop_s() > self._renew_at_s:
            with field_faults("renew the channel", None):
                await self._renew()
        return await super().read()

    def abort(self, reason: str = "closed") -> None:
        """Cut the connection now, for this ``reason``; requests under way fail at once."""
        if self._subscription is not None:
            self._subscription.end()
        abort(self._client)
        if not self._ended:
            self._ended = True
            self._terms.note(Kind.ENDED, f"closed\0{reason}".encode())

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

    async def _listen(self, messages: Messages, wish: Wish) -> None:
        cut = protocol_of(self._client).cut
        self._subscription = Subscription(self._ask, messages, self._terms, cut, wish)
        try:
            await self._subscription.first_values()
        except BaseException:
            self._subscription.end()
            raise

    async def _values(self) -> Heard:
        if self._subscription is not None:
            self._subscription.check()
        return await super()._values()

    async def _renew(self) -> None:
        await self._client.open_secure_channel(renew=True)
        self._client.uaclient.revolve_security_token()
        self._renew_at_s = self._loop_s() + 0.5 * self._channel_lifetime_s()

    def _channel_lifetime_s(self) -> float:
        """What the server granted, and not more than we asked for. Raises :class:`LinkError` when it is too short."""
        granted_s = self._client.secure_channel_timeout / 1000.0
        if granted_s < LIFETIME_S_MIN:
            raise LinkError(f"server grants a channel for {granted_s:g} s; expected {LIFETIME_S_MIN:g} s or more")
        return min(granted_s, CHANNEL_LIFETIME_S)
