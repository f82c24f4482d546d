"""How warm the simulated transformers really are: the differential equations of IEC 60076-7, integrated as they stand.

Small explicit steps in time and no closed solution: not the controller's own thermal model. A transformer whose
characteristics the site does not state gets the usual ones of a small ONAN transformer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.domain.thermal import TransformerThermal
from controller.domain.topology import Transformer

Array = NDArray[np.float64]

USUAL = TransformerThermal(55.0, 22.0, 6.0, 0.8, 1.3, 1.0, 1.0, 1.0, 3.0 * 3600.0, 600.0)
STEP_S_MAX = 5.0


class TransformerHeat:
    """Top oil, and the two parts of the hot-spot rise over it, of all transformers of a station."""

    def __init__(self, transformers: Sequence[Transformer]) -> None:
        found = [item.thermal or USUAL for item in transformers]
        self._i_rated_a = np.array([item.i_rated_a for item in transformers])

        def column(name: str) -> Array:
            return np.array([getattr(item, name) for item in found], dtype=np.float64)

        self._rise_k, self._ratio = column("top_oil_rise_k"), column("loss_ratio")
        self._gradient_k, self._x, self._y = (
            column("hot_spot_gradient_k"),
            column("oil_exponent"),
            column("winding_exponent"),
        )
        self._k21, k22 = column("k21"), column("k22")
        self._tau_oil_s = column("k11") * column("tau_oil_s")
        self._tau_fast_s, self._tau_slow_s = k22 * column("tau_winding_s"), column("tau_oil_s") / k22
        self._surcharge_k = column("ambient_surcharge_k")
        self._oil_c: Array | None = None
        self._fast_k = self._slow_k = np.zeros(len(found))

    def step(self, i_a: Array, ambient_c: float, dt_s: float) -> tuple[Array, Array]:
        """Top-oil and hot-spot temperatures in °C after ``dt_s``; the first call starts in balance with that load."""
        load = i_a / self._i_rated_a
        losses = (1.0 + self._ratio * load**2) / (1.0 + self._ratio)
        oil_end_c = ambient_c + self._surcharge_k + self._rise_k * losses**self._x
        rise_k = self._gradient_k * load**self._y
        fast_end_k, slow_end_k = self._k21 * rise_k, (self._k21 - 1.0) * rise_k
        if self._oil_c is None:
            self._oil_c, self._fast_k, self._slow_k = oil_end_c, fast_end_k, slow_end_k
        parts = max(1, int(np.ceil(dt_s / STEP_S_MAX)))
        for _ in range(parts):
            h_s = dt_s / parts
            self._oil_c = self._oil_c + h_s / self._tau_oil_s * (oil_end_c - self._oil_c)
            self._fast_k = self._fast_k + h_s / self._tau_fast_s * (fast_end_k - self._fast_k)
            self._slow_k = self._slow_k + h_s / self._tau_slow_s * (slow_end_k - self._slow_k)
        return self._oil_c, self._oil_c + self._fast_k - self._slow_k
