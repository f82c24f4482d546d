"""A connection whose every byte is recorded. Costs nothing where nobody records: then it is not used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from drivers.modbus.link import Link, LinkError, Transport
from drivers.tape.records import Kind

Note = Callable[[Kind, bytes], None]
"""Takes what happened on one connection."""


class TapedLink(Link):
    """A :class:`~drivers.modbus.link.Link` that tells ``note`` what goes through it, before it acts on it."""

    def __init__(self, note: Note, rtu: bool, outstanding_max: int = 1, gap_s: float | None = None) -> None:
        super().__init__(rtu, outstanding_max, gap_s)
        self._note = note
        self._outstanding_max = outstanding_max

    def connection_made(self, transport: asyncio.BaseTransport | Transport) -> None:
        """asyncio: the connection stands."""
        self._note(Kind.OPENED, bytes((min(self._outstanding_max, 255),)))
        super().connection_made(_Taped(transport, self._note))  # type: ignore[arg-type]

    def received(self, data: bytes) -> None:
        """``data`` has come."""
        ignored = asyncio.get_running_loop().time() < self.discard_until
        self._note(Kind.DISCARDED if ignored else Kind.GOT, data)
        super().received(data)

    def expire(self) -> None:
        """The time for what is pending is up."""
        if self._pending:
            self._note(Kind.EXPIRED, b"")
        super().expire()

    def abort(self, fault: LinkError) -> None:
        """Close at once."""
        if self.fault is None:
            self._note(Kind.ENDED, f"{fault.reason}\0{fault}".encode())
        super().abort(fault)


class _Taped:
    """The transport behind a taped link."""

    __slots__ = ("_note", "_transport")

    def __init__(self, transport: Transport, note: Note) -> None:
        self._transport = transport
        self._note = note

    def write(self, data: bytes) -> None:
        """Send."""
        self._note(Kind.SENT, data)
        self._transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
