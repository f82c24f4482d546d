"""How much sun there could be above the air: what no forecast of irradiance at the ground can exceed by much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.physics.finite import require_finite

Array = NDArray[np.float64]

SOLAR_CONSTANT_W_PER_M2 = 1361.0
"""Kopp and Lean (2011), Geophysical Research Letters 38, L01706."""
DAY_S = 86_400.0
_YEAR_DAYS = 365.2425
_JANUARY_2000_S = 946_684_800.0


def extraterrestrial_w_per_m2(utc_s: Array, latitude_deg: float, longitude_deg: float) -> Array:
    """Irradiance on the horizontal above the air at instants (UTC seconds since 1970), 0 while the sun is down.

    Declination, equation of time and distance of the sun by Spencer (1971), Search 2 (5), 172, as in Duffie and
    Beckman, Solar Engineering of Thermal Processes, equations 1.6.1b, 1.5.3 and 1.4.1b; east is positive.
    """
    require_finite(latitude_deg=latitude_deg, longitude_deg=longitude_deg)
    day = 2.0 * np.pi * (((utc_s - _JANUARY_2000_S) / DAY_S) % _YEAR_DAYS) / _YEAR_DAYS
    declination = _series(day, 0.006918, (-0.399912, 0.070257), (-0.006758, 0.000907), (-0.002697, 0.00148))
    of_time = _series(day, 0.000075, (0.001868, -0.032077), (-0.014615, -0.04089))
    distance = _series(day, 1.00011, (0.034221, 0.00128), (0.000719, 0.000077))
    hour_angle = 2.0 * np.pi * (utc_s % DAY_S / DAY_S - 0.5) + np.radians(longitude_deg) + of_time
    latitude = np.radians(latitude_deg)
    flat = np.cos(latitude) * np.cos(declination)
    cos_zenith = np.sin(latitude) * np.sin(declination) + flat * np.cos(hour_angle)
    return np.asarray(SOLAR_CONSTANT_W_PER_M2 * distance * np.maximum(cos_zenith, 0.0))


def _series(angle: Array, mean: float, *terms: tuple[float, float]) -> Array:
    """A Fourier series: (cosine, sine) of the angle, of twice the angle, and so on."""
    out = np.full(angle.shape, mean)
    for k, (cosine, sine) in enumerate(terms, start=1):
        out += cosine * np.cos(k * angle) + sine * np.sin(k * angle)
    return out
