"""Recording never stops the loop and never fills the disk; what it could not write, it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import full_disk

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.snapshot import Snapshot
from controller.recording.format import Cycle
from controller.recording.reader import Checkpoint, Damage, Gap, Item, RecordedCycle, read
from controller.recording.recorder import Recorder
from controller.recording.writer import Policy, Writer

SITE = load_site(find_site("secondary_rooftop"))


class Disk(Writer):
    """A writer whose disk can hang or be full."""

    def __init__(self, target: Path, policy: Policy | None = None) -> None:
        super().__init__(target, policy or Policy())
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()
        self.full = False
        self.states = 0

    def write(self, cycle: Cycle) -> bool:
        self.busy.set()
        self.free.wait(60.0)
        self.states += cycle.state is not None
        if self.full:
            self.close()
            raise OSError(28, "No space left on device")
        return super().write(cycle)


def think(recorder: Recorder, cycles: int, state: ControlState | None = None) -> ControlState:
    """So many cycles without any reading, one a second."""
    state = initial_state(SITE) if state is None else state
    taped = recorder.taping(step)
    for _ in range(cycles):
        state, _ = taped(SITE, state, Snapshot(float(state.seq), {}))
    return state


def wait_until(true: Callable[[], bool]) -> None:
    """For the writing thread, at most a minute of a machine that is busy."""
    for _ in range(60_000):
        if true():
            return
        time.sleep(0.001)
    pytest.fail("the writing thread did not get there")


def kinds(items: list[Item], kind: type) -> int:
    return sum(isinstance(item, kind) for item in items)


def test_every_cycle_is_in_the_file_once(tmp_path: Path) -> None:
    recorder = Recorder(Writer(tmp_path / "a.jsonl.gz"))
    think(recorder, 30)
    recorder.close()
    recorder.close()
    items = list(read(tmp_path / "a.jsonl.gz"))
    assert [i.record["seq"] for i in items if isinstance(i, RecordedCycle)] == list(range(30))
    assert (recorder.dropped, recorder.trouble) == (0, "")


def test_a_hanging_disk_holds_up_nobody_and_the_gap_is_in_the_file(tmp_path: Path) -> None:
    """The third of the cycles finds the queue full; after the disk has come back one with a state closes the gap."""
    disk = Disk(tmp_path / "a.jsonl.gz")
    recorder = Recorder(disk, depth=8)
    state = think(recorder, 1)
    assert disk.busy.wait(60.0)
    disk.free.clear()
    state = think(recorder, 40, state)
    assert recorder.dropped >= 30
    assert "the disk is too slow" in recorder.trouble
    lost = recorder.dropped
    disk.free.set()
    wait_until(lambda: not recorder.trouble)
    for _ in range(20):
        wait_until(recorder._cycles.empty)
        state = think(recorder, 1, state)
    recorder.close()
    items = list(read(disk.target))
    gaps = [item.lost for item in items if isinstance(item, Gap)]
    assert len(gaps) == 1
    assert kinds(items, RecordedCycle) + gaps[0] == 61
    assert gaps[0] >= lost
    assert kinds(items, Checkpoint) == 2


def test_a_full_disk_is_told_and_recording_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "folder")
    disk.prepare()
    recorder = Recorder(disk)
    state = think(recorder, 5)
    wait_until(lambda: not disk.wants_state)
    disk.full = True
    state = think(recorder, 30, state)
    wait_until(lambda: bool(recorder.trouble))
    assert "No space left" in recorder.trouble
    disk.full = False
    think(recorder, 60, state)
    recorder.close()
    assert recorder.trouble == ""
    assert len(list(disk.target.iterdir())) == 2
    items = list(read(disk.target))
    assert kinds(items, RecordedCycle) == 95 - recorder.dropped
    assert [item for item in items if isinstance(item, RecordedCycle)][-1].record["seq"] == 94


def test_the_memory_is_handed_over_only_when_it_is_wanted(tmp_path: Path) -> None:
    """Of a large site it is megabytes; a queue full of them would be a box full of them."""
    disk = Disk(tmp_path / "a.jsonl.gz", Policy(checkpoint_cycles=10))
    recorder = Recorder(disk)
    state = think(recorder, 1)
    wait_until(lambda: not disk.wants_state)
    think(recorder, 40, state)
    recorder.close()
    assert disk.states == 4


def test_a_folder_of_recordings_stays_as_small_as_it_must(tmp_path: Path) -> None:
    policy = Policy(file_bytes_max=4_000, folder_bytes_max=40_000, checkpoint_cycles=5, flush_cycles=1)
    writer = Writer(tmp_path, policy)
    state = initial_state(SITE)
    sizes = []
    for k in range(120):
        after, record = step(SITE, state, Snapshot(float(k), {}))
        writer.write(Cycle(state, Snapshot(float(k), {}), record))
        state = after
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
    writer.close()
    assert max(sizes) <= 40_000 + 8_000
    assert len(list(tmp_path.iterdir())) > 2
    last = [item for item in read(tmp_path) if isinstance(item, RecordedCycle)][-1]
    assert last.record["seq"] == 119


def test_a_file_ends_when_it_is_old_enough(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Policy(file_s_max=3600.0))
    state = initial_state(SITE)
    for k in range(4):
        after, record = step(SITE, state, Snapshot(1800.0 * k, {}))
        writer.write(Cycle(state, Snapshot(1800.0 * k, {}), record))
        state = after
    writer.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_in_no_folder_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "folder"):
        with pytest.raises(OSError, match="No such file"):
            Writer(tmp_path / "nowhere" / name).prepare()


@pytest.mark.parametrize("name", ["folder", "one.jsonl.gz"])
def test_a_disk_that_stays_full_is_not_littered_with_recordings_that_hold_nothing(tmp_path: Path, name: str) -> None:
    writer = Writer(tmp_path / name, Policy(flush_cycles=1, checkpoint_cycles=5))
    writer.prepare()
    state = initial_state(SITE)
    cycles = []
    for k in range(30):
        after, record = step(SITE, state, Snapshot(float(k), {}))
        cycles.append(Cycle(state, Snapshot(float(k), {}), record))
        state = after
    for cycle in cycles[:10]:
        writer.write(cycle)
    with full_disk():
        for cycle in cycles[10:20]:
            with pytest.raises(OSError, match="File too large"):
                writer.write(cycle)
    for cycle in cycles[20:]:
        writer.write(cycle)
    writer.close()
    items = list(read(tmp_path / name))
    assert [i.record["seq"] for i in items if isinstance(i, RecordedCycle)] == [*range(10), *range(20, 30)]
    assert len(list(tmp_path.rglob("*.gz"))) == (2 if name == "folder" else 1)
    assert kinds(items, Damage) == 1  # where the disk was full
