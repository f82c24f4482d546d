"""Services of the station that keep their word on the disk: one that the disk keeps shut waits, the others go on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from typing import Protocol

import structlog

from controller.durable_file import refused
from controller.runtime.heartbeat import notify
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

RETRY_S = 5.0
"""Between two tries to open what the disk refused, machine seconds."""
PATIENCE_S = 5.0
"""A disk that does not answer for so long at the start counts as one that refuses, machine seconds."""


class Service(Protocol):
    """What opens files before it can do anything."""

    async def open(self) -> None:
        """Open them. Raises OSError or sqlite3.Error; may be tried again then."""
        ...

    def tasks(self) -> Mapping[str, Work]:
        """What has to run when they are open, by name."""
        ...


class Doors:
    """Opens services at the start. What waits is told once, with the reason, and in one line to the service manager."""

    def __init__(self, retry_s: float = RETRY_S, patience_s: float = PATIENCE_S) -> None:
        self._retry_s, self._patience_s = retry_s, patience_s
        self._waiting: dict[str, str] = {}

    async def admit(self, name: str, service: Service) -> dict[str, Work]:
        """Tasks of a service, opened; of one that cannot be opened for now, tasks that begin as soon as it is.

        Raises OSError or sqlite3.Error when it is not the disk that refuses.
        """
        opening = asyncio.ensure_future(service.open())
        if (await asyncio.wait({opening}, timeout=self._patience_s))[0]:
            try:
                await opening
            except (sqlite3.Error, OSError) as error:
                if not refused(error):
                    raise
                self._wait(name, str(error))
            else:
                return dict(service.tasks())
        else:
            self._wait(name, f"the disk does not answer within {self._patience_s:g} s")
        opened = asyncio.Event()

        async def open_late() -> None:
            await self._open(name, service, opening)
            opened.set()
            await asyncio.Event().wait()  # a task must not end

        return {f"{name}-opening": open_late} | {key: _after(opened, work) for key, work in service.tasks().items()}

    async def _open(self, name: str, service: Service, opening: asyncio.Future[None]) -> None:
        """Until it is open. Raises OSError or sqlite3.Error when something else than the disk refuses."""
        while True:
            try:
                await asyncio.shield(opening)
                break
            except (sqlite3.Error, OSError) as error:
                if not refused(error):
                    raise
                self._wait(name, str(error))
            await asyncio.sleep(self._retry_s)
            opening = asyncio.ensure_future(service.open())
        self._waiting.pop(name, None)
        self._status()
        _log.info("storage.ready", subject=name)

    def _wait(self, name: str, reason: str) -> None:
        if self._waiting.get(name) != reason:
            _log.error("storage.waiting", subject=name, reason=reason)
        self._waiting[name] = reason
        self._status()

    def _status(self) -> None:
        """What `systemctl status` shows."""
        waits = "; ".join(f"{name} waits for the disk: {reason}" for name, reason in self._waiting.items())
        notify(f"STATUS={waits or 'everything is open'}")


def _after(opened: asyncio.Event, work: Work) -> Work:
    async def begin() -> None:
        await opened.wait()
        await work()

    return begin
