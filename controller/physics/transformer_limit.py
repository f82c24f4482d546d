"""How much a transformer may carry from now on: the thermal model turned round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from controller.physics.finite import require_finite, require_positive
from controller.physics.transformer_characteristics import LoadingLimits
from controller.physics.transformer_thermal import ThermalParameters, ThermalState, steady_state

SAMPLES_PER_TIME_CONSTANT = 40  # the peak between two samples is then missed by less than 0.01 K
BISECTIONS = 24  # the answer is then within 2e-7 of the largest load
A_LITTLE_PU = 1e-3
ROUNDING_K = 1e-9  # the curve begins where the transformer is, but for the last digit

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decays:
    """What is left, at some instants from now, of each part's distance from where it is going to end."""

    oil: Curve
    fast: Curve
    slow: Curve


def decays(parameters: ThermalParameters, at_s: Curve) -> Decays:
    """The three exponentials of the model at the instants ``at_s`` from now."""
    return Decays(
        oil=np.exp(-at_s / (parameters.k11 * parameters.tau_oil_s)),
        fast=np.exp(-at_s / (parameters.k22 * parameters.tau_winding_s)),
        slow=np.exp(-at_s * parameters.k22 / parameters.tau_oil_s),
    )


def trajectory_c(
    parameters: ThermalParameters, state: ThermalState, load_pu: float, ambient_c: float, left: Decays
) -> tuple[Curve, Curve]:
    """Top-oil and hot-spot temperature at the instants of ``left``, at a constant load and ambient."""
    end = steady_state(parameters, load_pu, ambient_c)
    oil: Curve = end.top_oil_c + (state.top_oil_c - end.top_oil_c) * left.oil
    rise = (state.rise_fast_k - end.rise_fast_k) * left.fast - (state.rise_slow_k - end.rise_slow_k) * left.slow
    hot: Curve = oil + (end.rise_fast_k - end.rise_slow_k) + rise
    return oil, hot


def largest_load_pu(
    parameters: ThermalParameters, state: ThermalState, ambient_c: float, limits: LoadingLimits, horizon_s: float
) -> float:
    """The largest constant load (per unit of rated current) that keeps oil and hot spot within ``limits``.

    Held from now to ``horizon_s``, overshoot on the way included. A transformer that is already too hot must not get
    hotter and must be back within its limits at the end of the horizon; 0.0 when not even no load achieves that.
    Temperature grows with load at every instant, so bisection finds the answer, from below. Raises ``ValueError``
    when an input is not finite (the caller decides on a worst case, this function does not guess one) and for a
    winding slower than its oil, where the temperature may fall with load for a while.
    """
    _check(state, ambient_c, limits, horizon_s)
    _check_monotone(parameters)
    left = _over_horizon(parameters, horizon_s)

    def allowed(load_pu: float) -> bool:
        oil_c, hot_c = trajectory_c(parameters, state, load_pu, ambient_c, left)
        return _within(oil_c, state.top_oil_c, limits.top_oil_c_max) and _within(
            hot_c, state.hot_spot_c, limits.hot_spot_c_max
        )

    if allowed(limits.load_pu_max):
        return limits.load_pu_max
    if not allowed(0.0):
        return 0.0
    low, high = 0.0, limits.load_pu_max
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low


def what_binds(
    parameters: ThermalParameters,
    state: ThermalState,
    load_pu: float,
    ambient_c: float,
    limits: LoadingLimits,
    horizon_s: float,
) -> str:
    """``top_oil`` or ``hot_spot``: what keeps :func:`largest_load_pu` from being a little larger than ``load_pu``."""
    left = _over_horizon(parameters, horizon_s)
    oil_c, _ = trajectory_c(parameters, state, load_pu + A_LITTLE_PU, ambient_c, left)
    return "hot_spot" if _within(oil_c, state.top_oil_c, limits.top_oil_c_max) else "top_oil"


def _within(curve_c: Curve, now_c: float, max_c: float) -> bool:
    return bool(curve_c.max() <= max(max_c, now_c) + ROUNDING_K and curve_c[-1] <= max_c)


@lru_cache(maxsize=256)
def _over_horizon(parameters: ThermalParameters, horizon_s: float) -> Decays:
    """Asked for again and again with the same few transformers."""
    return decays(parameters, _instants_s(parameters, horizon_s))


def _instants_s(parameters: ThermalParameters, horizon_s: float) -> Curve:
    """Instants dense enough while the winding moves; the rest is as slow as the oil."""
    fast_s = parameters.k22 * parameters.tau_winding_s
    slow_s = min(parameters.k11 * parameters.tau_oil_s, parameters.tau_oil_s / parameters.k22)
    split_s = min(horizon_s, 8.0 * fast_s)
    dense = np.linspace(0.0, split_s, 2 + math.ceil(SAMPLES_PER_TIME_CONSTANT * split_s / fast_s))
    rest_s = min(horizon_s - split_s, 20.0 * slow_s)
    sparse = split_s + np.linspace(0.0, rest_s, 2 + math.ceil(SAMPLES_PER_TIME_CONSTANT * rest_s / slow_s))
    return np.concatenate([dense, sparse, [horizon_s]])


def _check(state: ThermalState, ambient_c: float, limits: LoadingLimits, horizon_s: float) -> None:
    require_finite(top_oil_c=state.top_oil_c, hot_spot_c=state.hot_spot_c, ambient_c=ambient_c)
    require_finite(hot_spot_c_max=limits.hot_spot_c_max, top_oil_c_max=limits.top_oil_c_max)
    require_positive(load_pu_max=limits.load_pu_max, horizon_s=horizon_s)


def _check_monotone(parameters: ThermalParameters) -> None:
    fast_s, slow_s = parameters.k22 * parameters.tau_winding_s, parameters.tau_oil_s / parameters.k22
    if fast_s > slow_s:
        raise ValueError(f"k22 * tau_winding_s is {fast_s} s; expected at most tau_oil_s / k22, {slow_s} s")
