"""The platform's desk at work in the demo: what it decides goes to the controller as leased instructions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from controller.domain.instruction import Action
from controller.runtime.instruction_wire import write_instruction
from simulators.demo.day import Day
from simulators.demo.sale import Sold, sale_words, sell
from simulators.demo.words import minute, power
from simulators.market.auction import Outcome
from simulators.market.desk import Looked, MarketDesk, Saying
from simulators.market.model import Offer, Sale

_RETRY_S = 0.2
_LOOK_S = 0.1


class Trade:
    """One day of trading. ``orders`` are all leases that the controller accepted, JSON-ready."""

    def __init__(self, day: Day, trades: bool) -> None:
        setting = day.setting
        self.desk = MarketDesk(setting.site, setting.scenario, setting.seed, trades)
        self.orders: list[dict[str, Any]] = []
        self.refusals = 0
        self.sold: Sold | None = None
        self._day = day
        self._number = 0
        self._silent = False

    async def run(self, socket: Path) -> None:
        """Until cancelled: look at the clock of the plant, decide, and say it to the controller at ``socket``."""
        while True:
            self._tell_outage()
            looked = self.desk.look(self._day.course.t_s, self._boundary_var(), self._soc_frac())
            self._tell(looked)
            for saying in looked.sayings:
                self._number += 1
                self._note(saying, await _answer(socket, write_instruction(saying.instruction(self._number))))
            if looked.sale is not None:
                await self._sell(looked.sale)
            await asyncio.sleep(_LOOK_S)

    def report(self) -> dict[str, Any]:
        """JSON-ready. Costs in EUR as offers state them: capacity over their hours, and what an activation costs."""
        auctions = [
            {
                "at_s": outcome.at_s,
                "need_w": outcome.need_w,
                "uncovered_w": outcome.uncovered_w,
                "reactive": outcome.reactive,
                "taken": {offer.id: round(frac, 6) for offer, frac in outcome.taken},
                "refused": dict(outcome.refused),
                "paid_eur": round(outcome.paid_eur, 2),
            }
            for outcome in self.desk.outcomes
        ]
        paid_eur = round(sum(outcome.paid_eur for outcome in self.desk.outcomes), 2)
        return {
            "auctions": auctions,
            "orders": self.orders,
            "refused_orders": self.refusals,
            "sale": None if self.sold is None else self.sold.to_dict(),
            "support": [support.to_dict() for support in self.desk.supports],
            "paid_eur": paid_eur,
            "shortfall_eur_per_mwh": self.desk.market.shortfall_eur_per_mwh,
        }

    async def _sell(self, sale: Sale) -> None:
        """Offer what is left to the national market; the bid is made of the controller's newest record."""
        setting, t_s = self._day.setting, self._day.course.t_s
        midnight_utc_s = setting.began_utc.timestamp() + t_s - self._day.site_clock_s
        prices = self.desk.accepted_eur_per_mwh(sale.units)
        try:
            self.sold = await sell(setting.site, self._day.record, sale, prices, midnight_utc_s)
        except (OSError, ValueError) as error:
            self.sold = Sold(None, False, f"no bid: {error}")
        self._day.journal.market(t_s, "market.sale", sale_words(sale, self.sold.to_dict()))

    def _boundary_var(self) -> float:
        """What the transmission operator's meter shows; 0 before the plant has said anything."""
        q_var = self._day.course.truth.get("interface_q_var")
        return float(q_var) if isinstance(q_var, int | float) else 0.0

    def _soc_frac(self) -> dict[str, float]:
        """Content of the storages by the controller's newest record."""
        found = {state["id"]: state["soc_frac"] for state in self._day.record.get("units", ())}
        return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}

    def _note(self, saying: Saying, answer: dict[str, Any]) -> None:
        t_s = self._day.course.t_s
        if saying.action is Action.REACTIVE and self.desk.supports:
            self.desk.supports[-1].answer = str(answer["text"])
            words = f"voltage support, the controller answers: {answer['text']}"
            self._day.journal.market(t_s, "market.support", words)
        if not answer["accepted"]:
            self.refusals += 1
            self._day.journal.market(t_s, "market.refused", f"the controller refuses: {answer['text']}")
        elif saying.offer:
            self.orders.append(
                {
                    "offer": saying.offer, "unit": saying.subject, "action": saying.action.value, "p_w": saying.value,
                    "q_var": saying.q_var, "t_s": round(t_s, 1), "lasts_s": round(saying.lasts_s, 1),
                }
            )  # fmt: skip

    def _tell_outage(self) -> None:
        t_s = self._day.course.t_s
        silent = self.desk.silent(t_s)
        if silent != self._silent:
            words = "vanishes; what is accepted goes on until it expires, then the contract" if silent else "is back"
            words = f"the platform {words}"
            self._day.journal.market(t_s, "market.outage", words)
        self._silent = silent

    def _tell(self, looked: Looked) -> None:
        journal, t_s = self._day.journal, self._day.course.t_s
        for offer in looked.joined:
            journal.market(t_s, "market.joined", f"{offer.participant} joins, with {offer.asset}")
        for outcome in looked.outcomes:
            for name, text in self._words(outcome):
                journal.market(t_s, name, text)

    def _words(self, outcome: Outcome) -> Iterator[tuple[str, str]]:
        taken = " and ".join(f"{offer.id} {_size(offer, frac)}" for offer, frac in outcome.taken) or "no offer"
        refused = "".join(f"; not {name}: {why.split(':')[0]}" for name, why in outcome.refused.items())
        if outcome.reactive:
            verdict = "in full" if outcome.uncovered_w < 1.0 else f"but for {_var(outcome.uncovered_w)}"
            yield "market.reactive", f"voltage support asked for, covered by bids {verdict}: {taken}"
        else:
            start_s = self.desk.market.opens
            hours = f"{minute(start_s + outcome.from_s)}–{minute(start_s + outcome.to_s)}"
            yield (
                "market.need",
                f"need {power(outcome.need_w)} {hours}: taken {taken}, {outcome.paid_eur:.0f} EUR{refused}",
            )


def _size(offer: Offer, frac: float) -> str:
    return power(frac * offer.power_w) if offer.leases else _var(frac * offer.power_w)


def _var(magnitude_var: float) -> str:
    return power(magnitude_var)[:-1] + "var"


async def _answer(socket: Path, line: bytes) -> dict[str, Any]:
    """What the controller says to one line; one that is not there (yet), or hangs up, is asked again."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(line)
                if said := await reader.readline():
                    return dict(json.loads(said))
            finally:
                writer.close()
        await asyncio.sleep(_RETRY_S)
