"""One careful connection for looking around: one request at a time, a pause after each, a deadline over all."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

from drivers.modbus.codec import ExceptionAnswer
from drivers.tape.records import Kind

_MBAP = struct.Struct(">HHHB")
PDU_MAX = 253

Note = Callable[[Kind, bytes], None]
"""Takes what happens on the connection."""


def nothing(kind: Kind, content: bytes) -> None:
    """Nobody records."""


class NoAnswerError(Exception):
    """Nothing, or nothing usable, came; the text says what."""


class TimeIsUpError(Exception):
    """The time for the whole scan is over."""


class Probe:
    """Asks a Modbus TCP server. After anything unexpected the connection is closed and the next request opens another.

    ``until_s`` is an instant of the event loop's clock.
    """

    def __init__(
        self, host: str, port: int, *, timeout_s: float, pause_s: float, until_s: float, note: Note = nothing
    ) -> None:
        """``note`` is told what goes over the connection."""
        self._note = note
        self._where = (host, port)
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._until_s = until_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._transaction = 0
        self.requests = 0

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        """The PDU of the answer; raises NoAnswerError, TimeIsUpError, or ExceptionAnswer when a device refuses."""
        remaining_s = self._until_s - asyncio.get_running_loop().time()
        if remaining_s <= 0.0:
            raise TimeIsUpError
        self.requests += 1
        try:
            async with asyncio.timeout(min(self._timeout_s, remaining_s)):
                answer = await self._exchange(unit, pdu)
        except TimeoutError:
            self._note(Kind.EXPIRED, b"")
            await self.aclose("timeout", f"no answer within {self._timeout_s:g} s")
            raise NoAnswerError(f"no answer within {self._timeout_s:g} s") from None
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
            async with asyncio.timeout(self._timeout_s):
                await self._open()
        except (OSError, TimeoutError) as fault:
            raise NoAnswerError(f"no connection: {fault or 'no answer'}") from None

    async def aclose(self, reason: str = "closed", text: str = "the scan closed the connection") -> None:
        """Close the connection; the next request opens another."""
        streams, self._streams = self._streams, None
        if streams is not None:
            self._note(Kind.ENDED, f"{reason}\0{text}".encode())
            streams[1].transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_connection(*self._where, limit=1024)
        self._note(Kind.OPENED, b"\1")
        return self._streams

    async def _exchange(self, unit: int, pdu: bytes) -> bytes:
        reader, writer = self._streams or await self._open()
        self._transaction = self._transaction % 0xFFFF + 1
        frame = _MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu
        self._note(Kind.SENT, frame)
        writer.write(frame)
        transaction, protocol, length, answering = _MBAP.unpack(await self._received(reader, 7))
        if (transaction, protocol, answering) != (self._transaction, 0, unit) or not 3 <= length <= PDU_MAX + 1:
            raise ConnectionError("what answers does not speak Modbus")
        return await self._received(reader, length - 1)

    async def _received(self, reader: asyncio.StreamReader, size: int) -> bytes:
        """So many bytes, noted as they come; ConnectionError when the connection ends before."""
        data = b""
        while len(data) < size:
            piece = await reader.read(size - len(data))
            if not piece:
                raise ConnectionError(f"{len(data)} of {size} bytes came before the end")
            self._note(Kind.GOT, piece)
            data += piece
        return data
