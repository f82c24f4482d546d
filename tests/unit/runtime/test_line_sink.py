"""Lines leave by a thread; a broken or stuck file never stops the loop."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from controller.runtime.line_sink import LineSink, LogStream


class StuckStream(io.RawIOBase):
    """A pipe that nobody reads until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.lines: list[bytes] = []

    def write(self, data: object) -> int:
        self.opened.wait(60.0)
        assert isinstance(data, bytes)
        self.lines.append(data)
        return len(data)


class FullDisk(io.RawIOBase):
    """Refuses everything."""

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"0\n")
    with path.open("ab") as stream:
        sink = LineSink(stream, "file")
        for k in range(1, 100):
            sink.put(b"%d\n" % k)
        sink.close()
        sink.close()
    assert path.read_bytes().split() == [b"%d" % k for k in range(100)]
    assert (sink.dropped, sink.trouble) == (0, "")


def test_a_stuck_file_takes_a_bounded_number_of_lines_and_nobody_waits() -> None:
    stream = StuckStream()
    sink = LineSink(stream, "stuck", depth=4)
    for _ in range(100):
        sink.put(b"x\n")
    assert sink.dropped >= 95
    stream.opened.set()
    sink.close()
    assert len(stream.lines) + sink.dropped == 100


def test_a_file_that_stays_stuck_does_not_keep_the_process_alive() -> None:
    stream = StuckStream()
    sink = LineSink(stream, "stuck", depth=1)
    sink.put(b"x\n")
    sink.close(timeout_s=0.05)
    stream.opened.set()


def test_a_full_disk_is_told_and_counted() -> None:
    sink = LineSink(FullDisk(), "full")
    sink.put(b"x\n")
    sink.close()
    assert sink.dropped == 1
    assert "No space left" in sink.trouble


def test_log_text_goes_the_same_way() -> None:
    stream = io.BytesIO()
    sink = LineSink(stream, "log")
    text = LogStream(sink)
    assert text.write("grüße \udcff\n") == 8
    text.flush()
    sink.close()
    assert stream.getvalue() == "grüße ?\n".encode()
