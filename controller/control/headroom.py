"""Room kept for what may go wrong next: the worst single link dies, or the deaf do their worst, all of them.

Correction is allowed to save it: as long as the units that obey could take back what the others may add, nothing is
held free. Only what they could not take back is missing from the room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.dispatch import Effects
from controller.control.resources import Resources
from controller.domain.masks import some

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def uncovered(
    effect: Effects, r: Resources, output_w: Array, p_w: Array, safe_p_w: Array, reverts: BoolArray, astray: BoolArray
) -> Array:
    """Per row of the limits: what could be added and not be taken back, in per unit of the limit, ≥ 0.

    ``p_w`` and ``safe_p_w`` are the units' powers now and at their fail-safe set points (load convention);
    ``reverts`` units go there when their link dies, the others stay. ``astray`` units are deaf and may rise to their
    rating.
    """
    stray = astray[r.unit]
    shed = effect.worse * np.where(stray, 0.0, output_w)
    all_shed = shed.sum(axis=1)
    together = -all_shed
    if some(stray):
        g, rest_w = effect.by_resource[:, stray], (r.rated_w - output_w)[stray]
        together = np.maximum(g * rest_w, -g * output_w[stray]).sum(axis=1) - all_shed
    falls_w = np.where(reverts & ~astray, safe_p_w - p_w, 0.0)
    # Of a unit with two directions either says the same of one more W (load convention).
    single = effect.by_resource.take(r.first, axis=1)
    single *= r.sign[r.first] * falls_w  # in place: a large array
    np.maximum(single, 0.0, out=single)
    single += r.by_unit(shed)
    out: Array = np.maximum(np.maximum(single.max(axis=1, initial=0.0) - all_shed, together), 0.0)
    return out


def kept_free(room: Array, keep: Array) -> Array:
    """Room less what is kept for misfortunes, W or per unit: it forbids moves closer to a limit, and cuts nobody.

    Who gives way in advance cannot give way again when it happens, so cutting him would make nothing safer.
    """
    out: Array = np.maximum(room - keep, np.minimum(room, 0.0))
    return out
