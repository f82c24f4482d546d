"""One careful connection for looking around: one request at a time, a pause after each, a deadline over all."""

from __future__ import annotations

import asyncio
import struct

from drivers.modbus.codec import ExceptionAnswer

_MBAP = struct.Struct(">HHHB")
PDU_MAX = 253


class NoAnswerError(Exception):
    """Nothing, or nothing usable, came; the text says what."""


class TimeIsUpError(Exception):
    """The time for the whole scan is over."""


class Probe:
    """Asks a Modbus TCP server. After anything unexpected the connection is closed and the next request opens another.

    ``until_s`` is an instant of the event loop's clock.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float, pause_s: float, until_s: float) -> None:
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
            await self.aclose()
            raise NoAnswerError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, asyncio.IncompleteReadError) as fault:
            await self.aclose()
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
                self._streams = await asyncio.open_connection(*self._where, limit=1024)
        except (OSError, TimeoutError) as fault:
            raise NoAnswerError(f"no connection: {fault or 'no answer'}") from None

    async def aclose(self) -> None:
        """Close the connection; the next request opens another."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def _exchange(self, unit: int, pdu: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where, limit=1024)
        reader, writer = self._streams
        self._transaction = self._transaction % 0xFFFF + 1
        writer.write(_MBAP.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        transaction, protocol, length, answering = _MBAP.unpack(await reader.readexactly(7))
        if (transaction, protocol, answering) != (self._transaction, 0, unit) or not 3 <= length <= PDU_MAX + 1:
            raise ConnectionError("what answers does not speak Modbus")
        return await reader.readexactly(length - 1)
