"""Cycles into files: compressed, flushed often, cut into files and bounded on the disk."""

from __future__ import annotations

import json
import math
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.control.state import ControlState
from controller.domain.snapshot import Snapshot
from controller.recording.codec import Tree, to_tree
from controller.recording.format import CYCLE, GAP, HEADER, STATE, Cycle, header_of, snapshot_to_tree, state_to_tree
from controller.recording.patch import difference

SUFFIX = ".jsonl.gz"
_GZIP = 31  # zlib's wbits for a gzip member with the largest window
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Policy:
    """How recordings are cut and kept.

    A file ends at ``file_bytes_max`` or after ``file_s_max`` of the site; a folder holds at most ``folder_bytes_max``,
    the oldest files go first. Every ``flush_cycles`` what was written is handed to the operating system; every
    ``checkpoint_cycles`` a state is written, from which replay can begin, and what lies before it is on the disk.
    """

    file_bytes_max: int = 64 << 20
    file_s_max: float = 86_400.0
    folder_bytes_max: int = 2 << 30
    flush_cycles: int = 10
    checkpoint_cycles: int = 900


class Writer:
    """Writes recordings to ``target``: a file when its name ends in ``.gz``, else a folder that is kept bounded.

    Not for the loop: every method may wait for the disk and raise OSError. A cycle that carries a state may begin a
    file, follow a gap or become a checkpoint; one without is left out where it cannot follow what was written before.
    ``wants_state`` is True while only a cycle with a state is of use. After an error the next one begins a new file,
    or a new section of the one file; one that the disk took nothing of is gone again, so that a disk that stays full
    does not fill up with empty files.
    """

    def __init__(self, target: Path, policy: Policy = Policy()) -> None:
        self.target = target
        self.policy = policy
        self.wants_state = True
        self._open: _Section | None = None

    def prepare(self) -> None:
        """Create what is missing; OSError when nothing can be written there."""
        if is_file_target(self.target):
            self.target.open("ab").close()
            return
        self.target.mkdir(exist_ok=True)
        if not os.access(self.target, os.W_OK):
            raise PermissionError(f"recording folder {self.target} cannot be written to")

    def write(self, cycle: Cycle) -> bool:
        """Append one cycle; False when it was left out because it does not follow what was written."""
        try:
            return self._write(cycle)
        except OSError:
            section, self._open, self.wants_state = self._open, None, True
            if section is not None:
                section.abandon()
            raise

    def close(self) -> None:
        """End the file properly; safe to call twice."""
        section, self._open, self.wants_state = self._open, None, True
        if section is not None:
            section.close()

    def _write(self, cycle: Cycle) -> bool:
        if cycle.state is not None and self._open is not None and self._is_full(self._open, cycle):
            self.close()
        if self._open is None and cycle.state is not None:
            self._open = self._begin(cycle.state, cycle.snapshot)
        taken = self._open is not None and self._open.write(cycle)
        self.wants_state = not taken
        return taken

    def _is_full(self, section: _Section, cycle: Cycle) -> bool:
        if is_file_target(self.target):
            return False
        aged = cycle.snapshot.now_s - section.began_at_s >= self.policy.file_s_max
        return aged or section.written_bytes >= self.policy.file_bytes_max

    def _begin(self, state: ControlState, first: Snapshot) -> _Section:
        utc = datetime.fromtimestamp(first.utc_s, UTC) if math.isfinite(first.utc_s) else None
        path = self.target if is_file_target(self.target) else self._new_file(state.engine.site.name, utc)
        section = _Section(path, state, first.now_s, self.policy)
        try:
            section.head("" if utc is None else utc.isoformat())
        except OSError:
            section.abandon()
            raise
        return section

    def _new_file(self, site: str, utc: datetime | None) -> Path:
        """A name that sorts by time and is not taken, after room was made for it."""
        self._make_room()
        stamp = "untimed" if utc is None else utc.strftime("%Y%m%dT%H%M%S")
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in site)
        taken = [
            path.name[: -len(SUFFIX)].rsplit("-", 1)[-1] for path in self.target.glob(f"{plain}-{stamp}-*{SUFFIX}")
        ]
        number = 1 + max((int(text) for text in taken if text.isdecimal()), default=-1)
        return self.target / f"{plain}-{stamp}-{number:04d}{SUFFIX}"

    def _make_room(self) -> None:
        """Remove the oldest recordings until one more file has its place."""
        files = sorted(self.target.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total + self.policy.file_bytes_max <= self.policy.folder_bytes_max:
                return
            total -= path.stat().st_size
            path.unlink()


def is_file_target(target: Path) -> bool:
    """Whether recordings go to this one file and not to files in a folder of that name."""
    return target.name.endswith(".gz")


class _Section:
    """One file, or one section of it, from its header on."""

    def __init__(self, path: Path, state: ControlState, now_s: float, policy: Policy) -> None:
        self.began_at_s = now_s
        self.written_bytes = 0
        self._path = path
        self._stream = path.open("ab")
        self._before_bytes = self._stream.tell()
        self._taken = False  # by the disk: anything that can be read
        self._engine = state.engine
        self._policy = policy
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._next_seq = state.seq
        self._since_state = policy.checkpoint_cycles
        self._snapshot: Tree = None
        self._record: Tree = None

    def head(self, utc: str) -> None:
        """Say what follows; ``utc`` is the label of the first cycle."""
        self._line(HEADER, to_tree(header_of(self._engine, self.began_at_s, utc)))

    def write(self, cycle: Cycle) -> bool:
        """False when the cycle does not follow the last one and carries no state to go on from."""
        lost = cycle.record.seq - self._next_seq
        if lost and cycle.state is None:
            return False
        if lost:
            self._line(GAP, {"lost": max(lost, 0)})
        if cycle.state is not None and (lost or self._since_state >= self._policy.checkpoint_cycles):
            self._checkpoint(cycle.state)
        snapshot, record = snapshot_to_tree(cycle.snapshot), to_tree(cycle.record)
        self._line(CYCLE, {"s": difference(self._snapshot, snapshot), "r": difference(self._record, record)})
        self._snapshot, self._record = snapshot, record
        self._next_seq = cycle.record.seq + 1
        if self._since_state % self._policy.flush_cycles == 0:
            self._put(self._packer.flush(zlib.Z_SYNC_FLUSH))
            self._stream.flush()
            self._taken = True
        self._since_state += 1
        return True

    def close(self) -> None:
        try:
            self._end_member()
        finally:
            self._stream.close()

    def abandon(self) -> None:
        """Close the file without another word, and leave nothing of what cannot be read; the disk may refuse that."""
        with suppress(OSError):
            self._stream.close()
        if self._taken:
            return
        with suppress(OSError):
            if self._before_bytes:
                os.truncate(self._path, self._before_bytes)
            else:
                self._path.unlink()

    def _checkpoint(self, state: ControlState) -> None:
        """Begin a gzip member with a state: whatever happens to those before, replay can begin here."""
        if self._snapshot is not None:
            self._end_member()
            self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._line(STATE, state_to_tree(state))
        self._snapshot = self._record = None
        self._since_state = 0

    def _end_member(self) -> None:
        """Finish what can be checked as a whole, on the disk."""
        self._put(self._packer.flush(zlib.Z_FINISH))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _line(self, kind: str, content: Any) -> None:
        text = json.dumps({"is": kind, kind: content}, separators=(",", ":"), allow_nan=False)
        self._put(self._packer.compress(text.encode() + b"\n"))

    def _put(self, data: bytes) -> None:
        if data:
            self._stream.write(data)
            self.written_bytes += len(data)
