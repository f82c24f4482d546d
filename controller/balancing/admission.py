"""Which commands of a platform are taken: each whole, or refused whole with a reason. Pure; remembers in the book.

Expiry is also kept in monotonic time, and a counter never goes back: setting the clock revives nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

from controller.balancing.command import Command, Kind, Part
from controller.control.override import unit_named
from controller.control.support import interface_va
from controller.domain.budget import Spent, spend
from controller.domain.instruction import INTERFACE
from controller.domain.platform import DIRECTIONS, Issuer
from controller.domain.site import Site

FUTURE_S = 30.0
"""How far a platform's clock may be ahead of ours."""
STANDING_MAX = 64
"""Commands of one issuer that stand at a time."""
STEPS_MAX = 3000
COUNTER_MAX = 1 << 63
TEXT_MAX = 128
OVERLAP_S = 1e-3


@dataclass(frozen=True, slots=True)
class Now:
    """One instant by both clocks: ``utc_s`` since 1970 (NaN: nobody knows), ``now_s`` monotonic."""

    utc_s: float
    now_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest counter that an issuer has used, and the commands that had exactly that one."""

    counter: int
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A command that stands until ``ends_at_s`` (monotonic; infinite for a subscription without end)."""

    command: Command
    ends_at_s: float


@dataclass(frozen=True, slots=True)
class Book:
    """What stands in the order of acceptance, and what is remembered of every issuer."""

    standing: tuple[Admitted, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)

    def of(self, issuer: str) -> tuple[Admitted, ...]:
        """What stands of one issuer."""
        return tuple(a for a in self.standing if a.command.issuer == issuer)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The book with the command in it, in place of an older version of itself."""

    book: Book


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the command is used."""

    reason: str


class Authorities(Protocol):
    """Whoever knows the desks of a side and the limits of their authority."""

    def issuer(self, account: str) -> Issuer | None:
        """The desk whose instructions carry that name."""
        ...


def admit(site: Site, command: Command, book: Book, now: Now, desks: Authorities | None = None) -> Accepted | Refused:
    """Judge one command by the authority of its desk, one of the platform's unless others are given.

    The book of a refusal is the one before.
    """
    known = site.platform if desks is None else desks
    issuer = None if known is None else known.issuer(command.issuer)
    if issuer is None:
        return Refused(f"no authority: {command.issuer[:TEXT_MAX]!r} is no issuer of the site file's platform")
    why = _bad_form(command) or _bad_time(command, issuer, now) or _replayed(command, book)
    why = why or _bad_parts(site, issuer, command) or _contradicts(command, book)
    if why:
        return Refused(why)
    account = spend(issuer.commands, book.spent.get(command.issuer), now.now_s)
    if account is None:
        return Refused(f"too often: {command.issuer} may say {issuer.commands.most:g} commands an hour")
    return Accepted(_with(book, command, account, now))


def without_expired(book: Book, now: Now) -> tuple[Book, tuple[Command, ...]]:
    """The book without what has ended, and that; while the time of day is unknown only the monotonic end counts."""
    gone = tuple(a.command for a in book.standing if not _stands(a, now))
    return (replace(book, standing=tuple(a for a in book.standing if _stands(a, now))), gone) if gone else (book, ())


def withdrawn(book: Book, issuer: str, command_id: str) -> Book:
    """The book without a command that its issuer has taken back; its counter stays used."""
    kept = tuple(a for a in book.standing if (a.command.issuer, a.command.id) != (issuer, command_id))
    return replace(book, standing=kept)


def _stands(admitted: Admitted, now: Now) -> bool:
    return now.now_s < admitted.ends_at_s and not now.utc_s >= admitted.command.expires_utc_s


def _with(book: Book, command: Command, account: Spent, now: Now) -> Book:
    mark = book.marks.get(command.issuer)
    same = mark is not None and mark.counter == command.counter
    ids = (mark.ids if mark is not None and same else frozenset()) | {command.id}
    admitted = Admitted(command, now.now_s + command.expires_utc_s - now.utc_s)
    return Book(
        (*withdrawn(book, command.issuer, command.id).standing, admitted),
        {**book.marks, command.issuer: Mark(command.counter, ids)},
        {**book.spent, command.issuer: account},
    )


def _bad_form(command: Command) -> str:
    if not 0 < len(command.id) <= TEXT_MAX or not command.id.isprintable():
        return f"malformed: id {command.id[:40]!r}; expected 1…{TEXT_MAX} printable characters"
    if not 0 <= command.counter < COUNTER_MAX or command.priority < 0:
        return f"malformed: counter {command.counter}, priority {command.priority}; expected both from 0"
    if not math.isfinite(command.issued_utc_s):
        return f"malformed: issued at {command.issued_utc_s}; expected an instant"
    keys = [(part.kind, part.subject) for part in command.parts]
    if not keys or len(set(keys)) < len(keys):
        return f"malformed: {len(keys)} parts; expected at least one, each kind and subject once"
    return next((why for part in command.parts if (why := _bad_steps(part))), "")


def _bad_steps(part: Part) -> str:
    steps = part.steps
    if not 0 < len(steps) <= STEPS_MAX:
        return f"malformed: {len(steps)} steps of {part.subject[:40]!r}; expected 1…{STEPS_MAX}"
    for step in steps:
        if not math.isfinite(step.w) or not math.isfinite(step.start_utc_s):
            return f"not finite: {step.w} W from {step.start_utc_s} of {part.subject[:40]!r}"
        if not step.end_utc_s > step.start_utc_s:
            return f"malformed: a step of {part.subject[:40]!r} ends at {step.end_utc_s}, before or when it begins"
    for one, other in pairwise(steps):
        if one.end_utc_s - other.start_utc_s > OVERLAP_S:
            return f"contradictory: two steps of {part.subject[:40]!r} overlap at {other.start_utc_s:.0f}"
    return ""


def _bad_time(command: Command, issuer: Issuer, now: Now) -> str:
    if not math.isfinite(now.utc_s):
        return "the station does not know the time of day, so it cannot tell whether this has expired"
    if command.issued_utc_s > now.utc_s + FUTURE_S:
        return f"from the future: issued {command.issued_utc_s - now.utc_s:.1f} s ahead of our clock"
    if command.expires_utc_s <= now.utc_s:
        return f"stale: it ended {now.utc_s - command.expires_utc_s:.1f} s ago"
    if command.begins_utc_s > now.utc_s + issuer.ahead_s_max:
        return f"no authority: begins {command.begins_utc_s - now.utc_s:.0f} s ahead; at most {issuer.ahead_s_max:g}"
    return ""


def _replayed(command: Command, book: Book) -> str:
    mark = book.marks.get(command.issuer)
    if mark is None:
        return ""
    if command.counter < mark.counter or (command.counter == mark.counter and command.id in mark.ids):
        return f"replayed: counter {command.counter} of {command.issuer} is not above {mark.counter}"
    if command.counter == mark.counter and len(mark.ids) >= STANDING_MAX:
        return f"replayed: {STANDING_MAX} commands have counter {command.counter} already"
    others = [a for a in book.of(command.issuer) if a.command.id != command.id]
    if len(others) >= STANDING_MAX:
        return f"{STANDING_MAX} commands of {command.issuer} stand already; end some first"
    return ""


def _bad_parts(site: Site, issuer: Issuer, command: Command) -> str:
    return next((why for part in command.parts if (why := _bad_part(site, issuer, part))), "")


def _bad_part(site: Site, issuer: Issuer, part: Part) -> str:
    if part.subject not in issuer.subjects:
        known = ", ".join(sorted(issuer.subjects))
        return f"no authority: {part.subject[:TEXT_MAX]!r}; {issuer.account} commands {known}"
    if part.kind not in _kinds(part.subject):
        return f"malformed: {part.kind.value} is nothing that {part.subject} can have"
    ends_utc_s = part.steps[-1].end_utc_s
    if part.kind in (Kind.LIMIT, Kind.SET_POINT, Kind.REACTIVE):
        lasts_s = ends_utc_s - part.steps[0].start_utc_s
        if not lasts_s <= issuer.lasts_s_max:
            return f"out of range: lasts {lasts_s:g} s; expected at most {issuer.lasts_s_max:g}"
    if len(part.steps) > issuer.writes.most:
        return f"out of range: {len(part.steps)} steps; {issuer.account} may change values {issuer.writes.most:g} times"
    low_w, high_w = _range(site, issuer, part)
    worst = next((step for step in part.steps if not low_w <= step.w <= high_w), None)
    unit = "var" if part.kind is Kind.REACTIVE else "W"
    return "" if worst is None else f"out of range: {worst.w:g} {unit} of {part.subject}; expected {low_w:g}…{high_w:g}"


def _kinds(subject: str) -> tuple[Kind, ...]:
    """What a command may say about a subject."""
    if subject == INTERFACE:
        return (Kind.REACTIVE,)
    return (Kind.LIMIT, Kind.SUBSCRIPTION, Kind.RESERVATION) if subject in DIRECTIONS else (Kind.SET_POINT,)


def _range(site: Site, issuer: Issuer, part: Part) -> tuple[float, float]:
    """What the site and the issuer's authority allow, W or var; nothing at all for what the site does not have."""
    if part.kind is Kind.REACTIVE:
        most_var = min(interface_va(site), issuer.var_max)
        return -most_var, most_var
    if part.kind is not Kind.SET_POINT:
        return 0.0, next((limit.high for limit in site.limits if limit.id == part.subject), -1.0)
    unit = unit_named(site, part.subject)
    if unit is None:
        return 0.0, -1.0
    return max(unit.p_min_w, -issuer.w_max), min(unit.p_max_w, issuer.w_max)


def _contradicts(command: Command, book: Book) -> str:
    """Two set points of one issuer for one thing at one time and one priority: nobody can say which is meant."""
    for admitted in book.of(command.issuer):
        other = admitted.command
        if other.id == command.id or other.priority != command.priority:
            continue
        for part in command.parts:
            if part.kind in (Kind.SET_POINT, Kind.REACTIVE) and any(_overlap(part, old) for old in other.parts):
                return f"contradictory: {other.id} sets {part.subject} at the same time with the same priority"
    return ""


def _overlap(new: Part, old: Part) -> bool:
    if (new.kind, new.subject) != (old.kind, old.subject):
        return False
    return new.steps[0].start_utc_s < old.steps[-1].end_utc_s and old.steps[0].start_utc_s < new.steps[-1].end_utc_s
