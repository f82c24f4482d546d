"""Meters that answer but do not tell the truth: frozen values.

A live meter's last digits move. How often an element's readings (all its quantities together, not all zero) come back
bit-identical is learned from every run of repetitions that ended. When they stay identical for so many fresh samples
that this would happen by chance once in ``1 / CHANCE``, the source has stopped and the values are treated as missing.
Long before that, at ``1 / DOUBT``, what the network's meters repeat is not taken for a new reading: a sample left out
costs a live meter nothing, and a stopped one would hold the estimate back at what was. Units' meters are spared, for
nobody stands in for them. An idle charger that always reads zero is quiet, not frozen, and says nothing about how it
will read when it charges: a meter that repeats even zeros before it ever moved may well repeat itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

CHANCE = 1e-7
DOUBT = 1e-3  # so improbable a repetition says nothing new, long before it proves that the meter has stopped
SAME_PRIOR = 0.5
SAME_LOW, SAME_HIGH = 0.02, 0.97
LEARN_SAMPLES = 200


@dataclass(frozen=True, slots=True)
class FreezeWatch:
    """Per element: last values (NaN = none), fresh samples without any change, how often unchanged is normal, samples
    seen alive, and when the last one was taken.
    """

    last: Array
    same: Array
    same_frac: Array
    seen: Array
    sampled_at_s: Array

    @property
    def frozen(self) -> BoolArray:
        """Elements whose readings stopped moving."""
        return self._less_likely_than(CHANCE)

    @property
    def doubtful(self) -> BoolArray:
        """Elements whose newest reading, once more the same, had better not count as a new one."""
        return self._less_likely_than(DOUBT)

    def _less_likely_than(self, chance: float) -> BoolArray:
        if not some(self.same):
            return np.zeros(len(self.same), dtype=bool)
        usual = np.minimum(np.maximum(self.same_frac, SAME_LOW), SAME_HIGH)
        out: BoolArray = self.same * np.log(usual) < math.log(chance)
        return out


def initial_watch(n_element: int, n_quantity: int) -> FreezeWatch:
    """Nothing seen yet."""
    zero = np.zeros(n_element)
    never = np.full(n_element, -np.inf)
    return FreezeWatch(np.full((n_element, n_quantity), np.nan), zero, np.full(n_element, SAME_PRIOR), zero, never)


def watch(previous: FreezeWatch, value: Array, at_s: Array) -> FreezeWatch:
    """Compare every element's readings with its last fresh sample.

    ``value`` (element, quantity) is NaN where there is no usable reading, ``at_s`` says when each was sampled; a
    sample counts once, by the instant of its first usable reading.
    """
    usable, every = np.isfinite(value), np.arange(len(at_s))
    first = usable.argmax(axis=1)
    sampled_at_s = np.where(usable[every, first], at_s[every, first], -np.inf)
    new = sampled_at_s > previous.sampled_at_s
    run, frac = previous.same, previous.same_frac
    repeated = ((value == previous.last) | (~usable & np.isnan(previous.last))).all(axis=1)
    idle = ~((np.abs(value) > 0.0).any(axis=1) & (np.abs(previous.last) > 0.0).any(axis=1))
    unchanged = repeated & ~idle
    quiet_from_the_start = new & idle & repeated & (previous.seen == 0.0)
    moved = new & ~idle & ~repeated
    seen = np.where(moved, np.minimum(previous.seen + run + 1.0, LEARN_SAMPLES), previous.seen)
    learned = frac + (run - (run + 1.0) * frac) / np.maximum(seen, run + 1.0)
    return FreezeWatch(
        last=np.where(new[:, None], value, previous.last),
        same=np.where(new, np.where(unchanged, run + 1.0, 0.0), run),
        same_frac=np.where(quiet_from_the_start, SAME_HIGH, np.where(moved, learned, frac)),
        seen=seen,
        sampled_at_s=np.where(new, sampled_at_s, previous.sampled_at_s),
    )
