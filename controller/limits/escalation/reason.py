"""The escalation ladder as a reason to restrict: what it remembers, allows and tells, and what survives a restart.

A trip is an order to stand still: P between 0 and 0, locked out until the ladder comes down. Where the unit does not
obey set points either, opening its breaker is the task of protection; the record names who should be opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from controller import documents
from controller.domain.escalation import Rung
from controller.domain.instruction import EVERYTHING, Action, Standing
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.escalation import offenders
from controller.limits.escalation.ladder import CALM_FRAC, Watch, due, next_to_trip, trimmed, watch
from controller.limits.escalation.offenders import CLEAN, Conduct
from controller.limits.escalation.pushers import excess_w, loading_frac, pushing_w, watched_limits
from controller.limits.in_force import Proposal, Situation
from controller.limits.unit_ranges import UnitRange

TRIP, TRIP_ALL, TRIM, ISOLATED = "escalation.trip", "escalation.trip_all", "escalation.trim", "escalation.isolated"


@dataclass(frozen=True, slots=True)
class Memory:
    """As of ``now_s``: a watch per limited element, the trim in force (W per unit, infinite: none), who is tripped
    (first tripped first), whether all are, since when it is calm, when the ladder acted last, and units' conduct."""

    now_s: float
    watches: tuple[Watch, ...]
    trim_w: tuple[float, ...]
    tripped: tuple[int, ...]
    all_tripped: bool
    calm_since_s: float
    acted_s: float
    conduct: tuple[Conduct, ...]

    @property
    def idle(self) -> bool:
        """Nothing is in force."""
        return not self.tripped and not self.all_tripped and not any(map(math.isfinite, self.trim_w))


class EscalationReason:
    """The ladder of one site."""

    key = "escalation"
    memory_type = Memory

    def __init__(self, site: Site) -> None:
        self.units, self.limits = site.units, watched_limits(site)
        self.rated = [x.rated_high for x in site.limits]
        healthy = max((u.actuator.latency_s + u.actuator.tau_p_s for u in site.units), default=0.0)
        self.rungs = site.escalation.not_before(healthy + 2.0 * site.cycle.cycle_s)

    def initial(self, now_s: float) -> Memory:
        """Nothing seen yet."""
        n = len(self.units)
        none = (math.inf,) * n
        return Memory(now_s, (Watch(),) * len(self.limits), none, (), False, math.inf, -math.inf, (CLEAN,) * n)

    def propose(
        self, memory: Memory, situation: Situation
    ) -> tuple[Memory, Sequence[Proposal | UnitRange], Sequence[Event]]:
        """Look at every meter once, climb or come down, and say what the units may do."""
        now_s, high = situation.now_s, self._high(situation)
        conduct = offenders.settle_all(memory.conduct, situation.estimate.deaf.tolist(), now_s)
        events = self._isolations(memory.conduct, conduct, now_s, memory.now_s)
        loadings = [loading_frac(x, high[x.index], situation.snapshot) for x in self.limits]
        dt_s = max(now_s - memory.now_s, 0.0)
        watches = tuple(watch(w, x, dt_s, self.rungs) for w, x in zip(memory.watches, loadings, strict=True))
        calm = not any(x >= CALM_FRAC for x in loadings)  # what is no number says nothing
        since_s = min(memory.calm_since_s, now_s) if calm else math.inf
        new = replace(memory, now_s=now_s, watches=watches, calm_since_s=since_s, conduct=conduct)
        new, climbed = self._climb(new, situation, high)
        new, released = self._come_down(new, situation.acts)
        return new, self._ranges(new), (*events, *climbed, *released)

    def _high(self, situation: Situation) -> Sequence[float]:
        """The limits as they stood in the last cycle; at the first, the ratings."""
        return self.rated if situation.high_before is None else situation.high_before.tolist()

    def _climb(self, memory: Memory, situation: Situation, high: Sequence[float]) -> tuple[Memory, list[Event]]:
        """At most one step per cycle, for the limit that is exceeded most, and not before the last one can show."""
        if memory.now_s - memory.acted_s < self.rungs.answer_s:
            return memory, []
        wanted = [(w.loading_frac, x, rung) for w, x in zip(memory.watches, self.limits, strict=True)
                  if (rung := due(w, self.rungs)) is not None]  # fmt: skip
        if not wanted:
            return memory, []
        loading, limit, rung = max(wanted, key=lambda found: found[0])
        pushing = pushing_w(limit, situation.estimate)
        told = f"{limit.element} at {100.0 * loading:.0f} % of its limit and not falling"
        if rung is self.rungs.trip_all:
            return self._trip_all(memory, pushing, told)
        if rung is self.rungs.trim:
            return self._trim(memory, pushing, excess_w(limit, high[limit.index], loading), told)
        return self._trip_next(memory, situation, pushing, rung, told)

    def _trip_all(self, memory: Memory, pushing: Sequence[float], told: str) -> tuple[Memory, list[Event]]:
        out = tuple(k for k, w in enumerate(pushing) if w > 0.0 and k not in memory.tripped)
        if not out:
            return memory, []
        new = replace(memory, tripped=(*memory.tripped, *out), all_tripped=True, acted_s=memory.now_s)
        return new, [Event("escalation.trip_all", ", ".join(self.units[k].id for k in out), told)]

    def _trim(self, memory: Memory, pushing: Sequence[float], excess: float, told: str) -> tuple[Memory, list[Event]]:
        kept = trimmed(pushing, excess)
        now = tuple(min(was, w) if p > 0.0 else was
                    for was, w, p in zip(memory.trim_w, kept, pushing, strict=True))  # fmt: skip
        first = not any(map(math.isfinite, memory.trim_w))
        events = [Event("escalation.trim", "site", told)] if first else []
        return replace(memory, trim_w=now, acted_s=memory.now_s), events

    def _trip_next(
        self, memory: Memory, situation: Situation, pushing: Sequence[float], rung: Rung, told: str
    ) -> tuple[Memory, list[Event]]:
        left = [0.0 if k in memory.tripped else w for k, w in enumerate(pushing)]
        k = next_to_trip(left, situation.estimate.deaf.tolist())
        if k is None:
            return memory, []
        new = replace(memory, tripped=(*memory.tripped, k), acted_s=memory.now_s)
        return new, [Event("escalation.trip", self.units[k].id, f"{told} for {rung.after_s:.0f} s; locked out")]

    def _come_down(self, memory: Memory, acts: Sequence[Standing]) -> tuple[Memory, list[Event]]:
        """Release by hand, or one step after calm: all that is trimmed last, who was tripped last first."""
        by_hand = [a.instruction for a in acts if a.instruction.action is Action.RESET_TRIPS]
        if by_hand:
            return self._reset(memory, [x.subject for x in by_hand], f"by {by_hand[-1].issuer}: {by_hand[-1].reason}")
        calm_s = memory.now_s - memory.calm_since_s
        stepped = memory.now_s - memory.acted_s >= self.rungs.step_s
        if memory.idle or calm_s < self.rungs.calm_s or not stepped:
            return memory, []
        if memory.all_tripped:
            if calm_s < self.rungs.reset_s:
                return memory, []
            memory = replace(memory, all_tripped=False)
        if memory.tripped:
            *rest, last = memory.tripped
            new = replace(memory, tripped=tuple(rest), acted_s=memory.now_s)
            return new, [Event("escalation.released", self.units[last].id, "after everything was calm")]
        none = (math.inf,) * len(self.units)
        return replace(memory, trim_w=none), [Event("escalation.released", "site", "no unit is trimmed any more")]

    def _reset(self, memory: Memory, subjects: Sequence[str], told: str) -> tuple[Memory, list[Event]]:
        everybody = EVERYTHING in subjects
        freed = [k for k, u in enumerate(self.units) if everybody or u.id in subjects]
        tripped = tuple(k for k in memory.tripped if k not in freed)
        conduct = tuple(Conduct(c.looks, c.since_s) if k in freed else c for k, c in enumerate(memory.conduct))
        trim = tuple(math.inf if k in freed else w for k, w in enumerate(memory.trim_w))
        new = replace(memory, tripped=tripped, conduct=conduct, trim_w=trim,
                      all_tripped=memory.all_tripped and bool(tripped))  # fmt: skip
        return new, [Event("escalation.released", ", ".join(subjects), told)]

    def _isolations(
        self, before: Sequence[Conduct], after: Sequence[Conduct], now_s: float, then_s: float
    ) -> list[Event]:
        out: list[Event] = []
        if offenders.all_clean(after):
            return out
        for unit, was, now in zip(self.units, before, after, strict=True):
            if now is CLEAN or (now is was and not was.ever_isolated):
                continue
            if now.isolated(now_s) and not was.isolated(then_s):
                out.append(Event("unit.isolated", unit.id, f"turned deaf {offenders.OFFENCES} times within the hour"))
            elif was.isolated(then_s) and not now.isolated(now_s):
                out.append(Event("unit.rejoined", unit.id, "gets another chance"))
        return out

    def _ranges(self, memory: Memory) -> list[UnitRange]:
        out: list[UnitRange] = []
        if memory.idle and offenders.all_clean(memory.conduct):
            return out
        for k, unit in enumerate(self.units):
            if k in memory.tripped:
                cause = TRIP_ALL if memory.all_tripped else TRIP
                out.append(UnitRange(k, Owner.LIMITS, cause, 0.0, 0.0, note="locked out after an excess that stayed"))
            elif memory.conduct[k].isolated(memory.now_s):
                left_s = memory.conduct[k].isolated_until_s - memory.now_s
                safe_w = unit.fail_safe.p_w
                low_w, high_w = min(safe_w, 0.0), max(safe_w, 0.0)
                out.append(UnitRange(k, Owner.LIMITS, ISOLATED, low_w, high_w, note="did not obey", left_s=left_s))
            elif math.isfinite(memory.trim_w[k]):
                cap_w = memory.trim_w[k]
                out.append(UnitRange(k, Owner.LIMITS, TRIM, -cap_w, cap_w, note="trimmed"))
        return out

    def dump(self, memory: Memory) -> Mapping[str, Any]:
        """Who is tripped, by id, whether all are, and how long units stay isolated; clocks begin anew."""
        isolated = {
            u.id: c.isolated_until_s - memory.now_s
            for u, c in zip(self.units, memory.conduct, strict=True)
            if c.isolated(memory.now_s)
        }
        tripped = [self.units[k].id for k in memory.tripped]
        return {"tripped": tripped, "all_tripped": memory.all_tripped, "isolated_s": isolated}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Memory:
        """Trips stay; an isolation runs on through the gap, and not at all through one of unknown length."""
        ids = {u.id: k for k, u in enumerate(self.units)}
        tripped = document.get("tripped", [])
        if not isinstance(tripped, list) or not all(x in ids for x in tripped):
            raise documents.DocumentError(f"tripped is {tripped!r}; expected ids of units of this site")
        left = documents.block(document, "isolated_s")
        passed_s = gap_s if math.isfinite(gap_s) else 0.0
        conduct = [CLEAN] * len(self.units)
        for unit_id in left:
            if unit_id not in ids:
                raise documents.DocumentError(f"isolated_s.{unit_id}: the site has no such unit")
            until_s = now_s + documents.number(left, unit_id, "isolated_s.") - passed_s
            conduct[ids[unit_id]] = Conduct(isolated_until_s=until_s)
        return replace(
            self.initial(now_s),
            tripped=tuple(ids[x] for x in tripped),
            all_tripped=document.get("all_tripped") is True,
            conduct=tuple(conduct),
            acted_s=now_s,
        )


def escalation(site: Site) -> tuple[EscalationReason, ...]:
    """The ladder, for every site with units."""
    return (EscalationReason(site),) if site.units else ()
