"""Reactive power that will not stay what it is: of units that do not give what they were told to, and of lost ones.

Their order stands, for only a unit that has one can show that it hears again. It may obey at any moment, so room is
kept for that; and an order that would strain a limit by now is exchanged for a small one that would help it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.estimate import Estimate
from controller.limits.base import Rows

if TYPE_CHECKING:
    from controller.control.decision import Decision
    from controller.control.dispatch import Bounds

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

PULL_MIN = 1e-4  # shadow price from which on a limit has a say
RELIEF_FRAC = 0.8  # of what others could do by reactive power: the rest is for what else moves meanwhile
TRIAL_FRAC = 0.25  # of a unit's reactive power: enough to be told from noise


def without_sudden_q(rows: Rows, by_unit_q: Array, estimate: Estimate, set_q_var: Array) -> Rows:
    """Room less what deaf units' standing orders (``set_q_var``, load convention) would take, if they were obeyed now.

    ``by_unit_q`` is what one var of each unit does to every row, per unit of the limit. As with units that are lost:
    it forbids others to move closer, and cuts nobody for what has not happened.
    """
    deaf = estimate.deaf_q
    if not some(deaf):
        return rows
    jump_var = (set_q_var - estimate.unit_q_var)[deaf]
    taken = np.maximum(by_unit_q[:, deaf] * jump_var, 0.0).sum(axis=1)
    return replace(rows, room=np.maximum(rows.room - taken, np.minimum(rows.room, 0.0)))


def ahead_of_reversion(
    rows: Rows, by_unit_q: Array, q_now_var: Array, bounds: Bounds, leaves: BoolArray, safe_q_var: Array
) -> Rows:
    """Room less what lost units that revert by themselves (``leaves``) take with them when their lease ends.

    Their reactive power is gone at once, their active power is slower. That will happen, in seconds, so the others take
    over beforehand, by reactive power and as far as theirs goes: nobody is cut for it.
    """
    if not some(leaves):
        return rows
    taken = np.maximum(by_unit_q[:, leaves] * (safe_q_var - q_now_var)[leaves], 0.0).sum(axis=1)
    others = by_unit_q[:, ~leaves]
    falls, rises = (q_now_var - bounds.q_low_var)[~leaves], (bounds.q_high_var - q_now_var)[~leaves]
    relief = np.maximum(np.maximum(others * falls, -others * rises), 0.0).sum(axis=1)
    return replace(rows, room=rows.room - np.minimum(taken, RELIEF_FRAC * relief))


def standing_q(decision: Decision, estimate: Estimate, set_q_var: Array, q_max_var: Array) -> Array:
    """Per unit: the order that stands (var, load convention), or a trial the other way where obeying it would strain.

    Only a move proves that a unit hears, so an order that equals what the unit does would leave it deaf for ever.
    """
    shadow, does_var = decision.plan.shadow, estimate.unit_q_var
    strain = np.where(shadow > PULL_MIN, shadow, 0.0) @ decision.effects.by_unit_q
    trial = np.clip(does_var - TRIAL_FRAC * q_max_var * np.sign(strain), -q_max_var, q_max_var)
    out: Array = np.where(strain * (set_q_var - does_var) > 0.0, trial, set_q_var)
    return out
