"""The simulator's status socket: truth and score out, faults in, one JSON object per line."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_BACKLOG_BYTES_MAX = 1 << 20
_LINE_BYTES_MAX = 1 << 16

Handler = Callable[[dict[str, Any]], dict[str, Any]]


class StatusSocket:
    """Publishes to everybody who is connected; a reader that falls behind misses lines, it never slows the world.

    ``handle`` gets every command and says what the sender is told, or raises ValueError or KeyError to refuse it.
    """

    def __init__(self, path: str, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; a socket file that a dead process left behind is removed, OSError when the path cannot be used."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_BYTES_MAX)

    def publish(self, message: dict[str, Any]) -> None:
        """Send one line to every reader; NaN and infinities become null."""
        line = encode(message)
        for writer in tuple(self._clients):
            if writer.transport.get_write_buffer_size() < _BACKLOG_BYTES_MAX:
                writer.write(line)

    async def stop(self) -> None:
        """Send what is still waiting, close all connections and remove the file; safe to call twice."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in tuple(self._clients):
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.drain(), 1.0)
            writer.close()
        self._clients.clear()
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(encode(self._answer(line)))
        except (OSError, ValueError):
            pass  # the reader went away, or sent a line longer than the limit: only its own connection ends
        finally:
            self._clients.discard(writer)
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            command = json.loads(line)
        except ValueError as refused:
            return {"ok": False, "error": f"not JSON: {refused}"}
        if not isinstance(command, dict):
            return {"ok": False, "error": f"command is {command!r}; expected a JSON object"}
        try:
            said = self._handle(command)
        except (ValueError, KeyError) as refused:
            return {"ok": False, "error": str(refused.args[0])}
        return {"ok": True} | said


def encode(message: dict[str, Any]) -> bytes:
    """One JSON line in UTF-8."""
    return json.dumps(_finite(message), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
