"""From an activation to set points of the units behind the bid: what they did before, and who gives how much. Pure.

The baseline is what the units did before they were asked ("meter before / meter after" of NAESB's business practices
for measurement and verification of demand response): the mean of the minutes before the activation was taken, or what
an activation of the same bid that is hardly over began from. A local service that has accepted a unit's flexibility for
the same time comes first: the unit is not touched, and what is missing is said in the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.balancing.command import Command, Kind, Part, Step
from controller.balancing.national.activation import Activation, Sold
from controller.domain.site import Site
from controller.planning.availability import availability

UNFIT = ("lost", "deaf")
"""Units in these states are not counted on."""
TAKEN_W_MIN = 1e3
"""Less than this of an activation is not worth being taken."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is taken of an activation: changes (W, load convention) in the order of its periods, against ``baseline_w``.

    ``reason`` says what is missing, and why nothing is taken where it is nothing; ``p_w`` are the set points of every
    unit, period by period.
    """

    baseline_w: Mapping[str, float]
    p_w: Mapping[str, tuple[float, ...]]
    taken_w: tuple[float, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class _Room:
    """How far a unit can move in the direction that was asked for, magnitude; its range, W."""

    unit: str
    baseline_w: float
    w: float
    low_w: float = 0.0
    high_w: float = 0.0

    def moved_w(self, change_w: float) -> float:
        """The set point so far from the baseline."""
        return min(max(self.baseline_w + change_w, self.low_w), self.high_w)


def plan_of(
    site: Site,
    record: Mapping[str, Any],
    asked: Activation,
    sold: Sold,
    before_w: Mapping[str, float],
    claims: Mapping[str, str],
) -> Plan:
    """How an activation is delivered.

    ``record`` is the newest of the control process, ``before_w`` what each unit did before, ``claims`` the units that a
    local service has, and which.
    """
    sign = math.copysign(1.0, asked.periods[0].change_w)
    rooms = [_room(site, record, unit, before_w, claims, asked) for unit in sold.units]
    open_w = math.fsum(room.w for room in rooms)
    taken = tuple(sign * min(abs(period.change_w), open_w) for period in asked.periods)
    reason = _missing(asked, open_w, rooms, claims)
    if min(map(abs, taken)) < TAKEN_W_MIN:
        return Plan({}, {}, (), f"nothing can be delivered: {reason or 'less than 1 kW'}")
    behind = [room for room in rooms if room.w > 0.0]
    p_w = {room.unit: tuple(room.moved_w(w * room.w / open_w) for w in taken) for room in behind}
    return Plan({room.unit: room.baseline_w for room in behind}, p_w, taken, reason)


def to_command(asked: Activation, plan: Plan, account: str) -> Command:
    """The plan as a leased command of the market's desk; it ends with the activation's last period."""
    parts = tuple(Part(Kind.SET_POINT, unit, _steps(asked, p_w)) for unit, p_w in plan.p_w.items())
    return Command(asked.id, account, asked.counter, asked.issued_utc_s, 0, parts)


def _room(
    site: Site,
    record: Mapping[str, Any],
    unit_id: str,
    before_w: Mapping[str, float],
    claims: Mapping[str, str],
    asked: Activation,
) -> _Room:
    states = {state.get("id"): state for state in record.get("units", ())}
    state, unit = states.get(unit_id, {}), next((u for u in site.units if u.id == unit_id), None)
    baseline_w = before_w.get(unit_id, math.nan)
    known = unit is not None and math.isfinite(baseline_w) and state.get("status") not in (None, *UNFIT)
    if unit is None or not known or unit_id in claims:
        return _Room(unit_id, baseline_w, 0.0)
    lasts_s = asked.ends_utc_s - asked.begins_utc_s
    can = availability(unit, baseline_w, _number(state, "p_avail_w"), _number(state, "soc_frac"), lasts_s)
    open_w = can.up_w if asked.periods[0].change_w < 0.0 else can.down_w
    return _Room(unit_id, baseline_w, open_w, unit.p_min_w, unit.p_max_w)


def _missing(asked: Activation, open_w: float, rooms: list[_Room], claims: Mapping[str, str]) -> str:
    """Why not all of it; empty when all of it can be had."""
    most_w = max(abs(period.change_w) for period in asked.periods)
    if open_w >= most_w:
        return ""
    held = [f"{room.unit} serves {claims[room.unit]}" for room in rooms if room.unit in claims]
    spent = [room.unit for room in rooms if room.w == 0.0 and room.unit not in claims]
    more = [*held, *([f"nothing left in {', '.join(spent)}"] if spent else [])]
    return "; ".join([f"{open_w / 1e3:.0f} of {most_w / 1e3:.0f} kW can be kept up", *more])


def _steps(asked: Activation, p_w: tuple[float, ...]) -> tuple[Step, ...]:
    """One for each run of periods with the same set point: there is no gap inside a run."""
    steps: list[Step] = []
    for period, w in zip(asked.periods, p_w, strict=True):
        if steps and steps[-1].end_utc_s == period.from_utc_s and steps[-1].w == w:
            steps[-1] = Step(steps[-1].start_utc_s, period.until_utc_s, w)
        else:
            steps.append(Step(period.from_utc_s, period.until_utc_s, w))
    return tuple(steps)


def _number(state: Mapping[str, Any], key: str) -> float:
    value = state.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
