"""Child processes that never outlive the demo."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 5.0
"""How long a child may take to follow SIGINT before SIGTERM, and SIGTERM before SIGKILL, s of the machine."""
_PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h
_TAIL_LINES = 12


class ChildDied(RuntimeError):
    """A process that should have gone on has ended."""


class Child:
    """One process in a group of its own, so that Ctrl-C on the terminal reaches the demo alone.

    Standard error goes to ``log``; standard output too, unless ``piped``. When the demo dies, the kernel sends the
    child SIGTERM (Linux).
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls,
        name: str,
        module: str,
        arguments: Sequence[str],
        log: Path,
        *,
        piped: bool = False,
        waits: bool = False,
        again: bool = False,
    ) -> Child:
        """Run ``python -m module arguments``; with ``waits`` it is told more by :meth:`tell` or :meth:`say`, with
        ``again`` the log of the one before it goes on."""
        with log.open("ab" if again else "wb") as stream:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                stdin=asyncio.subprocess.PIPE if waits else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else stream,
                stderr=stream,
                process_group=0,
                preexec_fn=_die_with_parent(),
                limit=1 << 22,
            )
        return cls(name, process, log)

    @classmethod
    async def warm(cls, name: str, modules: Sequence[str], log: Path, *, again: bool = False) -> Child:
        """A ``gridedge`` process that waits for its command line, see :mod:`simulators.demo.warm`."""
        return await cls.start(name, "simulators.demo.warm", modules, log, waits=True, again=again)

    def tell(self, arguments: Sequence[str]) -> None:
        """The command line that a warm process waits for."""
        self.say(list(arguments))
        if self.process.stdin is not None:
            self.process.stdin.close()

    def say(self, document: Any) -> None:
        """A line of JSON on its standard input."""
        if self.process.stdin is not None:
            self.process.stdin.write(json.dumps(document).encode() + b"\n")

    def kill(self) -> None:
        """SIGKILL to the whole group, at once; :meth:`end` waits for it."""
        self._signal(signal.SIGKILL)

    @property
    def running(self) -> bool:
        """False once the process has ended."""
        return self.process.returncode is None

    async def gone(self, patience_s: float) -> None:
        """Wait for the end, for at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self.process.wait()

    async def end(self, patience_s: float = PATIENCE_S) -> int:
        """SIGINT, then SIGTERM, then SIGKILL to the whole group; the exit status. Safe to call twice."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            self._signal(number)
            await self.gone(patience_s)
        return await self.process.wait()

    def obituary(self) -> str:
        """Why it ended, as far as it said so: exit status and last lines of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        said = "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (it said nothing)"
        end = "hung up" if self.running else f"ended with status {self.process.returncode}"
        return f"the {self.name} {end}; its last words were:\n{said}"

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _die_with_parent() -> Callable[[], None]:
    """What the child does before it becomes the program: ask the kernel for SIGTERM when the parent dies."""
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def arm() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return arm
