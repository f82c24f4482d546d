"""All critical tasks live, or none."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from structlog.testing import capture_logs
from virtual_time import in_virtual_time

from controller.runtime.supervisor import TaskEnded, stop_on_signals, supervise


class Worker:
    """Sleeps until its hour has come; remembers whether it was ended from outside."""

    def __init__(self, dies_at_s: float = 1e6, error: Exception | None = None) -> None:
        self.dies_at_s = dies_at_s
        self.error = error
        self.cancelled = False

    async def run(self) -> None:
        try:
            await asyncio.sleep(self.dies_at_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error


def supervised(stop_at_s: float, **workers: Worker) -> dict[str, BaseException]:
    """What died, when asked to stop at a given instant; the finish takes a second and finds nobody cancelled."""

    async def scene() -> dict[str, BaseException]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_at(stop_at_s, stop.set)

        async def finish() -> None:
            await asyncio.sleep(1.0)
            assert not any(worker.cancelled for worker in workers.values())

        return await supervise({name: worker.run for name, worker in workers.items()}, stop, finish)

    with capture_logs():
        return in_virtual_time(scene())


def test_a_requested_stop_ends_every_task_and_blames_none() -> None:
    one, two = Worker(), Worker()
    assert supervised(5.0, one=one, two=two) == {}
    assert (one.cancelled, two.cancelled) == (True, True)


def test_the_death_of_one_task_ends_the_others_after_the_finish_and_is_named() -> None:
    error = ValueError("no")
    healthy = Worker()
    assert supervised(60.0, sick=Worker(3.0, error), healthy=healthy) == {"sick": error}
    assert healthy.cancelled


def test_a_task_that_returns_has_died() -> None:
    deaths = supervised(60.0, quitter=Worker(3.0))
    assert isinstance(deaths["quitter"], TaskEnded)


def test_all_that_die_together_are_named() -> None:
    assert set(supervised(60.0, a=Worker(3.0), b=Worker(3.0, OSError("x")), c=Worker())) == {"a", "b"}


def test_nobody_is_left_running_when_the_finish_itself_fails() -> None:
    worker = Worker()

    async def scene() -> None:
        stop = asyncio.Event()
        stop.set()

        async def finish() -> None:
            raise ZeroDivisionError

        await supervise({"worker": worker.run}, stop, finish)

    with pytest.raises(ZeroDivisionError):
        in_virtual_time(scene())
    assert worker.cancelled


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_for_a_stop_and_a_second_one_changes_nothing(number: signal.Signals) -> None:
    async def scene() -> bool:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), 5.0)
            os.kill(os.getpid(), number)
            await asyncio.sleep(0)
        return stop.is_set()

    assert asyncio.run(scene())
