"""How units follow their set points: dead time, first-order lag, ramps; all units of a site in one set of arrays.

Magnitudes: a generator's generation, a consumer's consumption; a battery's power keeps its sign (load convention).
A cap written below the present output acts from the present output: there is no dead travel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.domain.unit import Unit, UnitKind
from simulators.seeds import stream
from simulators.units.control_block import Effective
from simulators.units.course import Array


@dataclass(frozen=True, slots=True)
class Spread:
    """Factors between which the true dead times and lags lie, relative to the site file."""

    low: float = 0.7
    high: float = 1.6


class ActuatorBank:
    """State of all actuators. ``target`` takes set points, ``step`` moves towards them."""

    def __init__(self, units: Sequence[Unit], seed: int, spread: Spread) -> None:
        def true(unit: Unit, name: str, value: float) -> float:
            return value * float(stream(seed, f"unit.{unit.id}.{name}").uniform(spread.low, spread.high))

        acts = [unit.actuator for unit in units]
        self._units = tuple(units)
        self._latency_s = [true(unit, "latency", unit.actuator.latency_s) for unit in units]
        self._tau_p_s = np.array([max(true(unit, "tau_p", unit.actuator.tau_p_s), 1e-3) for unit in units])
        self._tau_q_s = np.array([max(true(unit, "tau_q", unit.actuator.tau_q_s), 1e-3) for unit in units])
        up = np.array([act.ramp_up_w_per_s for act in acts])
        down = np.array([act.ramp_down_w_per_s for act in acts])
        self.is_battery = np.array([unit.kind is UnitKind.BATTERY for unit in units], dtype=bool)
        self._rise = np.where(self.is_battery, down, up)  # a battery's p_w rises when it generates less
        self._fall = np.where(self.is_battery, up, down)
        self._target_p: Array = np.zeros(len(units))
        self._target_q: Array = np.zeros(len(units))
        self._cap: Array = np.zeros(len(units))
        self._pending: list[list[tuple[float, float, float]]] = [[] for _ in units]
        self._waiting = 0
        self._seen: list[Effective | None] = [None] * len(units)
        self._wanted = [(0.0, 0.0)] * len(units)
        self._gain_dt_s = 0.0
        self._gain_p = self._gain_q = self._target_p
        self.p: Array = np.zeros(len(units))
        self.q_var: Array = np.zeros(len(units))

    def target(self, k: int, effective: Effective, now_s: float) -> None:
        """Give unit ``k`` its set point; it acts after the dead time. The same object again costs nothing."""
        if effective is self._seen[k]:
            return
        first = self._seen[k] is None
        self._seen[k] = effective
        wanted = _wanted(self._units[k], effective)
        if first:  # what it starts with was there before the world began
            self._target_p[k], self._target_q[k] = wanted
            self._cap[k], self.q_var[k] = wanted
        elif wanted != self._wanted[k]:
            self._pending[k].append((now_s + self._latency_s[k], *wanted))
            self._waiting += 1
        self._wanted[k] = wanted

    def step(self, end_s: float, dt_s: float, available: Array, q_limit_var: Array) -> None:
        """Move to ``end_s``. ``available`` bounds what caps let through; Q is bounded by ``q_limit_var``."""
        gain_p, gain_q = self._gains(dt_s)
        battery = self.is_battery
        target, target_q = self._release(end_s, dt_s) if self._waiting else (self._target_p, self._target_q)
        start = np.where(target < self._cap, np.minimum(self._cap, np.maximum(self.p, target)), self._cap)
        start[battery] = self.p[battery]
        self._cap = start + np.clip((target - start) * gain_p, -self._fall * dt_s, self._rise * dt_s)
        self.p = np.where(battery, self._cap, np.minimum(available, self._cap))
        q_var = self.q_var + (target_q - self.q_var) * gain_q
        self.q_var = np.clip(q_var, -q_limit_var, q_limit_var)

    def correct(self, k: int, p: float) -> None:
        """The unit could only do ``p`` (a battery at its energy limit)."""
        self.p[k] = p

    def _gains(self, dt_s: float) -> tuple[Array, Array]:
        if dt_s != self._gain_dt_s:
            self._gain_dt_s = dt_s
            self._gain_p = 1.0 - np.exp(-dt_s / self._tau_p_s)
            self._gain_q = 1.0 - np.exp(-dt_s / self._tau_q_s)
        return self._gain_p, self._gain_q

    def _release(self, end_s: float, dt_s: float) -> tuple[Array, Array]:
        """Targets of this step, now that some dead times are over.

        A set point that begins to act inside the step is blended with the one before it, by what each would have
        moved a first-order lag: the end of the step is then exact, however long the step is.
        """
        target, target_q = self._target_p.copy(), self._target_q.copy()
        for k, queue in enumerate(self._pending):
            while queue and queue[0][0] <= end_s:
                due_s, self._target_p[k], self._target_q[k] = queue.pop(0)
                self._waiting -= 1
                left_s = min(end_s - due_s, dt_s)
                target[k] = _blend(target[k], self._target_p[k], left_s, dt_s, self._tau_p_s[k])
                target_q[k] = _blend(target_q[k], self._target_q[k], left_s, dt_s, self._tau_q_s[k])
        return target, target_q


def _blend(old: float, new: float, left_s: float, dt_s: float, tau_s: float) -> float:
    """The constant target over ``dt_s`` that ends where ``old``, then ``new`` for the last ``left_s``, would."""
    late = -math.expm1(-left_s / tau_s)
    early = -math.expm1(-(dt_s - left_s) / tau_s)
    return (old * early * (1.0 - late) + new * late) / -math.expm1(-dt_s / tau_s)


def _wanted(unit: Unit, effective: Effective) -> tuple[float, float]:
    """Set point of the actuator: cap magnitude or battery power, and reactive power, inside what the unit can do."""
    q_var = min(max(effective.q_var, -unit.q_max_var), unit.q_max_var)
    if unit.kind.generates:
        return min(max(effective.generation_w_max, 0.0), unit.p_rated_w), q_var
    if unit.kind.consumes:
        return min(max(effective.consumption_w_max, 0.0), unit.p_rated_w), q_var
    p_w = 0.0 if effective.p_w is None else effective.p_w
    p_w = min(max(p_w, -effective.generation_w_max), effective.consumption_w_max)
    return min(max(p_w, unit.p_min_w), unit.p_max_w), q_var
