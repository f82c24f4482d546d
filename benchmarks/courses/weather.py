"""Seeded series: clouds, wind, steps, loads and days. All values are shares of a rating; times in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator
DAY_S = 86400.0


def wander(rng: Rng, t_s: Array, tau_s: float, sigma: float) -> Array:
    """Ornstein-Uhlenbeck noise around zero with standard deviation ``sigma`` and memory ``tau_s``."""
    keep = np.exp(-np.diff(t_s, prepend=t_s[0] - (t_s[1] - t_s[0])) / tau_s)
    kick = sigma * np.sqrt(1.0 - keep**2) * rng.standard_normal(len(t_s))
    out = np.empty(len(t_s))
    x = sigma * rng.standard_normal()
    for k in range(len(t_s)):
        x = keep[k] * x + kick[k]
        out[k] = x
    return out


def smooth(t_s: Array, x: Array, width_s: float) -> Array:
    """Moving average over ``width_s``: what a plant field larger than the cloud's edge makes of it."""
    n = max(1, round(width_s / (t_s[1] - t_s[0])))
    padded = np.concatenate([np.full(n, x[0]), x, np.full(n, x[-1])])
    return np.convolve(padded, np.ones(n) / n, mode="same")[n : n + len(x)]


def shadow(rng: Rng, t_s: Array, clear_s: float, cloud_s: float) -> Array:
    """1 under a cloud, else 0: exponentially distributed spells with the given means."""
    out = np.zeros(len(t_s))
    at, covered = t_s[0] - 60.0, bool(rng.random() < 0.4)
    while at < t_s[-1]:
        spell = rng.exponential(cloud_s if covered else clear_s) + 8.0
        out[(t_s >= at) & (t_s < at + spell)] = float(covered)
        at, covered = at + spell, not covered
    return out


def clouds(rng: Rng, t_s: Array, units: list[str], *, sky: Array, clear_s: float, cloud_s: float) -> dict[str, Array]:
    """PV series under one moving cloud field: each site sees the shadow earlier or later, deeper or lighter."""
    margin_s = 60.0
    step = t_s[1] - t_s[0]
    long_s = np.arange(-margin_s, t_s[-1] + margin_s + step, step)
    field = shadow(rng, long_s, clear_s, cloud_s)
    out = {}
    for name in units:
        seen = np.interp(t_s + rng.uniform(-20.0, 20.0), long_s, smooth(long_s, field, rng.uniform(4.0, 12.0)))
        depth = rng.uniform(0.55, 0.8)
        flicker = wander(rng, t_s, 8.0, 0.01)
        out[name] = np.clip(sky * (1.0 - depth * seen) + flicker * sky, 0.0, 1.0)
    return out


def wind(rng: Rng, t_s: Array, mean: float, *, slow: float = 0.12, gust: float = 0.03, slow_s: float = 3600.0) -> Array:
    """Share of rated power of a wind turbine: slow weather plus gusts of half a minute."""
    return np.clip(mean + wander(rng, t_s, slow_s, slow) + wander(rng, t_s, 30.0, gust), 0.0, 1.0)


def steps(rng: Rng, t_s: Array, levels: list[tuple[float, float]], edge_s: float = 0.5, noise: float = 0.002) -> Array:
    """Piecewise constant level with steep edges and a little noise; ``levels`` are (from when, share)."""
    at = [x for from_s, _ in levels[1:] for x in (from_s, from_s + edge_s)]
    values = [levels[0][1]] + [x for _, v in levels[1:-1] for x in (v, v)] + [levels[-1][1]]
    flat = np.interp(t_s, at, values) if at else np.full(len(t_s), levels[0][1])
    return np.clip(flat + wander(rng, t_s, 5.0, noise), 0.0, 1.0)


def sun(t_s: Array, peak: float, rise_h: float = 6.0, set_h: float = 20.0) -> Array:
    """Clear sky over the hours of a day, repeated every day."""
    hour = np.mod(t_s, DAY_S) / 3600.0
    x = np.sin(np.pi * (hour - rise_h) / (set_h - rise_h))
    return np.where((hour > rise_h) & (hour < set_h), peak * np.maximum(x, 0.0) ** 1.3, 0.0)


def household(rng: Rng, t_s: Array, noise: float = 0.01) -> Array:
    """Share of peak demand: low at night, a hump in the morning, the peak in the evening."""
    hour = np.mod(t_s, DAY_S) / 3600.0
    morning, evening = np.exp(-(((hour - 7.5) / 1.6) ** 2)), np.exp(-(((hour - 19.0) / 2.2) ** 2))
    return np.clip(0.4 + 0.25 * morning + 0.5 * evening + wander(rng, t_s, 300.0, noise), 0.05, 1.2)
