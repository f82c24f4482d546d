"""Bus voltages: the network model plus one learned offset per bus (upstream voltage, taps, wrong impedances)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import Site

Array = NDArray[np.float64]

TAU_S = 4.0
JUMP_SIGMA = 5.0  # an error beyond this is a step and is taken over at once
FRESH_S = 30.0  # an offset moves slowly: for this long it is as good as measured
UNMEASURED_SIGMA_PU = 0.004


class VoltageOffsets:
    """Offset filter of one site."""

    def __init__(self, site: Site, u_rated_v: Array) -> None:
        self._rated_v = u_rated_v
        self._sigma_v = site.chain.sigma_u_rel * u_rated_v
        self._gain = 1.0 - math.exp(-site.cycle.cycle_s / TAU_S)
        self._fresh_s = max(FRESH_S, 3.0 * site.cycle.cycle_s)
        self._noise_left = math.sqrt(self._gain / (2.0 - self._gain))

    def update(self, offset_v: Array, measured_v: Array, estimated_v: Array, seen_before_s: Array) -> Array:
        """New offsets from readings (NaN = none) and the estimate made with ``offset_v``.

        A bus that was never read shares the others' mean, in per unit.
        """
        error = measured_v - estimated_v
        step = ~np.isfinite(seen_before_s) | (np.abs(error) > JUMP_SIGMA * self._sigma_v)
        out = offset_v + np.where(np.isfinite(error), np.where(step, 1.0, self._gain) * error, 0.0)
        never = ~np.isfinite(seen_before_s) & ~np.isfinite(measured_v)
        if never.any() and not never.all():
            out = np.where(never, (out / self._rated_v)[~never].mean() * self._rated_v, out)
        return out

    def sigma_v(self, age_s: Array) -> Array:
        """One standard deviation of every bus voltage, V, by the age of its last reading."""
        return np.where(age_s <= self._fresh_s, self._noise_left * self._sigma_v, UNMEASURED_SIGMA_PU * self._rated_v)
