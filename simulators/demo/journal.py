"""What happened, in words: events of the controller's records and faults of the simulator, by site time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.domain.limit import Limit, LimitKind
from simulators.demo.words import duration
from simulators.faults import Fault, FaultKind

SAME_S = 900.0
"""What happens to the same thing again within this time is not news, s of the site."""
_JOIN_S = 30.0  # what happens to several things within this time is one line
_KEEP = 400

PHRASES = {
    "ambient.assumed": "air temperature not measured: the season's counts",
    "ambient.measured": "air temperature measured again",
    "branch.in_service": "{} carries power again",
    "branch.out_of_service": "{} is open: the network without it counts",
    "cable.emergency": "{} above its rated temperature",
    "cable.normal": "{} no hotter than rated again",
    "contract.begun": "nothing of the platform in force: the contract holds ({})",
    "contract.ended": "the platform's word holds again instead of the contract ({})",
    "escalation.released": "{} may run again",
    "escalation.trim": "all that push are trimmed: {} stays exceeded",
    "escalation.trip": "{} locked out at zero",
    "escalation.trip_all": "{} locked out at zero: far above a limit",
    "g100.blind": "point of supply not measured: {} held safe",
    "g100.excursion": "{} above its limit for 15 s",
    "g100.locked": "{} locked out by G100",
    "g100.reset": "G100 lock-out ended by {}",
    "g100.seen": "point of supply measured again",
    "grid.no_solution": "no power flow at this operating point: the last network model counts",
    "grid.solved": "the network model follows again",
    "guard.clamped": "guard refused a set point of {}",
    "instruction.refused": "{} refused",
    "limit.bound": "units held back by {}",
    "limit.seen": "{} measured again",
    "limit.unseen": "{} no longer measured",
    "memory.refused": "what {} remembered makes no sense: cautious until it has learnt again",
    "meter.above_estimate": "{} reads above its estimate: the reading counts",
    "meter.agrees": "{} adds up again",
    "meter.as_estimated": "{} reads as estimated again",
    "meter.consistent": "{} agrees with itself again",
    "meter.contradiction": "{} does not add up: counted with a margin",
    "meter.frozen": "{} does not move: not believed",
    "meter.inconsistent": "{} contradicts itself: the worse counts",
    "meter.late": "{} tells late what it measures: used as of then",
    "meter.moves": "{} moves again",
    "meter.punctual": "{} tells in time again",
    "meter.spike": "{} reads a jump that nobody else sees: not believed",
    "meter.steady": "{} reads steadily again",
    "meter.trusted": "{} believed again",
    "meter.voltage_agrees": "{} agrees with its neighbours again",
    "meter.voltage_off": "{} contradicts its neighbours: the worse counts",
    "meter.wired_backwards": "{} is wired backwards: not believed",
    "meter.wrong_scale": "{} measures a multiple of what is there: not believed",
    "mode.changed": "mode {}",
    "oil.believed": "{} oil sensor believed again",
    "oil.refused": "{} oil sensor not believed",
    "site.feasible": "every limit can be kept again",
    "site.infeasible": "cannot keep {}",
    "support.met": "voltage support in full again",
    "support.short": "voltage support cannot be had in full",
    "unit.as_configured": "{} as fast as configured again",
    "unit.back": "{} back again",
    "unit.behind": "{} does less than it says it could: not believed",
    "unit.contested": "{} cannot be given what was ordered",
    "unit.deaf": "{} not obeying: no credit given",
    "unit.deaf_to_q": "{} gives no reactive power as told: no credit for it",
    "unit.follows": "{} does what it says it can again",
    "unit.gives_q": "{} giving reactive power as asked for again",
    "unit.isolated": "{} kept out: it turned deaf again and again",
    "unit.lost": "{} lost, told to be safe",
    "unit.obeys": "{} obeying again",
    "unit.rejoined": "{} gets another chance",
    "unit.settled": "{} does what was ordered",
    "unit.slower_than_configured": "{} slower than configured: counted on as it is",
    "voltage.mean_left": "{}: 10-minute mean outside its band",
}
FAULT_WORDS = {
    FaultKind.SILENT: "{} falls silent",
    FaultKind.KILLED: "{} is dead and its port closed",
    FaultKind.FROZEN: "{} repeats its last values",
    FaultKind.DEAF: "{} accepts commands and obeys none",
    FaultKind.BIAS: "{} measures wrongly",
    FaultKind.SPIKE: "{} reports a spike",
    FaultKind.OPEN: "the breaker of {} opens",
}
FAULT = "fault."
UNTOLD = frozenset(
    {"limit.released", "instruction.accepted", "instruction.superseded", "instruction.released", "instruction.expired"}
)
"""Counted only; what orders do is told by the market, in words."""
REPEATING = frozenset(
    {"limit.bound", "limit.unseen", "limit.seen", "limit.broken", "mode.changed", "site.infeasible", "site.feasible"}
)
KIND_NOUNS = {
    LimitKind.THERMAL: "current",
    LimitKind.VOLTAGE: "voltage",
    LimitKind.EXPORT: "export",
    LimitKind.IMPORT: "import",
}


@dataclass(slots=True)
class Entry:
    """One line. ``source`` is ``controller``, ``simulator``, ``market`` or ``box``; more ``subjects`` may join."""

    t_s: float
    source: str
    name: str
    subjects: list[str]
    text: str = ""


class Journal:
    """The lines worth telling, and how often everything happened."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = {limit.id: limit for limit in limits}
        self._told_s: dict[tuple[str, str], float] = {}
        self.entries: list[Entry] = []
        self.counts: Counter[str] = Counter()

    def controller(self, t_s: float, events: Iterable[Mapping[str, Any]]) -> None:
        """Events of one record, at site second ``t_s``."""
        for event in events:
            name, subject = str(event["name"]), str(event["subject"])
            self.counts[name] += 1
            told = f"{subject} {event['text']}" if name == "mode.changed" else subject
            if name not in UNTOLD and not self._stale_news(t_s, name, told):
                self._add(t_s, "controller", name, subject, str(event.get("text", "")))

    def simulator(self, t_s: float, fault: Fault, begins: bool) -> None:
        """A fault of the simulated hardware begins or ends."""
        name = FAULT + (fault.kind.value if begins else "ends")
        self.counts[name] += 1
        words = FAULT_WORDS[fault.kind].format(fault.device)
        lasting = f" for {duration(fault.for_s)}" if math.isfinite(fault.for_s) else ""
        self._add(t_s, "simulator", name, fault.device, words + lasting if begins else f"{fault.device} is well again")

    def broken(self, t_s: float, limit_id: str) -> None:
        """A limit was really exceeded since the last status line."""
        self.counts["limit.broken"] += 1
        if not self._stale_news(t_s, "limit.broken", limit_id):
            self._add(t_s, "simulator", "limit.broken", limit_id, "")

    def market(self, t_s: float, name: str, text: str) -> None:
        """What the platform decided, or what its orders do: in words of its own."""
        self._insert(Entry(t_s, "market", name, [], text))

    def box(self, t_s: float, name: str, text: str) -> None:
        """A process of the box ends or begins: in words of its own."""
        self._insert(Entry(t_s, "box", name, [], text))

    def _insert(self, entry: Entry) -> None:
        self.counts[entry.name] += 1
        place = bisect_right(self.entries, entry.t_s, key=lambda other: other.t_s)
        self.entries.insert(place, entry)

    def sentence(self, entry: Entry) -> str:
        """One entry in words, without its time."""
        if entry.name == "limit.broken":
            return f"{self._listing(entry.subjects)} truly above the limit"
        if entry.source != "controller":
            return entry.text
        if entry.name == "mode.changed":
            return f"mode {entry.text.replace('->', '→').replace('_', '-')}"
        return PHRASES.get(entry.name, entry.name + ": {}").format(self._listing(entry.subjects))

    def _stale_news(self, t_s: float, name: str, subject: str) -> bool:
        before_s = self._told_s.get((name, subject))
        self._told_s[name, subject] = t_s
        return name in REPEATING and before_s is not None and t_s - before_s < SAME_S

    def _add(self, t_s: float, source: str, name: str, subject: str, text: str) -> None:
        for entry in reversed(self.entries):
            if entry.t_s < t_s - _JOIN_S:
                break
            if (entry.source, entry.name) == (source, name) and not name.startswith(FAULT):
                if subject not in entry.subjects:
                    entry.subjects.append(subject)
                entry.text = text
                return
        # Faults are heard of with the next status line, so a later event may be here already.
        place = bisect_right(self.entries, t_s, key=lambda entry: entry.t_s)
        self.entries.insert(place, Entry(t_s, source, name, [subject], text))
        del self.entries[:-_KEEP]

    def _listing(self, subjects: Sequence[str]) -> str:
        """``BB, N1, N2 voltage and T1 current`` for limit ids; other subjects as they are."""
        ids = list(dict.fromkeys(part for subject in subjects for part in subject.split(", ")))
        known = [self._limits[name] for name in ids if name in self._limits]
        groups = [
            ", ".join(limit.element for limit in known if limit.kind is kind) + f" {noun}"
            for kind, noun in KIND_NOUNS.items()
            if any(limit.kind is kind for limit in known)
        ]
        groups = [group.replace("interface ", "") for group in groups]
        others = ", ".join(name for name in ids if name not in self._limits)
        return " and ".join([*groups, *([others] if others else [])])


class FaultWatch:
    """Turns what the simulator says to be wrong into beginnings and endings, each told once."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str, float], Fault] = {}
        self._over: set[tuple[str, str, float]] = set()

    def take(self, faults: Iterable[Mapping[str, Any]], t_s: float) -> list[tuple[float, Fault, bool]]:
        """What is new at site second ``t_s``: when, which, begins. ``faults`` are those of a status line."""
        found: list[tuple[float, Fault, bool]] = []
        for fault in faults:
            key = (str(fault["kind"]), str(fault["device"]), float(fault["start_s"]))
            end_s = math.inf if fault["end_s"] is None else float(fault["end_s"])
            if key not in self._begun:
                self._begun[key] = Fault(FaultKind(key[0]), key[1], for_s=end_s - key[2])
                found += [(key[2], self._begun[key], True)] if key[2] >= 0.0 else []
            if end_s <= t_s and key not in self._over:
                self._over.add(key)
                found.append((end_s, self._begun[key], False))
        return found
