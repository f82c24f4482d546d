"""What the units should be doing, given what they were told: dead time, first-order lag, ramp limit, cap.

A cap written below the present output acts from the present output (no dead travel). For a capped unit the model
gives the cap as it is in force inside the unit; a battery follows its set point itself, and its upward ramp is toward
more generation (load convention: falling power).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import Site

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUBSTEPS = 4
HISTORY = 64
USUAL_SIGMA_REL = 0.004  # of rated power: noise of a unit's own meter


@dataclass(frozen=True)
class UnitArrays:
    """The units' data as arrays; magnitudes count in the direction ``sign`` (−1 generates, +1 consumes)."""

    sign: Array
    p_rated_w: Array
    q_max_var: Array
    s_rated_va: Array
    latency_s: Array
    tau_p_s: Array
    tau_q_s: Array
    ramp_up_w_per_s: Array
    ramp_down_w_per_s: Array
    is_battery: BoolArray
    reports_available: BoolArray
    reading_scale_w: Array
    """Rated power, more of it where meters are noisier than usual: what tolerances for readings are shares of."""

    @cached_property
    def way(self) -> Array:
        """What turns a set point into what the unit holds: magnitudes of a cap, load convention of a battery."""
        return np.where(self.is_battery, 1.0, self.sign)

    @cached_property
    def rise_w_per_s(self) -> Array:
        """How fast what the unit holds may rise; a battery's upward ramp is toward more generation, falling power."""
        return np.where(self.is_battery, self.ramp_down_w_per_s, self.ramp_up_w_per_s)

    @cached_property
    def fall_w_per_s(self) -> Array:
        """How fast it may fall."""
        return np.where(self.is_battery, self.ramp_up_w_per_s, self.ramp_down_w_per_s)

    def paced(self, latency: Array, tau: Array, ramp: Array) -> UnitArrays:
        """The same units with their dead times, lags and ramps multiplied; several models of each unit (…, n) too."""
        paced = {
            "latency_s": latency * self.latency_s,
            "tau_p_s": tau * self.tau_p_s,
            "ramp_up_w_per_s": ramp * self.ramp_up_w_per_s,
            "ramp_down_w_per_s": ramp * self.ramp_down_w_per_s,
            "rise_w_per_s": ramp * self.rise_w_per_s,
            "fall_w_per_s": ramp * self.fall_w_per_s,
            "way": self.way,
        }
        out = object.__new__(UnitArrays)  # what was derived stays with it: this is done twice in every cycle
        out.__dict__.update(self.__dict__, **paced)
        return out

    @staticmethod
    def of(site: Site) -> UnitArrays:
        """Arrays in the order of ``site.units``."""
        units = site.units
        acts = [u.actuator for u in units]
        noisier = max(1.0, site.chain.sigma_unit_rel / USUAL_SIGMA_REL)
        return UnitArrays(
            sign=np.array([-1.0 if u.kind.generates else 1.0 for u in units]),
            p_rated_w=np.array([u.p_rated_w for u in units]),
            q_max_var=np.array([u.q_max_var for u in units]),
            s_rated_va=np.array([u.s_rated_va for u in units]),
            latency_s=np.array([a.latency_s for a in acts]),
            tau_p_s=np.array([max(a.tau_p_s, 1e-3) for a in acts]),
            tau_q_s=np.array([max(a.tau_q_s, 1e-3) for a in acts]),
            ramp_up_w_per_s=np.array([a.ramp_up_w_per_s for a in acts]),
            ramp_down_w_per_s=np.array([a.ramp_down_w_per_s for a in acts]),
            is_battery=np.array([u.storage is not None for u in units], dtype=bool),
            reports_available=np.array([u.reports_available for u in units], dtype=bool),
            reading_scale_w=noisier * np.array([u.p_rated_w for u in units]),
        )


@dataclass(frozen=True, slots=True)
class CommandHistory:
    """Set points written so far, oldest first: instants (k,), P (k, n) and Q (k, n) in load convention."""

    issued_s: Array
    p_w: Array
    q_var: Array

    def append(self, now_s: float, p_w: Array, q_var: Array) -> CommandHistory:
        """With one more entry; bounded length."""
        keep = slice(1 - HISTORY, None)
        return CommandHistory(
            np.concatenate([self.issued_s[keep], [now_s]]),
            np.concatenate([self.p_w[keep], p_w[None, :]]),
            np.concatenate([self.q_var[keep], q_var[None, :]]),
        )

    def in_force(self, at_s: Array) -> tuple[Array, Array]:
        """The set points issued last before ``at_s`` (…, n): one instant per unit, or several of each."""
        n = at_s.shape[-1]
        k = np.maximum(self.issued_s.searchsorted(at_s, side="right") - 1, 0)
        place = k * n + np.arange(n)
        return self.p_w.take(place), self.q_var.take(place)

    def span(self, from_s: Array, to_s: float) -> tuple[Array, Array]:
        """Per unit: lowest and highest P (first row) and Q in force between its ``from_s`` and ``to_s``; W, var."""
        first = np.maximum(self.issued_s.searchsorted(from_s, side="right") - 1, 0)
        begin = int(first.min(initial=len(self.issued_s) - 1))
        k, told = np.arange(begin, len(self.issued_s))[:, None], np.array([self.p_w[begin:], self.q_var[begin:]])
        inside = (k >= first) & (self.issued_s[begin:, None] <= to_s)
        return np.where(inside, told, np.inf).min(axis=1), np.where(inside, told, -np.inf).max(axis=1)


@dataclass(frozen=True, slots=True)
class ActuatorState:
    """Modelled at ``t_s``: cap in force (magnitude) or battery power, and reactive power."""

    t_s: float
    p: Array
    q_var: Array


def advance(
    state: ActuatorState, to_s: float, history: CommandHistory, units: UnitArrays, output_w: Array
) -> ActuatorState:
    """Move the model to ``to_s``; ``output_w`` is the units' present power (load convention), where caps take hold."""
    if to_s <= state.t_s:
        return state
    dt = (to_s - state.t_s) / SUBSTEPS
    kq, p, q = 1.0 - np.exp(-dt / units.tau_q_s), state.p, state.q_var
    at_s = state.t_s + np.arange(1, SUBSTEPS + 1)[:, None] * dt - units.latency_s
    stride, holds_w = Stride.of(units, dt), held_w(units, output_w)
    told_p, told_q = history.in_force(at_s)
    for target, cmd_q in zip(told_p * units.way, told_q, strict=True):
        p = follow(p, target, stride, holds_w)
        q = q + (cmd_q - q) * kq
    return ActuatorState(to_s, p, q)


@dataclass(frozen=True, slots=True)
class Stride:
    """How far models come in one step: this ``share`` of their way, by no more than ``rise_w`` and ``fall_w``."""

    share: Array
    rise_w: Array
    fall_w: Array

    @staticmethod
    def of(units: UnitArrays, dt_s: float) -> Stride:
        """What ``dt_s`` allows."""
        rise_w, fall_w = units.rise_w_per_s * dt_s, units.fall_w_per_s * dt_s
        return Stride(1.0 - np.exp(-dt_s / units.tau_p_s), rise_w, fall_w)


def held_w(units: UnitArrays, output_w: Array) -> Array:
    """The units' powers (load convention) as magnitudes that a cap holds; without end for a battery, which has none."""
    return np.where(units.is_battery, np.inf, output_w * units.sign)


def follow(p: Array, target: Array, stride: Stride, holds_w: Array) -> Array:
    """Cap in force (magnitude) or battery power after one stride toward ``target``, both as ``UnitArrays.way`` says.

    ``holds_w`` is what the units give now (:func:`held_w`). Works on several models of each unit at once (…, n) too.
    """
    start = np.minimum(p, np.maximum(holds_w, target))  # p itself, unless the cap falls from above what it holds
    move = np.minimum(np.maximum((target - start) * stride.share, -stride.fall_w), stride.rise_w)
    out: Array = start + move
    return out


def modelled_output_w(state: ActuatorState, units: UnitArrays) -> Array:
    """Power that a unit held by its set point should have, load convention."""
    return state.p * units.way
