"""EREC G100 as a reason to restrict: what its states do to the site, and what survives a restart.

Locked out, or with the point of supply unmeasured, every unit that pushes in that direction is held at its fail-safe
set point, which the check of the site file has proven to keep the limit without any measurement. The sum of the three
phases is judged; the standard's rule per phase needs meters per phase.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller import documents
from controller.domain.connection import G100Settings
from controller.domain.instruction import Action, Standing
from controller.domain.limit import LimitKind
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.site import Site
from controller.estimation.estimate import Estimate
from controller.limits.g100 import scheme
from controller.limits.g100.scheme import Course, Stage
from controller.limits.in_force import Proposal, Situation
from controller.limits.unit_ranges import UnitRange

SIGN = {LimitKind.EXPORT: -1.0, LimitKind.IMPORT: 1.0}


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of the scheme: its limit (index, W), and what a lock-out narrows it to (None: no more)."""

    name: str
    index: int
    high_w: float
    sign: float
    lockout_w: float | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Courses by direction as of ``now_s``; ``blind`` while the point of supply is not measured."""

    now_s: float
    courses: tuple[tuple[str, Course], ...]
    blind: bool = False


class G100Reason:
    """The scheme of one site, both directions that it limits."""

    key = "g100"
    memory_type = Memory

    def __init__(self, site: Site, settings: G100Settings) -> None:
        lockout = {LimitKind.EXPORT: settings.lockout_export_w, LimitKind.IMPORT: settings.lockout_import_w}
        self.settings = settings
        self.units = site.units
        self.n_line = len(site.topology.lines)
        self.directions = tuple(
            Direction(x.kind.value, k, x.high, SIGN[x.kind], lockout[x.kind])
            for k, x in enumerate(site.limits)
            if x.kind in SIGN
        )

    def initial(self, now_s: float) -> Memory:
        """No excursion seen yet."""
        return Memory(now_s, tuple((d.name, Course()) for d in self.directions))

    def propose(
        self, memory: Memory, situation: Situation
    ) -> tuple[Memory, Sequence[Proposal | UnitRange], Sequence[Event]]:
        """Advance both directions by one look and say what they allow."""
        now_s, estimate = situation.now_s, situation.estimate
        blind = not self._unmeasured_s(estimate) <= self.settings.meter_lost_s
        events = _blind_event(memory.blind, blind)
        courses: list[tuple[str, Course]] = []
        before = dict(memory.courses)
        for d in self.directions:
            over = None if blind else d.sign * estimate.interface_p_w > d.high_w
            course = scheme.observe(before[d.name], over, now_s)
            events += _told(d, before[d.name], course)
            courses.append((d.name, course))
        courses, answers = self._reset(courses, situation.acts, now_s)
        new = Memory(now_s, tuple(courses), blind)
        return new, self._proposals(new), (*events, *answers)

    def _unmeasured_s(self, estimate: Estimate) -> float:
        """How long the point of supply has not been measured: by its own meter, or by those of all transformers."""
        transformers_s = float(estimate.branch_age_s[self.n_line :].max(initial=0.0))
        return min(estimate.interface_age_s, transformers_s if self.n_line < len(estimate.branch_age_s) else math.inf)

    def _reset(
        self, courses: list[tuple[str, Course]], acts: Sequence[Standing], now_s: float
    ) -> tuple[list[tuple[str, Course]], list[Event]]:
        events: list[Event] = []
        for act in acts:
            if act.instruction.action is not Action.RESET_G100:
                continue
            courses, event = self._reset_one(courses, act, now_s)
            events.append(event)
        return courses, events

    def _reset_one(
        self, courses: list[tuple[str, Course]], act: Standing, now_s: float
    ) -> tuple[list[tuple[str, Course]], Event]:
        asked, s = act.instruction, self.settings
        installer = asked.issuer in s.installers
        out, refusals = [], []
        for name, course in courses:
            if asked.subject not in (name, "all"):
                out.append((name, course))
                continue
            after, refused = scheme.reset(
                course, now_s, installer=installer, domestic=s.domestic, after_s=s.reset_after_s
            )
            out.append((name, after))
            refusals.append(refused)
        if all(refusals):
            why = "; ".join(dict.fromkeys(refusals)) or f"no direction {asked.subject} in the scheme"
            return courses, Event("instruction.refused", asked.id, why)
        who = f"{asked.issuer}{' (installer)' if installer else ''}"
        return out, Event("g100.reset", asked.id, f"lock-out of {asked.subject} ended by {who}: {asked.reason}")

    def _proposals(self, memory: Memory) -> list[Proposal | UnitRange]:
        out: list[Proposal | UnitRange] = []
        courses = dict(memory.courses)
        for d in self.directions:
            course = courses[d.name]
            if course.stage is Stage.NORMAL and not memory.blind:
                continue
            cause, note, left_s = self._state_of(d, course, memory)
            high_w = d.lockout_w if course.stage is Stage.LOCKED and d.lockout_w is not None else d.high_w
            out.append(Proposal(d.index, high_w, cause=cause, note=note, left_s=left_s))
            if course.stage is Stage.LOCKED or memory.blind:
                out += [self._at_safe(k, d, cause, note, left_s) for k in range(len(self.units))]
        return out

    def _state_of(self, d: Direction, course: Course, memory: Memory) -> tuple[str, str, float]:
        """Cause, words and remaining time of a direction that is not in state 1."""
        s, now_s = self.settings, memory.now_s
        if course.stage is Stage.LOCKED:
            left_s = scheme.until_reset_s(course, now_s, domestic=s.domestic, after_s=s.reset_after_s)
            return f"g100.{d.name}.locked", f"state 3, locked out after {course.why}", left_s
        if memory.blind:
            return f"g100.{d.name}.blind", "the point of supply is not measured", math.nan
        since_s = now_s if course.over_since_s is None else course.over_since_s
        return f"g100.{d.name}.excursion", "state 2, over the limit", scheme.LOCKS_S - (now_s - since_s)

    def _at_safe(self, k: int, d: Direction, cause: str, note: str, left_s: float) -> UnitRange:
        """The unit at no more than its fail-safe power in the direction."""
        safe_w = self.units[k].fail_safe.p_w
        if d.sign < 0.0:
            return UnitRange(k, Owner.G100, cause, low_w=min(safe_w, 0.0), note=note, left_s=left_s)
        return UnitRange(k, Owner.G100, cause, high_w=max(safe_w, 0.0), note=note, left_s=left_s)

    def dump(self, memory: Memory) -> Mapping[str, Any]:
        """Counters, lock-outs and resets as ages; an excursion under way is not kept: downtime is none."""
        return {
            name: {
                "counted_s_ago": [memory.now_s - t for t in course.counted_at_s],
                "locked_s_ago": None if course.locked_at_s is None else memory.now_s - course.locked_at_s,
                "why": course.why,
                "resets_s_ago": [memory.now_s - t for t in course.resets_at_s],
            }
            for name, course in memory.courses
        }

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Memory:
        """What :meth:`dump` wrote; without knowing the gap no time has passed, so that nothing ends too early."""
        passed_s = gap_s if math.isfinite(gap_s) else 0.0
        memory = self.initial(now_s)
        known = [(name, _course(documents.block(document, name), now_s - passed_s)) for name in document]
        courses = dict(memory.courses) | {name: course for name, course in known if name in dict(memory.courses)}
        return replace(memory, courses=tuple(courses.items()))


def _course(part: Mapping[str, Any], then_s: float) -> Course:
    """One direction from its ages at ``then_s``. Raises DocumentError."""
    locked_s = None if part.get("locked_s_ago") is None else documents.number(part, "locked_s_ago")
    return Course(
        counted_at_s=tuple(then_s - age for age in _ages(part, "counted_s_ago")),
        locked_at_s=None if locked_s is None else then_s - locked_s,
        why=documents.text(part, "why"),
        resets_at_s=tuple(then_s - age for age in _ages(part, "resets_s_ago")),
    )


def _ages(part: Mapping[str, Any], key: str) -> tuple[float, ...]:
    return documents.numbers(part, key) if part.get(key) != [] else ()


def _told(d: Direction, before: Course, now: Course) -> list[Event]:
    """Transitions of one direction, in words."""
    if before.stage is not Stage.LOCKED and now.stage is Stage.LOCKED:
        return [Event("g100.locked", d.name, f"{now.why}; units at their fail-safe set points until it is reset")]
    if now.counted and not before.counted:
        return [Event("g100.excursion", d.name, f"{len(now.counted_at_s)} counted within 24 h")]
    return []


def _blind_event(before: bool, now: bool) -> list[Event]:
    if before is now:
        return []
    return [Event("g100.blind" if now else "g100.seen", "interface", "")]
