"""A stretch of a simulated day with faults in it, cycle by cycle, and its way through a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from loop_kit import ClosedLoop

from controller.control.cycle import step
from controller.control.state import ControlState
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.recording.format import Cycle
from controller.recording.reader import Item, read
from controller.recording.replay import Change, Note, Replayed, replay
from controller.recording.writer import Policy, Writer
from simulators.faults import FaultKind

CYCLES = 150
CHECKPOINT = 40
POLICY = Policy(checkpoint_cycles=CHECKPOINT)


def cycles_of_a_bad_day() -> list[Cycle]:
    """demo_primary at noon, seed 1: a transformer's meter falls silent, the wind farm goes deaf, a meter freezes."""
    taped: list[Cycle] = []

    def taping(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
        after, record = step(site, state, snapshot)
        taped.append(Cycle(state, snapshot, record))
        return after, record

    loop = ClosedLoop("demo_primary", 12.0, 1, with_faults=False, core=taping)
    loop.run(CYCLES / 3)
    loop.inject(FaultKind.SILENT, "MT1", 40.0)
    loop.inject(FaultKind.DEAF, "WIND1")
    loop.run(CYCLES / 3)
    loop.inject(FaultKind.FROZEN, "MF2", 30.0)
    loop.run(CYCLES / 3)
    return taped


def written(path: Path, cycles: Iterable[Cycle], policy: Policy = POLICY) -> Path:
    """The cycles in a file, or in files in a folder."""
    writer = Writer(path, policy)
    writer.prepare()
    for cycle in cycles:
        writer.write(cycle)
    writer.close()
    return path


def without_states(cycles: Iterable[Cycle]) -> list[Cycle]:
    """The cycles as the loop hands them over between two checkpoints."""
    return [replace(cycle, state=None) for cycle in cycles]


def replayed(
    path: Path, change: Change | None = None, through: Callable[[Iterable[Item]], Iterator[Item]] = iter
) -> tuple[list[Replayed], list[str]]:
    """Every cycle of a recording thought again, and the notes that came with it."""
    results = list(replay(through(read(path)), Change() if change is None else change))
    return [r for r in results if isinstance(r, Replayed)], [r.text for r in results if isinstance(r, Note)]


def identical(cycles: list[Replayed]) -> bool:
    """Whether nothing differs anywhere."""
    return not any(cycle.differences for cycle in cycles)
