"""Cycle times of a whole day from the summaries that records carry."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

WINDOW_CYCLES = 512
"""A record's summary covers this many cycles, so one in so many is looked at."""


class CycleStats:
    """Windows side by side. ``p50`` is the middle of theirs; ``p99`` the highest of theirs, so never too low."""

    def __init__(self) -> None:
        self._ended, self._now = Counter[str](), Counter[str]()
        self._windows: list[tuple[float, float]] = []
        self._newest: Mapping[str, Any] = {}
        self._max_ms = 0.0

    def take(self, record: Mapping[str, Any]) -> None:
        """One cycle record, whose ``seq`` counts the cycles of its controller: a smaller one is of the next."""
        summary, polls = record["cycle_ms"], record["polls"]
        if int(record["seq"]) < self._now["cycles"]:
            self._ended += self._now
        self._now = Counter(
            cycles=int(record["seq"]), missed=int(summary.get("missed", 0)),
            ok=int(polls["ok"]), failed=int(polls["failed"]),
        )  # fmt: skip
        self._newest = summary
        self._max_ms = max(self._max_ms, float(summary["max"]))
        if self.count >= WINDOW_CYCLES * (len(self._windows) + 1):
            self._windows.append((float(summary["p50"]), float(summary["p99"])))

    @property
    def count(self) -> int:
        """Cycles of the day, of every controller that it has seen."""
        return self._sum("cycles")

    @property
    def missed(self) -> int:
        """Ticks that were skipped because the machine was too slow."""
        return self._sum("missed")

    @property
    def polls(self) -> Mapping[str, int]:
        """How many were answered (``ok``) and not (``failed``)."""
        return {"ok": self._sum("ok"), "failed": self._sum("failed")}

    def _sum(self, what: str) -> int:
        return self._ended[what] + self._now[what]

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
