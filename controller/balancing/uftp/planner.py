"""What the market's side of the station does at an instant: take offers, order, ask. No clock, no socket, no thread.

Everything that it remembers is the desk's memory on the disk, so that a station that was killed goes on where it was:
what was ordered is counted as delivered from then on, and is not ordered again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.rounds import Rounds
from controller.balancing.uftp.values import Order, Reservation
from controller.domain.market import Timetable
from controller.planning.projection import PROBABILITY_MIN, Projection

PORTFOLIO_S = 3600.0
"""Period of asking who is active at the congestion point."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one look brought: message ids of requests by recipient, orders, and newly why offers were not taken.

    ``need_w`` is the largest excess that nothing ordered covers; ``look_again_utc_s`` is when the next deadline is.
    ``released`` is what contracts keep reserved for tomorrow from now on.
    ``short`` are orders that cannot be counted on any more, with what is missing: it is part of the need again.
    """

    need_w: float
    asked: list[dict[str, str]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    not_taken: dict[str, str] = field(default_factory=dict)
    look_again_utc_s: float = math.inf
    short: dict[str, str] = field(default_factory=dict)
    released: list[Reservation] = field(default_factory=list)


def move(desk: Desk, rounds: Rounds, timetable: Timetable, projected: Projection, now_utc_s: float) -> Moved:
    """One look at the market, with a projection of this instant."""
    left, short = rounds.left(projected), rounds.short(projected)
    released = rounds.release(left, now_utc_s)
    asked, asked_utc_s = desk.last_asked() or (None, -math.inf)
    # A request from the future was written by a wrong clock: nobody waits for it.
    if asked is not None and asked_utc_s <= now_utc_s < asked.expires_utc_s:
        return Moved(need_of(left), look_again_utc_s=asked.expires_utc_s, short=short, released=released)
    chosen, orders = rounds.order(left, now_utc_s)
    left = rounds.left(projected)
    sent: list[dict[str, str]] = []
    if not 0.0 <= now_utc_s - asked_utc_s < timetable.again_s:
        revision = 1 if asked is None else asked.revision + 1
        sent = rounds.ask(left, revision, now_utc_s + timetable.offer_s, now_utc_s, timetable.lead_s)
    again_utc_s = now_utc_s + timetable.offer_s if sent else math.inf
    return Moved(need_of(left), sent, orders, chosen.left_out, again_utc_s, short, released)


def ask_who_is_active(desk: Desk, today: date, now_utc_s: float) -> list[str]:
    """Ask the common reference operators who takes part, where that counts and an hour after the last time."""
    if not desk.market.by_portfolio or 0.0 <= now_utc_s - desk.portfolio_asked_utc_s() < PORTFOLIO_S:
        return []
    return [desk.query_portfolio(operator, today, now_utc_s) for operator in _operators(desk)]


def publish_portfolio(desk: Desk, today: date, now_utc_s: float) -> list[str]:
    """Tell the common reference operators what is connected here, where that has changed."""
    said = [desk.publish_portfolio(operator, today, now_utc_s) for operator in _operators(desk)]
    return [message_id for message_id in said if message_id is not None]


def _operators(desk: Desk) -> list[str]:
    return sorted(who.domain for who in desk.market.participants.values() if who.role == "CRO" and not who.barred)


def need_of(projected: Projection) -> float:
    """The largest excess that is likely enough to ask for help, W; 0 when there is room everywhere."""
    found = [
        float(excess_w)
        for limit in projected.limits
        for excess_w, probability in zip(limit.excess_w, limit.probability, strict=True)
        if probability >= PROBABILITY_MIN
    ]
    return max([0.0, *found])
