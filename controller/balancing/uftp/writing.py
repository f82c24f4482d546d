"""From our values to the protocol's payloads, ready to be signed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from shapeshifter_uftp import uftp
from xsdata.models.datatype import XmlDate, XmlDuration

from controller.balancing.uftp.market import Market
from controller.balancing.uftp.values import Day, Head, Order, Powers, Request, Reservation
from controller.planning.settlement import OrderSettlement

VERSION = "3.1.0"
RESPONSES: dict[str, tuple[Any, str]] = {
    "DPrognosis": (uftp.DPrognosisResponse, "d_prognosis_message_id"),
    "FlexOffer": (uftp.FlexOfferResponse, "flex_offer_message_id"),
    "FlexOfferRevocation": (uftp.FlexOfferRevocationResponse, "flex_offer_revocation_message_id"),
    "Metering": (uftp.MeteringResponse, "metering_message_id"),
}


def write_request(head: Head, asked: Request) -> Any:
    """FlexRequest."""
    isps = [
        uftp.FlexRequestISP(
            disposition=uftp.AvailableRequested.REQUESTED if w.requested else uftp.AvailableRequested.AVAILABLE,
            min_power=w.low_w,
            max_power=w.high_w,
            start=w.isp,
        )
        for w in asked.isps
    ]
    return uftp.FlexRequest(
        **_head(head),
        **_day(asked.day),
        isps=isps,
        revision=asked.revision,
        expiration_date_time=instant(asked.expires_utc_s),
        contract_id=asked.contract,
        service_type=asked.service,
    )


def write_order(head: Head, order: Order) -> Any:
    """FlexOrder: the ISPs of the offer as they are (UFTP 3.1, "FlexOrder"), and the share of them that is ordered."""
    runs = order.runs or tuple((isp, 1, w) for isp, w in _whole_watts(order.power_w))
    return uftp.FlexOrder(
        **_head(head),
        **_day(order.day),
        isps=[uftp.FlexOrderISP(power=w, start=start, duration=duration) for start, duration, w in runs],
        flex_offer_message_id=order.offer_id,
        contract_id=order.contract,
        d_prognosis_message_id=order.prognosis_id,
        price=Decimal(repr(order.price)),
        currency=order.currency,
        order_reference=order.reference,
        option_reference=order.option,
        activation_factor=Decimal(repr(order.activation_frac)),
    )


def write_reservation(head: Head, kept: Reservation) -> Any:
    """FlexReservationUpdate."""
    return uftp.FlexReservationUpdate(
        **_head(head),
        **_day(kept.day),
        isps=[uftp.FlexReservationUpdateISP(power=w, start=isp) for isp, w in _whole_watts(kept.power_w)],
        contract_id=kept.contract,
        reference=kept.reference,
    )


def write_settlement(
    head: Head,
    settled: Sequence[tuple[Order, OrderSettlement]],
    currency: str,
    reserved: Sequence[Reservation] = (),
) -> Any:
    """FlexSettlement of some orders of one participant, with what contracts had reserved of the day."""
    days = [order.day.period for order, _ in settled]
    return uftp.FlexSettlement(
        **_head(head),
        flex_order_settlements=[_order_settlement(order, result) for order, result in settled],
        contract_settlements=_reserved(reserved) or _nothing_reserved(settled),
        period_start=_date(min(days)),
        period_end=_date(max(days)),
        currency=currency,
    )


def write_portfolio_query(head: Head, period: date, time_zone: str, congestion_point: str) -> Any:
    """DSOPortfolioQuery: who is active at the congestion point?"""
    return uftp.DsoPortfolioQuery(
        **_head(head), time_zone=time_zone, period=_date(period), entity_address=congestion_point
    )


def write_portfolio_update(head: Head, since: date, market: Market) -> Any:
    """DSOPortfolioUpdate: our congestion point and everything that is connected behind it, from a day on."""
    connections = [
        uftp.DsoPortfolioUpdateConnection(entity_address=address, start_period=_date(since))
        for address in market.connections
    ]
    by = uftp.RedispatchBy(market.redispatch_by)
    point = uftp.DsoPortfolioUpdateCongestionPoint(
        connections=connections,
        entity_address=market.congestion_point,
        start_period=_date(since),
        mutex_offers_supported=True,
        day_ahead_redispatch_by=by,
        intraday_redispatch_by=by,
    )
    return uftp.DsoPortfolioUpdate(**_head(head), congestion_points=[point], time_zone=market.time_zone)


def write_answer(head: Head, kind: str, message_id: str, reason: str) -> Any | None:
    """The …Response to a message of that kind; an empty ``reason`` accepts it. None for what has no answer."""
    if kind == "TestMessage":
        return uftp.TestMessageResponse(**_head(head))
    if kind not in RESPONSES:
        return None
    response, field = RESPONSES[kind]
    result = uftp.AcceptedRejected.REJECTED if reason else uftp.AcceptedRejected.ACCEPTED
    return response(**_head(head), result=result, rejection_reason=reason or None, **{field: message_id})


def instant(utc_s: float) -> str:
    """An instant as the protocol writes it."""
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds")


def _head(head: Head) -> dict[str, str]:
    return {
        "version": head.version,
        "sender_domain": head.sender,
        "recipient_domain": head.recipient,
        "time_stamp": instant(head.issued_utc_s),
        "message_id": head.message_id,
        "conversation_id": head.conversation_id,
    }


def _day(day: Day) -> dict[str, Any]:
    return {
        "isp_duration": XmlDuration(f"PT{day.isp_s // 60}M"),
        "time_zone": day.time_zone,
        "period": _date(day.period),
        "congestion_point": day.congestion_point,
    }


def _date(day: date) -> XmlDate:
    return XmlDate(day.year, day.month, day.day)


def _whole_watts(power_w: Powers) -> Iterable[tuple[int, int]]:
    return ((isp, round(w)) for isp, w in sorted(power_w.items()))


def _order_settlement(order: Order, result: OrderSettlement) -> Any:
    isps = [
        uftp.FlexOrderSettlementISP(
            start=p.isp,
            baseline_power=round(p.baseline_w),
            ordered_flex_power=round(p.ordered_w),
            actual_power=round(p.actual_w),
            delivered_flex_power=round(p.delivered_w),
            power_deficiency=round(p.deficiency_w),
        )
        for p in result.periods
    ]
    return uftp.FlexOrderSettlement(
        isps=isps,
        order_reference=order.reference,
        period=_date(order.day.period),
        contract_id=order.contract,
        d_prognosis_message_id=order.prognosis_id,
        congestion_point=order.day.congestion_point,
        price=Decimal(repr(result.paid_eur)),
        penalty=Decimal(repr(result.penalty_eur)),
        net_settlement=Decimal(repr(result.net_eur)),
    )


def _reserved(reserved: Sequence[Reservation]) -> list[Any]:
    out = []
    for one in reserved:
        isps = [uftp.ContractSettlementISP(start=isp, reserved_power=w) for isp, w in _whole_watts(one.power_w)]
        period = uftp.ContractSettlementPeriod(isps=isps, period=_date(one.day.period))
        out.append(uftp.ContractSettlement(periods=[period], contract_id=one.contract))
    return out


def _nothing_reserved(settled: Sequence[tuple[Order, OrderSettlement]]) -> list[Any]:
    """The library's schema wants at least one; without contracts it says that nothing was reserved."""
    order, result = settled[0]
    isps = [uftp.ContractSettlementISP(start=p.isp, reserved_power=0) for p in result.periods]
    period = uftp.ContractSettlementPeriod(isps=isps, period=_date(order.day.period))
    return [uftp.ContractSettlement(periods=[period], contract_id=order.contract or "none")]
