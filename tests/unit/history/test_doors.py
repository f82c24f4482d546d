"""A service whose files the disk keeps shut waits and says why; the others go on, and it follows when it can."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from full_disk import full_disk
from structlog.testing import capture_logs

from controller.durable_file import DurableFile
from controller.history.doors import Doors
from controller.runtime.supervisor import Work


class Service:
    """It has a file, and one task that runs when the file is open."""

    def __init__(self, folder: Path, hangs: asyncio.Event | None = None) -> None:
        self._file = folder / "service" / "service.sqlite"
        self._hangs = hangs
        self.files: list[DurableFile] = []
        self.running = asyncio.Event()

    async def open(self) -> None:
        if self._hangs is not None:
            await self._hangs.wait()
        self.files.append(DurableFile(self._file, "CREATE TABLE IF NOT EXISTS x (y)"))

    async def run(self) -> None:
        assert self.files
        self.running.set()
        await asyncio.Event().wait()

    def tasks(self) -> Mapping[str, Work]:
        return {"service": self.run}


async def end(tasks: list[asyncio.Task[None]], service: Service) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for file in service.files:
        file.close()


async def test_on_a_disk_with_room_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with capture_logs() as told:
        assert await Doors().admit("market", service) == service.tasks()
    assert not told
    await end([], service)


async def test_a_service_on_a_full_disk_waits_says_why_once_and_runs_when_there_is_room(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with capture_logs() as told:
        with full_disk():
            works = await Doors(retry_s=0.01).admit("market", service)
            tasks = [asyncio.create_task(work()) for work in works.values()]
            await asyncio.sleep(0.1)
            assert not service.running.is_set()
        await asyncio.wait_for(service.running.wait(), 30.0)
    assert not any(task.done() for task in tasks)
    assert [(entry["event"], entry["subject"]) for entry in told] == [
        ("storage.waiting", "market"),
        ("storage.ready", "market"),
    ]
    assert "service.sqlite" in told[0]["reason"]
    assert len(service.files) == 1
    await end(tasks, service)


async def test_a_disk_that_does_not_answer_delays_nobody_else_and_is_not_asked_twice(tmp_path: Path) -> None:
    answers = asyncio.Event()
    service = Service(tmp_path, answers)
    with capture_logs() as told:
        works = await Doors(retry_s=0.01, patience_s=0.01).admit("weather", service)
        tasks = [asyncio.create_task(work()) for work in works.values()]
        answers.set()
        await asyncio.wait_for(service.running.wait(), 30.0)
    assert told[0]["reason"] == "the disk does not answer within 0.01 s"
    assert len(service.files) == 1
    await end(tasks, service)


async def test_what_is_not_the_disks_fault_is_no_reason_to_wait(tmp_path: Path) -> None:
    class Strange(Service):
        async def open(self) -> None:
            raise sqlite3.OperationalError("no such column: chain")

    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        await Doors().admit("market", Strange(tmp_path))


async def test_the_service_manager_is_told_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("controller.history.doors.notify", said.append)
    service = Service(tmp_path)
    with capture_logs(), full_disk():
        works = await Doors(retry_s=0.01).admit("market", service)
    tasks = [asyncio.create_task(work()) for work in works.values()]
    await asyncio.wait_for(service.running.wait(), 30.0)
    assert said[0].startswith("STATUS=market waits for the disk: ")
    assert said[-1] == "STATUS=everything is open"
    await end(tasks, service)
