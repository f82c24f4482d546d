"""How often somebody may act: an allowance that is spent by acting and comes back with time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most ``most`` acts at once, and as many again in ``over_s`` seconds."""

    most: float
    over_s: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent of an allowance, as of ``at_s`` (monotonic seconds)."""

    acts: float
    at_s: float


def spend(allowance: Allowance, spent: Spent | None, now_s: float, acts: float = 1.0) -> Spent | None:
    """The account after ``acts`` more; None when they would be more than is left. Time that runs back gives nothing."""
    before = 0.0
    if spent is not None:
        passed_s = now_s - spent.at_s
        back = allowance.most * passed_s / allowance.over_s if passed_s > 0.0 else 0.0
        before = max(spent.acts - back, 0.0)
    total = before + acts
    if not math.isfinite(total) or acts < 0.0 or total > allowance.most:
        return None
    return Spent(total, now_s)
