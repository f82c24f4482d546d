"""What operators and the platform say: accepted whole or refused whole with its reason, always ending by itself.

Judged against the issuer's counter (a replay), the time of day (expired, from the future) and the site (unknown,
out of range, not a number). What is accepted only narrows: limits see it as one more reason to restrict.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from controller.control.authority import beyond_authority, pay
from controller.control.support import Attained, Judge, before_var, beyond_interface, hopeless, in_charge
from controller.control.unkept import refused_unkept
from controller.domain.budget import Spent
from controller.domain.instruction import EVERYTHING, INTERFACE, Action, Instruction, Standing, replayed
from controller.domain.limit import Limit, LimitKind
from controller.domain.owner import Owner
from controller.domain.record import Event
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.domain.unit import Unit

Array = NDArray[np.float64]

FUTURE_S = 2.0  # how far the issuer's clock may be ahead of ours
STANDING_MAX = 64
ISSUERS_MAX = 64
CONTENTS_MAX = 16
WORTH_MAX_EUR_PER_MWH = 1e5
ACTS_ONCE = (Action.RELEASE, Action.RESET_G100, Action.RESET_TRIPS)


@dataclass(frozen=True, slots=True)
class Book:
    """What stands, in the order of acceptance, and the highest counter that each issuer has used.

    ``spent`` is what the desks of the platform have used of what they may change (writes).
    """

    standing: tuple[Standing, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """The book after this cycle's instructions, those that act once, and every answer and ending as an event.

    The event about an instruction has its id as subject; ``instruction.accepted`` and ``instruction.refused`` are the
    answers. A reset of the G100 scheme is answered by the scheme.
    """

    book: Book
    acts: tuple[Standing, ...]
    events: tuple[Event, ...]


def receive(site: Site, book: Book, snapshot: Snapshot, set_p_w: Array, judge: Judge | None = None) -> Received:
    """End what has expired, then judge every instruction of the snapshot; ``set_p_w`` is what a hold holds.

    ``judge`` says what can be had of a reactive instruction; without it none is accepted.
    """
    book, events = _without_expired(book, snapshot.now_s)
    acts: list[Standing] = []
    for asked in snapshot.instructions:
        standing, answer = _standing(asked, snapshot, set_p_w), ""
        ended = tuple(s for s in book.standing if _ended_by(s, asked))
        why = refusal(site, book, asked, snapshot.utc_s) or refused_unkept(asked, ended, standing.expires_at_s)
        if not why and asked.action is Action.REACTIVE:
            standing, answer, why = _judged(book, standing, judge)
        paid = None if why else pay(site, book.spent, book.standing, asked, snapshot.now_s)
        if paid is None:
            events.append(
                Event("instruction.refused", asked.id, why or f"too often: {asked.issuer} has used its writes")
            )
            continue
        book = replace(book, counters={**book.counters, asked.issuer: asked.counter}, spent=paid)
        if asked.action in ACTS_ONCE:
            acts.append(standing)
        book, told = _enter(book, standing, answer)
        events += told
    return Received(book, tuple(acts), tuple(events))


def _judged(book: Book, standing: Standing, judge: Judge | None) -> tuple[Standing, str, str]:
    """A reactive instruction with what flowed before it, the answer to it, and why it is refused if it is."""
    if judge is None:
        return standing, "", "nobody can say what of it can be had"
    attained = judge(standing)
    from_var = before_var(book.standing, attained.now_var)
    return replace(standing, before_var=from_var), _answer(book, standing, attained), hopeless(attained, from_var)


def _answer(book: Book, standing: Standing, attained: Attained) -> str:
    """How much of it, and behind whom it has to wait."""
    others = [s for s in book.standing if not _ended_by(s, standing.instruction)]
    first = in_charge([*others, standing])
    waits = "" if first is None or first is standing else f"; waits behind {first.cause}"
    return f"{attained.words}{waits}"


def _without_expired(book: Book, now_s: float) -> tuple[Book, list[Event]]:
    ended = [s for s in book.standing if not now_s < s.expires_at_s]
    if not ended:
        return book, []
    kept = tuple(s for s in book.standing if now_s < s.expires_at_s)
    return replace(book, standing=kept), [Event("instruction.expired", s.instruction.id, _words(s)) for s in ended]


def _standing(asked: Instruction, snapshot: Snapshot, set_p_w: Array) -> Standing:
    """Its end by our own clock: from now on only that one counts, whatever the time of day does."""
    left_s = min(asked.issued_utc_s + asked.lasts_s - snapshot.utc_s, asked.lasts_s)
    held = tuple(set_p_w.tolist()) if asked.action is Action.HOLD else ()
    return Standing(asked, snapshot.now_s + left_s, held)


def _enter(book: Book, new: Standing, answer: str) -> tuple[Book, list[Event]]:
    """The book with an accepted instruction in effect: what it ends, and itself unless it acts only once.

    ``answer`` is what its acceptance says beyond its own words.
    """
    asked = new.instruction
    if asked.action is Action.RESET_G100:
        return book, []
    gone = [s for s in book.standing if _ended_by(s, asked)]
    # A plan that is renewed is no transition; that it was taken is its answer, and it tells when it runs out.
    events = [_ending(s, asked) for s in gone if asked.action is not Action.WORTH]
    kept = tuple(s for s in book.standing if not _ended_by(s, asked))
    standing = kept if asked.action in ACTS_ONCE else (*kept, new)
    text = f"{_words(new)}; {answer}" if answer else _words(new)
    return replace(book, standing=standing), [*events, Event("instruction.accepted", asked.id, text)]


def _ending(standing: Standing, asked: Instruction) -> Event:
    text = f"by {asked.id} of {asked.issuer}: {asked.reason}"
    released = asked.action is Action.RELEASE
    return Event("instruction.released" if released else "instruction.superseded", standing.instruction.id, text)


def _ended_by(standing: Standing, asked: Instruction) -> bool:
    old = standing.instruction
    if asked.action is Action.RELEASE:
        return (
            asked.subject == old.id if _other_desk(asked, old) else asked.subject in (EVERYTHING, old.subject, old.id)
        )
    return old.key == asked.key


def _other_desk(asked: Instruction, old: Instruction) -> bool:
    """A desk ends what is its own; only an operator may end another's, one by one and by its id."""
    if asked.owner is Owner.OPERATOR:
        return old.owner is not Owner.OPERATOR
    return old.issuer != asked.issuer


def _words(standing: Standing) -> str:
    asked = standing.instruction
    return f"{asked.action.value} {asked.subject} by {asked.issuer} for {asked.lasts_s:.0f} s: {asked.reason}"


def refusal(site: Site, book: Book, asked: Instruction, utc_s: float) -> str:
    """Why an instruction is refused; empty when it is accepted."""
    return (
        _bad_form(asked, site.connection.instruction_s_max)
        or _bad_time(book, asked, utc_s)
        or _bad_ask(site, asked)
        or beyond_authority(site, book.standing, asked)
    )


def _bad_form(asked: Instruction, longest_s: float) -> str:
    numbers = (asked.issued_utc_s, asked.lasts_s) + (() if asked.q_var is None else (asked.q_var,))
    if not all(math.isfinite(x) for x in numbers):
        return f"malformed: {numbers} holds what is not a finite number"
    needs_value = asked.action in (Action.LIMIT, Action.OVERRIDE, Action.RESERVE)
    if needs_value and not math.isfinite(asked.value):
        return f"not finite: {asked.action.value} needs a number, not {asked.value}"
    if not needs_value and not math.isnan(asked.value):
        return f"malformed: {asked.action.value} takes no number, got {asked.value:g}"
    if (asked.worth is None) == (asked.action is Action.WORTH):
        return f"malformed: {asked.action.value} {'needs' if asked.worth is None else 'takes no'} worth"
    if not (asked.id and asked.issuer and asked.reason):
        return "malformed: id, issuer and reason must all be given"
    if not 0.0 < asked.lasts_s <= longest_s:
        return f"out of range: lasts {asked.lasts_s:g} s; expected more than 0 and at most {longest_s:g}"
    return ""


def _bad_time(book: Book, asked: Instruction, utc_s: float) -> str:
    last = book.counters.get(asked.issuer)
    if last is not None and asked.counter <= last:
        return replayed(asked, last)
    if any(s.instruction.id == asked.id for s in book.standing):
        return f"replayed: {asked.id} is in force already"
    if not math.isfinite(utc_s):
        return "the controller does not know the time of day, so it cannot tell whether this has expired"
    ahead_s = asked.issued_utc_s - utc_s
    if ahead_s > FUTURE_S:
        return f"from the future: issued {ahead_s:.1f} s ahead of the controller's clock"
    if not asked.issued_utc_s + asked.lasts_s > utc_s:
        return f"expired: it ended {utc_s - asked.issued_utc_s - asked.lasts_s:.1f} s ago"
    if last is None and len(book.counters) >= ISSUERS_MAX:
        return f"{ISSUERS_MAX} issuers are known already; {asked.issuer} would be one more"
    if asked.action not in (*ACTS_ONCE, Action.WORTH) and _of_its_side(book, asked) >= STANDING_MAX:
        return f"{STANDING_MAX} instructions stand already; release some first"
    return ""


def _of_its_side(book: Book, asked: Instruction) -> int:
    """How many stand of operators, or of the platform: neither can use up the other's room, and a plan nobody's."""
    others = [s for s in book.standing if s.instruction.owner is not Owner.PLAN]
    is_operator = asked.owner is Owner.OPERATOR
    return sum((s.instruction.owner is Owner.OPERATOR) == is_operator for s in others)


def _bad_ask(site: Site, asked: Instruction) -> str:
    match asked.action:
        case Action.LIMIT:
            return _bad_limit(site, asked)
        case Action.OVERRIDE:
            return _bad_override(site, asked)
        case Action.RESERVE:
            return _bad_reserve(site, asked)
        case Action.BLOCK:
            return "" if unit_named(site, asked.subject) else _unknown_unit(site, asked.subject)
        case Action.HOLD:
            known = asked.subject == EVERYTHING or unit_named(site, asked.subject)
            return "" if known else _unknown_unit(site, asked.subject)
        case Action.REACTIVE:
            return _bad_reactive(site, asked)
        case Action.WORTH:
            return _bad_worth(site, asked)
        case Action.RESET_G100:
            return _bad_reset(site, asked.subject)
        case Action.RESET_TRIPS:
            known = asked.subject == EVERYTHING or unit_named(site, asked.subject)
            return "" if known else _unknown_unit(site, asked.subject)
        case Action.RELEASE:
            return ""


def _bad_reset(site: Site, subject: str) -> str:
    if site.connection.g100 is None:
        return "the site has no G100 scheme"
    directions = [x.kind.value for x in site.limits if x.kind in (LimitKind.EXPORT, LimitKind.IMPORT)]
    if subject not in (*directions, EVERYTHING):
        return f"unknown direction {subject}; expected {', '.join(directions)} or {EVERYTHING}"
    return ""


def _bad_reactive(site: Site, asked: Instruction) -> str:
    if asked.subject != INTERFACE:
        return f"unknown: {asked.subject}; reactive power is asked for at {INTERFACE}"
    if asked.q_var is None:
        return f"malformed: {asked.action.value} needs q_var"
    return beyond_interface(site, asked.q_var)


def _bad_limit(site: Site, asked: Instruction) -> str:
    limit, unit = limit_named(site.limits, asked.subject), unit_named(site, asked.subject)
    if limit is None and unit is None:
        names = ", ".join([x.id for x in site.limits if x.kind is not LimitKind.VOLTAGE] + [u.id for u in site.units])
        return f"unknown: {asked.subject} is neither a limit nor a unit; expected one of {names}"
    most = limit.high if limit is not None else unit.p_rated_w if unit is not None else 0.0
    if not 0.0 <= asked.value <= most:
        return f"out of range: {asked.value:g}; an operator can only narrow, so expected 0…{most:g}"
    return ""


def _bad_override(site: Site, asked: Instruction) -> str:
    unit = unit_named(site, asked.subject)
    if unit is None:
        return _unknown_unit(site, asked.subject)
    if not unit.p_min_w <= asked.value <= unit.p_max_w:
        return f"out of range: P {asked.value:g} W of {unit.id}; expected {unit.p_min_w:g}…{unit.p_max_w:g}"
    if asked.q_var is not None and abs(asked.q_var) > unit.q_max_var:
        return f"out of range: Q {asked.q_var:g} var of {unit.id}; expected at most ±{unit.q_max_var:g}"
    return ""


def _bad_reserve(site: Site, asked: Instruction) -> str:
    unit = unit_named(site, asked.subject)
    if unit is None:
        return _unknown_unit(site, asked.subject)
    if unit.storage is not None or asked.q_var is not None:
        return f"malformed: a reserve of {unit.id}; expected that of generation or consumption, and no q_var"
    if not 0.0 <= asked.value <= unit.p_rated_w:
        return f"out of range: {asked.value:g} W of {unit.id}; expected 0…{unit.p_rated_w:g}"
    return ""


def _bad_worth(site: Site, asked: Instruction) -> str:
    unit, worth = unit_named(site, asked.subject), asked.worth
    if unit is None:
        return _unknown_unit(site, asked.subject)
    if unit.storage is None or worth is None or worth.unit != unit.id or asked.q_var is not None:
        return f"malformed: worth of {unit.id}; expected that of its own storage, and no q_var"
    if len(worth.soc_frac) > CONTENTS_MAX or worth.soc_frac[0] < 0.0 or worth.soc_frac[-1] > 1.0:
        return f"out of range: contents {worth.soc_frac}; expected at most {CONTENTS_MAX} in 0…1"
    if max(abs(x) for x in worth.eur_per_mwh) > WORTH_MAX_EUR_PER_MWH:
        return f"out of range: {worth.eur_per_mwh} EUR/MWh; expected at most ±{WORTH_MAX_EUR_PER_MWH:g}"
    if any(a < b for a, b in itertools.pairwise(worth.eur_per_mwh)):
        return f"out of range: {worth.eur_per_mwh} EUR/MWh; expected no rise with the content"
    return ""


def _unknown_unit(site: Site, subject: str) -> str:
    return f"unknown unit {subject}; expected one of {', '.join(u.id for u in site.units)}"


def limit_named(limits: Iterable[Limit], subject: str) -> Limit | None:
    """The limit with that id or on that element, if an operator may narrow it (a voltage band is not his).

    Export and import have the interface in common, which therefore names neither.
    """
    allowed = (x for x in limits if x.kind is not LimitKind.VOLTAGE)
    return next((x for x in allowed if subject == x.id or (subject == x.element != INTERFACE)), None)


def unit_named(site: Site, subject: str) -> Unit | None:
    """The unit of that id."""
    return next((u for u in site.units if u.id == subject), None)
