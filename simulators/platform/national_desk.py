"""The national market on a day that is played: its desk, and what the site file says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from simulators.demo.sale import sale_words
from simulators.demo.words import minute
from simulators.market.model import Sale
from simulators.platform.national import NationalMarket
from simulators.platform.operator_desk import Tell

LOGIN = ("site", "national-secret")
GATE_S = 1200.0
"""The gate closes so long after the hour of the bid."""
POLL_S = 300.0
"""Site time between two looks at what is activated: a day that is played passes a hundred times as fast."""


class NationalDesk:
    """Takes the bid of the day and tells of it; ``utc`` is the site's time of day."""

    def __init__(self, folder: Path, sale: Sale, utc: Callable[[], datetime], tell: Tell) -> None:
        self._sale, self._tell = sale, tell
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

    def _took(self, bid: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        said = {"bid": dict(bid), "accepted": answer["accepted"], "reason": answer["reason"]}
        self._tell("market.sale", sale_words(self._sale, said), sale=said)
