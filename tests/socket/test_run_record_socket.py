"""Record readers on a real Unix socket: any number, any speed, none of them in the way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.runtime.record_socket import RecordSocket

pytestmark = pytest.mark.socket


@contextlib.asynccontextmanager
async def listening(path: Path) -> AsyncIterator[RecordSocket]:
    records = RecordSocket(path)
    await records.open()
    try:
        yield records
    finally:
        await records.aclose()


async def connect(records: RecordSocket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(records.path), limit=1 << 22)
    await asyncio.sleep(0.01)
    return reader, writer


async def test_every_reader_gets_every_line(tmp_path: Path) -> None:
    async with listening(tmp_path / "records") as records:
        assert not records.wanted
        one, one_writer = await connect(records)
        two, two_writer = await connect(records)
        assert records.wanted
        for k in range(50):
            records.put(b"%d\n" % k)
        async with asyncio.timeout(5.0):
            for reader in (one, two):
                assert [await reader.readline() for _ in range(50)] == [b"%d\n" % k for k in range(50)]
        one_writer.close()
        two_writer.close()


async def test_a_slow_reader_never_blocks_and_goes_on_with_whole_lines_and_the_newest(tmp_path: Path) -> None:
    async with listening(tmp_path / "records") as records:
        reader, writer = await connect(records)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for k in range(2000):
            records.put(b"%06d" % k + b"x" * 10_000 + b"\n")
        await asyncio.sleep(0)
        (connection,) = records._readers
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() < 300_000
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        seen = []
        async with asyncio.timeout(10.0):
            while not seen or seen[-1] != 1999:
                line = await reader.readline()
                assert len(line) == 10_007
                seen.append(int(line[:6]))
        assert seen == sorted(seen)
        assert len(seen) < 500
        writer.close()


async def test_a_reader_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with listening(tmp_path / "records") as records:
        _, writer = await connect(records)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5.0):
            while records.wanted:
                records.put(b"x\n")
                await asyncio.sleep(0.005)


async def test_readers_beyond_the_limit_are_turned_away(tmp_path: Path) -> None:
    async with listening(tmp_path / "records") as records:
        opened = [await connect(records) for _ in range(33)]
        async with asyncio.timeout(5.0):
            assert await opened[-1][0].read() == b""
        assert len(records._readers) == 32
        for _, writer in opened:
            writer.close()


async def test_the_socket_is_for_the_group_and_goes_away_with_us(tmp_path: Path) -> None:
    path = tmp_path / "records"
    async with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_socket_left_over_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "records"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.exists()
    async with listening(path) as records:
        _, writer = await connect(records)
        writer.close()


async def test_two_controllers_do_not_share_a_socket(tmp_path: Path) -> None:
    async with listening(tmp_path / "records"):
        with pytest.raises(OSError, match="another process listens there"):
            await RecordSocket(tmp_path / "records").open()


async def test_a_path_that_cannot_be_is_an_error_with_the_path_in_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await RecordSocket(tmp_path / "nowhere" / "records").open()
