"""From the commands that stand to what the control process is to be told now, and when it has to be told again.

At the connection point: the limit in force, else the capacity subscribed to (with what is reserved on top of it), else
nothing, and then the control process keeps the contract of the site file by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from controller.balancing.admission import Admitted, Book, Now
from controller.balancing.command import FOREVER, Kind, Step
from controller.domain.instruction import INTERFACE, Action, Instruction
from controller.domain.platform import DIRECTIONS, Issuer
from controller.domain.site import Site

RENEW_S = 300.0
"""An order is said again so often, for a control process that has forgotten it."""
RETRY_S = 30.0
"""After a refusal or a silence."""
LEFT_S_MIN = 1.0
"""What would end sooner is not said any more."""


class Desks(Protocol):
    """Whoever knows the desks that orders come from and the limits of their authority: a platform, or the market."""

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """All of them."""
        ...

    def issuer(self, account: str) -> Issuer | None:
        """The desk whose instructions carry that name."""
        ...


Key = tuple[str, str]
"""Account of the issuer, and what it commands."""


class Use(Enum):
    """What ``w`` of an order about a unit is; the value is what records call it."""

    TARGET = "target"  # its set point
    CAP = "cap"  # the most it may have (a magnitude): the fast loop says how much
    RESERVE = "reserve"  # what it does beyond (a magnitude) is sold: the fast loop takes of it what limits need


ACTIONS = {Use.TARGET: Action.OVERRIDE, Use.CAP: Action.LIMIT, Use.RESERVE: Action.RESERVE}
"""What the control process is asked for."""


@dataclass(frozen=True, slots=True)
class Order:
    """``w`` for ``subject`` until ``until_utc_s``, because of ``command`` (its id) and in words of ``source``.

    For the interface ``w`` is var. ``until_s`` is the same end in monotonic time: a clock that is set back prolongs
    nothing. ``use`` says what ``w`` is of a unit.
    """

    account: str
    subject: str
    w: float
    until_utc_s: float
    command: str
    source: str
    until_s: float = field(default=FOREVER, compare=False)
    use: Use = Use.TARGET

    @property
    def key(self) -> Key:
        """Whose, about what: one order of each at a time."""
        return self.account, self.subject


@dataclass(frozen=True, slots=True)
class Told:
    """What the control process was told last under a key, and when; without ``id`` nobody knows whether it was.

    ``accepted`` is how it answered, None while nobody knows; ``earlier`` is whether one that was said before under the
    key may still be in force there. ``freed_at_s`` is when it was last asked to end it.
    """

    order: Order
    id: str
    at_s: float
    accepted: bool | None
    earlier: bool = False
    freed_at_s: float = -FOREVER

    @property
    def stands(self) -> bool:
        """Whether anything of the key may be in force there."""
        return self.earlier or self.accepted is not False


def wanted(
    site: Site, book: Book, now: Now, told: Iterable[Order] = (), desks: Desks | None = None
) -> dict[Key, Order]:
    """Every order of the platform's desks, or of others, in force now; none while nobody knows the time of day.

    ``told`` are orders that have begun already: a clock that is set back to before their beginning ends none of them.
    """
    known = site.platform if desks is None else desks
    if known is None or not math.isfinite(now.utc_s):
        return {}
    begun = {(order.key, order.command, order.until_utc_s) for order in told}
    found = []
    for issuer in known.issuers:
        standing = book.of(issuer.account)
        for subject in sorted(issuer.subjects):
            key = issuer.account, subject
            ends = frozenset((command, end_utc_s) for one, command, end_utc_s in begun if one == key)
            found.append(_order(site, key, _InForce(standing, now.utc_s, ends)))
    return {order.key: order for order in found if order is not None}


@dataclass(frozen=True, slots=True)
class _InForce:
    """What stands of one issuer, and which of it holds now; ``begun`` are command and end of what had begun before."""

    standing: Sequence[Admitted]
    utc_s: float
    begun: frozenset[tuple[str, float]]

    def first(self, kind: Kind, subject: str) -> tuple[Admitted, Step] | None:
        """The step in force of the highest priority; at equal priority the smallest magnitude."""
        found = [
            (admitted, step)
            for admitted in self.standing
            for part in admitted.command.parts
            if (part.kind, part.subject) == (kind, subject)
            for step in part.steps
            if self._holds(admitted, step)
        ]
        return min(found, key=lambda x: (x[0].command.priority, abs(x[1].w), -x[0].command.counter), default=None)

    def _holds(self, admitted: Admitted, step: Step) -> bool:
        begun = step.start_utc_s <= self.utc_s or (admitted.command.id, step.end_utc_s) in self.begun
        return begun and self.utc_s < step.end_utc_s


def _order(site: Site, key: Key, given: _InForce) -> Order | None:
    _, subject = key
    if subject in DIRECTIONS:
        most_w = next((x.high for x in site.limits if x.id == subject), 0.0)
        return _capacity(key, most_w, given)
    if subject == INTERFACE:
        asked = given.first(Kind.REACTIVE, subject)
        return None if asked is None else _made(key, asked, "voltage support")
    found = given.first(Kind.SET_POINT, subject)
    return None if found is None else _made(key, found, "set point")


def _capacity(key: Key, most_w: float, given: _InForce) -> Order | None:
    _, direction = key
    limit = given.first(Kind.LIMIT, direction)
    if limit is not None:
        return _made(key, limit, "limit")
    base = given.first(Kind.SUBSCRIPTION, direction)
    if base is None:
        return None
    more = given.first(Kind.RESERVATION, direction)
    if more is None:
        return _made(key, base, "subscription")
    until_utc_s = min(base[1].end_utc_s, more[1].end_utc_s)
    both = Step(base[1].start_utc_s, until_utc_s, min(base[1].w + more[1].w, most_w))
    made = _made(key, (base[0], both), "subscription and reservation")
    return replace(made, until_s=min(made.until_s, _until_s(*more)))


def _made(key: Key, found: tuple[Admitted, Step], source: str) -> Order:
    admitted, step = found
    until_s = _until_s(admitted, step)
    return Order(*key, step.w, step.end_utc_s, admitted.command.id, source, until_s)


def _until_s(admitted: Admitted, step: Step) -> float:
    """End of a step in monotonic time, as far before that of its command as in the time of day."""
    if not math.isfinite(admitted.ends_at_s):
        return FOREVER
    return admitted.ends_at_s - (admitted.command.expires_utc_s - step.end_utc_s)


def due(
    desks: Desks, orders: Mapping[Key, Order], told: Mapping[Key, Told], now: Now, counter: int
) -> list[tuple[Key, Instruction]]:
    """What has to be said now, releases first; ``counter`` is the first one to use, each takes one more.

    An order that is used otherwise than the one before it has to wait until that one is released: the control process
    would keep both. What is only feared to be in force is released when nothing else is to be said, one at a time.
    """
    in_the_way = {key for key, was in told.items() if key in orders and _otherwise(was, orders[key])}
    over = [
        (key, was)
        for key, was in told.items()
        if (key not in orders or key in in_the_way) and was.stands and now.now_s - was.freed_at_s >= RETRY_S
    ]
    said = [(k, order) for k, order in orders.items() if k not in in_the_way and _to_say(order, told.get(k), now)]
    out: list[tuple[Key, Instruction]] = []
    for key, was in over:
        if was.id:
            out.append((key, _release(desks, was, now, counter + len(out))))
    for key, order in said:
        instruction = _instruction(desks, order, now, counter + len(out))
        if instruction.lasts_s > LEFT_S_MIN:
            out.append((key, instruction))
    feared = [] if out else [(key, _release(desks, was, now, counter)) for key, was in over if not was.id]
    return out + feared[:1]


def _otherwise(was: Told, order: Order) -> bool:
    return bool(was.id) and was.stands and was.order.use is not order.use


def _to_say(order: Order, was: Told | None, now: Now) -> bool:
    if was is None or was.order != order:
        return True
    return now.now_s - was.at_s >= (RENEW_S if was.accepted else RETRY_S)


def next_counter(last: int, now: Now) -> int:
    """The next counter: above all that were used, also when the clock was set back or the process began anew."""
    return max(last + 1, int(now.utc_s * 1e6))


def _instruction(desks: Desks, order: Order, now: Now, counter: int) -> Instruction:
    issuer = _issuer(desks, order.account)
    lasts_s = min(order.until_utc_s - now.utc_s, order.until_s - now.now_s, issuer.lasts_s_max)
    about_q = order.subject == INTERFACE
    action = Action.LIMIT if order.subject in DIRECTIONS else Action.REACTIVE if about_q else ACTIONS[order.use]
    reason = f"{order.source} of {order.command}"[:200]
    return Instruction(
        id=f"{issuer.name}-{counter}",
        issuer=order.account,
        counter=counter,
        issued_utc_s=now.utc_s,
        lasts_s=lasts_s,
        action=action,
        subject=order.subject,
        value=math.nan if about_q else order.w,
        q_var=order.w if about_q else None,
        reason=reason,
        owner=issuer.service,
    )


def _release(desks: Desks, was: Told, now: Now, counter: int) -> Instruction:
    """Ends all that the desk has in force about the subject, whichever of its words arrived there."""
    issuer = _issuer(desks, was.order.account)
    return Instruction(
        id=f"{issuer.name}-{counter}",
        issuer=was.order.account,
        counter=counter,
        issued_utc_s=now.utc_s,
        lasts_s=60.0,
        action=Action.RELEASE,
        subject=was.order.subject,
        reason=f"{was.order.command} is over",
        owner=issuer.service,
    )


def _issuer(desks: Desks, account: str) -> Issuer:
    found = desks.issuer(account)
    if found is None:
        raise ValueError(f"{account} is no issuer of the site file; expected an order of one that is")
    return found
