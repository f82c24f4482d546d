"""What a wind farm could generate: mean wind of the day, turbulence, and the power curve of a whole farm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.units.course import Array, noise

# Wind speed at hub (m/s) and power of a farm (fraction of rating): a turbine's cubic rise, rounded because turbines
# see different winds, and a storm cut-out that takes them one by one. Own numbers, typical shape.
_CURVE_M_S = (0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 24.0, 28.0)
_CURVE_FRAC = (0.0, 0.0, 0.02, 0.06, 0.13, 0.22, 0.35, 0.51, 0.67, 0.81, 0.91, 0.97, 1.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class WindSettings:
    """Relative size of the slow swings (tens of minutes) and of the turbulence that a whole farm sees (a minute)."""

    swing_frac: float = 0.07
    turbulence_frac: float = 0.04
    loss_frac: float = 0.03


def farm_power_frac(wind_m_s: Array) -> Array:
    """Power of the farm as a fraction of its rating."""
    return np.interp(wind_m_s, _CURVE_M_S, _CURVE_FRAC)


def available_frac(mean_m_s: Array, settings: WindSettings, rng: np.random.Generator) -> Array:
    """Available power of the day, fraction of the rating, one value per second."""
    swing = settings.swing_frac * noise(rng, 2400.0, 300.0)
    turbulence = settings.turbulence_frac * noise(rng, 120.0, 40.0)
    wind_m_s = np.maximum(mean_m_s * (1.0 + swing + turbulence), 0.0)
    return farm_power_frac(wind_m_s) * (1.0 - settings.loss_frac)
