"""From the protocol's payloads to our values, strict, because the library's parser takes almost everything.

Numbers are checked for kind and finiteness, identifiers and times for their form, ISPs for overlap; what an ISP number
may be is the guard's business, which knows the day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shapeshifter_uftp import uftp
from xsdata.models.datatype import XmlDuration

from controller.balancing.uftp.values import (
    Answer,
    Day,
    Head,
    Hello,
    Incoming,
    MeterDay,
    Offer,
    Option,
    Order,
    Portfolio,
    Powers,
    Prognosis,
    Refused,
    Request,
    Reservation,
    Revocation,
    Runs,
    Wanted,
)

UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
DOMAIN = re.compile(r"([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,}")
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{0,9})?([+-]\d{2}:\d{2}|Z)")
VERSION = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}")
TEXT_MAX = 200
ISPS_MAX = 1500  # of a day of minutes, and of a long one
POWER_POSSIBLE_W = 1e11
W_PER_KW = 1e3

ANSWERS = {
    "FlexRequestResponse": ("FlexRequest", "flex_request_message_id"),
    "FlexOrderResponse": ("FlexOrder", "flex_order_message_id"),
    "FlexReservationUpdateResponse": ("FlexReservationUpdate", "flex_reservation_update_message_id"),
    "FlexSettlementResponse": ("FlexSettlement", "flex_settlement_message_id"),
    "DsoPortfolioUpdateResponse": ("DsoPortfolioUpdate", "dso_portfolio_update_message_id"),
}


def read_head(payload: Any) -> Head:
    """Metadata of any message. Raises Refused."""
    return Head(
        message_id=_matching(payload.message_id, UUID, "MessageID").lower(),
        conversation_id=_matching(payload.conversation_id, UUID, "ConversationID").lower(),
        sender=_matching(payload.sender_domain, DOMAIN, "SenderDomain"),
        recipient=_matching(payload.recipient_domain, DOMAIN, "RecipientDomain"),
        issued_utc_s=_instant_s(payload.time_stamp, "TimeStamp"),
        version=_matching(payload.version, VERSION, "Version"),
    )


def read_payload(payload: Any) -> Incoming:
    """The value of a message that a DSO may get. Raises Refused with the reason that the sender is told."""
    head, kind = read_head(payload), type(payload).__name__
    if kind in ANSWERS:
        return _answer(payload, head, *ANSWERS[kind])
    reader = _READERS.get(kind)
    if reader is None:
        raise Refused(f"Invalid Message: {kind} is not for a DSO")
    return reader(payload, head)


def read_request(payload: Any) -> Request:
    """Our own FlexRequest, as it was written."""
    isps = tuple(
        Wanted(isp, w.disposition == uftp.AvailableRequested.REQUESTED, w.min_power, w.max_power)
        for w in payload.isps
        for isp in range(w.start, w.start + w.duration)
    )
    expires_utc_s = _instant_s(payload.expiration_date_time, "ExpirationDateTime")
    return Request(_day(payload), payload.revision, expires_utc_s, isps, payload.service_type, payload.contract_id)


def read_reservation(payload: Any) -> Reservation:
    """Our own FlexReservationUpdate, as it was written."""
    return Reservation(_day(payload), payload.contract_id, payload.reference, _powers(payload.isps))


def read_order(payload: Any) -> Order:
    """Our own FlexOrder, as it was written."""
    return Order(
        day=_day(payload),
        reference=payload.order_reference,
        offer_id=payload.flex_offer_message_id,
        option=payload.option_reference,
        price=float(payload.price),
        currency=payload.currency,
        activation_frac=float(payload.activation_factor),
        power_w=_powers(payload.isps),
        runs=_runs(payload.isps),
        prognosis_id=payload.d_prognosis_message_id,
        contract=payload.contract_id,
    )


def _prognosis(payload: Any, head: Head) -> Prognosis:
    return Prognosis(head, _day(payload), _whole(payload.revision, "Revision"), _powers(payload.isps))


def _offer(payload: Any, head: Head) -> Offer:
    if payload.unsolicited not in (None, False) and payload.flex_request_message_id is not None:
        raise Refused("Invalid Message: both Unsolicited and FlexRequestMessageID; expected one of them")
    options = tuple(_option(option) for option in payload.offer_options)
    if len({option.reference for option in options}) < len(options):
        raise Refused("Invalid Message: an OptionReference stands twice")
    return Offer(
        head=head,
        day=_day(payload),
        expires_utc_s=_instant_s(payload.expiration_date_time, "ExpirationDateTime"),
        request_id=_optional_uuid(payload.flex_request_message_id, "FlexRequestMessageID"),
        prognosis_id=_optional_uuid(payload.d_prognosis_message_id, "D-PrognosisMessageID"),
        contract=_optional_text(payload.contract_id, "ContractID"),
        currency=_text(payload.currency, "Currency"),
        options=options,
    )


def _option(option: Any) -> Option:
    return Option(
        reference=_text(option.option_reference, "OptionReference"),
        price=_number(option.price, "Price"),
        activation_min_frac=_number(option.min_activation_factor, "MinActivationFactor"),
        power_w=_powers(option.isps),
        runs=_runs(option.isps),
    )


def _revocation(payload: Any, head: Head) -> Revocation:
    return Revocation(head, _matching(payload.flex_offer_message_id, UUID, "FlexOfferMessageID").lower())


def _metering(payload: Any, head: Head) -> MeterDay:
    profiles = [p for p in payload.profiles if p.profile_type == uftp.MeteringProfileEnum.POWER]
    if len(profiles) != 1 or profiles[0].unit != uftp.MeteringUnit.K_W:
        raise Refused(f"Invalid Message: {len(profiles)} Power profiles; expected one, in kW")
    power_w: dict[int, float] = {}
    for isp in profiles[0].isps:
        number = _whole(isp.start, "ISP Start")
        if number in power_w:
            raise Refused(f"ISP conflict: {number} stands twice")
        power_w[number] = _number(isp.value, "Value") * W_PER_KW
    day = _day(payload, congestion_point="")
    return MeterDay(head, day, _whole(payload.revision, "Revision"), _text(payload.ean, "EAN"), power_w)


def _answer(payload: Any, head: Head, about: str, field: str) -> Answer:
    reason = payload.rejection_reason
    return Answer(
        head=head,
        about=about,
        reference_id=_matching(getattr(payload, field), UUID, f"{about}MessageID").lower(),
        accepted=payload.result == uftp.AcceptedRejected.ACCEPTED,
        reason="" if reason is None else _text(reason, "RejectionReason"),
    )


def _portfolio(payload: Any, head: Head) -> Portfolio:
    point = payload.congestion_point
    connections = [] if point is None else point.connections
    domains = [c.agr_domain for c in connections if c.agr_domain is not None]
    named = "" if point is None else _text(point.entity_address, "EntityAddress")
    return Portfolio(head, named, frozenset(_matching(d, DOMAIN, "AGR-Domain") for d in domains))


_READERS: dict[str, Callable[[Any, Head], Incoming]] = {
    "DPrognosis": _prognosis,
    "FlexOffer": _offer,
    "FlexOfferRevocation": _revocation,
    "Metering": _metering,
    "DsoPortfolioQueryResponse": _portfolio,
    "TestMessage": lambda _, head: Hello(head),
}


def _day(payload: Any, congestion_point: str | None = None) -> Day:
    zone, isp_s = _text(payload.time_zone, "TimeZone"), _duration_s(payload.isp_duration)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused(f"TimeZone rejected: {zone!r} is not known here") from None
    try:
        period = date(payload.period.year, payload.period.month, payload.period.day)
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise Refused(f"Invalid Message: Period is {str(payload.period)[:TEXT_MAX]!r}; expected a day") from None
    point = _text(payload.congestion_point, "CongestionPoint") if congestion_point is None else congestion_point
    return Day(period, isp_s, zone, point)


def _duration_s(duration: Any) -> int:
    """Only minutes and hours: the protocol wants minutes, PT1H is PT60M."""
    if not isinstance(duration, XmlDuration):
        raise Refused("ISP duration rejected: expected whole minutes, such as PT15M")
    others = (duration.years, duration.months, duration.days, duration.seconds)
    minutes = 60 * (duration.hours or 0) + (duration.minutes or 0)
    if duration.negative or any(others) or minutes < 1:
        raise Refused(f"ISP duration rejected: {duration}; expected whole minutes, such as PT15M")
    return 60 * minutes


def _powers(isps: Iterable[Any]) -> Powers:
    """W by ISP, durations spread out."""
    out: dict[int, float] = {}
    for isp in isps:
        start, duration = _whole(isp.start, "ISP Start"), _whole(isp.duration, "ISP Duration")
        power_w = float(_whole(isp.power, "Power", low=None))
        if duration < 1 or len(out) + duration > ISPS_MAX:
            raise Refused(f"ISPs out of bounds: {duration} from {start} on")
        for number in range(start, start + duration):
            if number in out:
                raise Refused(f"ISP conflict: {number} stands twice")
            out[number] = power_w
    if not out:
        raise Refused("ISPs out of bounds: none at all")
    return out


def _runs(isps: Iterable[Any]) -> Runs:
    """The same as it was written; checked by :func:`_powers`."""
    return tuple((isp.start, isp.duration, isp.power) for isp in isps)


def _whole(value: Any, name: str, low: int | None = 0) -> int:
    if type(value) is not int or (low is not None and value < low) or abs(value) > POWER_POSSIBLE_W:
        raise Refused(f"Invalid Message: {name} is {str(value)[:TEXT_MAX]!r}; expected a whole number")
    return value


def _number(value: Any, name: str) -> float:
    if not isinstance(value, Decimal | int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise Refused(f"Invalid Message: {name} is {str(value)[:TEXT_MAX]!r}; expected a finite number")
    return float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or not value.isprintable():
        raise Refused(f"Invalid Message: {name} is {str(value)[:40]!r}; expected 1…{TEXT_MAX} printable characters")
    return value


def _optional_text(value: Any, name: str) -> str | None:
    return None if value is None else _text(value, name)


def _matching(value: Any, pattern: re.Pattern[str], name: str) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX or pattern.fullmatch(value) is None:
        raise Refused(f"Invalid Message: {name} is {str(value)[:40]!r}; expected the form of the schema")
    return value


def _optional_uuid(value: Any, name: str) -> str | None:
    return None if value is None else _matching(value, UUID, name).lower()


def _instant_s(value: Any, name: str) -> float:
    text = _matching(value, INSTANT, name)
    whole, fraction, zone = text[:19], text[19:], ""
    zone = "+00:00" if fraction.endswith("Z") else fraction[-6:]
    digits = fraction[: -1 if fraction.endswith("Z") else -6].lstrip(".")
    try:
        return datetime.fromisoformat(whole + zone).timestamp() + (float(f"0.{digits}") if digits else 0.0)
    except ValueError:
        raise Refused(f"Invalid Message: {name} is {text!r}; expected an instant that exists") from None
