"""Demand that nobody controls: daily shapes, noise, power factor; always inside what the site file calls credible."""

from __future__ import annotations

import numpy as np

from controller.domain.topology import Load
from simulators.units.course import Array, by_hour, noise

# Fraction of the span between a load's least and most credible power, by clock hour. Own numbers, typical shapes.
_SHAPES: dict[str, tuple[float, ...]] = {
    "town": (0.22, 0.17, 0.14, 0.13, 0.15, 0.22, 0.40, 0.56, 0.58, 0.54, 0.52, 0.52,
             0.55, 0.52, 0.50, 0.53, 0.64, 0.82, 0.92, 0.90, 0.80, 0.65, 0.48, 0.32),
    "industry": (0.25, 0.24, 0.24, 0.24, 0.27, 0.40, 0.66, 0.85, 0.90, 0.90, 0.90, 0.86,
                 0.78, 0.86, 0.88, 0.84, 0.72, 0.52, 0.42, 0.38, 0.35, 0.32, 0.28, 0.26),
    "rural": (0.20, 0.16, 0.15, 0.15, 0.22, 0.42, 0.56, 0.50, 0.42, 0.38, 0.38, 0.42,
              0.44, 0.38, 0.36, 0.42, 0.56, 0.74, 0.78, 0.70, 0.58, 0.44, 0.32, 0.24),
    "flat": (0.5,),
}  # fmt: skip
SHAPES = (*_SHAPES, "solar")


def power_w(load: Load, shape: str, scale: float, sun_frac: Array, rng: np.random.Generator) -> Array:
    """Active power of the day, W (load convention).

    ``solar`` is fixed generation: at ``sun_frac`` 1 it reaches the most negative credible power, at 0 the greatest.
    ``scale`` stretches the shape. Raises ValueError for a shape that does not exist.
    """
    span_w = load.p_max_w - load.p_min_w
    if shape == "solar":
        return load.p_max_w - span_w * np.clip(scale * sun_frac, 0.0, 1.0)
    if shape not in _SHAPES:
        raise ValueError(f"load {load.id} has shape {shape!r}; expected one of {', '.join(SHAPES)}")
    hourly = _SHAPES[shape]
    frac = by_hour({float(hour): value for hour, value in enumerate(hourly)}, 1200.0)
    wobble = 1.0 + 0.03 * noise(rng, 900.0, 60.0) + 0.01 * noise(rng, 60.0, 15.0)
    return load.p_min_w + span_w * np.clip(scale * frac * wobble, 0.0, 1.0)


def reactive_ratio(load: Load) -> float:
    """Q over P of a load, from its expected values; 0 when it has no expected power."""
    return load.q_var / load.p_w if load.p_w else 0.0
