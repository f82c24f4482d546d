"""From a cycle record to the line that the outside reads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from controller.domain.record import CycleRecord

_log = structlog.get_logger()


class Outlet(Protocol):
    """Somewhere that records go; ``trouble`` says what it last failed of, empty while it works."""

    name: str
    trouble: str


class Sink(Outlet, Protocol):
    """Takes lines and never waits."""

    @property
    def wanted(self) -> bool:
        """False when nobody would read a line."""
        ...

    def put(self, line: bytes) -> None:
        """Take one line, its newline included."""
        ...


class Publisher:
    """Encodes a record once, and only when somebody wants it; ``extra`` adds what the shell knows.

    Troubles of the sinks, and of ``watched`` outlets that get records another way, are logged as they come and go.
    """

    def __init__(
        self, sinks: Sequence[Sink], extra: Callable[[], dict[str, Any]], watched: Sequence[Outlet] = ()
    ) -> None:
        self._sinks = sinks
        self._extra = extra
        self._watched: tuple[Outlet, ...] = (*sinks, *watched)
        self._troubles: dict[str, str] = {}

    def publish(self, record: CycleRecord) -> None:
        """Give the record to every sink that wants it."""
        wanting = [sink for sink in self._sinks if sink.wanted]
        if wanting:
            line = encode(record.to_dict() | self._extra())
            for sink in wanting:
                sink.put(line)
        self._watch()

    def _watch(self) -> None:
        for outlet in self._watched:
            before, now = self._troubles.get(outlet.name, ""), outlet.trouble
            self._troubles[outlet.name] = now
            if now and not before:
                _log.error("record.lost", to=outlet.name, reason=now)
            elif before and not now:
                _log.info("record.recovered", to=outlet.name)


def encode(fields: dict[str, Any]) -> bytes:
    """One JSON line in UTF-8; what is not a finite number becomes ``null``."""
    return json.dumps(jsonable(fields), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def jsonable(value: Any) -> Any:
    """The same value with NaN and infinities replaced by None, in depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value
