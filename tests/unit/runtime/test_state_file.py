"""The small file that outlives the process: whole or not at all, ours or refused, never in the loop's way."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from full_disk import full_disk
from structlog.testing import capture_logs

from controller.clock import ManualClock
from controller.documents import DocumentError
from controller.runtime import state_file
from controller.runtime.state_file import StateFile, decode, encode, replace_file

MEMORY = {"transformer.T1": {"state": {"top_oil_c": 61.25}, "oil": "measured"}}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def clock(later_s: float = 0.0, started: datetime = NOON) -> ManualClock:
    return ManualClock(0.0, started + timedelta(seconds=later_s))


def write(path: Path, memory: Mapping[str, Any] = MEMORY, at: ManualClock | None = None) -> None:
    file = StateFile(path, "here", at or clock())
    file.put(memory)
    file.close()


def read(path: Path, at: ManualClock | None = None) -> tuple[Mapping[str, Any], float, list[str]]:
    file = StateFile(path, "here", at or clock())
    with capture_logs() as logs:
        memory, gap_s = file.read()
    file.close()
    return memory, gap_s, [entry["event"] for entry in logs]


def test_what_was_written_comes_back_with_the_time_that_has_passed(tmp_path: Path) -> None:
    write(tmp_path / "state")
    assert read(tmp_path / "state", clock(90.0)) == (MEMORY, 90.0, ["state.restored"])


def test_the_first_run_finds_nothing_and_says_so(tmp_path: Path) -> None:
    memory, gap_s, told = read(tmp_path / "state")
    assert (memory, told) == ({}, ["state.new"])
    assert math.isnan(gap_s)


def test_a_missing_folder_is_a_mistake_that_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        read(tmp_path / "nowhere" / "state")


@pytest.mark.parametrize(("later_s", "gap_s"), [(0.0, 0.0), (-1.0, 0.0), (-60.0, math.nan), (1e6, 1e6)])
def test_a_clock_that_was_set_back_makes_the_gap_unknown(tmp_path: Path, later_s: float, gap_s: float) -> None:
    write(tmp_path / "state")
    memory, found_s, _ = read(tmp_path / "state", clock(later_s))
    assert memory == MEMORY
    assert found_s == gap_s or (math.isnan(found_s) and math.isnan(gap_s))


UNSET = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("written", "found"), [(UNSET, NOON), (NOON, UNSET), (UNSET, UNSET)])
def test_a_machine_that_does_not_know_the_time_does_not_know_the_gap(
    tmp_path: Path, written: datetime, found: datetime
) -> None:
    write(tmp_path / "state", at=clock(started=written))
    memory, gap_s, _ = read(tmp_path / "state", clock(started=found))
    assert memory == MEMORY
    assert math.isnan(gap_s)


GOOD = encode("here", 1e9, MEMORY)
SPOILED = [
    (GOOD[: len(GOOD) // 2], "checksum"),
    (GOOD.replace(b"61.25", b"31.25"), "checksum"),
    (b"", "not JSON"),
    (b"\x00" * len(GOOD), "not JSON"),
    (b"[1]\n[2]\n", "expected an object"),
    (b"[" * 100_000, "not JSON"),
    (GOOD + b" " * 2_000_000, "bytes"),
    (encode("there", 1e9, MEMORY), "'there'"),
    (encode("here", 1e9, []), "memory"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("raw", "reason"), SPOILED, ids=[str(k) for k in range(len(SPOILED))])
def test_a_file_that_cannot_be_used_is_told_and_kept_aside(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = tmp_path / "state"
    path.write_bytes(raw)
    file = StateFile(path, "here", clock())
    with capture_logs() as logs:
        memory, _ = file.read()
    file.close()
    assert memory == {}
    assert [entry["event"] for entry in logs] == ["state.refused"]
    assert reason in logs[0]["reason"]
    assert (tmp_path / "state.bad").read_bytes() == raw
    assert not path.exists()


def test_every_single_byte_is_under_the_checksum() -> None:
    for place in range(len(GOOD)):
        torn = bytearray(GOOD)
        torn[place] ^= 0x04
        try:
            found = decode(bytes(torn), "here")
        except DocumentError:
            continue
        assert found == decode(GOOD, "here"), place


def test_another_version_is_refused() -> None:
    line = GOOD.split(b"\n")[1].replace(b'"version": 1', b'"version": 2')
    head = json.dumps({"sha256": state_file.hashlib.sha256(line).hexdigest()}).encode()
    with pytest.raises(DocumentError, match="version is 2; expected 1"):
        decode(head + b"\n" + line + b"\n", "here")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_memory_without_numbers_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode("here", 1e9, {"x": value})


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_power_cut_in_the_middle_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "state"
    replace_file(path, GOOD)

    def cut(*_: object) -> None:
        raise OSError("cut")

    monkeypatch.setattr(*((os, "fsync", cut) if broken == "fsync" else (Path, "replace", cut)))
    with pytest.raises(OSError, match="cut"):
        replace_file(path, encode("here", 2e9, {}))
    monkeypatch.undo()
    assert path.read_bytes() == GOOD


def test_a_disk_that_fails_is_told_once_and_delays_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(state_file, "replace_file", full)
    file = StateFile(tmp_path / "state", "here", clock())
    with capture_logs() as logs:
        file.put(MEMORY)
        file.close()
        file.close()
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("state.unwritten", "disk full")]


def test_a_memory_that_cannot_be_written_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    write(tmp_path / "state")
    file = StateFile(tmp_path / "state", "here", clock())
    with capture_logs() as logs:
        file.put({"x": math.nan})
        file.close()
    assert [entry["event"] for entry in logs] == ["state.unwritten"]
    assert read(tmp_path / "state")[0] == MEMORY


def test_the_newest_memory_wins(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state", "here", clock())
    for count in range(50):
        file.put({"x": {"count": count}})
    file.close()
    assert read(tmp_path / "state")[0] == {"x": {"count": 49}}


def wait_for(logs: Sequence[Mapping[str, Any]], event: str) -> None:
    """For the writing thread, at most half a minute of a machine that is busy."""
    for _ in range(30_000):
        if any(entry["event"] == event for entry in logs):
            return
        time.sleep(0.001)
    pytest.fail(f"{event} was not told")


def test_a_full_disk_is_told_at_once_and_what_it_refused_is_kept_as_soon_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's hold was accepted meanwhile: it must not wait for the next word to outlive a restart."""
    monkeypatch.setattr(state_file, "RETRY_S", 0.01)
    write(tmp_path / "state")
    file = StateFile(tmp_path / "state", "here", clock())
    with capture_logs() as logs:
        with full_disk():
            file.put({"instructions": {}})
            wait_for(logs, "state.unwritten")
            assert decode((tmp_path / "state").read_bytes(), "here").memory == MEMORY
        wait_for(logs, "state.written")
        file.close()
    assert decode((tmp_path / "state").read_bytes(), "here").memory == {"instructions": {}}
    assert [entry["event"] for entry in logs] == ["state.unwritten", "state.written"]
    assert "File too large" in logs[0]["reason"]


def test_a_memory_that_the_next_start_would_refuse_is_told_now(tmp_path: Path) -> None:
    write(tmp_path / "state")
    file = StateFile(tmp_path / "state", "here", clock())
    with capture_logs() as logs:
        file.put({"text": "x" * 1_000_000})
        file.close()
    assert "at most 1000000 are read at the next start" in logs[0]["reason"]
    assert decode((tmp_path / "state").read_bytes(), "here").memory == MEMORY


def test_whoever_asks_is_told_whether_the_last_word_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_file, "RETRY_S", 60.0)
    file = StateFile(tmp_path / "state", "here", clock())
    assert file.unkept(0.0) == ""
    file.put(MEMORY)
    assert file.unkept(30.0) == ""
    with capture_logs():
        with full_disk():
            file.put(MEMORY)
            assert "File too large" in file.unkept(30.0)
            assert "File too large" in file.trouble
        file.put(MEMORY)
        assert file.unkept(30.0) == ""
    assert file.trouble == ""
    file.close()


def test_a_disk_that_hangs_keeps_nothing_delays_nobody_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, began = threading.Event(), threading.Event()

    def hang(path: Path, raw: bytes) -> None:
        began.set()
        free.wait(60.0)
        replace_file(path, raw)

    monkeypatch.setattr(state_file, "replace_file", hang)
    time_s = ManualClock()
    file = StateFile(tmp_path / "state", "here", time_s)
    with capture_logs() as logs:
        file.put(MEMORY)
        assert began.wait(60.0)
        assert file.unkept(0.01) == "the disk has not taken it within 0.01 s"
        time_s.advance(6.0)
        assert file.trouble == "the disk does not answer"
        assert logs == []
        file.put({"x": {"count": 2}})
        assert [(entry["event"], entry["reason"]) for entry in logs] == [("state.unwritten", file.trouble)]
        free.set()
        assert file.unkept(60.0) == ""
    file.close()
    assert [entry["event"] for entry in logs] == ["state.unwritten", "state.written"]
    assert read(tmp_path / "state")[0] == {"x": {"count": 2}}
