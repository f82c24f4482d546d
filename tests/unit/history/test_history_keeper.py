"""The writer beside the loop: a disk that refuses costs nothing but time, and what it cost in the end is said."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from full_disk import full_disk
from history_kit import BEGAN_S, batch
from structlog.testing import capture_logs

from controller.durable_file import NotOpen
from controller.history.batch import Batch
from controller.history.keeper import Keeper
from controller.history.store import Store, StoreError, open_store, open_to_read


class Disk(Store):
    """A store on a disk that can be full or hang."""

    full = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "demo")
        self.free = threading.Event()
        self.free.set()

    def append(self, period: Batch) -> int:
        self.free.wait(60.0)
        if Disk.full:
            raise sqlite3.OperationalError("database or disk is full")
        return super().append(period)


def starts(folder: Path) -> list[int]:
    """Which minutes are stored."""
    with closing(open_to_read(folder)) as db:
        rows = db.execute("SELECT start_utc_s FROM period ORDER BY start_utc_s, part")
        return [(start - BEGAN_S) // 60 for (start,) in rows]


async def until(keeper: Keeper, stored: int) -> None:
    async with asyncio.timeout(60.0):
        while keeper.stored < stored:
            await keeper.more(0.05)


async def test_batches_are_stored_in_order_and_the_last_ones_at_the_end(tmp_path: Path) -> None:
    keeper = Keeper(lambda: Store(tmp_path, "demo"))
    assert await keeper.open() is None
    for k in range(5):
        keeper.put(batch(k))
    task = asyncio.create_task(keeper.run())
    await until(keeper, 2)
    keeper.put(batch(5))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert starts(tmp_path) == list(range(6))


async def test_a_writer_that_is_stopped_in_the_middle_of_a_period_stores_it_once(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.close()
    opened: list[Disk] = []

    def open_disk() -> Disk:
        opened.append(Disk(tmp_path))
        return opened[0]

    keeper = Keeper(open_disk)
    await keeper.open()
    opened[0].free.clear()
    keeper.put(batch(0))
    task = asyncio.create_task(keeper.run())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    opened[0].free.set()
    await keeper.aclose()
    assert starts(tmp_path) == [0]


async def test_a_full_disk_is_told_once_and_what_waited_is_stored_when_there_is_room(tmp_path: Path) -> None:
    keeper = Keeper(lambda: Disk(tmp_path), depth=3, retry_s=0.01)
    await keeper.open()
    Disk.full = True
    try:
        with capture_logs() as logs:
            task = asyncio.create_task(keeper.run())
            for k in range(8):
                keeper.put(batch(k))
                await asyncio.sleep(0.02)
            Disk.full = False
            await until(keeper, 3)
    finally:
        Disk.full = False
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert [log["event"] for log in logs] == ["history.lost", "history.recovered"]
    assert starts(tmp_path) == [5, 6, 7]
    with closing(open_to_read(tmp_path)) as db:
        gaps = db.execute("SELECT from_utc_s, reason FROM gap ORDER BY from_utc_s").fetchall()
    assert gaps == [(BEGAN_S + 60.0 * k, "the disk refused") for k in range(5)]


async def one_period_stored(folder: Path) -> None:
    """A keeper that was there before, and left a period behind."""
    before = Keeper(lambda: open_store(folder, "demo"))
    await before.open()
    before.put(batch(0))
    await before.aclose()


async def test_a_disk_that_is_full_at_the_start_costs_no_period_and_the_time_before_is_a_gap(tmp_path: Path) -> None:
    await one_period_stored(tmp_path)
    keeper = Keeper(lambda: open_store(tmp_path, "demo"), retry_s=0.01)
    with capture_logs() as logs:
        with full_disk():
            assert await keeper.open() is None
            task = asyncio.create_task(keeper.run())
            for k in (10, 11):
                keeper.put(batch(k))
            with pytest.raises(NotOpen, match="store is not open"):
                await keeper.newest_id()
            await asyncio.sleep(0.05)
            assert keeper.stored == 0
        await until(keeper, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert [log["event"] for log in logs] == ["history.lost", "history.opened", "history.recovered"]
    assert starts(tmp_path) == [0, 10, 11]
    with closing(open_to_read(tmp_path)) as db:
        gaps = db.execute("SELECT from_utc_s, to_utc_s, reason FROM gap").fetchall()
    assert gaps == [(BEGAN_S + 60.0, BEGAN_S + 600.0, "nobody listened")]


async def test_the_outbox_of_a_late_store_is_there_before_the_next_period(tmp_path: Path) -> None:
    await one_period_stored(tmp_path)
    keeper = Keeper(lambda: open_store(tmp_path, "demo"), retry_s=0.01)
    with capture_logs(), full_disk():
        await keeper.open()
    assert not keeper.is_open
    task = asyncio.create_task(keeper.run())
    async with asyncio.timeout(60.0):
        while not keeper.is_open:
            await keeper.more(0.01)
    assert len(await keeper.after(0, 1 << 20)) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()


async def test_a_disk_that_does_not_answer_at_the_start_is_waited_for_beside_everything_else(tmp_path: Path) -> None:
    free = threading.Event()

    def open_slowly() -> Store:
        free.wait(60.0)
        return Store(tmp_path, "demo")

    keeper = Keeper(open_slowly, retry_s=0.01, patience_s=0.02)
    with capture_logs() as logs:
        assert await keeper.open() is None
        task = asyncio.create_task(keeper.run())
        keeper.put(batch(0))
        await asyncio.sleep(0.1)
        free.set()
        await until(keeper, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert [log["event"] for log in logs] == ["history.lost", "history.opened", "history.recovered"]
    assert logs[0]["reason"] == "the disk does not answer within 0.02 s"
    assert starts(tmp_path) == [0]


async def test_a_disk_that_hangs_while_it_is_written_is_told_and_costs_no_period(tmp_path: Path) -> None:
    opened: list[Disk] = []

    def open_disk() -> Disk:
        opened.append(Disk(tmp_path))
        return opened[0]

    keeper = Keeper(open_disk, retry_s=0.01, patience_s=60.0)
    await keeper.open()
    keeper._patience_s = 0.02
    with capture_logs() as logs:
        task = asyncio.create_task(keeper.run())
        opened[0].free.clear()
        for k in range(3):
            keeper.put(batch(k))
            await asyncio.sleep(0.05)
        assert [(log["event"], log["reason"]) for log in logs] == [
            ("history.lost", "the disk does not answer within 0.04 s")
        ]
        assert keeper.stored == 0
        opened[0].free.set()
        await until(keeper, 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert logs[-1]["event"] == "history.recovered"
    assert starts(tmp_path) == [0, 1, 2]


async def test_a_store_that_is_damaged_at_the_start_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"what a blow has left of it " * 1000)
    keeper = Keeper(lambda: open_store(tmp_path, "demo"))
    with capture_logs() as logs:
        assert await keeper.open() is None
    keeper.put(batch(0))
    await keeper.aclose()
    assert [log["event"] for log in logs] == ["storage.damaged"]
    assert (tmp_path / "history.sqlite.damaged-1").read_bytes().startswith(b"what a blow")
    assert starts(tmp_path) == [0]
    (tmp_path / "history.sqlite").unlink()
    with pytest.raises(StoreError, match=r"set aside as damaged: history\.sqlite\.damaged-1"):
        open_to_read(tmp_path)


async def test_a_store_that_turns_out_to_be_damaged_while_it_is_written_is_set_aside_too(tmp_path: Path) -> None:
    class Damaged(Store):
        def append(self, period: Batch) -> int:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

    kinds = iter((Damaged,))
    keeper = Keeper(lambda: next(kinds, Store)(tmp_path, "demo"), retry_s=0.01)
    await keeper.open()
    with capture_logs() as logs:
        task = asyncio.create_task(keeper.run())
        keeper.put(batch(3))
        await until(keeper, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
    assert [log["event"] for log in logs] == ["history.lost", "storage.damaged", "history.opened", "history.recovered"]
    assert starts(tmp_path) == [3]
    assert (tmp_path / "history.sqlite.damaged-1").is_file()


async def test_the_outbox_is_asked_beside_the_loop(tmp_path: Path) -> None:
    keeper = Keeper(lambda: Store(tmp_path, "demo"))
    await keeper.open()
    task = asyncio.create_task(keeper.run())
    keeper.put(batch(0))
    await until(keeper, 1)
    waiting = await keeper.after(0, 1 << 20)
    assert await keeper.newest_id() == len(waiting) == 2
    assert await keeper.up_to(2, 1 << 20) == waiting
    await keeper.acknowledged([m.id for m in waiting])
    assert await keeper.after(0, 1 << 20) == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.aclose()
