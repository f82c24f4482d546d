"""How long the cycles of the fast loop take, over the last few hundred of them."""

from __future__ import annotations

from collections import deque


class CycleTimes:
    """Durations of the last ``depth`` cycles in milliseconds of the machine, and the number of missed ticks."""

    def __init__(self, depth: int = 512) -> None:
        self._last_ms: deque[float] = deque(maxlen=depth)
        self.missed = 0

    def add(self, duration_s: float) -> None:
        """One cycle took ``duration_s``."""
        self._last_ms.append(duration_s * 1e3)

    def summary(self) -> dict[str, float]:
        """``p50``, ``p99``, ``max`` in ms (0 before the first cycle) and ``missed`` ticks since the start."""
        ordered = sorted(self._last_ms) or [0.0]
        return {
            "p50": round(_quantile(ordered, 0.50), 3),
            "p99": round(_quantile(ordered, 0.99), 3),
            "max": round(ordered[-1], 3),
            "missed": self.missed,
        }


def _quantile(ordered: list[float], frac: float) -> float:
    """Nearest-rank quantile of sorted values: never below a value that the share asked for lies under."""
    return ordered[min(len(ordered) - 1, int(frac * len(ordered)))]
