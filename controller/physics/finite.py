"""The first check on every number that enters a model."""

from __future__ import annotations

import math


def require_finite(**values: float) -> None:
    """Raise ``ValueError``, naming the value, when one of ``values`` is NaN or infinite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; expected a finite number")


def require_positive(**values: float) -> None:
    """Raise ``ValueError``, naming the value, unless every one of ``values`` is finite and above 0."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} is {value!r}; expected a finite number above 0")
