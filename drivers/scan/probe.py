"""One careful connection for looking around: one request at a time, a pause after each, a deadline over all."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from drivers.modbus.codec import ECHOED, WRITE_COILS, WRITE_REGISTERS, ExceptionAnswer, crc16
from drivers.modbus.connect import Connector
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import Link, LinkError
from drivers.tape.records import Kind

_MBAP = struct.Struct(">HHHB")
PDU_MAX = 253
_READS = (1, 2, 3, 4)
_WRITES = (*ECHOED, WRITE_COILS, WRITE_REGISTERS)

Note = Callable[[Kind, bytes], None]
"""Takes what happens on the connection."""


def nothing(kind: Kind, content: bytes) -> None:
    """Nobody records."""


class NoAnswerError(Exception):
    """Nothing, or nothing usable, came; the text says what."""


class TimeIsUpError(Exception):
    """The time for the whole scan is over."""


class _Pipe(Link):
    """A connection whose bytes are read one after the other; framing is the business of whoever reads."""

    def __init__(self, note: Note, rtu: bool, gap_s: float | None) -> None:
        super().__init__(rtu, gap_s=gap_s)
        self.reader = asyncio.StreamReader()
        self._note = note

    def send(self, frame: bytes) -> None:
        """Send one request."""
        self.owing = True
        if self._transport is not None:
            self._note(Kind.SENT, frame)
            self._transport.write(frame)

    def received(self, data: bytes) -> None:
        """``data`` has come."""
        self._note(Kind.GOT, data)
        self.reader.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection ended."""
        super().connection_lost(exc)
        self.reader.feed_eof()


class Probe:
    """Asks whatever speaks Modbus at an endpoint. After anything unexpected the connection is closed, and the next
    request opens another.

    ``until_s`` is an instant of the event loop's clock.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: Mapping[str, str] | None = None,
        *,
        timeout_s: float,
        pause_s: float,
        until_s: float,
        note: Note = nothing,
    ) -> None:
        """``options`` as of a device in a site file; ``note`` is told what goes over the connection."""
        self.endpoint = endpoint
        self._note = note
        self._connector = Connector(endpoint, timeout_s, options, lambda: datetime.now(UTC), self._pipe)
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._until_s = until_s
        self._link: _Pipe | None = None
        self._dying: asyncio.Future[None] | None = None
        self._late_unit = -1
        self._transaction = 0
        self.requests = 0

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        """The PDU of the answer; raises NoAnswerError, TimeIsUpError, or ExceptionAnswer when a device refuses."""
        remaining_s = self._until_s - asyncio.get_running_loop().time()
        if remaining_s <= 0.0:
            raise TimeIsUpError
        self.requests += 1
        try:
            await self._let_pass(unit)
            async with asyncio.timeout(min(self._timeout_s, remaining_s)):
                answer = await self._exchange(unit, pdu)
        except TimeoutError:
            self._late_unit = unit
            self._note(Kind.EXPIRED, b"")
            await self.aclose("timeout", f"no answer within {self._timeout_s:g} s")
            raise NoAnswerError(f"no answer within {self._timeout_s:g} s") from None
        except LinkError as fault:
            raise NoAnswerError(str(fault)) from None
        except OSError as fault:
            await self.aclose("lost", f"the connection was lost: {fault}")
            raise NoAnswerError(f"the connection was lost: {fault}") from None
        await asyncio.sleep(self._pause_s)
        if answer[0] == pdu[0] | 0x80 and len(answer) == 2:
            raise ExceptionAnswer(answer[1])
        if answer[0] != pdu[0]:
            await self.aclose()
            raise NoAnswerError(f"function {answer[0]} answers function {pdu[0]}")
        return answer

    async def registers(self, unit: int, function: int, address: int, count: int) -> bytes:
        """Data bytes of a read of registers; raises like :meth:`ask`."""
        answer = await self.ask(unit, struct.pack(">BHH", function, address, count))
        if len(answer) != 2 + 2 * count or answer[1] != 2 * count:
            await self.aclose()
            raise NoAnswerError(f"{len(answer) - 2} bytes answer a read of {count} registers")
        return answer[2:]

    async def connect(self) -> None:
        """Open the connection; raises NoAnswerError when nobody listens."""
        try:
            await self._open()
        except LinkError as fault:
            raise NoAnswerError(str(fault)) from None

    async def aclose(self, reason: str = "closed", text: str = "the scan closed the connection") -> None:
        """Close the connection; the next request opens another."""
        link, self._link = self._link, None
        if link is not None:
            self._note(Kind.ENDED, f"{reason}\0{text}".encode())
            link.abort(LinkError(text, reason))
            self._dying = link.closed
        if self._dying is not None:
            await self._dying

    def _pipe(self, rtu: bool, _outstanding_max: int, gap_s: float | None) -> Link:
        return _Pipe(self._note, rtu, gap_s)

    async def _open(self) -> _Pipe:
        link = await self._connector.connect(asyncio.get_running_loop().time() + self._timeout_s)
        if not isinstance(link, _Pipe):
            raise TypeError(f"{link}; expected what _pipe makes")
        self._link = link
        self._note(Kind.OPENED, b"\1")
        return link

    async def _let_pass(self, unit: int) -> None:
        """On RTU the answer of a unit that was late cannot be told from its next one: let it pass first."""
        if self.endpoint.rtu and unit == self._late_unit:
            await asyncio.sleep(self._timeout_s)
        self._late_unit = -1

    async def _exchange(self, unit: int, pdu: bytes) -> bytes:
        link = self._link if self._link is not None else await self._open()
        if self.endpoint.rtu:
            body = bytes((unit,)) + pdu
            link.send(body + crc16(body).to_bytes(2, "little"))
            return await self._rtu_answer(link, unit)
        self._transaction = self._transaction % 0xFFFF + 1
        link.send(_MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        transaction, protocol, length, answering = _MBAP.unpack(await _received(link, 7))
        if (transaction, protocol, answering) != (self._transaction, 0, unit) or not 3 <= length <= PDU_MAX + 1:
            raise ConnectionError("what answers does not speak Modbus")
        return await _received(link, length - 1)

    async def _rtu_answer(self, link: _Pipe, unit: int) -> bytes:
        """The next frame of ``unit``; those of units that were late before it are passed over."""
        while True:
            frame = await _received(link, 5)
            frame += await _received(link, _rtu_rest(frame))
            while crc16(frame):  # of a whole frame it is 0
                if frame[1] in (*_READS, *_WRITES) or frame[1] >= 0x80 or len(frame) > PDU_MAX:
                    raise ConnectionError(f"{frame[:16].hex(' ')} is no Modbus RTU frame, or its checksum is wrong")
                frame += await _received(link, 1)
            if frame[0] == unit:
                return frame[1:-2]


def _rtu_rest(head: bytes) -> int:
    """How many bytes follow the first five of an RTU answer; 0 where only the checksum tells."""
    if head[1] in _READS:
        return head[2]
    return 3 if head[1] in _WRITES else 0


async def _received(link: _Pipe, size: int) -> bytes:
    """So many bytes; ConnectionError when the connection ends before."""
    try:
        return await link.reader.readexactly(size)
    except asyncio.IncompleteReadError as torn:
        why = f" ({link.fault})" if link.fault is not None else ""
        raise ConnectionError(f"{len(torn.partial)} of {size} bytes came before the end{why}") from None
