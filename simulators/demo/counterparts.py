"""The other side of a day on which the station trades: its process, and what it says of the market.

Everything told here is what participants, transmission operator and platform have seen, not what the station says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from simulators.demo.day import Day
from simulators.demo.sale import Sold, sale_words, sell
from simulators.demo.setting import Setting
from simulators.platform.isps import ISP_S

_LOOK_S = 0.25


class Counterparts:
    """What the process of :mod:`simulators.platform.day` has said so far.

    ``ready`` when everybody listens and the file ``site`` is written.
    """

    def __init__(self, day: Day) -> None:
        self._day = day
        self._market = day.setting.scenario.market
        self.ready = False
        self._orders: list[dict[str, Any]] = []
        self._refusals: list[str] = []
        self._supports: list[dict[str, Any]] = []
        self._sold: Sold | None = None
        self.site = Path()

    def take(self, line: dict[str, Any]) -> None:
        """A line of the process."""
        if line["name"] == "ready":
            self.site, self.ready = Path(line["site"]), True
            return
        if line["name"] == "market.supports":
            self._supports = line["supports"]
            return
        if line["name"] == "market.ordered":
            self._orders.append({key: line[key] for key in ("t_s", "offer", "unit", "power_w", "price_eur")})
        if line["name"] == "market.refused":
            self._refusals.append(line["text"])
        self._day.journal.market(float(line["t_s"]), line["name"], line["text"])

    async def sell_in_time(self) -> None:
        """Offer to the national market, when its hour comes, what is left for the evening."""
        sale, day = self._market.sale, self._day
        setting = day.setting
        if sale is None or not setting.trades:
            return
        due_s = self._market.at(sale.at) - self._market.at(setting.start_s)
        if due_s < 0.0:
            return
        while True:
            if day.course.t_s >= due_s:
                break
            await asyncio.sleep(_LOOK_S)
        midnight_utc_s = setting.began_utc.timestamp() + day.course.t_s - day.site_clock_s
        try:
            self._sold = await sell(setting.site, day.record, sale, self._prices(sale.units), midnight_utc_s)
        except (OSError, ValueError) as error:
            self._sold = Sold(None, False, f"no bid: {error}")
        day.journal.market(day.course.t_s, "market.sale", sale_words(sale, self._sold))

    def report(self) -> dict[str, Any]:
        """JSON-ready. ``orders`` are FlexOrders as their participants took them, W by the UTC second of the ISP."""
        ends_s = self._day.setting.began_utc.timestamp() + self._day.course.t_s
        due_eur = sum(_due_eur(order, ends_s) for order in self._orders)
        support_eur = sum(float(support["paid_eur"]) for support in self._supports)
        return {
            "protocols": ["UFTP", "OpenADR"],
            "orders": self._orders,
            "refusals": self._refusals,
            "refused_orders": len(self._refusals),
            "sale": None if self._sold is None else self._sold.to_dict(),
            "support": self._supports,
            "paid_eur": round(due_eur + support_eur, 2),
            "shortfall_eur_per_mwh": self._market.shortfall_eur_per_mwh,
        }

    def _prices(self, units: tuple[str, ...]) -> dict[str, float]:
        """The highest price per MWh that was taken of each unit."""
        prices = {offer.id: offer.price_eur_per_mwh for offer in self._market.offers}
        taken = {unit: [prices[o["offer"]] for o in self._orders if o["unit"] == unit] for unit in units}
        return {unit: max(found) for unit, found in taken.items() if found}


def platform_arguments(setting: Setting, folder: Path, status: Path, page: Path) -> list[str]:
    """Command line of the process, after ``python -m simulators.platform.day``."""
    return [
        *(str(setting.path), str(folder), str(setting.seed), f"{setting.speed:g}", repr(setting.start_s)),
        *(setting.began_utc.isoformat(), str(status), str(page), "trades" if setting.trades else "watches"),
    ]


def _due_eur(order: dict[str, Any], until_utc_s: float) -> float:
    """What is due of an order up to an instant: its price, by energy."""
    powers = {float(start_s): float(w) for start_s, w in order["power_w"].items()}
    total = sum(powers.values())
    begun = sum(w for start_s, w in powers.items() if start_s + ISP_S <= until_utc_s)
    return float(order["price_eur"]) * begun / total if total > 0.0 else 0.0
