"""One sample alone proves nothing: a jump is believed when it is dangerous, seen by another meter, or seen twice.

A reading far from its prediction that would make a limit look better waits for one sample. A real step is so delayed
by at most one sample, and never one that makes matters worse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some
from controller.estimation.readings import Reading

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

JUMP_FRAC = 0.1  # of the scale: a smaller surprise is the filter's business
SAME_FRAC = 0.5  # of the jump: two readings this close say the same
ALIKE = (0.5, 2.0)  # jumps of two meters in this ratio have one cause


@dataclass(frozen=True, slots=True)
class Waiting:
    """Readings that wait to be confirmed (NaN = none), when each was sampled, and rows whose reading was denied now."""

    value: Array
    at_s: Array
    denied: BoolArray

    @property
    def nobody(self) -> bool:
        """True when nothing waits and nothing was denied."""
        return not some(self.denied) and every(np.isnan(self.value))

    @staticmethod
    def none(n: int) -> Waiting:
        """Nothing waits."""
        return Waiting(np.full(n, np.nan), np.full(n, -np.inf), np.zeros(n, dtype=bool))


def hold_back(
    waiting: Waiting, rows: Reading, used_at_s: Array, innovation: Array, scale: Array, believed: BoolArray,
    element: NDArray[np.intp],
) -> tuple[Reading, Waiting]:  # fmt: skip
    """The readings that are believed now, and those that wait.

    ``innovation`` is reading less prediction, ``believed`` marks readings that need not wait (they would make a limit
    look worse, or a meter above sees the same), ``element`` says which rows are of one meter: they are believed or wait
    together. ``used_at_s`` is what a row's age stays at while it waits.
    """
    far = np.abs(innovation) > JUMP_FRAC * scale  # NaN, no reading, is never far
    if not some(far) and waiting.nobody:
        return rows, waiting
    newer = rows.used_at_s > waiting.at_s
    returned = np.abs(rows.value - waiting.value) > JUMP_FRAC * scale
    nothing = replace(Waiting.none(len(far)), denied=rows.fresh & newer & ~far & returned)
    if not some(far):
        return rows, nothing
    confirmed = newer & (np.abs(rows.value - waiting.value) < SAME_FRAC * np.abs(innovation))
    alone = far & ~believed & ~confirmed & ~_seen_by_others(innovation, far, element)
    if not some(alone):
        return rows, nothing
    held = rows.fresh & np.isin(element, element[alone])
    kept = Reading(np.where(held, np.nan, rows.value), np.where(held, used_at_s, rows.used_at_s))
    first = held & ~(~newer & np.isfinite(waiting.value))
    at_s = np.where(first, rows.used_at_s, np.where(held, waiting.at_s, -np.inf))
    return kept, Waiting(np.where(held, rows.value, np.nan), at_s, nothing.denied)


def _seen_by_others(innovation: Array, far: BoolArray, element: NDArray[np.intp]) -> BoolArray:
    """Which of the ``far`` rows another meter answers with a jump of about the same size."""
    out, index = np.zeros(len(far), dtype=bool), np.flatnonzero(far)
    size = np.abs(innovation[index])
    ratio = size[:, None] / size[None, :]
    other = element[index][:, None] != element[index][None, :]
    out[index] = (other & (ratio > ALIKE[0]) & (ratio < ALIKE[1])).any(axis=1)
    return out
