"""Top-oil temperature of the simulated transformers: one time constant, so not the controller's own thermal model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATED_RISE_K = 55.0
LOSS_RATIO = 6.0
EXPONENT = 0.8
TAU_S = 3.0 * 3600.0


class TopOil:
    """First-order rise of the top oil over ambient, driven by the current relative to the rated current."""

    def __init__(self, i_rated_a: NDArray[np.float64]) -> None:
        self._i_rated_a = i_rated_a
        self._rise_k: NDArray[np.float64] | None = None

    def step(self, i_a: NDArray[np.float64], ambient_c: float, dt_s: float) -> NDArray[np.float64]:
        """Temperature in °C after ``dt_s``; the first call starts in the steady state of that load."""
        load = (i_a / self._i_rated_a) ** 2
        final_k = RATED_RISE_K * ((1.0 + LOSS_RATIO * load) / (1.0 + LOSS_RATIO)) ** EXPONENT
        if self._rise_k is None:
            self._rise_k = final_k
        else:
            self._rise_k = self._rise_k + (final_k - self._rise_k) * (dt_s / (TAU_S + dt_s))
        return ambient_c + self._rise_k
