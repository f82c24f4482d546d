"""One TCP connection that carries one request at a time; it is never used again after anything unexpected."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from drivers.modbus.codec import (
    FRAME_MAX,
    ExceptionAnswer,
    FrameError,
    Request,
    encode_rtu,
    encode_tcp,
    parse_rtu,
    parse_tcp,
)


class LinkError(Exception):
    """No valid answer came; ``reason`` is a short word for counters."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Link(asyncio.BufferedProtocol):
    """Receives into one fixed buffer and hands a whole, checked answer to whoever waits for it."""

    def __init__(self, rtu: bool) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault: LinkError | None = None
        self.discard_until = 0.0
        self._rtu = rtu
        self._buffer = bytearray(2 * FRAME_MAX)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._pending: tuple[Request, int, asyncio.Future[bytes]] | None = None

    @property
    def usable(self) -> bool:
        """True while nothing unexpected has happened."""
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: Request, transaction: int, deadline: float) -> bytes:
        """Send one request and wait for its answer until ``deadline`` (loop time).

        Raises :class:`LinkError` or :class:`~drivers.modbus.codec.ExceptionAnswer`.
        """
        if self._transport is None or not self.usable:
            raise self.fault or LinkError("the connection is closed", "lost")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self.discard_until = 0.0
        self._pending = (request, transaction, answer)
        self._transport.write(encode_rtu(request) if self._rtu else encode_tcp(request, transaction))
        timer = loop.call_at(deadline, self._expire)
        try:
            return await answer
        finally:
            timer.cancel()
            self._pending = None

    def abort(self, fault: LinkError) -> None:
        """Close at once and fail the pending request; the first fault is kept."""
        if self.fault is None:
            self.fault = fault
        if self._pending is not None and not self._pending[2].done():
            self._pending[2].set_exception(fault)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        if self.fault is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection ended."""
        self.abort(LinkError(f"the connection was lost: {exc or 'closed by the device'}", "lost"))
        if not self.closed.done():
            self.closed.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where to receive to."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: ``nbytes`` more have come."""
        if asyncio.get_running_loop().time() < self.discard_until:
            return
        self._filled += nbytes
        if self._pending is None or self._pending[2].done():
            self.abort(LinkError(f"{nbytes} bytes came that nobody asked for", "unsolicited"))
            return
        request, transaction, answer = self._pending
        data = bytes(memoryview(self._buffer)[: self._filled])
        try:
            found = parse_rtu(data, request) if self._rtu else parse_tcp(data, request, transaction)
        except ExceptionAnswer as refusal:
            self._filled = 0
            answer.set_exception(refusal)
        except FrameError as fault:
            self.abort(LinkError(f"answer refused: {fault}", fault.reason))
        else:
            if found is not None:
                self._filled = 0
                answer.set_result(found)

    def _expire(self) -> None:
        have = f"{self._filled} bytes of an answer" if self._filled else "no answer"
        self.abort(LinkError(f"{have} within the time-out", "timeout"))


async def connect(host: str, port: int, rtu: bool, deadline: float, user_timeout_s: float) -> Link:
    """Open a connection before ``deadline`` (loop time); :class:`LinkError` says why there is none."""
    loop = asyncio.get_running_loop()
    link = Link(rtu)
    try:
        async with asyncio.timeout_at(deadline):
            transport, _ = await loop.create_connection(lambda: link, host, port)
    except TimeoutError:
        fault = LinkError(f"no connection to {host}:{port} within the time-out", "timeout")
    except OSError as error:
        fault = LinkError(f"no connection to {host}:{port}: {error.strerror or error}", "refused")
    else:
        _tune(transport.get_extra_info("socket"), user_timeout_s)
        return link
    link.abort(fault)  # the connection may have come up in the very moment of the time-out
    raise fault


def _tune(sock: socket.socket, user_timeout_s: float) -> None:
    """Find a dead peer in seconds also when it is beyond the next switch, and send small frames at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(1000.0 * user_timeout_s)))
