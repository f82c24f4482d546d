"""Between the loop and the disk: takes cycles without waiting and writes them from a thread of its own."""

from __future__ import annotations

import queue
import threading

from controller.control.state import ControlState
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.recording.format import Cycle
from controller.recording.writer import Writer
from controller.runtime.core import Step

DEPTH = 256
_RETRY_CYCLES = 20


class Recorder:
    """Everything handed over is frozen, so nothing is copied and the thread reads what the loop left behind.

    At most ``depth`` cycles wait; what comes when the queue is full is dropped and counted in ``dropped``, and the file
    says so: replay goes on from the state that follows. ``trouble`` says what was last in the way, empty while it
    works. The thread is a daemon: a hung disk cannot keep the process alive.
    """

    def __init__(self, writer: Writer, depth: int = DEPTH) -> None:
        self.name = str(writer.target)
        self._refused = 0  # by the full queue, counted by the loop
        self._unwritten = 0  # counted by the thread
        self.trouble = ""
        self._writer = writer
        self._since_state = 0
        self._cycles: queue.Queue[Cycle | None] = queue.Queue(depth)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Cycles that are in no file."""
        return self._refused + self._unwritten

    def taping(self, step: Step[ControlState]) -> Step[ControlState]:
        """``step``, with every cycle handed over as it is thought."""

        def taped(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
            after, record = step(site, state, snapshot)
            self.put(state, snapshot, record)
            return after, record

        return taped

    def put(self, before: ControlState, snapshot: Snapshot, record: CycleRecord) -> None:
        """Take one cycle; never waits. The memory goes along only when it is wanted: of a large site it is large."""
        due = self._writer.wants_state or self._since_state >= self._writer.policy.checkpoint_cycles
        try:
            self._cycles.put_nowait(Cycle(before if due else None, snapshot, record))
        except queue.Full:
            self._refused += 1
            self.trouble = f"the disk is too slow: {self.dropped} cycles were not recorded"
        else:
            self._since_state = 0 if due else self._since_state + 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Write out what is queued and end the file, for at most ``timeout_s``; safe to call twice."""
        if not self._thread.is_alive():
            return
        try:
            self._cycles.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        skip = 0
        while (cycle := self._cycles.get()) is not None:
            if skip:
                skip -= 1
                self._unwritten += 1
                continue
            try:
                self._unwritten += not self._writer.write(cycle)
            except OSError as error:
                self._unwritten += 1
                self.trouble, skip = str(error), _RETRY_CYCLES
            else:
                self.trouble = ""
        try:
            self._writer.close()
        except OSError as error:
            self.trouble = str(error)
