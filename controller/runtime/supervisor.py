"""Life and death of the critical tasks: all of them live, or the process ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

_log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]


class StopRequested(Exception):
    """Somebody asked for a clean end."""


class TaskEnded(RuntimeError):
    """A task that must run for ever returned."""


async def supervise(tasks: Mapping[str, Work], stop: asyncio.Event) -> dict[str, BaseException]:
    """Run every task until one dies or ``stop`` is set, then end them all.

    Returns what died, by name; empty after a requested stop.
    """
    running: dict[str, asyncio.Task[None]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for name, work in tasks.items():
                running[name] = group.create_task(_for_ever(name, work), name=name)
            group.create_task(_until(stop), name="stop")
    except ExceptionGroup:
        pass  # looked at below, task by task, because the group does not know the names
    deaths = {name: death for name, task in running.items() if (death := _death_of(task)) is not None}
    for name, death in deaths.items():
        _log.error("task.died", task=name, error=f"{type(death).__name__}: {death}", exc_info=death)
    return deaths


async def _for_ever(name: str, work: Work) -> None:
    await work()
    raise TaskEnded(f"task {name} returned; expected it to run until cancelled")


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StopRequested


def _death_of(task: asyncio.Task[None]) -> BaseException | None:
    return None if not task.done() or task.cancelled() else task.exception()


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
