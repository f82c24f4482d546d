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
from controller.durable_file import NotOpen, damaged, refused
from controller.history.batch import Batch, Gap
from controller.history.store import FILE, Store

_log = structlog.get_logger()

T = TypeVar("T")

DEPTH = 1440
_RETRY_S = 5.0
PATIENCE_S = 5.0
"""Of the machine: a disk that takes longer to open the store at the start counts as one that refuses."""

_HUNG = "the disk does not answer within {:g} s"


class Keeper:
    """Stores batches in order; while the disk refuses, at most ``depth`` wait, then the oldest goes and leaves a gap.

    ``stored`` counts those that are on the disk. Its further methods are the outbox's, for those who send it on.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        depth: int = DEPTH,
        retry_s: float = _RETRY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.stored = 0
        self._open_store = open_store
        self._depth = depth
        self._retry_s = retry_s
        self._patience_s = patience_s
        self._batches: deque[Batch] = deque()
        self._lost: list[Gap] = []
        self._trouble = ""
        self._opened_late_after_s: float | None = None
        self._arrived = asyncio.Event()
        self._stored_one = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._store: Store | None = None
        self._opening: asyncio.Future[tuple[Store, float | None]] | None = None
        self._busy: asyncio.Future[bool] | None = None

    async def open(self) -> float | None:
        """Open the store; end of its last period, UTC seconds since 1970, None where nobody knows.

        A disk that refuses, or does not answer in time, is told and asked again by :meth:`run`. Raises
        other kinds of sqlite3.Error and OSError, and StoreError.
        """
        try:
            return await self._open_in_time()
        except (sqlite3.Error, OSError) as error:
            if not refused(error):
                raise
            self._refuse(error)
            self._arrived.set()  # run() has something to do
            return None

    @property
    def is_open(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

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
            if not (await asyncio.wait({self._busy}, timeout=2.0 * self._patience_s))[0]:
                self._refuse(NotOpen(_HUNG.format(2.0 * self._patience_s)))
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
        elif self._opening is not None:
            self._store, _ = await self._opening
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
            raise NotOpen(f"the store is not open: {self._trouble or 'expected open() first'}")
        return self._store

    async def _open_in_time(self) -> float | None:
        """End of the store's last period. Raises NotOpen when the disk does not answer in time."""
        opening = self._opening or asyncio.ensure_future(self._ask(self._open_and_look))
        self._opening = opening
        if not (await asyncio.wait({opening}, timeout=self._patience_s))[0]:
            raise NotOpen(_HUNG.format(self._patience_s))
        self._opening = None
        self._store, known_until_s = await opening
        return known_until_s

    def _open_and_look(self) -> tuple[Store, float | None]:
        """In the thread."""
        store = self._open_store()
        try:
            return store, store.known_until_s()
        except BaseException:
            store.close()
            raise

    def _mind_the_gap(self) -> None:
        """From the end of the last period in a store that was opened late to the first that waits nobody listened."""
        first, known_until_s = self._batches[0], self._opened_late_after_s
        self._opened_late_after_s = None
        begins_s = min([float(first.start_utc_s), *(gap.from_utc_s for gap in self._lost)])
        if known_until_s is not None and begins_s - known_until_s > first.period_s:
            self._lost.insert(0, Gap(known_until_s, begins_s, 0, "nobody listened"))

    async def _store_next(self) -> bool:
        """The oldest batch to the disk; False when it refused."""
        try:
            if self._store is None:
                self._opened_late_after_s = await self._open_in_time()
                _log.info("history.opened", known_until_utc_s=self._opened_late_after_s)
            if not self._batches:
                self._arrived.clear()
                return True
            self._mind_the_gap()
            batch, lost = self._batches[0], tuple(self._lost)
            await self._ask(lambda: self._opened.append(replace(batch, gaps=lost + batch.gaps)))
        except (sqlite3.Error, OSError) as error:
            self._refuse(error)
            if self._store is not None and damaged(error):
                await self._set_aside(self._store, error)
            return False
        if self._trouble:
            _log.info("history.recovered", gaps=len(lost))
        self._trouble = ""
        self._forget(batch, len(lost))
        return True

    def _refuse(self, error: Exception) -> None:
        if str(error) != self._trouble:
            _log.error("history.lost", reason=str(error), waiting=len(self._batches))
        self._trouble = str(error)

    async def _set_aside(self, store: Store, error: Exception) -> None:
        """A store that turns out to be damaged while it is written; the next try begins a new one."""
        try:
            kept = await self._ask(store.set_aside)
        except OSError as refusal:
            self._refuse(refusal)
            return
        self._store = None
        _log.error("storage.damaged", file=str(kept.parent / FILE), reason=str(error), kept_as=str(kept))

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
