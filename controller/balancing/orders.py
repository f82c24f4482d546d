"""From the commands that stand to what the control process is to be told now, and when it has to be told again.

At the connection point: the limit in force, else the capacity subscribed to (with what is reserved on top of it), else
nothing, and then the control process keeps the contract of the site file by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.balancing.admission import Book, Now
from controller.balancing.command import Command, Kind, Step
from controller.domain.instruction import Action, Instruction
from controller.domain.platform import DIRECTIONS, Issuer, Platform
from controller.domain.site import Site

RENEW_S = 300.0
"""An order is said again so often, for a control process that has forgotten it."""
RETRY_S = 30.0
"""After a refusal or a silence."""
LEFT_S_MIN = 1.0
"""What would end sooner is not said any more."""

Key = tuple[str, str]
"""Account of the issuer, and what it commands."""


@dataclass(frozen=True, slots=True)
class Order:
    """``w`` for ``subject`` until ``until_utc_s``, because of ``command`` (its id) and in words of ``source``."""

    account: str
    subject: str
    w: float
    until_utc_s: float
    command: str
    source: str

    @property
    def key(self) -> Key:
        """Whose, about what: one order of each at a time."""
        return self.account, self.subject


@dataclass(frozen=True, slots=True)
class Told:
    """What the control process was told under a key, and how it answered. ``id`` is that of the instruction."""

    order: Order
    id: str
    at_s: float
    accepted: bool


def wanted(site: Site, book: Book, now: Now) -> dict[Key, Order]:
    """Every order in force now; none while nobody knows the time of day."""
    if site.platform is None or not math.isfinite(now.utc_s):
        return {}
    found = [
        order
        for issuer in site.platform.issuers
        for subject in sorted(issuer.subjects)
        if (order := _order(site, issuer, subject, [a.command for a in book.of(issuer.account)], now.utc_s)) is not None
    ]
    return {order.key: order for order in found}


def _order(site: Site, issuer: Issuer, subject: str, commands: list[Command], utc_s: float) -> Order | None:
    if subject in DIRECTIONS:
        most_w = next((x.high for x in site.limits if x.id == subject), 0.0)
        return _capacity(issuer.account, subject, most_w, commands, utc_s)
    found = _first(commands, Kind.SET_POINT, subject, utc_s)
    return None if found is None else _made(issuer.account, subject, found, "set point")


def _capacity(account: str, direction: str, most_w: float, commands: list[Command], utc_s: float) -> Order | None:
    limit = _first(commands, Kind.LIMIT, direction, utc_s)
    if limit is not None:
        return _made(account, direction, limit, "limit")
    base = _first(commands, Kind.SUBSCRIPTION, direction, utc_s)
    if base is None:
        return None
    more = _first(commands, Kind.RESERVATION, direction, utc_s)
    if more is None:
        return _made(account, direction, base, "subscription")
    until_utc_s = min(base[1].end_utc_s, more[1].end_utc_s)
    both = Step(base[1].start_utc_s, until_utc_s, min(base[1].w + more[1].w, most_w))
    return _made(account, direction, (base[0], both), "subscription and reservation")


def _first(commands: Iterable[Command], kind: Kind, subject: str, utc_s: float) -> tuple[Command, Step] | None:
    """The step in force of the highest priority; at equal priority the smallest magnitude."""
    found = [
        (command, step)
        for command in commands
        for part in command.parts
        if (part.kind, part.subject) == (kind, subject)
        for step in part.steps
        if step.start_utc_s <= utc_s < step.end_utc_s
    ]
    return min(found, key=lambda x: (x[0].priority, abs(x[1].w), -x[0].counter), default=None)


def _made(account: str, subject: str, found: tuple[Command, Step], source: str) -> Order:
    command, step = found
    return Order(account, subject, step.w, step.end_utc_s, command.id, source)


def due(
    platform: Platform, orders: Mapping[Key, Order], told: Mapping[Key, Told], now: Now, counter: int
) -> list[tuple[Key, Instruction]]:
    """What has to be said now, releases first; ``counter`` is the first one to use, each takes one more."""
    gone = [(key, was) for key, was in told.items() if key not in orders and was.accepted]
    said = [(key, order) for key, order in orders.items() if _to_say(order, told.get(key), now)]
    out: list[tuple[Key, Instruction]] = []
    for key, was in gone:
        out.append((key, _release(platform, was, now, counter + len(out))))
    for key, order in said:
        instruction = _instruction(platform, order, now, counter + len(out))
        if instruction.lasts_s > LEFT_S_MIN:
            out.append((key, instruction))
    return out


def _to_say(order: Order, was: Told | None, now: Now) -> bool:
    if was is None or was.order != order:
        return True
    return now.now_s - was.at_s >= (RENEW_S if was.accepted else RETRY_S)


def _instruction(platform: Platform, order: Order, now: Now, counter: int) -> Instruction:
    issuer = _issuer(platform, order.account)
    lasts_s = min(order.until_utc_s - now.utc_s, issuer.lasts_s_max)
    action = Action.LIMIT if order.subject in DIRECTIONS else Action.OVERRIDE
    reason = f"{order.source} of {order.command}"[:200]
    return Instruction(
        id=f"{issuer.name}-{counter}",
        issuer=order.account,
        counter=counter,
        issued_utc_s=now.utc_s,
        lasts_s=lasts_s,
        action=action,
        subject=order.subject,
        value=order.w,
        reason=reason,
        owner=issuer.service,
    )


def _release(platform: Platform, was: Told, now: Now, counter: int) -> Instruction:
    issuer = _issuer(platform, was.order.account)
    return Instruction(
        id=f"{issuer.name}-{counter}",
        issuer=was.order.account,
        counter=counter,
        issued_utc_s=now.utc_s,
        lasts_s=60.0,
        action=Action.RELEASE,
        subject=was.id,
        reason=f"{was.order.command} is over",
        owner=issuer.service,
    )


def _issuer(platform: Platform, account: str) -> Issuer:
    found = platform.issuer(account)
    if found is None:
        raise ValueError(f"{account} is no issuer of the platform; expected an order of one that is")
    return found
