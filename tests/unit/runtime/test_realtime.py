"""The loop comes before everybody else where the system lets it, and says so where it does not."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys

import pytest

from controller.runtime import realtime
from controller.runtime.realtime import come_first, threads_give_way

ASK = """
import os, threading
from controller.runtime.realtime import come_first
print(*come_first(1), sep="; ")
plain = os.SCHED_RESET_ON_FORK
found = []
later = threading.Thread(target=lambda: found.append(os.sched_getscheduler(threading.get_native_id())))
later.start()
later.join()
print(os.sched_getscheduler(0) & ~plain == os.SCHED_FIFO, found[0] == os.SCHED_OTHER)
"""


class Library:
    """A C library that notes what it is asked to lock."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.asked: list[int] = []

    def mlockall(self, flags: int) -> int:
        self.asked.append(flags)
        return self.answer


@pytest.fixture
def scheduled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Requests for scheduling, which are all granted."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda _pid, how, param: asked.append((how, param.sched_priority)))
    return asked


def limit(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, soft))


def test_priority_and_memory_are_asked_for_and_children_do_not_inherit(
    monkeypatch: pytest.MonkeyPatch, scheduled: list[tuple[int, int]]
) -> None:
    library = Library()
    limit(monkeypatch, resource.RLIM_INFINITY)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name, **_: library)
    assert come_first(20) == []
    assert scheduled == [(os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 20)]
    assert library.asked == [realtime.MCL_CURRENT | realtime.MCL_FUTURE | realtime.MCL_ONFAULT]


def test_memory_is_not_locked_when_a_later_allocation_could_fail_for_it(
    monkeypatch: pytest.MonkeyPatch, scheduled: list[tuple[int, int]]
) -> None:
    library = Library()
    limit(monkeypatch, 8 << 20)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name, **_: library)
    assert come_first(20) == ["mlockall: RLIMIT_MEMLOCK is 8388608 bytes; expected unlimited"]
    assert scheduled
    assert not library.asked


def test_each_refusal_is_told_with_its_limit_and_neither_prevents_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    library = Library(answer=-1)
    limit(monkeypatch, resource.RLIM_INFINITY)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name, **_: library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: 12)
    assert come_first(20) == [
        "SCHED_FIFO 20: Operation not permitted; RLIMIT_RTPRIO is -1",
        "mlockall: Cannot allocate memory",
    ]


def test_the_loop_s_thread_is_real_time_and_a_later_one_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, timeout=60)
    refused, states = done.stdout.splitlines()
    if "SCHED_FIFO" in refused:
        pytest.skip(f"this machine grants no real-time scheduling: {refused}")
    assert states == "True True"


def test_a_thread_that_computes_lets_the_loop_in_within_a_tick_s_lateness() -> None:
    before = sys.getswitchinterval()
    try:
        threads_give_way()
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(before)
