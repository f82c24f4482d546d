"""The simulated substation and the controller as the two processes that they are in life."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from free_ports import WORKER, WORKERS

from controller.config.find import find_site
from controller.config.loader import load_site

SITE = "secondary_rooftop"
SPEED = 20.0
PATIENCE_S = 240.0  # for a machine that is busy with something else
BLOCKS = 80


def free_port_offset() -> int:
    """An offset that leads every port of the site to a free one, below the ephemeral range."""
    ports = [int(device.endpoint.rsplit(":", 1)[1]) for device in load_site(find_site(SITE)).devices]
    start = os.getpid() % BLOCKS
    for step in range(WORKER, BLOCKS, WORKERS):  # those who run beside us take the others
        offset = 2000 + 200 * ((start // WORKERS * WORKERS + step) % BLOCKS)
        if all(_is_free(port + offset) for port in ports):
            return offset
    pytest.fail("no free block of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


class Lines:
    """JSON lines of a Unix socket, newest wanted."""

    def __init__(self, path: Path) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                self._socket.close()
                assert time.monotonic() < deadline_s, f"nobody listens on {path}"
                time.sleep(0.05)
        self._socket.settimeout(PATIENCE_S)
        self._file = self._socket.makefile("rb")

    def until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first line that meets the condition; fails with the last one when none does in time."""
        deadline_s = time.monotonic() + PATIENCE_S
        found: dict[str, Any] = {}
        while time.monotonic() < deadline_s:
            line = self._file.readline()
            assert line, f"the other side hung up before {what}"
            found = json.loads(line)
            if condition(found):
                return found
        pytest.fail(f"not within {PATIENCE_S:g} s: {what}; last: {json.dumps(found)[:2000]}")

    def say(self, command: dict[str, Any]) -> None:
        """Send one JSON command line to the other side."""
        self._socket.sendall(json.dumps(command).encode() + b"\n")

    def now_s(self) -> float:
        """Site seconds of a status line that is younger than this call: what was said before it is passed over."""
        self.say({"kill": "nobody"})
        self.until(lambda line: line.get("ok") is False, "an answer")
        return float(self.until(lambda line: "truth" in line, "a status line")["t_s"])

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Bench:
    """Starts and ends the processes of one test.

    ``shared``: the controller goes by the time that the simulation hands out, which stands still while one of them gets
    no processor; without it, a simulation may end and begin again under the same controller.
    """

    def __init__(self, folder: Path, site: str = SITE, *, shared: bool = True) -> None:
        self.folder = folder
        self._page = folder / "time"
        self._shared = shared
        self.site = site
        self.offset = free_port_offset()
        self._running: list[subprocess.Popen[bytes]] = []
        self._opened: list[Lines] = []

    def simulate(self, *more: str) -> subprocess.Popen[bytes]:
        """The substation at a sunny noon."""
        options = ("--start", "12:30", "--status-socket", str(self.folder / "status"), *more)
        return self._start("simulate", *options, *(("--time-page", str(self._page)) if self._shared else ()))

    def run(self, *options: str) -> subprocess.Popen[bytes]:
        """The controller."""
        return self._start("run", "--record-socket", str(self.folder / "records"), *options, *self.time())

    def time(self) -> tuple[str, ...]:
        """What a command needs to go by the time of the simulation, as soon as that hands it out."""
        if not self._shared:
            return ()
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._page.exists() or not self._page.stat().st_size:
            assert time.monotonic() < deadline_s, f"the simulation does not begin: {self.log('simulate')}"
            time.sleep(0.02)
        return ("--time-page", str(self._page))

    def truth(self) -> Lines:
        return self._lines("status")

    def records(self) -> Lines:
        return self._lines("records")

    def log(self, command: str) -> str:
        return (self.folder / f"{command}.log").read_text("utf-8")

    def _lines(self, name: str) -> Lines:
        lines = Lines(self.folder / name)
        self._opened.append(lines)
        return lines

    def _start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        arguments = [
            command,
            SITE if command == "simulate" else self.site,
            "--speed",
            f"{SPEED:g}",
            "--port-offset",
            str(self.offset),
            *options,
        ]
        with (self.folder / f"{command}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "controller", *arguments], stdout=log, stderr=log)
        self._running.append(process)
        return process

    def close(self) -> None:
        for lines in self._opened:
            lines.close()
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_S)


@contextmanager
def bench(folder: Path, site: str = SITE, *, shared: bool = True) -> Iterator[Bench]:
    """A bench that leaves nothing behind; ``site`` may be a file of the same devices."""
    made = Bench(folder, site, shared=shared)
    try:
        yield made
    finally:
        made.close()


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Send a signal and wait; the exit status."""
    process.send_signal(number)
    return process.wait(PATIENCE_S)
