"""One cycle in words: which limit bound and by how much, who moved, by what principle, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.domain.record import CycleRecord, LimitState, SupportState, UnitState
from controller.recording.quantities import scaled

_UNIT_OF = {"thermal": "A", "voltage": "V", "export": "W", "import": "W"}
_MOVED_FRAC = 1e-3  # of the largest set point of the cycle: what is less is not worth a line
_WATT_S_PER_KWH = 3.6e6


def about(record: CycleRecord, subject: str) -> bool:
    """Whether the limit or unit ``subject`` bound, gave something up, or had an event in this cycle."""
    if record.support is not None and subject in ("interface", record.support.cause):
        return True
    limits = any(x.id == subject and (x.binding or x.given_up_w > 0.0) for x in record.limits)
    held = any(subject in (u.id, *u.causes) and (u.curtailed_w > 0.0 or u.causes) for u in record.units)
    return limits or held or any(subject in event.subject for event in record.events)


def explained(record: CycleRecord, before: CycleRecord | None, subject: str = "") -> list[str]:
    """The cycle in lines; empty when nothing bound, nobody moved and nothing happened.

    ``before`` is the record of the cycle before, None when there is none. With ``subject``, only what concerns that
    limit or unit.
    """
    if subject and not about(record, subject):
        return []
    lines = [f"mode {record.mode.value}"] if before is not None and before.mode is not record.mode else []
    lines += [_limit_line(x) for x in record.limits if x.binding and _concerns_limit(x, record, subject)]
    before_units = {u.id: u for u in before.units} if before is not None else {}
    units = [u for u in record.units if not subject or subject in (u.id, *u.causes, *(w.cause for w in u.withheld))]
    lines += [line for u in units if (line := _unit_line(u, before_units.get(u.id), record.principle))]
    lines += [line for u in units if (line := _worth_line(u, before_units.get(u.id)))]
    lines += _support_lines(record.support, subject)
    if record.sacrificed:
        lines.append(f"no set point keeps every limit; given up: {', '.join(record.sacrificed)}")
    lines += [f"event {e.name} {e.subject} {e.text}".rstrip() for e in record.events]
    if lines and record.given_up_w > 0.0:
        lines.append(f"given up in all {scaled(record.given_up_w, 'W')}")
    return lines


def _support_lines(support: SupportState | None, subject: str) -> list[str]:
    """Who asks for reactive power at the interface, what comes of it, and by whom."""
    if support is None or subject not in ("", "interface", support.cause, *support.units):
        return []
    short = f"only {scaled(support.reached_var, 'var')}, {support.obstacle}" if support.obstacle else "in full"
    line = (
        f"support for {support.owner} because of {support.cause}: asks {scaled(support.asked_var, 'var')} at the "
        f"interface, {short}; {scaled(support.q_var, 'var')} now, by {', '.join(support.units) or 'nobody'}"
    )
    return [line]


def _concerns_limit(limit: LimitState, record: CycleRecord, subject: str) -> bool:
    unit = next((u for u in record.units if u.id == subject), None)
    return not subject or subject == limit.id or (unit is not None and limit.id in unit.causes)


def _limit_line(limit: LimitState) -> str:
    unit = _UNIT_OF.get(limit.kind, "")
    low = "" if limit.low is None else f"{scaled(limit.low, unit)} to "
    cause = "" if limit.cause in ("", "rating") else f" by {limit.cause}"
    bounds = f"{low}{scaled(limit.high, unit)}{cause}"
    quality = limit.quality.replace("_", " ")
    seen = "" if quality == "measured" else f", {quality} {100.0 * limit.worst_frac:.1f} %"
    return (
        f"limit {limit.id} binds: {scaled(limit.value, unit)} of {bounds} ({100.0 * limit.loading_frac:.1f} %{seen}); "
        f"holds back {scaled(limit.given_up_w, 'W')}, 1 % more room is worth {limit.shadow_eur / 100.0:.3g} EUR/h"
    )


def _unit_line(unit: UnitState, before: UnitState | None, principle: str) -> str:
    said = []
    if before is not None:
        said += [_move("P", before.p_set_w, unit.p_set_w, "W"), _move("Q", before.q_set_var, unit.q_set_var, "var")]
    if unit.withheld:
        parts = ", ".join(f"{scaled(w.w, 'W')} for {w.cause}" for w in unit.withheld)
        turn = f", {principle} rank {unit.rank}" if unit.rank else f", {principle}"
        said.append(f"gives up {parts}{turn}")
    status = "" if unit.status in ("free", "held") else f" ({unit.status})"
    told = "; ".join(part for part in said if part)
    causes = f" because of {', '.join(unit.causes)}" if unit.causes and told and not unit.withheld else ""
    return f"unit {unit.id}{status}: {told}{causes}" if told else ""


def _worth_line(unit: UnitState, before: UnitState | None) -> str:
    """What energy in a storage counts for, where somebody else begins to say so."""
    if not unit.worth_cause or before is None or before.worth_cause == unit.worth_cause:
        return ""
    worth = f"energy in {unit.id} is worth {unit.worth_eur_per_mwh:.3g} EUR/MWh by {unit.worth_cause}"
    return f"{worth}, before {before.worth_eur_per_mwh:.3g} by {before.worth_cause or 'nobody'}"


def _move(name: str, before: float, now: float, unit: str) -> str:
    small = abs(now - before) <= _MOVED_FRAC * max(abs(before), abs(now))
    return "" if small else f"set point {name} {scaled(before, unit)} → {scaled(now, unit)}"


@dataclass
class Account:
    """What the cycles cost together, by cause; with ``subject``, for that limit or by that unit alone."""

    subject: str = ""

    given_up_ws: dict[str, float] = field(default_factory=dict)
    bound_s: dict[str, float] = field(default_factory=dict)
    _last_s: float | None = None

    def add(self, record: CycleRecord) -> None:
        """Count one cycle for as long as it lasted since the one before."""
        lasted_s = 0.0 if self._last_s is None else max(record.now_s - self._last_s, 0.0)
        self._last_s = record.now_s
        for unit in record.units:
            for part in unit.withheld:
                if self.subject not in ("", part.cause, unit.id):
                    continue
                self.given_up_ws[part.cause] = self.given_up_ws.get(part.cause, 0.0) + part.w * lasted_s
        for limit in record.limits:
            if limit.binding and self.subject in ("", limit.id):
                self.bound_s[limit.id] = self.bound_s.get(limit.id, 0.0) + lasted_s

    def lines(self) -> list[str]:
        """One line per cause, dearest first."""
        causes = sorted({*self.given_up_ws, *self.bound_s}, key=lambda c: (-self.given_up_ws.get(c, 0.0), c))
        return [
            f"{cause}: {self.given_up_ws.get(cause, 0.0) / _WATT_S_PER_KWH:.1f} kWh given up"
            + (f", bound for {self.bound_s[cause]:.0f} s" if cause in self.bound_s else "")
            for cause in causes
        ]
