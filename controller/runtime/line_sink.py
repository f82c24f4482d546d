"""Lines to a file or a pipe from a thread of their own: a full disk or a stuck journal never stops the loop."""

from __future__ import annotations

import queue
import threading
from typing import BinaryIO


class LineSink:
    """Takes lines without ever waiting; keeps at most ``depth`` of them and drops what comes when it is full.

    ``dropped`` counts lines lost to a slow or broken file; ``trouble`` says what the file last complained about, empty
    while it works. The thread is a daemon: a hung disk cannot keep the process alive.
    """

    def __init__(self, stream: BinaryIO, name: str, depth: int = 512) -> None:
        self.name = name
        self.dropped = 0
        self.trouble = ""
        self._stream = stream
        self._lines: queue.Queue[bytes | None] = queue.Queue(depth)
        self._thread = threading.Thread(target=self._run, name=f"lines-{name}", daemon=True)
        self._thread.start()

    @property
    def wanted(self) -> bool:
        """True: somebody always wants the lines."""
        return True

    def put(self, line: bytes) -> None:
        """Take one line, its newline included."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Write out what is queued, for at most ``timeout_s``; safe to call twice."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=timeout_s)
            except queue.Full:
                return
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError as error:
                self.dropped += 1
                self.trouble = str(error)
            else:
                self.trouble = ""


class LogStream:
    """Text file face of a :class:`LineSink`, for structlog."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink

    def write(self, text: str) -> int:
        """Queue the text; returns its length."""
        self._sink.put(text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """The thread flushes after every line."""
