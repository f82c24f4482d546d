"""A Modbus device that misbehaves by the row of a table, on TCP, TLS or RTU over a pty.

Register ``a`` holds the number ``a``. A behaviour turns a request into steps: bytes to send, seconds to wait, and
``fin`` or ``rst`` to end the connection. Without a behaviour the answer is right.
"""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import ssl
import struct
import tty
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from drivers.modbus.codec import crc16

Step = bytes | float | str


@dataclass(frozen=True)
class Ask:
    """One request, and how an answer to it is framed on its transport."""

    rtu: bool
    transaction: int
    unit: int
    pdu: bytes

    @property
    def right_pdu(self) -> bytes:
        """The body of the right answer."""
        function, address, count = struct.unpack_from(">BHH", self.pdu)
        if function in (3, 4):
            return struct.pack(f">BB{count}H", function, 2 * count, *range(address, address + count))
        return self.pdu[:5]

    @property
    def right(self) -> bytes:
        """The right answer."""
        return self.framed(self.right_pdu)

    def framed(
        self, pdu: bytes, *, tid: int = 0, unit: int = 0, protocol: int = 0, length: int | None = None, crc: int = 0
    ) -> bytes:
        """``pdu`` as a frame; the other arguments make it wrong by that much (``length``: that value)."""
        address = (self.unit + unit) & 0xFF
        if self.rtu:
            body = bytes((address,)) + pdu
            return body + (crc16(body) ^ crc).to_bytes(2, "little")
        size = len(pdu) + 1 if length is None else length
        return struct.pack(">HHHB", (self.transaction + tid) & 0xFFFF, protocol, size, address) + pdu


Behaviour = Callable[[Ask], Sequence[Step]]


class Peer:
    """The misbehaving device: what it does next, what it was asked, and how many connections it has seen at once."""

    def __init__(self, script: Iterable[Behaviour]) -> None:
        self.script = list(script)
        self.asked: list[Ask] = []
        self.at_once_max = 0
        self.endpoint = ""
        self.options: dict[str, str] = {}
        self._open: list[asyncio.StreamReader] = []

    def steps(self, ask: Ask) -> Sequence[Step]:
        """What to do about a request."""
        self.asked.append(ask)
        return self.script.pop(0)(ask) if self.script else (ask.right,)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP or TLS connection, until it ends."""
        self._open.append(reader)
        try:
            while True:
                head = await reader.readexactly(6)
                frame = head + await reader.readexactly(struct.unpack_from(">H", head, 4)[0])
                self.at_once_max = max(
                    self.at_once_max, sum(1 for other in self._open if not (other.at_eof() or other.exception()))
                )
                ask = Ask(False, struct.unpack_from(">H", frame)[0], frame[6], frame[7:])
                if not await _perform(self.steps(ask), writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            self._open.remove(reader)
            writer.transport.abort()

    async def serve_line(self, reader: asyncio.StreamReader, master: int) -> None:
        """The far end of a serial line, for ever; a request is 8 bytes, 7 for function 43, or longer for 16."""
        with suppress(asyncio.IncompleteReadError):
            while True:
                frame = await reader.readexactly(7)
                frame += await reader.readexactly(1 if frame[1] != 43 else 0)
                if frame[1] == 16:
                    frame += await reader.readexactly(1 + frame[6])
                assert crc16(frame[:-2]).to_bytes(2, "little") == frame[-2:], "our request is well formed"
                self.at_once_max = 1
                for step in self.steps(Ask(True, 0, frame[0], frame[1:-2])):
                    if isinstance(step, bytes):
                        with suppress(BlockingIOError):  # a flood may be more than the line takes
                            os.write(master, step)
                    elif isinstance(step, float):
                        await asyncio.sleep(step)


async def _perform(steps: Sequence[Step], writer: asyncio.StreamWriter) -> bool:
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
async def on_socket(
    script: Iterable[Behaviour], context: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Peer]:
    """A peer on a free port of the loopback, with TLS when there is a ``context``."""
    peer = Peer(script)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(peer.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", port, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    peer.endpoint = f"127.0.0.1:{port}" if context is None else f"modbus+tls://127.0.0.1:{port}"
    try:
        yield peer
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@asynccontextmanager
async def on_line(script: Iterable[Behaviour]) -> AsyncIterator[Peer]:
    """A peer at the far end of a pseudo terminal."""
    peer = Peer(script)
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()

    def readable() -> None:
        with suppress(BlockingIOError, OSError):
            reader.feed_data(os.read(master, 4096))

    loop.add_reader(master, readable)
    peer.endpoint = f"rtu://{os.ttyname(slave)}?baud=115200&parity=N"  # a pseudo terminal has no parity
    task = asyncio.ensure_future(peer.serve_line(reader, master))
    try:
        yield peer
    finally:
        loop.remove_reader(master)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(master)
        os.close(slave)
