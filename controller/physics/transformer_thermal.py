"""Top-oil and hot-spot temperature of an oil-immersed transformer, after IEC 60076-7:2018.

The solution used is exact for load and ambient held constant over a step, so any step length is stable; the
standard's own difference equations are here too, for comparison with its worked example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from controller.physics.finite import require_finite, require_positive


@dataclass(frozen=True, slots=True)
class ThermalParameters:
    """Thermal characteristics of one transformer with one state of its fans and pumps.

    ``hot_spot_gradient_k`` is H·gr: hot-spot factor times the average-winding-to-oil gradient at rated current.
    ``loss_ratio`` is R, load loss over no-load loss at rated current. ``k11, k21, k22`` and the exponents are those of
    the standard's table of recommended thermal characteristics.
    """

    top_oil_rise_k: float
    hot_spot_gradient_k: float
    loss_ratio: float
    oil_exponent: float
    winding_exponent: float
    k11: float
    k21: float
    k22: float
    tau_oil_s: float
    tau_winding_s: float

    def __post_init__(self) -> None:
        """Refuse what is not a positive number."""
        for item in fields(self):
            require_positive(**{item.name: getattr(self, item.name)})
        if self.k21 < 1.0:
            raise ValueError(f"k21 is {self.k21!r}; expected at least 1")


@dataclass(frozen=True, slots=True)
class ThermalState:
    """Where the transformer is now: oil, and the fast and the slow part of the hot-spot rise over it."""

    top_oil_c: float
    rise_fast_k: float
    rise_slow_k: float

    @property
    def hot_spot_c(self) -> float:
        """Hot-spot temperature: top oil plus the difference of the two parts."""
        return self.top_oil_c + self.rise_fast_k - self.rise_slow_k


def top_oil_rise_k(parameters: ThermalParameters, load_pu: float) -> float:
    """Top-oil rise over ambient that a constant load ends at: Δθor·((1 + R·K²)/(1 + R))^x."""
    loss_pu = (1.0 + parameters.loss_ratio * load_pu**2) / (1.0 + parameters.loss_ratio)
    return parameters.top_oil_rise_k * math.pow(loss_pu, parameters.oil_exponent)


def hot_spot_rise_k(parameters: ThermalParameters, load_pu: float) -> float:
    """Hot-spot rise over top oil that a constant load ends at: H·gr·K^y."""
    return parameters.hot_spot_gradient_k * math.pow(abs(load_pu), parameters.winding_exponent)


def steady_state(parameters: ThermalParameters, load_pu: float, ambient_c: float) -> ThermalState:
    """The state after an endless time at ``load_pu`` and ``ambient_c``."""
    require_finite(load_pu=load_pu, ambient_c=ambient_c)
    rise_k = hot_spot_rise_k(parameters, load_pu)
    return ThermalState(
        top_oil_c=ambient_c + top_oil_rise_k(parameters, load_pu),
        rise_fast_k=parameters.k21 * rise_k,
        rise_slow_k=(parameters.k21 - 1.0) * rise_k,
    )


def cold_state(ambient_c: float) -> ThermalState:
    """The state after a long time without voltage: everything at ambient temperature."""
    return state_at_top_oil(ambient_c)


def state_at_top_oil(top_oil_c: float) -> ThermalState:
    """The state that a known top-oil temperature gives when the winding is as warm as its oil."""
    require_finite(top_oil_c=top_oil_c)
    return ThermalState(top_oil_c=top_oil_c, rise_fast_k=0.0, rise_slow_k=0.0)


def with_measured_top_oil(state: ThermalState, top_oil_c: float) -> ThermalState:
    """The state with its modelled oil replaced by a good measurement; the hot-spot rise stays modelled."""
    require_finite(top_oil_c=top_oil_c)
    return replace(state, top_oil_c=top_oil_c)


def step(
    parameters: ThermalParameters, state: ThermalState, load_pu: float, ambient_c: float, dt_s: float
) -> ThermalState:
    """The state after ``dt_s`` at a constant load and ambient: exact, for any ``dt_s`` ≥ 0.

    IEC 60076-7:2018 equations (12), (15) and (16) and the top-oil equation in their exponential form. Raises
    ``ValueError`` when an input is not finite or the time runs backwards.
    """
    require_finite(load_pu=load_pu, ambient_c=ambient_c, dt_s=dt_s)
    if dt_s < 0.0:
        raise ValueError(f"dt_s is {dt_s}; a step cannot go back in time")
    end = steady_state(parameters, load_pu, ambient_c)
    return ThermalState(
        top_oil_c=_relax(state.top_oil_c, end.top_oil_c, dt_s, parameters.k11 * parameters.tau_oil_s),
        rise_fast_k=_relax(state.rise_fast_k, end.rise_fast_k, dt_s, parameters.k22 * parameters.tau_winding_s),
        rise_slow_k=_relax(state.rise_slow_k, end.rise_slow_k, dt_s, parameters.tau_oil_s / parameters.k22),
    )


def difference_step(
    parameters: ThermalParameters, state: ThermalState, load_pu: float, ambient_c: float, dt_s: float
) -> ThermalState:
    """The state after ``dt_s`` by the standard's difference equations (forward Euler).

    Only for comparison with results obtained that way: it differs from :func:`step` by kelvins at the standard's own
    step length. Raises ``ValueError`` above half the winding time constant, where the standard forbids it.
    """
    require_finite(load_pu=load_pu, ambient_c=ambient_c, dt_s=dt_s)
    if not 0.0 <= dt_s <= parameters.tau_winding_s / 2.0:
        raise ValueError(
            f"a difference step of {dt_s} s was asked for; expected at most half the winding time constant, "
            f"{parameters.tau_winding_s / 2.0} s"
        )
    end = steady_state(parameters, load_pu, ambient_c)
    oil_frac = dt_s / (parameters.k11 * parameters.tau_oil_s)
    fast_frac = dt_s / (parameters.k22 * parameters.tau_winding_s)
    slow_frac = dt_s * parameters.k22 / parameters.tau_oil_s
    return ThermalState(
        top_oil_c=state.top_oil_c + oil_frac * (end.top_oil_c - state.top_oil_c),
        rise_fast_k=state.rise_fast_k + fast_frac * (end.rise_fast_k - state.rise_fast_k),
        rise_slow_k=state.rise_slow_k + slow_frac * (end.rise_slow_k - state.rise_slow_k),
    )


def _relax(value: float, end: float, dt_s: float, tau_s: float) -> float:
    """A first-order lag toward ``end``."""
    return end + (value - end) * math.exp(-dt_s / tau_s)
