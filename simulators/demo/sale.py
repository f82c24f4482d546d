"""What is left over in the evening, offered to the stand-in of the national market over HTTPS."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.domain.site import Site
from controller.planning.service_bid import ServiceBid, service_bid
from simulators.demo.words import minute, power
from simulators.market.model import Sale
from simulators.platform.national import NationalMarket

_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Sold:
    """A bid and what the national market said to it; no bid where nothing was left to sell."""

    bid: ServiceBid | None
    accepted: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "bid": None if self.bid is None else self.bid.to_dict(),
            "accepted": self.accepted,
            "reason": self.reason,
        }


async def sell(
    site: Site, record: Mapping[str, Any], sale: Sale, prices_eur_per_mwh: Mapping[str, float], midnight_utc_s: float
) -> Sold:
    """Make the bid from the controller's newest record and submit it; ``midnight_utc_s`` begins the day of the sale.

    Raises ValueError for a record that does not say what every bus does, OSError when the market does not answer.
    """
    window = (midnight_utc_s + sale.start, midnight_utc_s + sale.end)
    name = f"{site.name}-{int(window[0])}"
    bid = await asyncio.to_thread(
        service_bid, site, record, name, window, prices_eur_per_mwh, sale.margin_eur_per_mwh
    )  # fmt: skip
    if bid is None:
        return Sold(None, False, "nothing is left to sell")
    with tempfile.TemporaryDirectory(prefix="gridedge-national-") as folder:
        market = NationalMarket(Path(folder), lambda: midnight_utc_s + sale.at)
        await market.open()
        try:
            answer = await asyncio.to_thread(_post, market.port, market.ca_file, bid)
        finally:
            await market.aclose()
    return Sold(bid, answer.get("accepted") is True, str(answer.get("reason", "")))


def sale_words(sale: Sale, said: Mapping[str, Any]) -> str:
    """What was offered to the national market, and its answer, in one sentence; ``said`` as of :meth:`Sold.to_dict`."""
    bid = said["bid"]
    if bid is None:
        return f"nothing offered to the national market: {said['reason']}"
    verdict = "accepted" if said["accepted"] else f"refused: {said['reason']}"
    return (
        f"feasible area at the boundary found ({len(bid['area'])} corners); national market offered "
        f"{power(bid['up_w'])} up, {power(bid['down_w'])} down {minute(sale.start)}–{minute(sale.end)} "
        f"at {bid['price_eur_per_mwh']:.0f} EUR/MWh: {verdict}"
    )


def _post(port: int, ca_file: Path, bid: ServiceBid) -> dict[str, Any]:
    """The market's answer; chain and name of its certificate are checked."""
    context = ssl.create_default_context(cafile=str(ca_file))
    link = http.client.HTTPSConnection("127.0.0.1", port, timeout=_ANSWER_S, context=context)
    try:
        link.request("POST", "/bids", json.dumps(bid.to_dict()), {"Content-Type": "application/json"})
        with link.getresponse() as answer:
            if answer.status != http.client.OK:
                raise OSError(f"the national market answers {answer.status}; expected 200")
            return dict(json.loads(answer.read()))
    finally:
        link.close()
