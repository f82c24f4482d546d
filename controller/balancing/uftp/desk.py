"""The DSO's desk on the market: hears, judges, answers, remembers; asks, orders and settles. No socket, no clock.

Bytes come in by :meth:`Desk.hear`; what is to go out lies in the memory until somebody sends it. A message that was
accepted is on the disk together with its answer before anybody is told.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

from controller.balancing.uftp import wire, writing
from controller.balancing.uftp.baselines import baseline_by_isp
from controller.balancing.uftp.guard import Arrived, Asked, Remembered, check, check_head
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Heard, Memory, Said
from controller.balancing.uftp.reading import (
    ANSWERS,
    read_head,
    read_order,
    read_payload,
    read_request,
    read_reservation,
)
from controller.balancing.uftp.reservations import reservation_of, reserved_w
from controller.balancing.uftp.values import (
    Answer,
    Day,
    Head,
    Incoming,
    MeterDay,
    Offer,
    Order,
    Portfolio,
    Prognosis,
    Refused,
    Request,
    Reservation,
    Revocation,
)
from controller.planning.settlement import OrderSettlement

HOUR_S = 3600.0
DELIVER_S = 3600.0  # UFTP 3.1, "Transmission": tried for at least an hour
NAME_MAX = 80
READ_MAX = 1000
"""Messages whose reading is kept: a few kB each."""
ALREADY_SUBMITTED = "Already Submitted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message: ``said`` when it was accepted, else the ``reason``; ``sender`` as far as proven."""

    kind: str
    sender: str
    message_id: str
    reason: str
    said: Incoming | None


class Desk:
    """One congestion point. ``new_id`` makes message ids; used by one thread only."""

    def __init__(self, market: Market, memory: Memory, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self.market = market
        self._memory = memory
        self._new_id = new_id
        self._heard_at: dict[str, deque[float]] = {}

    def hear(self, body: bytes, at_utc_s: float) -> Verdict:
        """Judge what came; answer and verdict are on the disk when it returns.

        Raises wire.Unreadable for what is no signed message of anybody we know: that is answered by HTTP alone, and
        counted.
        """
        sender = ""
        try:
            envelope = wire.open_envelope(body)
            who = self._known(envelope.sender)
            sender = who.domain
            self._count(who, at_utc_s)
            payload, text = wire.unseal(envelope, who.key)
        except wire.Unreadable as error:
            self._memory.turn_away(error.status, sender, str(error), at_utc_s)
            raise
        self._memory.keep_counts()
        return self._judge(envelope, payload, text, at_utc_s)

    def _known(self, domain: str) -> Participant:
        who = self.market.participants.get(domain)
        if who is None:
            raise wire.Unreadable(401, f"Unknown SenderDomain (SignedMessage): {domain[:NAME_MAX]}")
        return who

    def _count(self, who: Participant, at_utc_s: float) -> None:
        """A participant that floods is turned away before its message costs anything."""
        times = self._heard_at.setdefault(who.domain, deque())
        while times and not at_utc_s - HOUR_S < times[0] <= at_utc_s:
            times.popleft()
        if len(times) >= self.market.messages_per_hour:
            raise wire.Unreadable(429, f"{who.domain}: more than {self.market.messages_per_hour} messages in an hour")
        times.append(at_utc_s)

    def _judge(self, envelope: wire.Envelope, payload: Any, text: bytes, at_utc_s: float) -> Verdict:
        kind, print_ = wire.kind_of(payload), wire.fingerprint(text)
        said: Incoming | None = None
        head: Head | None = None
        try:
            head = read_head(payload)
            any_age = kind in ANSWERS or self._memory.heard_with(head.message_id) == print_
            check_head(self.market, head, envelope.sender, envelope.role, at_utc_s, any_age=any_age)
            said = read_payload(payload)
            remembered = self._remembered(said)
            check(self.market, Arrived(said, envelope.sender, envelope.role, print_, at_utc_s, remembered))
            reason = ""
        except Refused as refusal:
            reason = str(refusal)
        verdict = Verdict(kind, envelope.sender, "" if head is None else head.message_id, reason, said)
        self._keep(verdict, head, text, print_, at_utc_s)
        return verdict if not reason else Verdict(kind, verdict.sender, verdict.message_id, reason, None)

    def _remembered(self, said: Incoming) -> Remembered:
        memory, head = self._memory, said.head
        base = Remembered(same_id=memory.heard_with(head.message_id), active=memory.portfolio())
        if isinstance(said, Offer):
            asked = None if said.request_id is None else self._asked(said.request_id)
            known = said.prognosis_id is not None and memory.accepted(said.prognosis_id)
            return Remembered(base.same_id, asked=asked, active=base.active, prognosis_known=bool(known))
        if isinstance(said, Revocation):
            offer = memory.accepted(said.offer_id)
            ordered = bool(memory.sent_about("FlexOrder", said.offer_id))
            offered_by = None if offer is None or offer.kind != "FlexOffer" else offer.sender
            return Remembered(base.same_id, offered_by=offered_by, ordered=ordered, active=base.active)
        if isinstance(said, Answer):
            sent = memory.sent(said.reference_id)
            if sent is None or sent.kind != said.about:
                return base
            return Remembered(base.same_id, sent_to=sent.recipient, answered=bool(sent.answer))
        if isinstance(said, Prognosis | MeterDay):
            kind, reference = _revised(said)
            revision = memory.latest_revision(kind, head.sender, said.day.period.isoformat(), reference)
            return Remembered(base.same_id, revision=revision, active=base.active)
        return base

    def _asked(self, request_id: str) -> Asked | None:
        sent = self._memory.sent(request_id)
        if sent is None or sent.kind != "FlexRequest":
            return None
        return Asked(sent.recipient, read_request(wire.parse_own(sent.payload)))

    def _keep(self, verdict: Verdict, head: Head | None, text: bytes, print_: str, at_utc_s: float) -> None:
        said = verdict.said
        period = said.day.period.isoformat() if isinstance(said, Prognosis | MeterDay | Offer) else ""
        heard = Heard(
            message_id=verdict.message_id,
            sender=verdict.sender,
            kind=verdict.kind,
            utc_s=at_utc_s,
            reason=verdict.reason,
            fingerprint=print_,
            reference=_reference(said),
            period=period,
            revision=said.revision if isinstance(said, Prognosis | MeterDay) else None,
            payload=text,
        )
        with self._memory.transaction():
            self._memory.hear(heard)
            if isinstance(said, Answer) and not verdict.reason:
                self._memory.answered(said.reference_id, _verdict(said))
            if isinstance(said, Portfolio) and not verdict.reason:
                self._memory.set_portfolio(said.participants)
            if head is not None and verdict.sender == head.sender:
                self._answer(verdict, head, at_utc_s)

    def _answer(self, verdict: Verdict, head: Head, at_utc_s: float) -> None:
        """The …Response; a copy of an accepted message is answered as accepted again and acted on no second time."""
        ours = self._head(head.sender, at_utc_s, head.conversation_id)
        reason = "" if verdict.reason == ALREADY_SUBMITTED else verdict.reason
        answer = writing.write_answer(ours, verdict.kind, head.message_id, reason)
        if answer is not None:
            self._queue(answer, ours, head.message_id, at_utc_s + DELIVER_S)

    def ask(self, asked: Request, at_utc_s: float) -> dict[str, str]:
        """Put a FlexRequest to every aggregator that takes part; ids of the messages by recipient."""
        out: dict[str, str] = {}
        conversation = self._new_id()
        with self._memory.transaction():
            for who in self.aggregators():
                head = self._head(who.domain, at_utc_s, conversation)
                contract = self._contract_of(who.domain, asked)
                payload = writing.write_request(head, replace(asked, contract=contract))
                self._queue(payload, head, "", asked.expires_utc_s)
                out[who.domain] = head.message_id
        return out

    def _contract_of(self, who: str, asked: Request) -> str | None:
        """The bilateral contract that what is asked falls under, which obliges to an offer; None without one."""
        wanted = {isp.isp for isp in asked.isps if isp.requested}
        held = (one for one in self.market.contracts if one.participant == who)
        return next((one.id for one in held if wanted & set(reserved_w(one, asked.day))), asked.contract)

    def last_asked(self) -> tuple[Request, float] | None:
        """The newest FlexRequest, and when it was written; all that went out with it are alike."""
        sent = self._memory.newest("FlexRequest")
        return None if sent is None else (read_request(wire.parse_own(sent.payload)), sent.utc_s)

    def portfolio_asked_utc_s(self) -> float:
        """When a reference operator was last asked who is active; before everything when none was."""
        sent = self._memory.newest("DsoPortfolioQuery")
        return -math.inf if sent is None else sent.utc_s

    def note_choice(self, shares: Mapping[str, float], left_out: Mapping[str, str], at_utc_s: float) -> dict[str, str]:
        """Keep what was decided about every option; reasons, by option, that were not known before."""
        with self._memory.transaction():
            for option, share in shares.items():
                self._memory.choose(at_utc_s, option, share, "")
            return {o: why for o, why in left_out.items() if self._memory.choose(at_utc_s, o, 0.0, why)}

    def settled(self, who: str, period: date) -> bool:
        """Whether a settlement of that day went to them."""
        return any(said.recipient == who for said in self._memory.sent_about("FlexSettlement", period.isoformat()))

    def aggregators(self) -> list[Participant]:
        """Those that take part now, in the order of their names."""
        listed = self._memory.portfolio() if self.market.by_portfolio else None
        return [
            who
            for domain, who in sorted(self.market.participants.items())
            if who.role == "AGR" and not who.barred and (listed is None or domain in listed)
        ]

    def offers(self, period: date, at_utc_s: float) -> list[Offer]:
        """Offers for a day that stand: accepted, not expired, not revoked, not ordered, their first ISP to come."""
        revoked = {heard.reference for heard in self._memory.accepted_of("FlexOfferRevocation", "")}
        found = [self._offer(heard) for heard in self._memory.accepted_of("FlexOffer", period.isoformat())]
        return [
            offer
            for offer in found
            if offer.head.message_id not in revoked
            and offer.expires_utc_s > at_utc_s
            and not self._memory.sent_about("FlexOrder", offer.head.message_id)
            and all(offer.day.isp_start_utc_s(min(o.power_w)) > at_utc_s for o in offer.options)
            and offer.head.sender in {who.domain for who in self.aggregators()}
        ]

    def order(self, offer: Offer, order: Order, at_utc_s: float) -> str:
        """Order an option; id of the message. Raises ValueError when the offer is ordered, expired or revoked."""
        if offer.head.message_id not in {o.head.message_id for o in self.offers(offer.day.period, at_utc_s)}:
            raise ValueError(
                f"offer {offer.head.message_id} of {offer.head.sender} does not stand; expected one that does"
            )
        head = self._head(offer.head.sender, at_utc_s, offer.head.conversation_id)
        first_s = order.day.isp_start_utc_s(min(order.power_w))
        with self._memory.transaction():
            self._queue(writing.write_order(head, order), head, offer.head.message_id, first_s)
        return head.message_id

    def orders(self, period: date) -> list[tuple[Said, Order]]:
        """Every order for a day with what became of it."""
        offers = self._memory.accepted_of("FlexOffer", period.isoformat())
        sent = [said for offer in offers for said in self._memory.sent_about("FlexOrder", offer.message_id)]
        return [(said, _own_order(said.payload)) for said in sent]

    def baseline_w(self, sender: str, period: date) -> dict[int, float]:
        """Baseline of a participant for a day by ISP, as :func:`baseline_by_isp` fixes it."""
        found = self._memory.accepted_of("DPrognosis", period.isoformat(), sender)
        said = [(heard.utc_s, self._heard_value(heard)) for heard in found]
        orders = [(sent.utc_s, one) for sent, one in self.orders(period) if sent.recipient == sender and _holds(sent)]
        return baseline_by_isp(said[0][1].day, [(at_s, one.power_w) for at_s, one in said], orders) if said else {}

    def metered_w(self, sender: str, period: date) -> dict[int, float]:
        """Sum of the newest metering of all of a participant's meters; only ISPs that every meter has."""
        newest = {heard.reference: heard for heard in self._memory.accepted_of("Metering", period.isoformat(), sender)}
        days = [dict(self._heard_value(heard).power_w) for heard in newest.values()]
        whole = set.intersection(*(set(day) for day in days)) if days else set()
        return {isp: sum(day[isp] for day in days) for isp in sorted(whole)}

    def reserve(self, who: str, kept: Reservation, at_utc_s: float, until_utc_s: float | None = None) -> str:
        """Say what stays reserved of a contract, ``until_utc_s`` at the latest; id of the message."""
        head, until_s = self._head(who, at_utc_s), at_utc_s + DELIVER_S if until_utc_s is None else until_utc_s
        with self._memory.transaction():
            self._queue(writing.write_reservation(head, kept), head, kept.reference, until_s)
        return head.message_id

    def said_reservation(self, reference: str) -> bool:
        """Whether a participant was told what stays reserved."""
        return bool(self._memory.sent_about("FlexReservationUpdate", reference))

    def reserved(self, who: str, day: Day) -> list[Reservation]:
        """What each contract of a participant reserves of a day: what it accepted to release is taken out."""
        out = []
        for one in self.market.contracts:
            power_w = reserved_w(one, day) if one.participant == who else {}
            if power_w:
                whole = Reservation(day, one.id, reservation_of(one, day.period), power_w)
                said = self._memory.sent_about("FlexReservationUpdate", whole.reference)
                taken = [x for x in said if x.answer == "accepted"]
                out.append(read_reservation(wire.parse_own(taken[-1].payload)) if taken else whole)
        return out

    def settle(self, who: str, settled: Sequence[tuple[Order, OrderSettlement]], at_utc_s: float) -> str:
        """Send the settlement of some orders to their participant; id of the message."""
        head = self._head(who, at_utc_s)
        with self._memory.transaction():
            reserved = self.reserved(who, settled[0][0].day)
            payload = writing.write_settlement(head, settled, self.market.currency, reserved)
            self._queue(payload, head, settled[0][0].day.period.isoformat(), at_utc_s + 24.0 * DELIVER_S)
        return head.message_id

    def query_portfolio(self, operator: str, period: date, at_utc_s: float) -> str:
        """Ask the common reference operator who is active here; id of the message."""
        head = self._head(operator, at_utc_s)
        point = self.market.congestion_point
        with self._memory.transaction():
            payload = writing.write_portfolio_query(head, period, self.market.time_zone, point)
            self._queue(payload, head, "", at_utc_s + DELIVER_S)
        return head.message_id

    def publish_portfolio(self, operator: str, today: date, at_utc_s: float) -> str | None:
        """Tell a reference operator our congestion point and its connections, once each time that they change.

        What did not arrive is said again an hour later. The message's id; None when there is nothing to tell.
        """
        market = self.market
        content = "\n".join((market.congestion_point, market.redispatch_by, *market.connections))
        reference = wire.fingerprint(content.encode())
        last = self._memory.newest_to(operator, "DsoPortfolioUpdate")
        lost = last is not None and last.fate.startswith("given up") and at_utc_s - last.utc_s >= DELIVER_S
        if not market.connections or (last is not None and last.reference == reference and not lost):
            return None
        head = self._head(operator, at_utc_s)
        with self._memory.transaction():
            payload = writing.write_portfolio_update(head, today, market)
            self._queue(payload, head, reference, at_utc_s + DELIVER_S)
        return head.message_id

    def _head(self, recipient: str, at_utc_s: float, conversation: str | None = None) -> Head:
        number = self._new_id()
        return Head(number, conversation or self._new_id(), self.market.domain, recipient, at_utc_s, writing.VERSION)

    def _queue(self, payload: Any, head: Head, reference: str, until_utc_s: float) -> None:
        """Write down what is to be sent; signed when it goes."""
        text = wire.plain_text(payload)
        kind = wire.kind_of(payload)
        self._memory.say(Said(head.message_id, head.recipient, kind, head.issued_utc_s, until_utc_s, reference, text))

    def _offer(self, heard: Heard) -> Offer:
        value = _heard(heard.payload)
        assert isinstance(value, Offer)
        return value

    def _heard_value(self, heard: Heard) -> Prognosis | MeterDay:
        value = _heard(heard.payload)
        assert isinstance(value, Prognosis | MeterDay)
        return value


@lru_cache(READ_MAX)
def _heard(payload: bytes) -> Incoming:
    """An accepted message; a look at a day with many orders would read each of them again and again."""
    return read_payload(wire.parse(payload))


@lru_cache(READ_MAX)
def _own_order(payload: bytes) -> Order:
    """An order of ours."""
    return read_order(wire.parse_own(payload))


def _verdict(said: Answer) -> str:
    """A copy of what was accepted counts as accepted, whatever it is answered (UFTP 3.1, "Message validation")."""
    accepted = said.accepted or said.reason.startswith(ALREADY_SUBMITTED)
    return "accepted" if accepted else f"rejected: {said.reason}"


def _holds(order: Said) -> bool:
    return order.answer in ("", "accepted")


def _revised(said: Prognosis | MeterDay) -> tuple[str, str]:
    """Kind and reference that revisions count within."""
    return ("DPrognosis", "") if isinstance(said, Prognosis) else ("Metering", said.ean)


def _reference(said: Incoming | None) -> str:
    """What a message is about, for finding it again."""
    if isinstance(said, Answer):
        return said.reference_id
    if isinstance(said, Revocation):
        return said.offer_id
    if isinstance(said, Offer):
        return said.request_id or ""
    return said.ean if isinstance(said, MeterDay) else ""
