"""Excess that does not go away: integral action for what the model did not expect.

A limit that stays exceeded longer than an obedient fleet needs, and does not fall either, is proof that somebody does
not do what the dispatch counts on. From then on its room shrinks with the integral of the excess, so that others are
asked too, and comes back slowly once the limit is kept. While it falls the fleet is doing what its ramps allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GRACE_S = 4.0  # at least; and never less than 2.5 cycles
GAIN_PER_S = 0.4
EXTRA_MAX_FRAC = 0.1
RELEASE_S = 20.0
LARGE_FRAC = 0.03  # too much to wait and see
FALLING_PER_S = 0.15  # of the excess: what goes at least this fast is on its way
TOLERANCE_FRAC = 0.003


@dataclass(frozen=True, slots=True)
class Persistence:
    """Per limit: since when it is exceeded (inf = it is not), by how much (fraction), whether it stays so or is too
    much to find out (``insist``), and how much its room is reduced (fraction)."""

    since_s: Array
    excess_frac: Array
    insist: BoolArray
    extra_frac: Array


def initial_persistence(n: int) -> Persistence:
    """Nothing is exceeded."""
    return Persistence(np.full(n, np.inf), np.zeros(n), np.zeros(n, dtype=bool), np.zeros(n))


def persist(previous: Persistence, excess_frac: Array, now_s: float, cycle_s: float) -> Persistence:
    """Update with how far each limit is exceeded now (fraction of the limit, negative = room)."""
    over = excess_frac > TOLERANCE_FRAC
    if not some(over) and not some(previous.extra_frac):
        return initial_persistence(len(over))
    since = np.where(over, np.minimum(previous.since_s, now_s), np.inf)
    falling = excess_frac < previous.excess_frac * (1.0 - min(FALLING_PER_S * cycle_s, 0.5))
    stubborn = over & ~falling & (now_s - since >= max(GRACE_S, 2.5 * cycle_s))
    grown = previous.extra_frac + GAIN_PER_S * cycle_s * np.maximum(excess_frac, 0.0)
    released = previous.extra_frac * np.exp(-cycle_s / RELEASE_S)
    extra = np.where(stubborn, np.minimum(grown, EXTRA_MAX_FRAC), np.where(over, previous.extra_frac, released))
    return Persistence(since, np.where(over, excess_frac, 0.0), stubborn | (excess_frac > LARGE_FRAC), extra)
