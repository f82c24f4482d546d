"""Keeps one OPC UA connection: a new session after every fault, with a short back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from drivers.opcua.deadline import deadline
from drivers.opcua.session import LinkError, OpcUaSession, Points

BACK_OFF_FIRST_S = 0.1
BACK_OFF_MAX_S = 1.0
CONNECT_S_MIN = 2.0
"""A new connection may take longer than one request: it is several round trips and, secured, two RSA operations."""

_T = TypeVar("_T")


class LinkTo(Protocol):
    """What a device needs of its connection."""

    connects: int
    faults: int

    @property
    def subscribed(self) -> bool:
        """True while a server reports changes by itself."""

    async def call(self, request: Callable[[Points], Awaitable[_T]], within_s: float) -> _T:
        """Run ``request`` on the session. Raises :class:`LinkError`."""

    async def aclose(self) -> None:
        """Close for good; safe to call twice."""


class Link:
    """Opens sessions with ``open_session`` (given its time limit) when asked for one; all times are machine seconds.

    At most one connection exists at a time. Connecting goes on after the request that started it has run out of time.
    """

    def __init__(self, open_session: Callable[[float], Awaitable[OpcUaSession]]) -> None:
        self.connects = 0
        self.faults = 0
        self._open = open_session
        self._session: OpcUaSession | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._fault = "not connected yet"
        self._back_off_s = 0.0
        self._not_before_s = 0.0
        self._closed = False

    async def call(self, request: Callable[[Points], Awaitable[_T]], within_s: float) -> _T:
        """Run ``request`` on the session, connecting first when there is none.

        Raises :class:`LinkError` after a fault or ``within_s``; a session that was late or faulty is cut at once.
        """
        until_s = asyncio.get_running_loop().time() + within_s
        session = await self._get(until_s, within_s)
        try:
            async with deadline(until_s - asyncio.get_running_loop().time()):
                return await request(session)
        except TimeoutError:
            fault = LinkError(f"no answer within {within_s:.2f} s")
        except LinkError as error:
            fault = error
        self._drop(session, str(fault))
        raise fault

    @property
    def subscribed(self) -> bool:
        """True while a server reports changes by itself."""
        return self._session is not None and self._session.subscribed

    async def aclose(self) -> None:
        """Close for good; safe to call twice."""
        self._closed = True
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, until_s: float, within_s: float) -> OpcUaSession:
        if self._session is not None and not self._session.alive:
            self._drop(self._session, self._session.fault or "the server closed the connection")
        if self._session is None:
            await self._connect_until(until_s, within_s)
        if self._session is None:
            raise LinkError(self._fault)
        return self._session

    async def _connect_until(self, until_s: float, within_s: float) -> None:
        """Start connecting unless that is under way or too soon, and wait for it as long as the caller may."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise LinkError("closed")
        if self._connecting is None:
            wait_s = self._not_before_s - loop.time()
            if wait_s > 0.0:
                raise LinkError(f"{self._fault}; next attempt in {wait_s:.1f} s")
            self._connecting = loop.create_task(self._connect(max(CONNECT_S_MIN, within_s)))
        done, _ = await asyncio.wait((self._connecting,), timeout=max(0.0, until_s - loop.time()))
        if not done:
            raise LinkError(f"connecting; before that: {self._fault}")

    async def _connect(self, within_s: float) -> None:
        try:
            self._session = await self._open(within_s)
        except LinkError as fault:
            self._failed(str(fault))
        else:
            self._back_off_s = 0.0
            self.connects += 1
        finally:
            self._connecting = None

    def _drop(self, session: OpcUaSession, fault: str) -> None:
        session.abort(fault)
        if session is self._session:
            self._session = None
            self._failed(fault)

    def _failed(self, fault: str) -> None:
        self._fault = fault
        self.faults += 1
        self._back_off_s = min(BACK_OFF_MAX_S, max(BACK_OFF_FIRST_S, 2.0 * self._back_off_s))
        self._not_before_s = asyncio.get_running_loop().time() + self._back_off_s
