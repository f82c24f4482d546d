"""One connection; it is never used again after anything that casts doubt on what comes next.

A doubt on a TCP or TLS stream ends it. A unit on an RTU line may stay silent without making the line doubtful: a frame
that comes late names its unit and is recognised, and :mod:`drivers.modbus.session` brings the unit back into step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from drivers.modbus.codec import (
    ECHOED,
    FRAME_MAX,
    ExceptionAnswer,
    FrameError,
    Request,
    encode_rtu,
    parse_rtu,
    parse_tcp,
)

SILENCES_MAX = 3
"""Requests in a row that an RTU line may leave unanswered before it is opened anew."""
DISCARD_BYTES_MAX = 32768
"""What a new connection may send before anything was asked of it: three seconds of a serial line at 115,200 baud. More
is a flood, and reading it would be time taken from the others."""


class LinkError(Exception):
    """No valid answer came; ``reason`` is a short word for counters."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Transport(Protocol):
    """The part of ``asyncio.Transport`` that a link uses."""

    def write(self, data: bytes) -> None:
        """Send."""

    def abort(self) -> None:
        """Close at once; ``connection_lost`` follows."""


Done = Callable[[bytes | Exception], None]
"""Takes the data of an answer, or the :class:`LinkError` or ``ExceptionAnswer`` instead of it; called once."""

_RTU_KEY = 0


class Link(asyncio.BufferedProtocol):
    """Takes what comes, keeps at most one fixed buffer of it, and hands whole, checked answers to whoever waits.

    An answer that comes whole goes past the buffer: with many devices it is memory that takes the time.
    """

    __slots__ = (
        *("asked", "closed", "discard_until", "fault", "heard_at", "late", "owing", "proven", "room", "rtu", "usable"),
        *("_buffer", "_discarded", "_filled", "_gap_s", "_head", "_pending", "_silences", "_transport", "_whole"),
    )

    def __init__(self, rtu: bool, outstanding_max: int = 1, gap_s: float | None = None) -> None:
        """``gap_s``: longest pause inside one RTU frame; None where a gateway or TCP may pause as it likes."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fault: LinkError | None = None
        self.usable = False
        """True while the connection stands and nothing unexpected has happened; read only."""
        self.rtu = rtu
        self.owing = False
        """True from a request until it is answered; read only."""
        self.asked = 0
        """How many requests have been sent; read only."""
        self.proven = False  # a good answer has come on this very connection
        self.discard_until = 0.0
        self.heard_at = 0.0
        self._discarded = 0
        self.late: dict[int, Request] = {}
        self._gap_s = gap_s
        self._silences = 0
        self._buffer = bytearray(FRAME_MAX * (1 + outstanding_max))
        self._filled = 0
        self.room = len(self._buffer)
        """How many bytes may come at once; read only."""
        self._whole, self._head = 0, b""  # size and beginning of the one good answer on TCP; the request on RTU
        self._transport: Transport | None = None
        self._pending: list[tuple[int, Request, Done]] = []  # by transaction id

    def begin(self, request: Request, transaction: int, done: Done) -> None:
        """Send one request; ``done`` is called once, perhaps before this returns."""
        transport = self._transport
        if transport is None or not self.usable:
            done(self.fault or LinkError("the connection is closed", "lost"))
            return
        self.owing = True
        self.asked += 1
        if self.rtu:
            self.discard_until = 0.0
            self._pending.append((_RTU_KEY, request, done))
            self._head = encode_rtu(request)
            transport.write(self._head)
            return
        number = transaction.to_bytes(2, "big")
        self._whole = 0 if self._pending else request.tcp_answer_size
        self._head = number + request.tcp_answer_tail
        self._pending.append((transaction, request, done))
        transport.write(number + request.tcp_tail)

    async def exchange(self, request: Request, transaction: int, deadline: float) -> bytes:
        """Send one request and wait for its answer until ``deadline`` (loop time).

        Raises :class:`LinkError` or :class:`~drivers.modbus.codec.ExceptionAnswer`.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        timer = loop.call_at(deadline, self.expire)
        try:
            self.begin(request, transaction, partial(_settle, answer))
            return await answer
        finally:
            timer.cancel()
            self._forget(transaction)

    def _forget(self, transaction: int) -> None:
        key = _RTU_KEY if self.rtu else transaction
        self._pending = [asked for asked in self._pending if asked[0] != key]
        self._whole = 0

    def expire(self) -> None:
        """The time for what is pending is up."""
        if not self._pending:
            return
        have = f"{self._filled} bytes of an answer" if self._filled else "no answer"
        fault = LinkError(f"{have} within the time-out", "timeout")
        self._silences += 1
        if not self.rtu or self._filled or self._silences >= SILENCES_MAX:
            self.abort(fault)
        else:
            self._fail(fault)

    def abort(self, fault: LinkError) -> None:
        """Close at once and fail what is pending; the first fault is kept."""
        if self.fault is None:
            self.fault = fault
        self.usable = False
        self._fail(fault)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport | Transport) -> None:
        """asyncio: the connection stands."""
        self._transport = transport  # type: ignore[assignment]
        self.usable = self.fault is None
        if self.fault is not None and self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection ended."""
        try:
            self.abort(LinkError(f"the connection was lost: {exc or 'closed by the device'}", "lost"))
        finally:  # whoever waits for the end must not wait for ever because somebody who was told of it failed
            if not self.closed.done():
                self.closed.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where to receive to."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: ``nbytes`` more have come."""
        self.received(bytes(self._buffer[self._filled : self._filled + nbytes]))

    def received(self, data: bytes) -> None:
        """``data`` has come, at most ``room`` bytes."""
        if len(data) == self._whole and not self._filled and data.startswith(self._head):
            self._whole = self._silences = 0
            self.owing, self.proven = False, True
            self._pending.pop()[2](data[len(self._head) :])
            return
        self._buffer[self._filled : self._filled + len(data)] = data
        self._receive(len(data))
        self.room = len(self._buffer) - self._filled

    def _receive(self, nbytes: int) -> None:
        """The long way, for everything but one whole good answer."""
        now = asyncio.get_running_loop().time()
        torn = self._gap_s is not None and self._filled and now - self.heard_at > self._gap_s
        self.heard_at = now
        if now < self.discard_until:
            self._discard(nbytes)
            return
        self._filled += nbytes
        if not self._pending and not self._is_late():
            self.abort(LinkError(f"{nbytes} bytes came that nobody asked for", "unsolicited"))
        elif torn:
            self.abort(LinkError(f"answer refused: a gap of more than {self._gap_s} s inside a frame", "gap"))
        else:
            self._take()

    def _discard(self, nbytes: int) -> None:
        self._discarded += nbytes
        if self._discarded > DISCARD_BYTES_MAX:
            self.abort(LinkError(f"{self._discarded} bytes came before anything was asked for", "flood"))

    def _take(self) -> None:
        """Hand out every answer that has come whole."""
        try:
            take = self._take_rtu if self.rtu else self._take_tcp
            while self._filled and take():
                self._silences, self.proven = 0, True
        except FrameError as fault:
            self.abort(LinkError(f"answer refused: {fault}", fault.reason))

    def _take_tcp(self) -> bool:
        """With one request pending nothing may follow its answer; with several the next answer may."""
        if self._filled < 2:
            return False
        transaction = int.from_bytes(self._buffer[:2], "big")
        request = next((asked for number, asked, _ in self._pending if number == transaction), None)
        if request is None:
            expected = " or ".join(str(number) for number, _, _ in self._pending)
            raise FrameError("transaction id", f"transaction id is {transaction}; expected {expected}")
        size = self._filled
        if len(self._pending) > 1 and self._filled >= 6:
            size = min(size, 6 + int.from_bytes(self._buffer[4:6], "big"))
        return self._hand_out(transaction, size, partial(parse_tcp, request=request, transaction=transaction))

    def _take_rtu(self) -> bool:
        if self._is_late():
            return self._drop_late()
        if not self._pending:
            raise FrameError("leftover", f"{self._filled} bytes follow a late answer; expected none")
        request = self._pending[0][1]
        if request.function not in ECHOED and self._buffer.startswith(self._head) and self._filled >= len(self._head):
            raise FrameError("echo", "our own request came back; expected a line and an adapter without echo (2-wire)")
        return self._hand_out(_RTU_KEY, self._filled, partial(parse_rtu, request=request))

    def _hand_out(self, key: int, size: int, parse: Callable[[bytes], bytes | None]) -> bool:
        try:
            found: bytes | ExceptionAnswer | None = parse(bytes(self._buffer[:size]))
        except ExceptionAnswer as refusal:
            found = refusal
        if found is None:
            return False
        self._cut(size)
        self._whole = 0  # what comes next, nobody has asked for yet
        asked = next(asked for asked in self._pending if asked[0] == key)
        self._pending.remove(asked)
        self.owing = bool(self._pending)
        asked[2](found)
        return True

    def _is_late(self) -> bool:
        """True when what has come begins like the answer to an RTU request that was given up."""
        return (
            self.rtu
            and self._buffer[0] in self.late
            and not any(request.unit == self._buffer[0] for _, request, _ in self._pending)
        )

    def _drop_late(self) -> bool:
        """Forget a late frame of another unit; a refused one is not whole yet or not what it seemed."""
        late = self.late[self._buffer[0]]
        size = 3 + (2 if self._filled > 1 and self._buffer[1] >= 0x80 else late.answer_size)
        if self._filled < size:
            return False
        with suppress(ExceptionAnswer):
            parse_rtu(bytes(self._buffer[:size]), late)
        self._cut(size)
        del self.late[late.unit]
        return bool(self._filled)

    def _cut(self, size: int) -> None:
        rest = self._filled - size
        if rest:
            self._buffer[:rest] = self._buffer[size : self._filled]
        self._filled = rest

    def _fail(self, fault: LinkError) -> None:
        pending, self._pending, self._whole = self._pending, [], 0
        for _, _, done in pending:
            done(fault)


def _settle(answer: asyncio.Future[bytes], found: bytes | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
