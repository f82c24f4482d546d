"""Processes that are made to be killed, with a clock that others may set and a disk that others may fill."""

from __future__ import annotations

import asyncio
import mmap
import multiprocessing
import os
import random
import resource
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

HOUR_S = 3600.0
LIFE_S = (0.0, 0.4)
"""Of one process, from the moment when it is made."""
WRONG_FRAC, STEPPED_FRAC, FULL_FRAC = 0.15, 0.1, 0.1
"""Shares of the lives that begin with a wrong time, whose clock is set meanwhile, and whose disk fills up."""
PATIENCE_S = 30.0
PRELOAD = ["orders.national_path", "orders.openadr_path", "orders.uftp_path"]
"""What every life would load anew otherwise: the script that begins it needs them all."""
BENCHMARKS = Path(__file__).resolve().parents[1]


class Skew:
    """How wrong the clock of the machine is, s; shared by all who open the same file, whoever dies holding it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("d", 0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def s(self) -> float:
        """Ahead of the truth by so much."""
        return float(struct.unpack("d", self._map[:])[0])

    @s.setter
    def s(self, value: float) -> None:
        self._map[:] = struct.pack("d", value)


class SkewedClock:
    """Time of a machine whose time of day is wrong; ``speed`` makes whoever waits for it impatient."""

    def __init__(self, skew: Skew, speed: float = 1.0) -> None:
        self.speed = speed
        self._skew = skew

    def now_s(self) -> float:
        """Monotonic site seconds."""
        return time.monotonic() * self.speed

    def utc(self) -> datetime:
        """What the machine believes."""
        return datetime.now(UTC) + timedelta(seconds=self._skew.s)

    def real_s(self, site_s: float) -> float:
        """Machine seconds."""
        return site_s / self.speed


@dataclass
class Deaths:
    """The lives that were taken, and under which circumstances."""

    kills: int = 0
    wrong: int = 0
    stepped: int = 0
    full: int = 0
    by_itself: list[str] = field(default_factory=list)


class Reaper:
    """Lets processes live and kills them."""

    def __init__(self, skew: Skew, seed: int) -> None:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._skew = skew
        self._draw = random.Random(seed)
        self.deaths = Deaths()

    async def take(
        self, target: Callable[..., None], args: tuple[Any, ...], span_s: tuple[float, float] = LIFE_S
    ) -> None:
        """One life of random length, perhaps with a wrong clock or a full disk, and its end by SIGKILL."""
        draw, deaths = self._draw, self.deaths
        self._skew.s = draw.choice((-HOUR_S, HOUR_S)) if draw.random() < WRONG_FRAC else 0.0
        deaths.wrong += self._skew.s != 0.0
        process = self._context.Process(target=target, args=args, daemon=True)
        process.start()
        life_s, event_s = draw.uniform(*span_s), draw.random()
        await asyncio.sleep(life_s * event_s)
        if draw.random() < STEPPED_FRAC:
            deaths.stepped += 1
            self._skew.s += draw.choice((-HOUR_S, HOUR_S)) if self._skew.s == 0.0 else -self._skew.s
        full = draw.random() < FULL_FRAC
        if full and process.pid is not None and process.is_alive():
            deaths.full += 1
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        await asyncio.sleep(life_s * (1.0 - event_s))
        if process.exitcode is not None and not full:  # on a full disk it does not begin, and is begun again
            deaths.by_itself.append(f"life {deaths.kills} ended by itself with status {process.exitcode}")
        process.kill()
        process.join()
        deaths.kills += 1

    async def let_live(self, target: Callable[..., None], args: tuple[Any, ...], until: asyncio.Task[Any]) -> None:
        """A last life with a right clock, until what is waited for is done."""
        self._skew.s = 0.0
        process = self._context.Process(target=target, args=args, daemon=True)
        process.start()
        await asyncio.wait([until], timeout=2.0 * PATIENCE_S)
        process.kill()
        process.join()


def hush(*, entirely: bool = False) -> None:
    """What a process logs that is killed a thousand times interests nobody, nor its last words on a full disk."""
    if entirely:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())


async def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
    """Whether it came true in time."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends_s:
            return False
        await asyncio.sleep(0.004)
    return True
