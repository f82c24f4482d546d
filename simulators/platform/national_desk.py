"""The national market on a day that is played: its desk, and what the site file says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from simulators.demo.sale import sale_words
from simulators.demo.words import minute, power
from simulators.market.model import Sale
from simulators.platform.national import NationalMarket
from simulators.platform.operator_desk import Tell

LOGIN = ("site", "national-secret")
GATE_S = 1200.0
"""The gate closes so long after the hour of the bid."""
POLL_S = 300.0
"""Site time between two looks at what is activated: a day that is played passes a hundred times as fast."""


class NationalDesk:
    """Takes the bid of the day, activates what the scenario says, and tells of both; ``utc`` is the site's time."""

    def __init__(self, folder: Path, sale: Sale, utc: Callable[[], datetime], tell: Tell) -> None:
        self._sale, self._tell, self._utc = sale, tell, utc
        self._bid: Mapping[str, Any] | None = None
        self._called = ""
        self._told: set[str] = set()
        self._market = NationalMarket(folder, lambda: utc().timestamp(), ":".join(LOGIN), self._took)
        self._credentials = folder / "credentials"
        self._credentials.write_text("\n".join(LOGIN) + "\n", encoding="utf-8")
        self._credentials.chmod(0o600)

    async def open(self) -> None:
        """Listen."""
        await self._market.open()

    async def aclose(self) -> None:
        """Hang up on everybody."""
        await self._market.aclose()

    def keys(self) -> dict[str, Any]:
        """The block ``national`` of the site file, once open."""
        sale = self._sale
        return {
            "url": f"https://127.0.0.1:{self._market.port}/bids",
            "ca_file": str(self._market.ca_file),
            "credentials": str(self._credentials),
            "at": minute(sale.at),
            "gate": minute(sale.at + GATE_S),
            "start": minute(sale.start),
            "end": minute(sale.end),
            "units": list(sale.units),
            "margin_eur_per_mwh": sale.margin_eur_per_mwh,
            "poll_s": POLL_S,
        }

    def look(self) -> None:
        """Activate what is due, and tell what the bidder has said to it since the last look."""
        if self._bid is not None and not self._called:
            self._called = self._activate(self._bid)
        for what, said, words in (
            ("market.taken", self._market.taken, taken_words),
            ("market.delivered", self._market.settled, delivered_words),
        ):
            if self._called in said and what not in self._told:
                self._told.add(what)
                self._tell(what, words(said[self._called]), said=dict(said[self._called]))

    def _activate(self, bid: Mapping[str, Any]) -> str:
        """Id of the activation of an accepted bid once its hour has come; before it empty."""
        call, sale = self._sale.call, self._sale
        if call is None or self._utc().timestamp() < bid["from_utc_s"] + call.at - sale.start:
            return ""
        direction = "up" if bid["up_w"] >= bid["down_w"] else "down"
        w = call.share_frac * bid[f"{direction}_w"]
        from_utc_s, until_utc_s = (bid["from_utc_s"] + clock_s - sale.start for clock_s in (call.start, call.end))
        name = self._market.activate(bid["id"], direction, [(from_utc_s, until_utc_s, w)])
        hours = f"{minute(call.start)}–{minute(call.end)}"
        self._tell(
            "market.activated", f"the national market activates {power(w)} {direction} {hours}",
            activation=name, direction=direction, w=w, from_utc_s=from_utc_s, until_utc_s=until_utc_s,
        )  # fmt: skip
        return name

    def _took(self, bid: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        if answer["accepted"]:
            self._bid = bid
        said = {"bid": dict(bid), "accepted": answer["accepted"], "reason": answer["reason"]}
        self._tell("market.sale", sale_words(self._sale, said), sale=said)


def taken_words(said: Mapping[str, Any]) -> str:
    """The bidder's verdict on an activation, in words."""
    if not said["taken"]:
        return f"the station refuses the national market's activation: {said['reason']}"
    most_w = max(abs(period["w"]) for period in said["periods"])
    missing = f"; {said['reason']}" if said["reason"] else ""
    return f"the station takes {power(most_w)} of the national market's activation{missing}"


def delivered_words(said: Mapping[str, Any]) -> str:
    """What the bidder has settled, in words."""
    ordered_w, delivered_w = (
        sum(abs(period[key]) for period in said["periods"]) for key in ("ordered_w", "delivered_w")
    )
    share = delivered_w / ordered_w if ordered_w > 0.0 else 0.0
    earned_eur = said["paid_eur"] - said["penalty_eur"]
    return f"delivered to the national market: {100.0 * share:.0f} % of what was taken, {earned_eur:.0f} EUR"
