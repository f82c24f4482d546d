"""A Modbus TCP server that can be told to misbehave; register ``a`` holds the number ``a``."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

Step = bytes | float | str
"""Bytes to send, seconds to wait, or ``fin`` / ``rst`` to end the connection."""

Behaviour = Callable[[bytes], Sequence[Step]]
"""From a request frame to what the server does about it."""


def registers(address: int, count: int) -> bytes:
    """What ``count`` registers from ``address`` hold."""
    return struct.pack(f">{count}H", *range(address, address + count))


def good(frame: bytes) -> bytes:
    """The right answer to a request frame."""
    transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
    function, address, count = struct.unpack_from(">BHH", frame, 7)
    if function in (3, 4):
        return mbap(transaction, unit, bytes((function, 2 * count)) + registers(address, count))
    return mbap(transaction, unit, frame[7:12])


def mbap(transaction: int, unit: int, pdu: bytes, *, protocol: int = 0, length: int | None = None) -> bytes:
    """A frame with an MBAP header; ``length`` overrides the true one."""
    return struct.pack(">HHHB", transaction, protocol, len(pdu) + 1 if length is None else length, unit) + pdu


class HostileServer:
    """Answers the n-th request as the n-th behaviour says, and rightly when there is none."""

    def __init__(self, script: Iterable[Behaviour] = (), greeting: bytes = b"") -> None:
        self.script = list(script)
        self.greeting = greeting
        self.frames: list[bytes] = []
        self.connections = 0
        self.used_at_once_max = 0
        self._readers: list[asyncio.StreamReader] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        """``host:port`` of the server."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self.connections += 1
        self._readers.append(reader)
        try:
            if self.greeting:
                writer.write(self.greeting)
            while True:
                head = await reader.readexactly(6)
                frame = head + await reader.readexactly(struct.unpack_from(">H", head, 4)[0])
                self.frames.append(frame)
                in_use = sum(1 for other in self._readers if not (other.at_eof() or other.exception()))
                self.used_at_once_max = max(self.used_at_once_max, in_use)
                steps: Sequence[Step] = self.script.pop(0)(frame) if self.script else (good(frame),)
                if not await self._perform(steps, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._readers.remove(reader)
            writer.close()

    async def _perform(self, steps: Sequence[Step], writer: asyncio.StreamWriter) -> bool:
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                if step == "rst":
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
        return True


@asynccontextmanager
async def hostile(*script: Behaviour, greeting: bytes = b"") -> AsyncIterator[HostileServer]:
    """A running :class:`HostileServer` on a free port of the loopback."""
    server = HostileServer(script, greeting)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
