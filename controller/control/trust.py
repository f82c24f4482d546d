"""Trust is earned: whoever never gave way when told is not counted on when somebody else wants to rise.

An exchange (cheap unit down, dear unit up) must not overload the network because the first half of it does not
happen. Until a unit has shown once that it follows, little of its reduction is lent to others. Relief of a limit that
is exceeded counts in full from everybody, for nothing is lost by asking; but once it stays exceeded, those who are only
believed to help are believed no more, and everybody is asked at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ASKED_FRAC = 0.05  # of the rating: a set point this far below the output is a request that shows
MOVED_FRAC = 0.035  # of the rating: no noise moves an estimate this far
DONE_FRAC = 0.015  # of the rating: this near to the set point it has been followed
UNPROVEN_SHARE = 0.15  # of a reduction not yet proven that others may use before it is measured


@dataclass(frozen=True, slots=True)
class Trust:
    """Per unit: its power when it was last asked to move (W, NaN = not asked), and whether it ever did."""

    asked_at_w: Array
    proven: BoolArray


def initial_trust(n: int) -> Trust:
    """Nobody has shown anything."""
    return Trust(np.full(n, np.nan), np.zeros(n, dtype=bool))


def observe_trust(previous: Trust, p_w: Array, off_w: Array, rated_w: Array, silent: BoolArray) -> Trust:
    """Update with what the units do (``p_w``) and how far that is from what they were told (``off_w`` ≥ 0), W.

    ``silent`` units are deaf or lost: they prove nothing, and what they had proven is gone.
    """
    arrived = off_w < DONE_FRAC * rated_w
    asked = np.isnan(previous.asked_at_w) & (off_w > ASKED_FRAC * rated_w)
    asked_at_w = np.where(asked, p_w, previous.asked_at_w)
    followed = arrived & (np.abs(p_w - asked_at_w) > MOVED_FRAC * rated_w)
    return Trust(np.where(arrived | silent, np.nan, asked_at_w), (previous.proven | followed) & ~silent)


def lent_share(trust: Trust) -> Array:
    """Per unit: the share of a reduction under way that others may use."""
    return np.where(trust.proven, 1.0, UNPROVEN_SHARE)
