"""Records as JSON lines on a Unix socket, for the page, the demo and whoever wants to look on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import cast

_BUFFER_BYTES = 256 * 1024
_READERS_MAX = 32
_MODE = 0o660


class RecordSocket:
    """Sends every line to every connected reader and waits for none.

    A reader that falls behind by more than 256 KiB gets nothing until it has caught up, then the newest line: lines
    are whole, in order, and may be missing. The 33rd reader is turned away. What readers send is not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.trouble = ""
        self._readers: set[_Reader] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, readable for the owner's group; OSError when another process listens there or the path is bad."""
        if somebody_listens(self.path):
            raise OSError(f"record socket {self.path}: another process listens there; expected it to be free")
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_unix_server(lambda: _Reader(self._readers), str(self.path))
        except OSError as error:
            raise OSError(f"record socket {self.path}: {error.strerror or error}; expected a path to create") from error
        self.path.chmod(_MODE)

    async def aclose(self) -> None:
        """Hang up on everybody, stop listening and remove the socket; safe to call twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for reader in tuple(self._readers):
            reader.hang_up()
        await server.wait_closed()
        self.path.unlink(missing_ok=True)

    @property
    def wanted(self) -> bool:
        """True while somebody is connected."""
        return bool(self._readers)

    def put(self, line: bytes) -> None:
        """Offer one line, its newline included, to every reader."""
        for reader in tuple(self._readers):
            reader.put(line)


class _Reader(asyncio.Protocol):
    """One connection; asyncio tells it when the peer is too slow."""

    def __init__(self, readers: set[_Reader]) -> None:
        self._readers = readers
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._newest: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)
        if len(self._readers) >= _READERS_MAX:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        transport.pause_reading()
        self._transport = transport
        self._readers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._readers.discard(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        newest, self._newest = self._newest, None
        if newest is not None:
            self.put(newest)

    def put(self, line: bytes) -> None:
        """Send, or remember as the newest when the peer is behind."""
        if self._paused:
            self._newest = line
        elif self._transport is not None:
            self._transport.write(line)

    def hang_up(self) -> None:
        """Send what is buffered and close; a peer that does not read is cut off."""
        if self._transport is None:
            return
        if self._paused:
            self._transport.abort()
        else:
            self._transport.close()


def somebody_listens(path: Path) -> bool:
    """Whether a live process answers on a Unix socket; a file that a dead one left behind does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.settimeout(0.5)
        probe.connect(str(path))
        return True
    return False
