"""Life and death of the critical tasks: all of them live, or the process ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

_log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]


class TaskEnded(RuntimeError):
    """A task that must run for ever returned."""


async def supervise(
    tasks: Mapping[str, Work], stop: asyncio.Event, finish: Callable[[], Awaitable[None]]
) -> dict[str, BaseException]:
    """Run every task until one dies or ``stop`` is set, then ``finish`` while the others still run, then end them all.

    Returns what died, by name; empty after a requested stop. Not a task group, because that would cancel the others at
    once, in the middle of a request: a cancelled request costs the connection that the last writes need.
    """
    running = {name: asyncio.create_task(work(), name=name) for name, work in tasks.items()}
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((stopping, *running.values()), return_when=asyncio.FIRST_COMPLETED)
        deaths = _deaths(running)
        for name, death in deaths.items():
            _log.error("task.died", task=name, error=f"{type(death).__name__}: {death}", exc_info=death)
        await finish()
    finally:
        for task in (stopping, *running.values()):
            task.cancel()
        await asyncio.gather(stopping, *running.values(), return_exceptions=True)
    return deaths


def _deaths(running: Mapping[str, asyncio.Task[None]]) -> dict[str, BaseException]:
    return {name: _death(task) for name, task in running.items() if task.done()}


def _death(task: asyncio.Task[None]) -> BaseException:
    if task.cancelled():
        return TaskEnded("was cancelled from inside; expected it to run until the supervisor ends it")
    return task.exception() or TaskEnded("returned; expected it to run until cancelled")


@contextmanager
def stop_on_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set ``stop`` while the context lasts; asking twice changes nothing."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
