"""``gridedge demo`` on a terminal: the live screen, Ctrl-C, and a terminal that is closed."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.socket

PATIENCE_S = 240.0  # for a machine that is busy with something else
ROWS, COLUMNS = 50, 120
# A process without a terminal takes the one that is its standard input, then becomes the demo.
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A pseudo-terminal with a demo in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = ""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        demo = [sys.executable, "-m", "controller", "demo", "secondary_rooftop", "--speed", "600", "--start", "11:50"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *demo],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TMPDIR": str(folder), "TERM": "xterm-256color"},
        )
        os.close(slave)

    def until(self, text: str) -> None:
        """Read the screen until that has been on it."""
        give_up_s = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            assert time.monotonic() < give_up_s, f"waited for {text!r}; the end of the screen:\n{self.shown[-3000:]}"
            self.read()

    def read(self) -> None:
        """Take what has been drawn meanwhile; nothing when the demo has gone."""
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                self.shown += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                time.sleep(0.05)

    def end(self) -> int:
        """Wait for the end while somebody looks on; the exit status."""
        give_up_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < give_up_s, "the demo did not end"
            self.read()
        self.read()
        return self.process.returncode

    def relics(self) -> list[str]:
        """Processes that name the demo's folder, and what is left in it."""
        found = []
        for name in os.listdir("/proc"):
            try:
                line = Path("/proc", name, "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in line:
                found.append(line.replace("\0", " "))
        return found + [str(path) for path in self.folder.iterdir()]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    # Not the test's own folder: a name of a Unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="demo-test-"))
    made = Terminal(folder)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait()
    if made.master >= 0:
        os.close(made.master)
    shutil.rmtree(folder)


def test_ctrl_c_ends_the_screen_with_a_summary(terminal: Terminal) -> None:
    terminal.until("Rooftop secondary substation")
    terminal.until("median")
    os.write(terminal.master, b"\x03")
    assert terminal.end() == 130
    left_screen = terminal.shown.rindex("\x1b[?1049l")
    assert "(ended early)" in terminal.shown[left_screen:]
    assert "Traceback" not in terminal.shown
    assert terminal.relics() == []


def test_a_closed_terminal_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.until("median")
    master, terminal.master = terminal.master, -1
    os.close(master)
    assert terminal.process.wait(PATIENCE_S) == 129
    give_up_s = time.monotonic() + PATIENCE_S
    while relics := terminal.relics():
        assert time.monotonic() < give_up_s, f"left behind: {relics}"
        time.sleep(0.1)
