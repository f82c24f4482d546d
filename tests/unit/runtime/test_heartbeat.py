"""The watchdog is fed only while every critical task is alive."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from virtual_time import LoopClock, in_virtual_time

from controller.clock import ManualClock
from controller.runtime import heartbeat
from controller.runtime.heartbeat import Heartbeats, feed_watchdog, notify, watchdog_s


def test_a_task_is_late_after_three_periods() -> None:
    clock = ManualClock()
    beats = Heartbeats(clock)
    beats.watch("slow", 10.0)
    clock.advance(30.0)
    assert beats.late() == []
    clock.advance(0.1)
    assert beats.late() == ["slow"]
    beats.beat("slow")
    assert beats.late() == []


def test_a_fast_task_is_given_two_seconds_of_the_machine() -> None:
    clock = ManualClock()
    beats = Heartbeats(clock)
    beats.watch("fast", 0.2)
    clock.advance(1.9)
    assert beats.late() == []
    clock.advance(0.2)
    assert beats.late() == ["fast"]


def test_one_silent_task_keeps_the_watchdog_hungry(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[float] = []

    async def scene() -> None:
        clock = LoopClock()
        monkeypatch.setattr(heartbeat, "notify", lambda _: fed.append(clock.now_s()))
        beats = Heartbeats(clock)
        beats.watch("loop", 1.0)
        loop = asyncio.get_running_loop()
        loop.call_at(10.2, beats.beat, "loop")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(feed_watchdog(beats), 12.5)

    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with capture_logs() as logs:
        in_virtual_time(scene())
    assert fed == [0.0, 1.0, 2.0, 3.0, 11.0, 12.0]
    assert [(entry["event"], entry["late"]) for entry in logs] == [("watchdog.withheld", ["loop"])]


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [("10000000", None, 10.0), ("0", None, None), ("soon", None, None), ("", None, None), ("10000000", "1", None)],
)
def test_the_watchdog_limit_is_taken_only_when_it_is_meant_for_us(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid is None else pid)
    assert watchdog_s() == expected


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_us_on_a_path_and_on_an_abstract_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abstract: bool
) -> None:
    name = f"@gridedge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5.0)
        manager.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify("READY=1")
