"""A UFTP message in a few words, for the record of what the market's participants heard and said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from simulators.platform.isps import start_utc_s

_ABOUT = ("flex_request_message_id", "flex_offer_message_id", "flex_order_message_id", "d_prognosis_message_id")


def told(message: Any) -> dict[str, Any]:
    """JSON-ready: ``kind``, ``id``, ``conversation``, ``about`` (the message that it answers) and what it is about.

    Powers in W by the beginning of their settlement period (UTC s): ``wanted_w`` of requests, ``power_w`` of orders,
    (of which ``share_frac`` is wanted) and of the ``options`` of offers; prices in EUR. ``result`` is that of answers.
    """
    said = {
        "kind": type(message).__name__,
        "id": message.message_id,
        "conversation": message.conversation_id,
        "about": next((found for name in _ABOUT if (found := getattr(message, name, None))), None),
    }
    return said | _content(message)


def _content(message: Any) -> dict[str, Any]:
    match type(message).__name__:
        case "FlexRequest":
            wanted = [isp for isp in message.isps if _plain(isp.disposition) == "Requested"]
            return {"wanted_w": _spread(message, ((isp, isp.max_power or isp.min_power) for isp in wanted))}
        case "FlexOffer":
            return {"options": [_option(message, option) for option in message.offer_options]}
        case "FlexOrder":
            power_w = _spread(message, ((isp, isp.power) for isp in message.isps))
            share = {"share_frac": float(message.activation_factor), "option": message.option_reference}
            return {"power_w": power_w, "price_eur": float(message.price), **share}
    result = getattr(message, "result", None)
    return {} if result is None else {"result": _plain(result), "reason": message.rejection_reason}


def _plain(value: Any) -> str:
    """What came over the wire may be text, what the library made is an enumeration."""
    return str(getattr(value, "value", value))


def _option(message: Any, option: Any) -> dict[str, Any]:
    power_w = _spread(message, ((isp, isp.power) for isp in option.isps))
    return {"reference": option.option_reference, "power_w": power_w, "price_eur": float(option.price)}


def _spread(message: Any, isps: Iterable[tuple[Any, Any]]) -> dict[str, float]:
    """W by the beginning of every settlement period, those of a longer entry one by one."""
    period = message.period
    day = date(period.year, period.month, period.day)
    return {
        str(round(start_utc_s(day, message.time_zone, number))): float(w)
        for isp, w in isps
        for number in range(isp.start, isp.start + (isp.duration or 1))
    }
