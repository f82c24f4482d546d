"""From the record socket to the keeper; the control process notices nothing of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from controller.history.collect import BadRecord, Collector
from controller.history.keeper import Keeper

_log = structlog.get_logger()

_LINE_BYTES_MAX = 1 << 24
_RETRY_S = 1.0


class Intake:
    """Reads records until cancelled and hands each to everybody in ``also`` too.

    A control process that is not there (yet) is asked for again every second.
    """

    def __init__(
        self,
        path: Path,
        collector: Collector,
        keeper: Keeper,
        also: Sequence[Callable[[Mapping[str, Any]], None]] = (),
    ) -> None:
        self._path = path
        self._collector = collector
        self._keeper = keeper
        self._also = also
        self._refused = ""

    async def run(self) -> None:
        """Never returns."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path), limit=_LINE_BYTES_MAX)
            except OSError as error:
                self._absent(str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            self._refused = ""
            _log.info("records.connected", path=str(self._path))
            try:
                await self._read(reader)
            finally:
                writer.close()
            _log.warning("records.disconnected", path=str(self._path))

    def finish(self) -> None:
        """Hand over the period that is still open."""
        batch = self._collector.close()
        if batch is not None:
            self._keeper.put(batch)

    def _absent(self, reason: str) -> None:
        if reason != self._refused:
            _log.warning("records.absent", path=str(self._path), reason=reason)
        self._refused = reason

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Until the other side hangs up; half a line of a killed process is worth nothing."""
        with contextlib.suppress(ConnectionResetError):
            while (line := await reader.readline()).endswith(b"\n"):
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            batch = self._collector.take(record)
        except ValueError as error:
            kind = "record" if isinstance(error, BadRecord) else "JSON"
            _log.warning("records.refused", reason=f"not a {kind}: {error}")
            return
        for listener in self._also:
            listener(record)
        if batch is not None:
            self._keeper.put(batch)
