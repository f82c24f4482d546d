"""Contradictions that stand: what a balance of meters is off by on average, once noise and timing have gone.

A current transformer with a wrong burden or a ratio set one tap off reads a few percent of what flows, less than two
meters of one balance may differ by at one instant. Averaged over quiet moments only the classes of the meters remain,
so a far smaller contradiction counts, if it stays. It proves nothing about who is wrong: a branch that would carry more
if the others were right gets the difference as margin, and one that would carry less goes on as it reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.balance import BOX_FRAC, Levels
from controller.estimation.layout import Layout

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOOK_S = 1.0  # at least, from one look to the next
TAU_S = 8.0  # over which contradictions and powers are averaged
LOOKS_MIN = 4.0  # before an average says anything
BIAS_SIGMAS = 2.5  # bounds of bias, added as squares, that a balance may be off by while nobody lies
UNIT_SIGMAS = 1.5  # the bias of a unit's meter in terms of its noise, which is all that is known of it
RELEASED_FRAC = 0.6  # of what was too much: a contradiction is over when this is left
PROVEN_S = 30.0  # what stood so long outlasts the silence of a meter; a younger contradiction may be a frozen one's
IDLE_FRAC = 0.05  # of its scale: with less power no ratio is formed


@dataclass(frozen=True, slots=True)
class Standing:
    """By balance: how far the implied demand lies outside what its loads can be, signed mean, W; how many looks it has
    had; since when that is too much (inf = it is not). By element: mean power, W (NaN = none yet).
    """

    off_w: Array
    looks: Array
    since_s: Array
    p_w: Array


class StandingLevels:
    """Constants of one site."""

    def __init__(self, layout: Layout, levels: Levels, scale: Array) -> None:
        chain, cycle_s = layout.site.chain, layout.site.cycle.cycle_s
        self.every = max(round(LOOK_S / cycle_s), 1)
        self._gain = min(self.every * cycle_s / TAU_S, 1.0)
        bias_w = chain.bias_i_rel * scale
        first = layout.n_branch + 1
        bias_w[first:] = max(chain.bias_i_rel, UNIT_SIGMAS * chain.sigma_unit_rel) * scale[first:]
        self._levels, self._scale = levels, scale
        slack_w = BIAS_SIGMAS * np.sqrt(levels.member @ bias_w**2)
        self._slack_w: Array = slack_w + BOX_FRAC * (levels.high_w - levels.low_w)

    def initial(self) -> Standing:
        """Nothing seen yet."""
        n_balance, n = self._levels.sign.shape
        return Standing(np.zeros(n_balance), np.zeros(n_balance), np.full(n_balance, np.inf), np.full(n, np.nan))

    def update(
        self, before: Standing, p_w: Array, s2_va2: Array, fresh: BoolArray, quiet: BoolArray, now_s: float
    ) -> Standing:
        """Take in the newest powers by element; a balance whose members are not all fresh and quiet stays as it was."""
        levels, steady = self._levels, fresh & quiet
        known = levels.member @ ~steady == 0.0
        beyond_w, doubt_w = levels.beyond_w(p_w, s2_va2, steady)
        gain = np.where(known, np.maximum(self._gain, 1.0 / (before.looks + 1.0)), 0.0)
        off_w = before.off_w + gain * (beyond_w - before.off_w)
        looks = before.looks + known
        most_w = self._slack_w + doubt_w
        most_w = np.where(np.isfinite(before.since_s), RELEASED_FRAC, 1.0) * most_w
        off = (np.abs(off_w) > most_w) & (looks >= LOOKS_MIN)
        young = now_s - before.since_s < PROVEN_S
        silent = levels.member @ ~fresh > 0.0
        off_w, off = np.where(silent & young, 0.0, off_w), off & ~(silent & young)
        looks = np.where(silent & young, 0.0, looks)
        mean_w = before.p_w + self._gain * (p_w - before.p_w)
        return Standing(
            off_w=off_w,
            looks=looks,
            since_s=np.where(off, np.minimum(before.since_s, now_s), np.inf),
            p_w=np.where(steady, np.where(np.isnan(before.p_w), p_w, mean_w), before.p_w),
        )

    def hidden_w(self, state: Standing, j: int, p_w: Array) -> Array:
        """By element: power beyond its reading if all others of balance ``j`` are right, W ≥ 0.

        A wrong ratio hides the same share of whatever flows, so the share is what is kept.
        """
        then_w, now_w = np.abs(state.p_w), np.abs(np.where(np.isfinite(p_w), p_w, state.p_w))
        hidden_w = more_w(self._levels.sign[j], state.off_w[j], state.p_w)
        grown = np.where(then_w > IDLE_FRAC * self._scale, np.maximum(now_w, then_w) / np.maximum(then_w, 1.0), 1.0)
        return hidden_w * grown


def more_w(sign: Array, off_w: float, p_w: Array) -> Array:
    """By element how much more flows than it reads if it alone is the cause of a balance's ``off_w``, W ≥ 0."""
    out: Array = np.where(sign != 0.0, np.maximum(np.abs(p_w - sign * off_w) - np.abs(p_w), 0.0), 0.0)
    return out
