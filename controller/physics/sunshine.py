"""How strongly the sun can shine on a conductor when only the irradiance on the horizontal is measured."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from linerate.equations import ieee738
from numpy.typing import NDArray

from controller.physics.finite import require_finite

ALTITUDES_DEG = 91

Curve = NDArray[np.float64]


def normal_w_per_m2_max(horizontal_w_per_m2: float) -> float:
    """Strongest irradiance across a conductor that goes with that irradiance on the horizontal, W/m².

    The sun may stand low and shine fully on a conductor while the horizontal gets little. For a given horizontal value
    a clear sky with the sun as low as it must then be is the worst: its total heat flux Qs by IEEE 738 equation (18)
    and Qs·sin(Hc) on the horizontal, turned round. Never less than the measured value itself.
    """
    require_finite(horizontal_w_per_m2=horizontal_w_per_m2)
    horizontal, normal = _clear_sky()
    return max(float(np.interp(horizontal_w_per_m2, horizontal, normal)), horizontal_w_per_m2, 0.0)


@cache
def _clear_sky() -> tuple[Curve, Curve]:
    """Horizontal and normal irradiance of a clear sky for the sun's altitudes from 0 to 90 degrees, both rising."""
    sines = [math.sin(math.radians(k)) for k in range(ALTITUDES_DEG)]
    flux = [float(ieee738.solar_heating.compute_total_heat_flux_density(s, True)) for s in sines]
    normal = np.maximum.accumulate(np.maximum(flux, 0.0))
    return normal * np.array(sines), normal
