"""Preventive caps: a unit that is free today may jump tomorrow, but never so far that a limit breaks.

What is left under every limit after the dispatch is handed out to the free units in proportion to how far each could
still rise (max-min fair, progressive filling). The sum of all caps in force then respects every limit even if every
free unit rises to its cap in the same instant; nothing has to be fast enough to catch it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some

Array = NDArray[np.float64]


def share_room(room: Array, worsening: Array, wish_w: Array) -> Array:
    """How much each resource may rise (W).

    ``room`` (m,) is what is left per row, ``worsening`` (m, n) ≥ 0 the effect of one W more, ``wish_w`` (n,) ≥ 0 how
    far each could rise. Rows without room freeze every resource that would worsen them.
    """
    level = np.zeros(len(wish_w))
    active = wish_w > 0.0
    left = np.maximum(room, 0.0)
    # A row with room for every wish at once never decides.
    short = (left < worsening @ np.where(active, wish_w, 0.0)).nonzero()[0]
    left, worsening = left[short], worsening[short]
    filled = 0.0
    while some(active) and filled < 1.0:
        load = worsening @ np.where(active, wish_w, 0.0)
        loaded = load > 1e-15
        step = min(float((left[loaded] / load[loaded]).min(initial=np.inf)), 1.0 - filled)
        filled += step
        level[active] = filled
        left = left - step * load
        binding = loaded & (left <= 1e-12)
        active = active & ~(worsening[binding] > 1e-15).any(axis=0)
    out: Array = level * wish_w
    return out
