"""The limits as they stand in this cycle: what the site file allows, narrowed by everyone who has a reason to.

A reason watches the situation, keeps a memory of its own and proposes; :class:`Arbiter` takes the tightest proposal of
each edge and keeps its cause. A proposal can only narrow: what is not a finite number counts as the static rating.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.domain.instruction import Standing
from controller.domain.limit import Limit, LimitKind
from controller.domain.record import Event, Restriction
from controller.domain.snapshot import Snapshot
from controller.estimation.estimate import Estimate
from controller.limits.unit_ranges import Sold, UnitRange, UnitRanges, combine, most_sold, unrestricted

Array = NDArray[np.float64]
M = TypeVar("M")

RATING = "rating"
"""Cause of a limit that nobody narrows."""
NO_FACTS: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class InForce:
    """All limits of the site in this cycle, in the order and the unit of ``site.limits``.

    ``low`` is 0 for a limit without a lower edge; ``cause`` names what each limit's value comes from; ``facts`` are
    numbers behind it that people want to see. ``units`` is what reasons leave to single units, ``restrictions`` what
    the record tells of all of them.
    """

    high: Array
    low: Array
    cause: tuple[str, ...]
    facts: tuple[Mapping[str, float], ...]
    units: UnitRanges = field(default_factory=lambda: unrestricted(0))
    restrictions: tuple[Restriction, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one reason allows for one limit (``limit`` is its index in ``site.limits``); None: that edge is not its own.

    ``rates`` marks a proposal that stands for the element's rating: only with a finite one may a limit lie above its
    static rating at all. ``facts`` are shown with the limit in records (``hot_spot_c``, …). ``note`` (empty: not worth
    a line in the record) says why in words, ``left_s`` how long until it ends by itself, NaN when that is not known.
    """

    limit: int
    high: float | None = None
    low: float | None = None
    cause: str = ""
    rates: bool = False
    facts: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    left_s: float = math.nan


Wanted = Proposal | UnitRange | Sold
"""What a reason may bring forward."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a reason may look at: the frozen picture of the field and what the estimator makes of it.

    ``standing`` are the operator's instructions in force, ``acts`` those accepted in this cycle that act once,
    ``high_before`` the upper edges of all limits as they stood in the last cycle (None: there was none).
    """

    snapshot: Snapshot
    estimate: Estimate
    standing: tuple[Standing, ...] = ()
    acts: tuple[Standing, ...] = ()
    high_before: Array | None = None

    @property
    def now_s(self) -> float:
        """Monotonic site seconds."""
        return self.snapshot.now_s

    @property
    def utc_s(self) -> float:
        """Seconds since 1970 (UTC); NaN when nobody knows the time of day."""
        return self.snapshot.utc_s


class Reason(Protocol[M]):
    """One reason to restrict; constants of the site inside, everything that changes in its memory ``M`` (frozen)."""

    @property
    def key(self) -> str:
        """Name of its memory in the durable state file; unique and never changed."""
        ...

    @property
    def memory_type(self) -> type[M]:
        """Class of its memory (a frozen dataclass, or a plain number or text), so that a recording can be read."""
        ...

    def initial(self, now_s: float) -> M:
        """The cautious memory of one who has just arrived and knows nothing."""
        ...

    def propose(self, memory: M, situation: Situation) -> tuple[M, Sequence[Wanted], Sequence[Event]]:
        """The next memory, what it allows now, and transitions worth telling."""
        ...

    def dump(self, memory: M) -> Mapping[str, Any]:
        """The memory as JSON: text, truth values, finite numbers, lists and objects only, no monotonic instants."""
        ...

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> M:
        """The memory that :meth:`dump` wrote, ``gap_s`` of wall-clock time ago (NaN when unknown: assume the worst).

        Raises ``ValueError`` (``DocumentError`` names the key) for what it cannot have written.
        """
        ...


class Arbiter:
    """Narrows the limits of one site by proposals."""

    def __init__(self, limits: Sequence[Limit], units: Sequence[str] = ()) -> None:
        self._ids, self._units = [x.id for x in limits], list(units)
        self._cap = [x.high for x in limits]
        self._rated = [x.rated_high for x in limits]
        self._low = [0.0 if x.low is None else x.low for x in limits]
        self._signed = [x.kind is LimitKind.VOLTAGE for x in limits]
        self._open = unrestricted(len(self._units))

    def narrow(self, wanted: Sequence[Wanted]) -> InForce:
        """The tightest of the site's own limits and all proposals, and what all ranges leave to every unit.

        At equal values the first keeps the cause.
        """
        found = self._limits([x for x in wanted if isinstance(x, Proposal)])
        ranges = [x for x in wanted if isinstance(x, UnitRange)]
        told = [Restriction(x.cause, self._subject(x), x.note, x.left_s) for x in wanted if x.note]
        units = combine(len(self._units), ranges) if ranges else self._open
        if sold := [x for x in wanted if isinstance(x, Sold)]:
            units = replace(units, sold=most_sold(sold))
        return replace(found, units=units, restrictions=tuple(told))

    def _subject(self, wanted: Wanted) -> str:
        return self._ids[wanted.limit] if isinstance(wanted, Proposal) else self._units[wanted.unit]

    def _limits(self, proposals: Sequence[Proposal]) -> InForce:
        """What lies above its rating for a short time is kept at the rating unless a finite proposal rates it."""
        rated = {p.limit for p in proposals if p.rates and p.high is not None and math.isfinite(p.high)}
        high, low = self._rated.copy(), self._low.copy()
        for k in rated:
            high[k] = self._cap[k]
        causes: dict[int, dict[str, str]] = {p.limit: {} for p in proposals}
        facts: dict[int, dict[str, float]] = {p.limit: {} for p in proposals}
        for p in proposals:
            k = p.limit
            upper, lower = self._finite_high(p), self._finite_low(p)
            facts[k] |= p.facts
            if upper is not None and (upper < high[k] or (p.rates and upper == high[k])):
                high[k] = upper
                causes[k]["high"] = p.cause
            if lower is not None and lower > low[k]:
                low[k] = lower
                causes[k]["low"] = p.cause
        by_limit: list[str] = [RATING] * len(high)
        facts_of: list[Mapping[str, float]] = [NO_FACTS] * len(high)
        for k, named in causes.items():
            by_limit[k], facts_of[k] = _spell(named), facts[k]
        return InForce(np.array(high), np.array(low), tuple(by_limit), tuple(facts_of))

    def _finite_high(self, p: Proposal) -> float | None:
        """The proposed upper edge; the rating for what is no number, 0 for a magnitude below 0."""
        if p.high is None:
            return None
        if not math.isfinite(p.high):
            return self._rated[p.limit]
        return p.high if self._signed[p.limit] else max(p.high, 0.0)

    def _finite_low(self, p: Proposal) -> float | None:
        if p.low is None or not math.isfinite(p.low):
            return None
        return p.low


def _spell(by_edge: Mapping[str, str]) -> str:
    """The causes of both edges, each once."""
    return ", ".join(dict.fromkeys(by_edge.values())) or RATING


def consider(
    reasons: Iterable[Reason[Any]], memories: Mapping[str, Any], situation: Situation, arbiter: Arbiter
) -> tuple[dict[str, Any], InForce, list[Event]]:
    """Ask every reason once: the memories of all, the limits in force, and the reasons' transitions.

    A reason without a memory begins with its cautious one.
    """
    kept: dict[str, Any] = {}
    proposals: list[Wanted] = []
    events: list[Event] = []
    for reason in reasons:
        memory = memories[reason.key] if reason.key in memories else reason.initial(situation.now_s)
        kept[reason.key], wanted, told = reason.propose(memory, situation)
        proposals += wanted
        events += told
    return kept, arbiter.narrow(proposals), events


def dump(reasons: Iterable[Reason[Any]], memories: Mapping[str, Any]) -> dict[str, Any]:
    """Every memory as JSON, by the reason's key; a reason that was never asked has none."""
    return {r.key: dict(r.dump(memories[r.key])) for r in reasons if r.key in memories}


def restore(
    reasons: Iterable[Reason[Any]], document: Mapping[str, Any], gap_s: float, now_s: float
) -> tuple[dict[str, Any], list[Event]]:
    """The memories that ``document`` holds, ``gap_s`` of wall-clock time after :func:`dump` (NaN: unknown).

    A part that its reason refuses is told as an event and left out, so that the reason begins cautiously; what no
    reason of this site knows is left out silently.
    """
    kept: dict[str, Any] = {}
    events: list[Event] = []
    gap_s = gap_s if gap_s >= 0.0 else math.nan
    for reason in reasons:
        if reason.key not in document:
            continue
        try:
            kept[reason.key] = _load(reason, document[reason.key], gap_s, now_s)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            text = f"{type(error).__name__}: {error}; starts from its cautious state"
            events.append(Event("memory.refused", reason.key, text))
    return kept, events


def _load(reason: Reason[Any], part: object, gap_s: float, now_s: float) -> Any:
    if not isinstance(part, Mapping):
        raise TypeError(f"{part!r} in the state file; expected an object")
    return reason.load(part, gap_s, now_s)
