"""The small file of what must outlive the process: temperatures, counters, lock-outs.

Two lines of JSON: the checksum of the second, and the second. It is replaced as a whole (new file, fsync, rename, fsync
of the folder), so a power cut leaves the old one or the new one. One that cannot be used is set aside as ``.bad``.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from controller.clock import utc_s
from controller.documents import DocumentError, block, number, text
from controller.durable import replace_file
from controller.ports import Clock

_log = structlog.get_logger()

VERSION = 1
BYTES_MAX = 1_000_000
RETRY_S = 5.0
"""After a refusal of the disk, machine seconds."""
HUNG_S = 5.0
"""A disk that takes longer for one memory hangs, machine seconds."""
_HUNG = "the disk does not answer"
FUTURE_S = 2.0  # how far the clock may have been set back before the gap counts as unknown


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds: every reason's memory by its key, and when it was written (NaN: the machine did not know)."""

    memory: Mapping[str, Any]
    written_utc_s: float


def encode(site: str, written_utc_s: float, memory: Mapping[str, Any]) -> bytes:
    """The whole file. Raises ``ValueError`` for a memory that JSON cannot hold (NaN, infinity)."""
    written = written_utc_s if math.isfinite(written_utc_s) else None
    body = {"version": VERSION, "site": site, "written_utc_s": written, "memory": memory}
    line = json.dumps(body, allow_nan=False, sort_keys=True).encode()
    return json.dumps({"sha256": hashlib.sha256(line).hexdigest()}).encode() + b"\n" + line + b"\n"


def decode(raw: bytes, site: str) -> Stored:
    """What :func:`encode` wrote for the same site. Raises ``DocumentError`` saying what is wrong."""
    if len(raw) > BYTES_MAX:
        raise DocumentError(f"has more than {BYTES_MAX} bytes")
    first, _, rest = raw.partition(b"\n")
    line = rest.removesuffix(b"\n")
    if text(_object(first), "sha256") != hashlib.sha256(line).hexdigest():
        raise DocumentError("the checksum does not fit: torn, or edited by hand")
    body = _object(line)
    if number(body, "version") != VERSION:
        raise DocumentError(f"version is {body['version']}; expected {VERSION}")
    if text(body, "site") != site:
        raise DocumentError(f"was written for site {body['site']!r}; expected {site!r}")
    written_utc_s = math.nan if body.get("written_utc_s") is None else number(body, "written_utc_s")
    return Stored(block(body, "memory"), written_utc_s)


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"is not JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise DocumentError(f"holds {type(found).__name__}; expected an object")
    return found


class StateFile:
    """The state file of one site: read once at the start, written by a thread of its own.

    The newest memory wins; a slow or broken disk delays nobody. It is told as soon as it refuses, and tried again until
    it takes what it refused.
    """

    def __init__(self, path: Path, site: str, clock: Clock) -> None:
        self._path, self._site, self._clock = path, site, clock
        self._waiting: bytes | None = None
        self._wake = threading.Condition()
        self._ending = False
        self._telling = threading.Lock()
        self._trouble = ""
        self._put = self._kept = self._failed = 0
        self._began_s = math.inf
        self._thread = threading.Thread(target=self._run, name="state-file", daemon=True)
        self._thread.start()

    def read(self) -> tuple[Mapping[str, Any], float]:
        """The memory of the last run and its age in seconds of wall-clock time (NaN: unknown); empty without one.

        A file that cannot be used is told, set aside as ``.bad`` and counts as none. Raises OSError when its folder is
        not there.
        """
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"{self._path.parent} is no folder; expected one for the state file")
        try:
            with self._path.open("rb") as file:
                stored = decode(file.read(BYTES_MAX + 1), self._site)
        except FileNotFoundError:
            _log.info("state.new", file=str(self._path))
            return {}, math.nan
        except (DocumentError, OSError) as error:
            _log.warning("state.refused", file=str(self._path), reason=str(error), kept_as=self._set_aside())
            return {}, math.nan
        gap_s = self._gap_s(stored)
        _log.info("state.restored", file=str(self._path), gap_s=round(gap_s, 1) if math.isfinite(gap_s) else "unknown")
        return stored.memory, gap_s

    def _gap_s(self, stored: Stored) -> float:
        """How long ago it was written; unknown when either end is, or when time ran backwards in between."""
        gap_s = utc_s(self._clock) - stored.written_utc_s
        return max(gap_s, 0.0) if gap_s >= -FUTURE_S else math.nan

    def _set_aside(self) -> str:
        bad = self._path.with_name(self._path.name + ".bad")
        try:
            self._path.replace(bad)
        except OSError as error:
            return f"not kept: {error}"
        return str(bad)

    def put(self, memory: Mapping[str, Any]) -> None:
        """Write this as soon as possible; never waits."""
        try:
            raw = encode(self._site, utc_s(self._clock), memory)
        except ValueError as error:
            self._tell(f"a memory that JSON cannot hold: {error}")
            return
        if len(raw) > BYTES_MAX:
            self._tell(f"a memory of {len(raw)} bytes; at most {BYTES_MAX} are read at the next start")
            return
        with self._wake:
            self._waiting = raw
            self._put += 1
            self._wake.notify_all()
        if self._hangs():
            self._tell(_HUNG)

    @property
    def trouble(self) -> str:
        """Why nothing is kept at present; empty when it is."""
        return self._trouble or (_HUNG if self._hangs() else "")

    def unkept(self, timeout_s: float) -> str:
        """Why what was put last is not on the disk after at most ``timeout_s`` (blocks so long); empty when it is."""
        with self._wake:
            put = self._put
            self._wake.wait_for(lambda: max(self._kept, self._failed) >= put, timeout_s)
            kept = self._kept >= put
        return self.trouble or ("" if kept else f"the disk has not taken it within {timeout_s:g} s")

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is waiting, for at most ``timeout_s``; safe to call twice."""
        with self._wake:
            self._ending = True
            self._wake.notify_all()
        self._thread.join(timeout_s)

    def _tell(self, trouble: str) -> None:
        """When writing begins to fail, and when it works again."""
        with self._telling:
            before, self._trouble = self._trouble, trouble
            if trouble and not before:
                _log.error("state.unwritten", file=str(self._path), reason=trouble)
            elif before and not trouble:
                _log.info("state.written", file=str(self._path))

    def _run(self) -> None:
        refused: bytes | None = None
        while True:
            with self._wake:
                self._wake.wait_for(self._is_due, timeout=None if refused is None else RETRY_S)
                raw, self._waiting = self._waiting or refused, None
                put, last = self._put, self._ending
            if raw is not None:
                refused = self._written(raw)
                self._count(put, kept=refused is None)
            if last:
                return

    def _count(self, put: int, *, kept: bool) -> None:
        """For those who wait for it."""
        with self._wake:
            self._kept, self._failed = (put, self._failed) if kept else (self._kept, put)
            self._wake.notify_all()

    def _hangs(self) -> bool:
        return self._machine_s() - self._began_s > HUNG_S

    def _machine_s(self) -> float:
        return self._clock.real_s(self._clock.now_s())

    def _is_due(self) -> bool:
        return self._ending or self._waiting is not None

    def _written(self, raw: bytes) -> bytes | None:
        """What the disk has refused; None when it took it."""
        self._began_s = self._machine_s()
        try:
            replace_file(self._path, raw)
        except OSError as error:
            self._tell(str(error))
            return raw
        finally:
            self._began_s = math.inf
        self._tell("")
        return None
