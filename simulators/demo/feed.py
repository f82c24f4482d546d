"""Lines of JSON from Unix sockets and pipes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LINE_BYTES_MAX = 1 << 22
LAST_WORDS_S = 5.0
"""Machine time for what an ending process still has to say."""
_RETRY_S = 0.05

Take = Callable[[dict[str, Any]], None]


class Line(Protocol):
    """Where lines come from."""

    async def readline(self) -> bytes:
        """The next line, its end included; less at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Feed:
    """One open connection; asyncio closes it as soon as nobody holds its writer any more."""

    reader: Line
    writer: asyncio.StreamWriter | None = None

    async def pump(self, take: Take) -> None:
        """Hand every line to ``take`` until the other side hangs up."""
        while line := await self._next():
            take(json.loads(line))

    async def _next(self) -> bytes:
        """One whole line; empty at the end, where half a line of a killed process is worth nothing."""
        try:
            line = await self.reader.readline()
        except ConnectionResetError:
            return b""
        return line if line.endswith(b"\n") else b""

    def close(self) -> None:
        """Hang up."""
        if self.writer is not None:
            self.writer.close()


def cancelled_at_end(opened: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Do it beside, until it is done or ``opened`` is closed."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait((task,))

    opened.push_async_callback(end)
    return task


def reading(opened: AsyncExitStack, feed: Feed, take: Take) -> asyncio.Task[None]:
    """Hand every line to ``take`` until the other side hangs up, or ``opened`` is closed."""
    return cancelled_at_end(opened, pump_and_close(feed, take))


async def pump_and_close(feed: Feed, take: Take) -> None:
    """Hand every line to ``take`` until the other side hangs up, and hang up too."""
    try:
        await feed.pump(take)
    finally:
        feed.close()


async def connect(path: Path, alive: Callable[[], bool]) -> Feed | None:
    """Connect to the socket at ``path`` as soon as somebody listens there; None when ``alive`` turns False first."""
    while alive():
        try:
            reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_BYTES_MAX)
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(_RETRY_S)
        else:
            return Feed(reader, writer)
    return None
