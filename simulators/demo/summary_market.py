"""What was bought on the day, on the screen: who sold how much, and what the transmission operator got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from simulators.demo.style import LABEL, PLAIN, VALUE
from simulators.demo.words import energy, power
from simulators.platform.isps import ISP_S

_COLUMNS = ("sold", "by", "orders", "power up to", "energy up to", "price")


def market_summary(market: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Of the report's ``market``: orders as their participants took them, voltage support and the national bid."""
    orders = market["orders"]
    if orders and "participant" in orders[0]:
        yield _orders(orders)
    for support in market["support"]:
        yield _support(support)
    if market["sale"] is not None and market["sale"]["bid"] is not None:
        yield _sale(market["sale"])
    yield Text(f"Due so far for flexibility and support: {market['paid_eur']:.0f} EUR.", style=VALUE)


def _orders(orders: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style=LABEL, pad_edge=False)
    for heading in _COLUMNS:
        table.add_column(heading, justify="left" if heading in ("sold", "by") else "right")
    by_offer: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for order in orders:
        by_offer[order["offer"], order["participant"]].append(order)
    for (offer, participant), mine in by_offer.items():
        table.add_row(offer, participant, *_amounts(mine), style=PLAIN)
    return table


def _amounts(orders: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str]:
    """Number of orders, the most of all quarter hours together, energy and price."""
    total_w: defaultdict[str, float] = defaultdict(float)
    for order in orders:
        for at, w in order["power_w"].items():
            total_w[at] += w
    energy_wh = sum(total_w.values()) * ISP_S / 3600.0
    price_eur = sum(order["price_eur"] for order in orders)
    return str(len(orders)), power(max(total_w.values())), energy(energy_wh), f"{price_eur:.0f} EUR"


def _support(support: Mapping[str, Any]) -> Text:
    wanted_var = support["asked_var"] - support["before_var"]
    shares = ", ".join(f"{100.0 * period['share_frac']:.0f} %" for period in support["periods"]) or "nothing yet"
    answer = support["answer"].partition(": ")[2] or support["answer"] or "no answer"
    said = f"Voltage support: {power(wanted_var)[:-1]}var more asked for at the boundary, answered {answer!r}; "
    return Text(f"{said}by the operator's own meter delivered in each quarter hour: {shares}.", style=PLAIN)


def _sale(sale: Mapping[str, Any]) -> Text:
    bid = sale["bid"]
    verdict = "accepted" if sale["accepted"] else f"refused: {sale['reason']}"
    return Text(
        f"Offered to the national market: {power(bid['up_w'])} up, {power(bid['down_w'])} down at "
        f"{bid['price_eur_per_mwh']:.0f} EUR/MWh by {', '.join(bid['units'])}, {verdict}.{_became(sale)}",
        style=PLAIN,
    )


def _became(sale: Mapping[str, Any]) -> str:
    """What was activated of an accepted bid, taken and delivered, a sentence each."""
    told = (sale[key] for key in ("activated", "taken", "delivered") if key in sale)
    return "".join(f" {words[0].upper()}{words[1:]}." for words in told)
