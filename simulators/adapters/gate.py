"""A TCP relay in front of a server, which can fall silent: connections stay open and no byte passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_CHUNK = 65536
_LOOK_AGAIN_S = 0.02


class Gate:
    """Relays ``host:port`` to a loopback port, except while ``silent()`` is true.

    Bytes that arrive meanwhile are held and passed on afterwards, as a network that recovers does.
    """

    def __init__(self, host: str, port: int, inner_port: int, silent: Callable[[], bool]) -> None:
        self._outer = (host, port)
        self._inner_port = inner_port
        self._silent = silent
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; OSError when the port is taken."""
        self._server = await asyncio.start_server(self._accept, *self._outer)

    async def stop(self) -> None:
        """Stop listening and cut every connection; safe to call twice."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._relay(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner_port)
            try:
                await self._both_ways(reader, writer, inner_reader, inner_writer)
            finally:
                inner_writer.transport.abort()
        except OSError:
            return  # either end went away: the other is cut below
        finally:
            writer.transport.abort()

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner_reader: asyncio.StreamReader,
        inner_writer: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.create_task(self._pump(reader, inner_writer)),
            asyncio.create_task(self._pump(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            while self._silent():  # noqa: ASYNC110 - the device has a flag, not an event
                await asyncio.sleep(_LOOK_AGAIN_S)
            writer.write(data)
            await writer.drain()
