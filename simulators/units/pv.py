"""What a solar park could generate: clear sky, a field of clouds that drifts over the parks, the park's own size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from simulators.units.course import Array, clock_s, delayed, noise, smoothed

_CLOUD_SPEED_M_S = 12.0
_PATTERNS = 40


@dataclass(frozen=True, slots=True)
class PvSettings:
    """``position_m`` along the wind; ``extent_m`` of the park (smooths it); ``dc_ratio`` of panels to inverter.

    ``cloud_depth_frac`` is what a thick cloud takes away.
    """

    position_m: float = 0.0
    extent_m: float = 500.0
    dc_ratio: float = 1.15
    cloud_depth_frac: float = 0.7


def clear_sky_w_m2(day_of_year: int, latitude_deg: float) -> Array:
    """Global horizontal irradiance without clouds: Haurwitz (1945), declination after Cooper (1969), solar time."""
    declination = math.radians(23.45) * math.sin(2.0 * math.pi * (284 + day_of_year) / 365.0)
    latitude = math.radians(latitude_deg)
    hour_angle = (clock_s() / 3600.0 - 12.0) * math.pi / 12.0
    flat = math.cos(latitude) * math.cos(declination)
    cos_zenith = math.sin(latitude) * math.sin(declination) + flat * np.cos(hour_angle)
    up = np.maximum(cos_zenith, 1e-3)
    return np.where(cos_zenith > 1e-3, 1098.0 * up * np.exp(-0.057 / up), 0.0)


def cloud_field(cover_frac: Array, rng: np.random.Generator) -> Array:
    """How deep in cloud (0 clear … 1 thick) the point at position 0 is; ``cover_frac`` of the sky is cloud."""
    return _depth(cover_frac, noise(rng, 400.0, 60.0))


def expected_clouds(cover_frac: Array) -> Array:
    """What :func:`cloud_field` is on average over all patterns."""
    levels = (np.arange(_PATTERNS) + 0.5) / _PATTERNS
    patterns = [NormalDist().inv_cdf(level) for level in levels.tolist()]
    return np.asarray(np.mean([_depth(cover_frac, np.full(cover_frac.shape, x)) for x in patterns], axis=0))


def _depth(cover_frac: Array, pattern: Array) -> Array:
    rank = 0.5 * (1.0 + np.tanh(0.8 * pattern))  # close to the normal distribution's own ranks, without scipy
    edge = (rank - (1.0 - cover_frac)) / 0.12
    clear_sky = np.clip(cover_frac / 0.05, 0.0, 1.0)  # a cloud's soft edge must not shade a sky without clouds
    return clear_sky / (1.0 + np.exp(-np.clip(edge, -30.0, 30.0)))


def available_frac(clear_w_m2: Array, clouds: Array, settings: PvSettings) -> Array:
    """Available power of the day, fraction of the rating, one value per second.

    The cloud field reaches the park ``position_m`` later at the clouds' speed; the park averages over its extent.
    """
    here = delayed(clouds, settings.position_m / _CLOUD_SPEED_M_S)
    here = smoothed(here, settings.extent_m / _CLOUD_SPEED_M_S / 2.0)
    irradiance = clear_w_m2 * (1.0 - settings.cloud_depth_frac * np.clip(here, 0.0, 1.0))
    return np.clip(settings.dc_ratio * irradiance / 1000.0, 0.0, 1.0)
