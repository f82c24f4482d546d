"""How much of a change of consumption a participant's units can be counted on to deliver. Pure.

Its units share the change by their rating, as they do in delivery. Units that consume take no more than their vehicles
can (:mod:`controller.planning.uptake`) and give up no more than they would take; of others what is asked is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.domain.unit import Unit
from controller.planning.uptake import Uptake

Array = NDArray[np.float64]

WHOLE_FRAC = 0.95
"""Of what was ordered: more than that counts as all of it."""
HALVINGS = 8


def deliverable_w(units: Sequence[Unit], uptake: Mapping[str, Uptake], baseline_w: Array, change_w: Array) -> Array:
    """The part of ``change_w`` (per quarter hour, load convention) that can be counted on.

    ``baseline_w`` is what the units would do unasked, NaN where nobody said: then it is what they are known to take.
    """
    rated_w = sum(unit.p_rated_w for unit in units)
    if rated_w <= 0.0 or not any(unit.id in uptake for unit in units):
        return change_w
    found = np.zeros(len(change_w))
    for unit in units:
        share = unit.p_rated_w / rated_w
        found += _of_unit(uptake.get(unit.id), baseline_w * share, change_w * share)
    return np.where(change_w > 0.0, np.clip(found, 0.0, change_w), np.clip(found, change_w, 0.0))


def _of_unit(ahead: Uptake | None, baseline_w: Array, change_w: Array) -> Array:
    if ahead is None:
        return change_w
    said = np.isfinite(baseline_w)  # vehicles that wait, as their participant says, want their energy later
    baseline_w = np.where(said, baseline_w, ahead.unasked_w)
    taken_w = ahead.taken_w(np.where((change_w == 0.0) & ~said, np.nan, baseline_w + change_w))
    idle_w = np.where(change_w < 0.0, np.minimum(baseline_w, ahead.unasked_w), baseline_w)
    return np.asarray(taken_w - idle_w)


def lacks(change_w: Array, delivered_w: Array) -> NDArray[np.bool_]:
    """In which quarter hours what can be counted on is not what was ordered."""
    return np.asarray(np.abs(delivered_w) < WHOLE_FRAC * np.abs(change_w))


def share_of(
    units: Sequence[Unit], uptake: Mapping[str, Uptake], baseline_w: Array, ordered_w: Array, offer_w: Array
) -> float:
    """The largest share of an offer, 0…1, that can be counted on beside what is ordered already."""
    before_w = deliverable_w(units, uptake, baseline_w, ordered_w)

    def holds(share: float) -> bool:
        more_w = deliverable_w(units, uptake, baseline_w, ordered_w + share * offer_w) - before_w
        return not lacks(share * offer_w, more_w).any()

    if holds(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
