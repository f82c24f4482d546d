"""What a last-in-first-out threshold scheme would have curtailed on the same night, replayed on recorded flows.

Method, the same for every period of the record:
- What each generator could have given is what it gave plus what the controller held back.
- A threshold scheme moves no battery: what batteries took in or gave is taken out of the recorded export. Other demand
  stays as it was recorded.
- Where the export so found is above the limit, generators are trimmed in the order of their stack position (1 first),
  each to nothing before the next, until the export is ``TARGET_FRAC`` of the limit: a scheme without a model of the
  network keeps a margin below its threshold. A trim is released ``HOLD_S`` after the last excess.
Losses are left out. Everything that a real scheme does worse (whole trips, delays, ramps) is left out too, so the
figure is on the low side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.domain.unit import Unit

Array = NDArray[np.float64]

TARGET_FRAC = 0.95
HOLD_S = 900.0


def lifo_trim(
    units: Sequence[Unit], could_w: Array, storage_w: Array, export_w: Array, limit_w: float, period_s: float
) -> Array:
    """Power taken from every generator in every period, W ≥ 0 (period by unit, in the order of ``units``).

    ``could_w`` (period by unit) is what each generator could have given, ≥ 0, and ``export_w`` the recorded export
    with the controller's own curtailment given back; ``storage_w`` what all batteries together took (load convention),
    and whatever else is thought away.
    Periods in which anything is not a number are left out: nothing is claimed about them.
    """
    order = sorted(range(len(units)), key=lambda k: (units[k].stack_position or len(units) + 1, units[k].id))
    flow_w = export_w + storage_w
    held_s, target_w = np.inf, TARGET_FRAC * limit_w
    out = np.zeros_like(could_w)
    for t, flow in enumerate(flow_w.tolist()):
        if not (np.isfinite(flow) and np.isfinite(could_w[t]).all()):
            continue
        held_s = 0.0 if flow > limit_w else held_s + period_s
        if held_s <= HOLD_S:
            out[t] = _trimmed(could_w[t], order, max(flow - target_w, 0.0))
    return out


def _trimmed(could_w: Array, order: Sequence[int], excess_w: float) -> Array:
    """Who gives up how much of one excess."""
    out = np.zeros_like(could_w)
    for k in order:
        out[k] = min(could_w[k], excess_w)
        excess_w -= float(out[k])
    return out
