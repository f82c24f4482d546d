"""What holds for a participant now: its accepted order, else the standing contract, else the safe default. Pure.

The platform may be gone: then nothing new is accepted, and what was accepted runs to its end and no further.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """An accepted order in one settlement period: ``change_w`` against the baseline (load convention)."""

    participant: str
    order: str
    start_utc_s: float
    end_utc_s: float
    change_w: float


@dataclass(frozen=True, slots=True)
class StandingContract:
    """What a participant does without being asked, in some hours of the day (UTC seconds since 1970).

    Infinite ``end_utc_s``: until somebody ends it.
    """

    participant: str
    start_utc_s: float
    end_utc_s: float
    change_w: float


@dataclass(frozen=True, slots=True)
class InForce:
    """``source`` is ``order:<reference>``, ``contract`` or ``default``; it holds until ``until_utc_s``."""

    change_w: float
    source: str
    until_utc_s: float


SAFE_DEFAULT = InForce(0.0, "default", math.inf)
"""Nothing is counted on: the fast loop keeps every limit alone."""


def in_force(
    participant: str, slots: Iterable[Slot], contracts: Iterable[StandingContract], now_utc_s: float
) -> InForce:
    """What may be counted on from a participant now. Orders of one instant add up.

    While nobody knows the time of day (NaN), or a number is none, nothing is counted on.
    """
    slots = [s for s in slots if s.participant == participant]
    here = [s for s in slots if s.start_utc_s <= now_utc_s < s.end_utc_s]
    if here and all(math.isfinite(s.change_w) for s in here):
        names = "+".join(sorted(s.order for s in here))
        return InForce(sum(s.change_w for s in here), f"order:{names}", min(s.end_utc_s for s in here))
    standing = [c for c in contracts if c.participant == participant and c.start_utc_s <= now_utc_s < c.end_utc_s]
    if not here and standing and all(math.isfinite(c.change_w) for c in standing):
        # Contradicting contracts are counted at the one that promises least.
        least = min(standing, key=lambda c: abs(c.change_w))
        next_s = min((s.start_utc_s for s in slots if s.start_utc_s > now_utc_s), default=math.inf)
        return InForce(least.change_w, "contract", min(least.end_utc_s, next_s))
    return SAFE_DEFAULT
