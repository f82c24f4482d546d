"""What the machine takes away from a test runs out none of its time-outs; what the test waits and computes counts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytestmark = pytest.mark.socket

HELD_UP_S = 0.3
ALLOWED_S = 0.1


def block(duration_s: float) -> None:
    """Somebody else has the processor in the middle of a callback."""
    time.sleep(duration_s)


def stop_us(duration_s: float) -> subprocess.Popen[bytes]:
    """Somebody else has the processor, wherever we are: a child stops this process."""
    us = os.getpid()
    return subprocess.Popen(["sh", "-c", f"sleep 0.05; kill -STOP {us}; sleep {duration_s}; kill -CONT {us}"])


@asynccontextmanager
async def echo(pause_s: float = 0.0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a peer in this loop, which says what it heard after a pause."""

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            await asyncio.sleep(pause_s)
            writer.write(data)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        await ended.wait()
        server.close()


async def test_a_peer_that_could_not_act_is_not_late() -> None:
    async with echo() as (reader, writer), asyncio.timeout(ALLOWED_S):
        for _ in range(3):
            writer.write(b"x")
            block(HELD_UP_S)
            assert await reader.read(100) == b"x"


async def test_a_stop_of_the_whole_process_is_nobody_s_fault() -> None:
    stopped = stop_us(HELD_UP_S)
    began_s = time.time()
    try:
        async with echo(pause_s=0.02) as (reader, writer):
            while time.time() - began_s < HELD_UP_S + 0.1:  # the stop falls into one of these
                writer.write(b"x")
                async with asyncio.timeout(ALLOWED_S):
                    assert await reader.read(100) == b"x"
    finally:
        await asyncio.to_thread(stopped.wait)


async def test_a_peer_that_takes_too_long_is_late_all_the_same() -> None:
    async with echo(pause_s=2.0 * ALLOWED_S) as (reader, writer):
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(ALLOWED_S):
                await reader.read(100)


async def test_a_wait_counts_for_as_long_as_it_was_asked_for() -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for _ in range(20):
        await asyncio.sleep(0.005)
        block(0.005)
    assert 0.1 <= loop.time() - began_s < 0.15


async def test_work_counts_as_much_as_it_is() -> None:
    began_s, until_s = time.monotonic(), time.thread_time() + 0.05
    while time.thread_time() < until_s:
        pass
    assert time.monotonic() - began_s >= 0.05


async def test_time_goes_on_and_never_back_in_any_thread() -> None:
    def watch() -> bool:
        seen = [time.monotonic() for _ in range(1000)]
        return seen == sorted(seen)

    watching = [asyncio.create_task(asyncio.to_thread(watch)) for _ in range(3)]
    seen = []
    while not all(task.done() for task in watching):
        seen.append(time.monotonic())
        await asyncio.sleep(0.001)
    assert seen == sorted(seen)
    assert all([await task for task in watching])


def test_a_test_without_a_loop_has_the_time_of_the_machine() -> None:
    before_s = time.clock_gettime(time.CLOCK_MONOTONIC)
    block(0.01)
    assert time.monotonic() - before_s >= 0.01
