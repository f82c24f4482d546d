"""Whether a message may be acted on: everything that the protocol's library accepts and a substation must not.

Pure: the message, what was agreed, the time, and what is remembered of the conversation. The first fault is the reason,
in the words of UFTP 3.1, "Message validation", where it has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.values import (
    Answer,
    Day,
    Head,
    Hello,
    Incoming,
    MeterDay,
    Offer,
    Option,
    Portfolio,
    Powers,
    Prognosis,
    Refused,
    Request,
    Revocation,
    day_of,
)

ACTIVATION_MIN_FRAC = 0.01
METER_DAYS_BACK = 62  # a settlement period of a month, and one to correct it
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A FlexRequest of ours, to whom it went, and when it ends."""

    to: str
    request: Request


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the memory knows that one message refers to; None and empty where it knows nothing.

    ``same_id`` is the fingerprint of an earlier message with this id, ``revision`` the highest of the same kind, sender
    and day, ``offered_by`` the sender of the offer referred to, ``ordered`` whether it was, ``sent_to`` the recipient
    of our message that is answered, ``active`` the domains that the common reference operator lists (None: nobody
    asked).
    """

    same_id: str | None = None
    revision: int | None = None
    asked: Asked | None = None
    offered_by: str | None = None
    ordered: bool = False
    sent_to: str | None = None
    answered: bool = False
    active: frozenset[str] | None = None
    prognosis_known: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came: who signed it, in which role, and the fingerprint of what was signed."""

    said: Incoming
    signer: str
    role: str
    fingerprint: str
    at_utc_s: float
    remembered: Remembered = field(default_factory=Remembered)


@dataclass(frozen=True, slots=True)
class _Case:
    """One message before the judge: what came, from whom, under which rules."""

    market: Market
    who: Participant
    arrived: Arrived


def check_head(
    market: Market, head: Head, signer: str, role: str, at_utc_s: float, *, any_age: bool = False
) -> Participant:
    """Who is speaking. Raises Refused: wrong recipient, unknown or barred sender, stale, from the future.

    ``any_age`` is for what no clock is needed to judge: a copy of what was accepted, which is answered as it was, and
    an answer to a message of ours, which is not older than that message and counts once.
    """
    if head.sender != signer:
        raise Refused("Mismatch SenderDomain")
    who = market.participants.get(head.sender)
    if who is None:
        raise Refused("Unknown SenderDomain (message)")
    if who.role != role:
        raise Refused("Invalid Sender combination")
    if who.barred:
        raise Refused("Barred Sender")
    if head.recipient != market.domain:
        raise Refused("Unknown RecipientDomain")
    if head.version.split(".")[0] != "3":
        raise Refused(f"Invalid Message: Version {head.version}; expected 3.x")
    age_s = at_utc_s - head.issued_utc_s
    if not any_age and not -market.ahead_s <= age_s <= market.stale_s:
        raise Refused(
            f"Invalid Message: TimeStamp is {age_s:.0f} s ago; expected -{market.ahead_s:.0f}…{market.stale_s:.0f} s"
        )
    return who


def check(market: Market, arrived: Arrived) -> None:
    """Everything. Raises Refused with the reason; returns when the message may be acted on."""
    said, known = arrived.said, arrived.remembered
    again = known.same_id == arrived.fingerprint
    any_age = again or isinstance(said, Answer)
    who = check_head(market, said.head, arrived.signer, arrived.role, arrived.at_utc_s, any_age=any_age)
    if known.same_id is not None:
        raise Refused("Already Submitted" if again else "Duplicate Identifier")
    if isinstance(said, Portfolio):
        _check_portfolio(market, said, role=arrived.role)
        return
    if not isinstance(said, Answer | Hello):
        if arrived.role != "AGR":
            raise Refused(f"Invalid SenderRole: {arrived.role}; expected AGR")
        if market.by_portfolio and known.active is not None and who.domain not in known.active:
            raise Refused("Barred Sender: not listed at this congestion point by the common reference operator")
    if not isinstance(said, Hello):
        _CHECKS[type(said)](_Case(market, who, arrived))


def _check_portfolio(market: Market, said: Portfolio, role: str) -> None:
    if role != "CRO":
        raise Refused(f"Invalid SenderRole: {role}; expected CRO")
    if said.congestion_point and said.congestion_point != market.congestion_point:
        raise Refused("Invalid CongestionPoint")


def _check_day(market: Market, day: Day, congestion_point: str) -> None:
    """ISP duration, UTC offset, congestion point; the day itself is for the caller."""
    if day.isp_s != market.isp_s:
        raise Refused(f"ISP duration rejected: {day.isp_s / 60:g} min; expected {market.isp_s / 60:g}")
    agreed = Day(day.period, day.isp_s, market.time_zone, day.congestion_point)
    if (day.start_utc_s, day.isps) != (agreed.start_utc_s, agreed.isps):
        raise Refused(f"TimeZone rejected: {day.time_zone}; expected {market.time_zone}")
    if day.congestion_point != congestion_point:
        raise Refused("Invalid CongestionPoint")


def _check_ahead(market: Market, day: Day, at_utc_s: float) -> None:
    today = day_of(at_utc_s, market.isp_s, market.time_zone, market.congestion_point).period
    if not 0 <= (day.period - today).days <= market.days_ahead:
        raise Refused(f"Period out of bounds: {day.period}; expected {today} and {market.days_ahead} days after")


def _check_powers(day: Day, power_w: Powers, most_w: float) -> None:
    """ISPs that exist and powers that the participant can have: kW for W, or W for kW, shows here."""
    beyond = [isp for isp in power_w if not 1 <= isp <= day.isps]
    if beyond:
        raise Refused(f"ISPs out of bounds: {beyond[0]}; expected 1…{day.isps}")
    worst_w = max(power_w.values(), key=abs, default=0.0)
    if not abs(worst_w) <= most_w:
        raise Refused(f"Invalid Message: Power {worst_w:.0f} W; expected at most {most_w:.0f} W either way, in watts")


def _check_prognosis(case: _Case) -> None:
    market, who, arrived = case.market, case.who, case.arrived
    said = arrived.said
    assert isinstance(said, Prognosis)
    _check_day(market, said.day, market.congestion_point)
    _check_ahead(market, said.day, arrived.at_utc_s)
    _check_powers(said.day, said.power_w, who.power_w_max)
    if len(said.power_w) != said.day.isps:
        raise Refused(f"ISPs out of bounds: {len(said.power_w)} of {said.day.isps}; a D-Prognosis names all of them")
    _check_revision(said.revision, arrived.remembered)


def _check_revision(revision: int, known: Remembered) -> None:
    if known.revision is not None and revision <= known.revision:
        raise Refused(f"Invalid Message: Revision {revision}; expected above {known.revision}")


def _check_offer(case: _Case) -> None:
    market, who, arrived = case.market, case.who, case.arrived
    said, now_s = arrived.said, arrived.at_utc_s
    assert isinstance(said, Offer)
    _check_day(market, said.day, market.congestion_point)
    _check_ahead(market, said.day, now_s)
    asked = _request_of(said, arrived, who)
    if said.currency != market.currency:
        raise Refused(f"Invalid Message: Currency {said.currency}; expected {market.currency}")
    if not said.expires_utc_s > now_s:
        raise Refused("ExpirationDateTime out of bounds: it is past")
    if said.prognosis_id is not None and not arrived.remembered.prognosis_known:
        raise Refused("Unknown D-PrognosisMessageID reference")
    for option in said.options:
        _check_powers(said.day, option.power_w, who.power_w_max)
        _check_option(market, option)
        _check_wanted(asked, option.power_w)
        if said.day.isp_start_utc_s(min(option.power_w)) <= now_s:
            raise Refused("ISPs out of bounds: the first of them has begun")


def _request_of(said: Offer, arrived: Arrived, who: Participant) -> Request:
    """The request that an offer answers; offers that nobody asked for are not taken."""
    if said.request_id is None:
        raise Refused("Invalid Message: unsolicited offers are not taken here; expected a FlexRequestMessageID")
    asked = arrived.remembered.asked
    if asked is None or asked.to != who.domain:
        raise Refused("Unknown FlexRequestMessageID reference")
    if asked.request.day.period != said.day.period:
        raise Refused("Reference Period mismatch")
    if not asked.request.expires_utc_s > arrived.at_utc_s:
        raise Refused("Reference message expired")
    return asked.request


def _check_option(market: Market, option: Option) -> None:
    if not 0.0 <= option.price <= market.price_max:
        raise Refused(f"Invalid Message: Price {option.price}; expected 0…{market.price_max:g}")
    if not ACTIVATION_MIN_FRAC <= option.activation_min_frac <= 1.0:
        raise Refused(f"Invalid Message: MinActivationFactor {option.activation_min_frac}; expected 0.01…1")


def _check_wanted(asked: Request, power_w: Powers) -> None:
    """An offer outside what was asked for would make another limit worse, or the same one the other way."""
    wanted = {w.isp: w for w in asked.isps}
    for isp, w in power_w.items():
        room = wanted.get(isp)
        if room is None or not min(room.low_w, 0) <= w <= max(room.high_w, 0):
            raise Refused(f"Invalid Message: {w:.0f} W in ISP {isp}; expected what the FlexRequest has room for")


def _check_revocation(case: _Case) -> None:
    if case.arrived.remembered.offered_by != case.who.domain:
        raise Refused("Unknown FlexOfferMessageID reference")
    if case.arrived.remembered.ordered:
        raise Refused("Invalid Message: the offer is ordered; expected one that is not")


def _check_metering(case: _Case) -> None:
    market, who, arrived = case.market, case.who, case.arrived
    said = arrived.said
    assert isinstance(said, MeterDay)
    _check_day(market, said.day, "")
    today = day_of(arrived.at_utc_s, market.isp_s, market.time_zone, "").period
    if not 0 <= (today - said.day.period).days <= METER_DAYS_BACK:
        raise Refused(f"Period out of bounds: {said.day.period}; expected {today} or {METER_DAYS_BACK} days before")
    if said.ean not in who.meters:
        raise Refused("Invalid Message: EAN is not one of this participant's meters")
    _check_powers(said.day, said.power_w, who.power_w_max)
    if not said.power_w or said.day.isp_start_utc_s(max(said.power_w) + 1) > arrived.at_utc_s + market.ahead_s:
        raise Refused("ISPs out of bounds: metering of what has not ended")
    _check_revision(said.revision, arrived.remembered)


def _check_answer(case: _Case) -> None:
    said, known = case.arrived.said, case.arrived.remembered
    assert isinstance(said, Answer)
    if known.sent_to != case.who.domain:
        raise Refused(f"Unknown {said.about}MessageID reference")
    if known.answered:
        raise Refused("Invalid Message: answered before")


_CHECKS: dict[type[Incoming], Callable[[_Case], None]] = {
    Prognosis: _check_prognosis,
    Offer: _check_offer,
    Revocation: _check_revocation,
    MeterDay: _check_metering,
    Answer: _check_answer,
}


def finite_market(market: Market) -> None:
    """Raise ValueError for rules that would let everything pass."""
    numbers = (market.stale_s, market.ahead_s, market.price_max, market.penalty_factor)
    most = [p.power_w_max for p in market.participants.values()]
    if not all(math.isfinite(x) and x >= 0.0 for x in (*numbers, *most)) or market.isp_s <= 0:
        raise ValueError(f"market rules {numbers}, powers {most}, ISP {market.isp_s} s; expected finite, at least 0")
