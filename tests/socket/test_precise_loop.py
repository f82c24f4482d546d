"""The event loop of the control process wakes in time, and for whatever comes first."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import closing

import pytest

from controller.runtime import event_loop
from controller.runtime.event_loop import PreciseSelector, precise_loop

pytestmark = pytest.mark.socket


def shortest_wait_s(timeout_s: float) -> float:
    """The shortest of some waits in which nothing comes: what the machine can do, whoever else wants it."""
    with closing(PreciseSelector()) as selector:
        waits = []
        for _ in range(30):
            began = time.monotonic()
            assert selector.select(timeout_s) == []
            waits.append(time.monotonic() - began)
        return min(waits)


def test_a_wait_of_a_fifth_of_a_millisecond_is_not_a_whole_one_and_never_too_short() -> None:
    assert 0.0002 <= shortest_wait_s(0.0002) < 0.0009


def test_a_timer_of_some_milliseconds_comes_in_time_after_a_coarse_and_a_fine_wait() -> None:
    async def lateness_s() -> list[float]:
        loop, found = asyncio.get_running_loop(), []
        for _ in range(20):
            due = loop.time() + 0.0053
            await asyncio.sleep(due - loop.time())
            found.append(loop.time() - due)
        return found

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        late = runner.run(lateness_s())
    assert min(late) >= -1e-6
    assert min(late) < 0.0005, "a wait in whole milliseconds is 0.7 ms too long"


def test_a_selector_beyond_the_reach_of_select_waits_in_whole_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "FD_SETSIZE", 0)
    assert shortest_wait_s(0.0002) >= 0.0009


def test_what_arrives_ends_the_wait() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, closing(PreciseSelector()) as selector:
        selector.register(ours, 1)
        theirs.send(b"x")
        began = time.monotonic()
        assert [key.fileobj for key, _ in selector.select(10.0)] == [ours]
        assert [key.fileobj for key, _ in selector.select(None)] == [ours]
        assert [key.fileobj for key, _ in selector.select(0.0)] == [ours]
        assert time.monotonic() - began < 5.0


def test_a_loop_of_it_runs_timers_threads_and_children() -> None:
    async def day() -> tuple[str, int, int]:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        assert time.monotonic() - began >= 0.001
        child = await asyncio.create_subprocess_exec("true")
        return await asyncio.to_thread(str, 1), await child.wait(), os.getpid()

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        assert runner.run(day()) == ("1", 0, os.getpid())
