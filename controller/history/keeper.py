"""The one writer beside the loop: a thread owns the store, everybody else asks it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import structlog

from controller.balancing.outbox import Message
from controller.history.batch import Batch, Gap
from controller.history.store import Store

_log = structlog.get_logger()

T = TypeVar("T")

DEPTH = 1440
_RETRY_S = 5.0


class Keeper:
    """Stores batches in order; while the disk refuses, at most ``depth`` wait, then the oldest goes and leaves a gap.

    ``stored`` counts those that are on the disk. Its further methods are the outbox's, for those who send it on.
    """

    def __init__(self, open_store: Callable[[], Store], depth: int = DEPTH, retry_s: float = _RETRY_S) -> None:
        self.stored = 0
        self._open_store = open_store
        self._depth = depth
        self._retry_s = retry_s
        self._batches: deque[Batch] = deque()
        self._lost: list[Gap] = []
        self._trouble = ""
        self._arrived = asyncio.Event()
        self._stored_one = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._store: Store | None = None
        self._busy: asyncio.Future[bool] | None = None

    async def open(self) -> float | None:
        """Open the store; end of its last period, UTC seconds since 1970. Raises sqlite3.Error, OSError, StoreError."""
        self._store = await self._ask(self._open_store)
        return await self._ask(self._store.known_until_s)

    def put(self, batch: Batch) -> None:
        """Take one batch; never waits."""
        self._batches.append(batch)
        while len(self._batches) > self._depth:
            gone = self._batches.popleft()
            self._lost.append(Gap(float(gone.start_utc_s), float(gone.end_utc_s), 0, "the disk refused"))
        self._arrived.set()

    async def run(self) -> None:
        """Store what comes until cancelled."""
        while True:
            await self._arrived.wait()
            # What the thread has begun it ends: given up half-way here, the batch would be stored once more at the end.
            self._busy = asyncio.ensure_future(self._store_next())
            if not await asyncio.shield(self._busy):
                await asyncio.sleep(self._retry_s)

    async def aclose(self) -> None:
        """Store what is left, unless the disk refuses, and let go of the file."""
        if self._busy is not None:
            await self._busy
        while self._batches and await self._store_next():
            continue
        if self._store is not None:
            await self._ask(self._store.close)
        self._thread.shutdown(wait=True)

    async def newest_id(self) -> int:
        """Id of the newest message ever put in."""
        return await self._ask(self._opened.outbox.newest_id)

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        """The oldest messages younger than ``last_id``."""
        return await self._ask(lambda: self._opened.outbox.after(last_id, bytes_max))

    async def up_to(self, last_id: int, bytes_max: int, beyond: Message | None = None) -> list[Message]:
        """The first messages not younger than ``last_id``, with ``beyond`` those that come after it."""
        return await self._ask(lambda: self._opened.outbox.up_to(last_id, bytes_max, beyond))

    async def acknowledged(self, ids: Sequence[int]) -> None:
        """Others have these messages."""
        await self._ask(lambda: self._opened.acknowledged(ids))

    async def more(self, timeout_s: float) -> None:
        """Return when something was stored, or after so long."""
        self._stored_one.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stored_one.wait()

    @property
    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("the store is not open; expected open() first")
        return self._store

    async def _store_next(self) -> bool:
        """The oldest batch to the disk; False when it refused."""
        if not self._batches:
            self._arrived.clear()
            return True
        batch, lost = self._batches[0], tuple(self._lost)
        try:
            await self._ask(lambda: self._opened.append(replace(batch, gaps=lost + batch.gaps)))
        except sqlite3.Error as error:
            if not self._trouble:
                _log.error("history.lost", reason=str(error), waiting=len(self._batches))
            self._trouble = str(error)
            return False
        if self._trouble:
            _log.info("history.recovered", gaps=len(lost))
        self._trouble = ""
        self._forget(batch, len(lost))
        return True

    def _forget(self, batch: Batch, told: int) -> None:
        """The batch is on the disk, with what was told of those that are not; it may have been pushed out meanwhile."""
        self.stored += 1
        del self._lost[:told]
        if self._batches and self._batches[0] is batch:
            self._batches.popleft()
        else:
            self._lost = [gap for gap in self._lost if gap.from_utc_s != batch.start_utc_s]
        self._stored_one.set()

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
