"""Courses of one day at one value per second: smooth knots by clock hour and periodic noise of a given time scale.

Everything wraps around at midnight, so a scenario may run for several days; each is like the first. Noise passes two
poles, never one: what drives big plant (wind over a farm, clouds over a park, a town's demand) has no steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY_S = 86_400
_OMEGA = 2.0 * np.pi * np.fft.rfftfreq(DAY_S, d=1.0)


def clock_s() -> Array:
    """Seconds since midnight of every sample."""
    return np.arange(DAY_S, dtype=np.float64)


def by_hour(knots: Mapping[float, float], smooth_s: float = 900.0) -> Array:
    """Values given at clock hours (0…24), joined by straight lines across midnight and smoothed by a Gaussian."""
    if not knots:
        raise ValueError("a day course has no knots; expected at least one clock hour with its value")
    hours = sorted(knots)
    course = np.interp(clock_s() / 3600.0, hours, [knots[hour] for hour in hours], period=24.0)
    return smoothed(course, smooth_s)


def smoothed(course: Array, sigma_s: float) -> Array:
    """Gaussian smoothing with standard deviation ``sigma_s``, periodic over the day."""
    if sigma_s <= 0.0:
        return course
    out: Array = np.fft.irfft(np.fft.rfft(course) * np.exp(-0.5 * (_OMEGA * sigma_s) ** 2), DAY_S)
    return out


def delayed(course: Array, delay_s: float) -> Array:
    """The same course, ``delay_s`` later (whole seconds)."""
    return np.roll(course, round(delay_s))


def noise(rng: np.random.Generator, slow_s: float, fast_s: float) -> Array:
    """Zero-mean noise of standard deviation 1 over the day with the two time constants."""
    spectrum = np.fft.rfft(rng.standard_normal(DAY_S))
    spectrum[0] = 0.0
    spectrum /= (1.0 + 1j * _OMEGA * slow_s) * (1.0 + 1j * _OMEGA * fast_s)
    out: Array = np.fft.irfft(spectrum, DAY_S)
    out /= out.std()
    return out
