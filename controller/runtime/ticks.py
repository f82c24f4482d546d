"""A grid of instants: who is late skips, and counts, and never catches up."""

from __future__ import annotations

import math

# Instants are sums of many periods; what is due within a microsecond is due.
_EPS_S = 1e-6


def on_grid(now_s: float, period_s: float, phase_frac: float = 0.0) -> float:
    """The last instant ``(k + phase_frac) × period_s`` that is not after ``now_s``: everybody shares one grid."""
    return (math.floor(now_s / period_s - phase_frac) + phase_frac) * period_s


class Ticks:
    """Instants ``first_s + k × period_s``; ``missed`` counts those that passed unused.

    Raises ValueError when the period is not a finite number above zero.
    """

    __slots__ = ("due_s", "missed", "period_s")

    def __init__(self, first_s: float, period_s: float) -> None:
        if not 0.0 < period_s < math.inf:
            raise ValueError(f"period is {period_s!r} s; expected a number above 0")
        self.due_s = first_s
        self.period_s = period_s
        self.missed = 0

    def is_due(self, now_s: float) -> bool:
        """True when the next instant has come."""
        return now_s >= self.due_s - _EPS_S

    def done(self, now_s: float) -> int:
        """The due instant was used: move to the first one after ``now_s``; returns how many were passed over."""
        late = max(0, math.floor((now_s - self.due_s + _EPS_S) / self.period_s))
        self.due_s += (late + 1) * self.period_s
        self.missed += late
        return late
