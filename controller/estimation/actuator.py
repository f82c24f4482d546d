"""What the units should be doing, given what they were told: dead time, first-order lag, ramp limit, cap.

A cap written below the present output acts from the present output (no dead travel). For a capped unit the model
gives the cap as it is in force inside the unit; a battery follows its set point itself, and its upward ramp is toward
more generation (load convention: falling power).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import Site

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUBSTEPS = 4
HISTORY = 64


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

    @staticmethod
    def of(site: Site) -> UnitArrays:
        """Arrays in the order of ``site.units``."""
        units = site.units
        acts = [u.actuator for u in units]
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
        )


@dataclass(frozen=True, slots=True)
class CommandHistory:
    """Set points written so far, oldest first: instants (k,), P (k, n) and Q (k, n) in load convention."""

    issued_s: Array
    p_w: Array
    q_var: Array

    def append(self, now_s: float, p_w: Array, q_var: Array) -> CommandHistory:
        """With one more entry; bounded length."""
        keep = slice(-HISTORY, None)
        return CommandHistory(
            np.append(self.issued_s, now_s)[keep],
            np.vstack([self.p_w, p_w])[keep],
            np.vstack([self.q_var, q_var])[keep],
        )

    def in_force(self, at_s: Array) -> tuple[Array, Array]:
        """The set points issued last before ``at_s`` (…, n): one instant per unit, or several of each."""
        k = np.maximum(np.searchsorted(self.issued_s, at_s, side="right") - 1, 0)
        n = np.arange(at_s.shape[-1])
        return self.p_w[k, n], self.q_var[k, n]

    def span(self, from_s: Array, to_s: float) -> tuple[Array, Array]:
        """Per unit: lowest and highest P in force between its ``from_s`` and ``to_s`` (load convention, W)."""
        first = np.maximum(np.searchsorted(self.issued_s, from_s, side="right") - 1, 0)
        k = np.arange(len(self.issued_s))[:, None]
        inside = (k >= first) & (self.issued_s[:, None] <= to_s)
        low = np.where(inside, self.p_w, np.inf).min(axis=0)
        return low, np.where(inside, self.p_w, -np.inf).max(axis=0)


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
    for k in range(1, SUBSTEPS + 1):
        cmd_p, cmd_q = history.in_force(state.t_s + k * dt - units.latency_s)
        p = follow(p, cmd_p, dt, units, output_w)
        q = q + (cmd_q - q) * kq
    return ActuatorState(to_s, p, q)


def follow(p: Array, cmd_p_w: Array, dt_s: float, units: UnitArrays, output_w: Array) -> Array:
    """Cap in force (magnitude) or battery power after ``dt_s`` under a set point (load convention).

    Works on several models of each unit at once (…, n) as well.
    """
    rise = np.where(units.is_battery, units.ramp_down_w_per_s, units.ramp_up_w_per_s) * dt_s
    fall = np.where(units.is_battery, units.ramp_up_w_per_s, units.ramp_down_w_per_s) * dt_s
    output = np.where(units.is_battery, 0.0, output_w * units.sign)
    target = np.where(units.is_battery, cmd_p_w, cmd_p_w * units.sign)
    start = np.where(units.is_battery | (target >= p), p, np.minimum(p, np.maximum(output, target)))
    out: Array = start + np.clip((target - start) * (1.0 - np.exp(-dt_s / units.tau_p_s)), -fall, rise)
    return out


def modelled_output_w(state: ActuatorState, units: UnitArrays) -> Array:
    """Power that a unit held by its set point should have, load convention."""
    out: Array = np.where(units.is_battery, state.p, state.p * units.sign)
    return out
