"""The last look before anything is written. Trusts nobody, shares no code with what it checks.

A set point passes only if it is for this unit, made of finite numbers, inside the unit's range and apparent power,
issued by now, alive, leased for no longer than the device itself would honour it, and given by a known owner with a
reason. Anything else is replaced by the unit's fail-safe set point, which is brought inside the range first; what lies
outside by rounding is clipped. Nothing is passed on unseen.

It has no memory, and so no opinion on rates of change: a fall must never be delayed, and how fast a unit may rise is
kept by the dispatch and by the unit. What it refuses does not depend on what it refused before.
"""

from __future__ import annotations

import math
from dataclasses import replace

from controller.domain.command import LEASE_S_MAX, Setpoint
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.unit import Unit, UnitKind

ROUNDING_FRAC = 1e-3  # of the rating: how far outside counts as rounding, not as a fault
ROUNDING_S = 1e-3
OWNERS = tuple(owner.value for owner in Owner)
DISPATCH = Owner.DISPATCH.value


def guard(setpoint: Setpoint, unit: Unit, now_s: float) -> tuple[Setpoint, Event | None]:
    """A set point that may be written, and what was wrong with the one given (None = nothing).

    When ``now_s`` itself is no number nothing can be leased: what comes back has no time to live and is not written.
    """
    fault = (
        _wrong_unit(setpoint, unit)
        or _wrong_power(setpoint, unit)
        or _wrong_time(setpoint, unit, now_s)
        or _wrong_source(setpoint)
    )
    if not fault:
        return _inside(setpoint, unit), None
    safe = replace(
        setpoint,
        unit=unit.id,
        p_w=unit.fail_safe.p_w,
        q_var=unit.fail_safe.q_var,
        issued_at_s=now_s,
        expires_at_s=now_s + _lease_s(unit),
        owner=Owner.GUARD.value,
        causes=("guard",),
    )
    return _inside(safe, unit), Event("guard.clamped", unit.id, f"{fault}; fail-safe set point sent instead")


def _wrong_unit(setpoint: Setpoint, unit: Unit) -> str:
    if setpoint.unit != unit.id:
        return f"set point is for {setpoint.unit}, unit is {unit.id}"
    known = (unit.p_rated_w, unit.s_rated_va, unit.q_max_var, unit.p_min_w, unit.p_max_w)
    if not all(map(math.isfinite, known)):
        return f"ratings and range of {unit.id} are not all finite ({', '.join(f'{x:g}' for x in known)})"
    return ""


def _wrong_power(setpoint: Setpoint, unit: Unit) -> str:
    p_w, q_var = setpoint.p_w, setpoint.q_var
    if not (math.isfinite(p_w) and math.isfinite(q_var)):
        return f"set point is not finite (P {p_w} W, Q {q_var} var)"
    slack = ROUNDING_FRAC * unit.p_rated_w
    if not unit.p_min_w - slack <= p_w <= unit.p_max_w + slack:
        return f"P {p_w:.0f} W is outside {unit.p_min_w:.0f}…{unit.p_max_w:.0f} W"
    if abs(q_var) > unit.q_max_var + slack:
        return f"Q {q_var:.0f} var is outside ±{unit.q_max_var:.0f} var"
    if math.hypot(_power_w(unit, p_w), q_var) > unit.s_rated_va + slack:
        return f"P {p_w:.0f} W with Q {q_var:.0f} var is more than {unit.s_rated_va:.0f} VA"
    return ""


def _wrong_time(setpoint: Setpoint, unit: Unit, now_s: float) -> str:
    issued_s, expires_s, longest_s = setpoint.issued_at_s, setpoint.expires_at_s, _lease_s(unit)
    if not all(map(math.isfinite, (issued_s, expires_s, now_s))):
        return f"times of the set point are not finite {_times(setpoint, now_s)}"
    if issued_s > now_s + ROUNDING_S:
        return f"set point is from the future {_times(setpoint, now_s)}"
    if expires_s <= now_s:
        return f"set point has no time to live {_times(setpoint, now_s)}"
    if expires_s - issued_s > longest_s + ROUNDING_S:
        return f"set point lives longer than the lease of {longest_s:g} s {_times(setpoint, now_s)}"
    return ""


def _times(setpoint: Setpoint, now_s: float) -> str:
    return f"(issued at {setpoint.issued_at_s} s, expires at {setpoint.expires_at_s} s, now {now_s} s)"


def _wrong_source(setpoint: Setpoint) -> str:
    if setpoint.owner not in OWNERS:
        return f"owner {setpoint.owner!r} is not known"
    if setpoint.owner != DISPATCH and not setpoint.causes:
        return f"{setpoint.owner} gives no reason"
    return ""


def _power_w(unit: Unit, p_w: float) -> float:
    """What the set point says about the power itself: nothing where it is a cap, under which Q gives way to P."""
    return p_w if unit.kind is UnitKind.BATTERY else 0.0


def _lease_s(unit: Unit) -> float:
    """The device's own lease; a device that holds its set points for ever is believed for a limited time."""
    return unit.fail_safe.lease_s if 0.0 < unit.fail_safe.lease_s <= LEASE_S_MAX else LEASE_S_MAX


def _inside(setpoint: Setpoint, unit: Unit) -> Setpoint:
    """Active power inside the range, reactive power inside what that leaves of the apparent power."""
    p_w = _between(setpoint.p_w, unit.p_min_w, unit.p_max_w)
    left_va2 = unit.s_rated_va**2 - _power_w(unit, p_w) ** 2
    most_var = min(unit.q_max_var, math.sqrt(left_va2)) if left_va2 > 0.0 else 0.0
    q_var = _between(setpoint.q_var, -most_var, most_var)
    unchanged = (p_w, q_var) == (setpoint.p_w, setpoint.q_var)
    return setpoint if unchanged else replace(setpoint, p_w=p_w, q_var=q_var)


def _between(value: float, low: float, high: float) -> float:
    """The nearest value between two bounds; 0 (nothing) where one of the three is no number or they are no range."""
    if not all(map(math.isfinite, (value, low, high))) or low > high:
        return 0.0
    return min(max(value, low), high)
