"""Cycle times of a whole day from the summaries that records carry."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

WINDOW_CYCLES = 512
"""A record's summary covers this many cycles, so one in so many is looked at."""


class CycleStats:
    """Windows side by side. ``p50`` is the middle of theirs; ``p99`` the highest of theirs, so never too low."""

    def __init__(self) -> None:
        self.count = 0
        self._windows: list[tuple[float, float]] = []
        self._newest: Mapping[str, Any] = {}
        self._max_ms = 0.0
        self.polls: Mapping[str, Any] = {"ok": 0, "failed": 0}

    def take(self, record: Mapping[str, Any]) -> None:
        """One cycle record, whose ``seq`` counts cycles."""
        summary = record["cycle_ms"]
        self.count = int(record["seq"])
        self.polls = record["polls"]
        self._newest = summary
        self._max_ms = max(self._max_ms, float(summary["max"]))
        if self.count >= WINDOW_CYCLES * (len(self._windows) + 1):
            self._windows.append((float(summary["p50"]), float(summary["p99"])))

    @property
    def missed(self) -> int:
        """Ticks that were skipped because the machine was too slow."""
        return int(self._newest.get("missed", 0))

    def to_dict(self) -> dict[str, float | int | None]:
        """``p50, p99, max`` in ms of the machine (None without a controller) and ``missed``."""
        if not self._newest:
            return {"p50": None, "p99": None, "max": None, "missed": 0, "count": 0}
        windows = self._windows or [(float(self._newest["p50"]), float(self._newest["p99"]))]
        return {
            "p50": round(statistics.median(p50 for p50, _ in windows), 3),
            "p99": round(max(p99 for _, p99 in windows), 3),
            "max": round(self._max_ms, 3),
            "missed": self.missed,
            "count": self.count,
        }
