"""Feeds the recorded bytes of one connection to the codec again, and says what came of every request."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from drivers.modbus.codec import (
    READ_HOLDING,
    READ_INPUT,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
    WRITE_REGISTERS,
    Request,
    read_bits,
    read_registers,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError
from drivers.tape.records import Kind, Record

QUESTIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, what came after it, and what the codec made of that: data, or why there is none.

    ``generation`` counts the connections of the line; times are site seconds.
    """

    line: int
    generation: int
    request: Request
    sent: bytes
    came: bytes
    outcome: bytes | Exception
    sent_s: float
    done_s: float


class Wire:
    """One connection after the other to one endpoint. To be used inside a loop whose time is that of the records."""

    def __init__(self, number: int, endpoint: Endpoint, gap_s: float | None, told: Callable[[Exchange], None]) -> None:
        """``told`` takes every exchange when it is over."""
        self.number = number
        self.endpoint = endpoint
        self.generation = 0
        self.exchanges = 0
        self.ends: dict[str, int] = {}
        self.remarks: list[str] = []
        self.questions: list[tuple[float, bytes, bytes]] = []
        """Whatever else was asked (function 43 of a scan): when, what was sent, what came."""
        self._gap_s = gap_s
        self._told = told
        self._link: Link | None = None
        self._transport = _Compared()
        self._last: Request | None = None
        self._came = bytearray()
        self._midway = self._asking = False
        self._at_s = 0.0

    @property
    def standing(self) -> bool:
        """True while there is a connection."""
        return self._link is not None

    def take(self, record: Record) -> None:
        """One record of this connection."""
        self._at_s = record.at_s
        handlers = {
            Kind.OPENED: self._opened,
            Kind.SENT: self._sent,
            Kind.GOT: self._got,
            Kind.DISCARDED: self._discarded,
            Kind.EXPIRED: self._expired,
            Kind.ENDED: self._ended,
        }
        handler = handlers.get(record.kind)
        if handler is not None:
            handler(record.content)

    def _opened(self, content: bytes) -> None:
        if self._link is not None and self._link.usable:
            return  # said again at the head of another part of the file
        self._link = Link(self.endpoint.rtu, max(content[0], 1) if content else 1, self._gap_s)
        self._link.connection_made(self._transport)
        self.generation += 1
        self._came.clear()
        self._midway = True

    def _sent(self, frame: bytes) -> None:
        self._came.clear()
        self._midway = False
        request = request_of(frame, rtu=self.endpoint.rtu)
        self._asking = request is None
        if self._link is None or request is None:
            if len(self.questions) < QUESTIONS_MAX:
                self.questions.append((self._at_s, frame, b""))
            return
        self.exchanges += 1
        self._last = request
        transaction = 0 if self.endpoint.rtu else int.from_bytes(frame[:2], "big")
        done = partial(self._done, request, frame, self._at_s)
        self._link.begin(request, transaction, done)
        if self._transport.written != frame:
            self._remark(f"sent {frame.hex(' ')}; this version would send {self._transport.written.hex(' ')}")

    def _got(self, data: bytes) -> None:
        link = self._link
        if link is None or (self._midway and not self.endpoint.rtu):
            return  # nobody asked on this connection yet, or an earlier part of the file holds the request
        self._came += data
        if self._asking:
            at_s, sent, _ = self.questions[-1]
            self.questions[-1] = at_s, sent, bytes(self._came)
            return
        for chunk in _pieces(data, link):
            link.received(chunk)

    def _discarded(self, data: bytes) -> None:
        if self._link is not None:
            self._link.discard_until = math.inf
            self._got(data)
            self._link.discard_until = 0.0

    def _expired(self, _: bytes) -> None:
        link = self._link
        if link is None:
            return
        link.expire()
        if link.rtu and link.usable and self._last is not None:
            link.late[self._last.unit] = self._last  # as the session does: its answer may still come

    def _ended(self, content: bytes) -> None:
        reason, _, text = content.decode(errors="replace").partition("\0")
        self.ends[reason] = self.ends.get(reason, 0) + 1
        link, self._link = self._link, None
        if link is None:
            return
        found = link.fault
        if found is not None and found.reason != reason:
            self._remark(f"the connection ended because of {reason!r} ({text}); this version says {found.reason!r}")
        elif found is None and reason in _OF_THE_CODEC:
            self._remark(f"an answer was refused because of {reason!r} ({text}); this version would accept it")
        link.abort(LinkError(text, reason))

    def _done(self, request: Request, sent: bytes, sent_s: float, outcome: bytes | Exception) -> None:
        came = bytes(self._came)
        self._told(Exchange(self.number, self.generation, request, sent, came, outcome, sent_s, self._at_s))

    def _remark(self, text: str) -> None:
        self.remarks.append(f"{self._at_s:.3f} s, {self.endpoint}: {text}")


_OF_THE_CODEC = frozenset(
    ("protocol id", "transaction id", "length", "leftover", "crc", "unit", "function", "content", "echo")
)


class _Compared:
    """Stands where the transport was and keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        """Send."""
        self.written = data

    def abort(self) -> None:
        """Close at once."""


def _pieces(data: bytes, link: Link) -> Iterator[bytes]:
    """``data`` in pieces that fit into the link."""
    while data and link.usable:
        piece, data = data[: link.room], data[link.room :]
        yield piece


def request_of(frame: bytes, *, rtu: bool) -> Request | None:
    """The request that a sent frame holds; None when the codec could not have made it."""
    unit, pdu = (
        (frame[0], frame[1:-2]) if rtu and len(frame) > 3 else (frame[6], frame[7:]) if len(frame) > 8 else (0, b"")
    )
    if len(pdu) < 5:
        return None
    function, address, value = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    makers: dict[int, Callable[[], Request]] = {
        1: lambda: read_bits(unit, 1, address, value),
        2: lambda: read_bits(unit, 2, address, value),
        READ_HOLDING: lambda: read_registers(unit, READ_HOLDING, address, value),
        READ_INPUT: lambda: read_registers(unit, READ_INPUT, address, value),
        WRITE_COIL: lambda: write_coil(unit, address, value != 0),
        WRITE_REGISTER: lambda: write_register(unit, address, value),
        WRITE_COILS: lambda: write_coils(unit, address, _bits(pdu[6:], value)),
        WRITE_REGISTERS: lambda: write_registers(unit, address, pdu[6:]),
    }
    try:
        return makers[function]()
    except (KeyError, ValueError):
        return None


def _bits(data: bytes, count: int) -> tuple[bool, ...]:
    number = int.from_bytes(data, "little")
    return tuple(bool(number >> index & 1) for index in range(count))
