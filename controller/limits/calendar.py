"""Contract limits by the calendar: time of day, weekday, season and dates, in the site's local time.

Without the time of day every cap holds: nobody knows that it does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from controller.domain.connection import Calendar, CalendarCap
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.in_force import Proposal, Situation
from controller.limits.unit_ranges import UnitRange

DAY_MIN = 1440


def holds(when: Calendar, local: datetime) -> bool:
    """Whether the calendar holds at a local time; what goes past midnight belongs to the day on which it began."""
    minute = local.hour * 60 + local.minute
    today, yesterday = local.date(), local.date() - timedelta(days=1)
    if when.from_min == when.to_min:
        return _on(when, today)
    if when.from_min < when.to_min:
        return when.from_min <= minute < when.to_min and _on(when, today)
    return (minute >= when.from_min and _on(when, today)) or (minute < when.to_min and _on(when, yesterday))


def _on(when: Calendar, day: date) -> bool:
    """Whether the calendar begins on that day."""
    if day.weekday() not in when.days or not (when.first or day) <= day <= (when.last or day):
        return False
    if when.season is None:
        return True
    (first, last), here = when.season, (day.month, day.day)
    return first <= here <= last if first <= last else here >= first or here <= last


@dataclass(frozen=True, slots=True)
class Told:
    """Ids of the caps that held at the last look."""

    holding: frozenset[str] = frozenset()


class CalendarReason:
    """All calendar caps of one site."""

    key = "contract"
    memory_type = Told

    def __init__(self, site: Site) -> None:
        self.zone = ZoneInfo(site.timezone)
        limit_at = {x.id: k for k, x in enumerate(site.limits)}
        unit_at = {u.id: k for k, u in enumerate(site.units)}
        self.caps = tuple((c, limit_at.get(c.subject), unit_at.get(c.subject)) for c in site.connection.caps)

    def initial(self, now_s: float) -> Told:
        """No cap was told yet."""
        return Told()

    def propose(
        self, memory: Told, situation: Situation
    ) -> tuple[Told, Sequence[Proposal | UnitRange], Sequence[Event]]:
        """Every cap that holds now."""
        known = math.isfinite(situation.utc_s)
        local = datetime.fromtimestamp(situation.utc_s, UTC).astimezone(self.zone) if known else None
        current = [x for x in self.caps if local is None or holds(x[0].when, local)]
        note = "contract" if known else "contract; time of day unknown"
        out = [_proposal(cap, limit, unit, note) for cap, limit, unit in current]
        now = frozenset(cap.id for cap, _, _ in current)
        return Told(now), out, _told(memory.holding, now, note)

    def dump(self, memory: Told) -> Mapping[str, Any]:
        """Nothing: the calendar says it all again."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Told:
        """Nothing told yet."""
        return self.initial(now_s)


def _proposal(cap: CalendarCap, limit: int | None, unit: int | None, note: str) -> Proposal | UnitRange:
    cause = f"contract.{cap.id}"
    if limit is not None:
        return Proposal(limit, cap.high_w, cause=cause, note=note)
    if unit is None:
        raise ValueError(f"calendar cap {cap.id} is about {cap.subject!r}; expected a unit, export or import")
    return UnitRange(unit, Owner.CONTRACT, cause, -cap.high_w, cap.high_w, note=note)


def _told(before: frozenset[str], now: frozenset[str], note: str) -> list[Event]:
    begun = [Event("contract.begun", cap, note) for cap in sorted(now - before)]
    return begun + [Event("contract.ended", cap, "") for cap in sorted(before - now)]
