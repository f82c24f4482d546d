"""Units that were lost come back one by one, each after it has been heard often enough and long enough.

Until then a unit stays at its fail-safe set point and is trusted with nothing: a link that flaps must not swing power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import CycleSettings

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Per unit: whether it is lost, was ever in use, how often it was heard since it was lost, and since when."""

    lost: BoolArray
    used: BoolArray
    reads: NDArray[np.int64]
    heard_since_s: Array


def initial_recovery(n: int) -> Recovery:
    """Nobody was heard yet; the first time, a unit is in use at once: the boot rule keeps watch over that."""
    return Recovery(np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, np.int64), np.full(n, np.inf))


def recover(
    previous: Recovery, silent: BoolArray, fresh: BoolArray, reverts: BoolArray, now_s: float, cycle: CycleSettings
) -> Recovery:
    """One cycle on. ``silent`` units are lost at once; ``fresh`` marks a new good reading in this cycle.

    A unit that does not revert by itself (``reverts``) has kept its set point all the while: it is in use at once.
    """
    reads = np.where(silent, 0, previous.reads + fresh)
    since = np.where(silent, np.inf, np.where(fresh, np.minimum(previous.heard_since_s, now_s), previous.heard_since_s))
    proven = (reads >= cycle.recovery_reads) & (now_s - since >= cycle.unit_recovery_hold_s)
    waits = previous.lost & previous.used & reverts & ~proven
    lost = silent | waits
    return Recovery(lost, previous.used | ~lost, reads, since)
