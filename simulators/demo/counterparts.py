"""The other side of a day on which the station trades: its process, and what it says of the market.

Everything told here is what participants, transmission operator and platform have seen, not what the station says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulators.demo.day import Day
from simulators.demo.plugs import Refused
from simulators.demo.setting import Setting
from simulators.faults import FaultKind
from simulators.platform.isps import ISP_S

_ORDER = ("t_s", "offer", "participant", "unit", "power_w", "price_eur")
_SOLD = {"market.activated": "activated", "market.taken": "taken", "market.delivered": "delivered"}
"""What became of the bid for the national market, in words, by the line that tells it."""


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
        self._sale: dict[str, Any] | None = None
        self.site = Path()

    def take(self, line: dict[str, Any]) -> None:
        """A line of the process."""
        if line["name"] == "ready":
            self.site, self.ready = Path(line["site"]), True
            return
        if line["name"] == "market.supports":
            self._supports = line["supports"]
        if not line["text"]:
            return
        if line["name"] == "market.ordered":
            self._orders.append({key: line[key] for key in _ORDER})
        if line["name"] == "market.refused":
            self._refusals.append(line["text"])
        if line["name"] == "market.sale":
            self._sale = line["sale"]
        if line["name"] in _SOLD and self._sale is not None:
            self._sale = self._sale | {_SOLD[line["name"]]: line["text"]}
        self._day.journal.market(float(line["t_s"]), line["name"], line["text"])

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
            "sale": self._sale,
            "support": self._supports,
            "paid_eur": round(due_eur + support_eur, 2),
            "shortfall_eur_per_mwh": self._market.shortfall_eur_per_mwh,
        }


class PlatformPlug:
    """Everybody of the other side vanishes and is back; ``say`` reaches their process."""

    name, what = "platform", "UFTP, OpenADR"

    def __init__(self, day: Day, say: Callable[[Any], None]) -> None:
        self._day, self._say = day, say
        self._until_s = -math.inf

    def pull(self, kind: FaultKind, for_s: float) -> None:
        """Nobody answers for so long."""
        if kind is not FaultKind.SILENT:
            raise Refused("the platform can only be unplugged; expected --how unplug")
        self._be_out(self._day.course.t_s + for_s)

    def put_back(self) -> None:
        """They answer again, unless the scenario has them away."""
        if self._until_s <= self._day.course.t_s:
            raise Refused("the platform's plug is in; when the scenario has it away, only waiting helps")
        self._be_out(-math.inf)

    def _be_out(self, until_s: float) -> None:
        self._until_s = until_s
        self._say({"out_until_s": until_s})


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
