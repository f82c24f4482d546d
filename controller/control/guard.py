"""The last look before anything is written. Trusts nobody, shares no code with what it checks.

A set point that is not a finite number, is outside the unit's own range or has no time to live is replaced by the
unit's fail-safe set point; one that lies outside by rounding is clipped. Nothing is passed on unseen.
"""

from __future__ import annotations

import math
from dataclasses import replace

from controller.domain.command import Setpoint
from controller.domain.record import Event
from controller.domain.unit import Unit

ROUNDING_FRAC = 1e-3  # of the rating: how far outside counts as rounding, not as a fault


def guard(setpoint: Setpoint, unit: Unit, now_s: float) -> tuple[Setpoint, Event | None]:
    """A set point that may be written, and what was wrong with the one given (None = nothing)."""
    fault = _fault(setpoint, unit, now_s)
    if fault is None:
        p_w = min(max(setpoint.p_w, unit.p_min_w), unit.p_max_w)
        q_var = min(max(setpoint.q_var, -unit.q_max_var), unit.q_max_var)
        return replace(setpoint, p_w=p_w, q_var=q_var), None
    safe = replace(
        setpoint,
        unit=unit.id,
        p_w=unit.fail_safe.p_w,
        q_var=unit.fail_safe.q_var,
        issued_at_s=now_s,
        expires_at_s=now_s + unit.fail_safe.lease_s,
        owner="guard",
        causes=("guard",),
    )
    return safe, Event("guard.clamped", unit.id, f"{fault}; fail-safe set point sent instead")


def _fault(setpoint: Setpoint, unit: Unit, now_s: float) -> str | None:
    if setpoint.unit != unit.id:
        return f"set point is for {setpoint.unit}, unit is {unit.id}"
    if not all(math.isfinite(x) for x in (setpoint.p_w, setpoint.q_var, setpoint.issued_at_s)):
        return f"set point is not finite (P {setpoint.p_w} W, Q {setpoint.q_var} var)"
    slack = ROUNDING_FRAC * unit.p_rated_w
    if not unit.p_min_w - slack <= setpoint.p_w <= unit.p_max_w + slack:
        return f"P {setpoint.p_w:.0f} W is outside {unit.p_min_w:.0f}…{unit.p_max_w:.0f} W"
    if abs(setpoint.q_var) > unit.q_max_var + slack:
        return f"Q {setpoint.q_var:.0f} var is outside ±{unit.q_max_var:.0f} var"
    if not setpoint.expires_at_s > now_s:
        return f"set point has no time to live (expires at {setpoint.expires_at_s} s, now {now_s} s)"
    return None
