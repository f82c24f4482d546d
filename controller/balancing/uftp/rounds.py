"""One round of the market: ask for what a projection lacks, order the cheapest that came, settle what was delivered.

Who is known to the desk at that moment takes part: a participant that joins while all this runs is asked in the next
round. No clock; the caller says what time it is, and reads nothing but what the desk has on the disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Said
from controller.balancing.uftp.values import Day, Offer, Option, Order, Request, Wanted, day_of
from controller.estimation.layout import Layout
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.procurement import Asking, Chosen, Offered, asking, choose, relief_of
from controller.planning.projection import Projection
from controller.planning.schedule import Slot
from controller.planning.settlement import OrderSettlement, baseline_without_curtailment, settle_order, tariff_of

Curtailed = Callable[[str, float, float], float]
"""Wh that the controller itself kept a unit from giving between two instants (UTC seconds since 1970):
:meth:`controller.history.evidence.Evidence.curtailed_wh`, or what stands for it in a test."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One order after its day, or why it cannot be settled yet."""

    participant: str
    order: Order
    result: OrderSettlement | None
    reason: str


class Rounds:
    """The DSO's side of one site. ``calendar`` is the projection's, in UTC seconds since 1970 as site seconds."""

    def __init__(self, desk: Desk, layout: Layout, calendar: Calendar, shortfall_eur_per_mwh: float) -> None:
        if desk.market.isp_s != int(QUARTER_S):
            isp_s = desk.market.isp_s
            raise ValueError(f"market.isp_s is {isp_s}; expected {QUARTER_S:g}: projections are of quarter hours")
        self._desk, self._layout, self._calendar = desk, layout, calendar
        self._shortfall = shortfall_eur_per_mwh

    def ask(self, projected: Projection, revision: int, until_utc_s: float, now_utc_s: float) -> list[dict[str, str]]:
        """Put one FlexRequest per day that needs anything to all who take part; message ids by recipient."""
        reliefs = list(self._reliefs(projected).values())
        by_day: dict[date, list[Wanted]] = defaultdict(list)
        days: dict[date, Day] = {}
        for asked in asking(projected, reliefs):
            day = self._day(asked.quarter)
            if self._calendar.start_s(asked.quarter) > until_utc_s:
                days[day.period] = day
                by_day[day.period].append(self._wanted(asked, day))
        return [
            self._desk.ask(Request(days[period], revision, until_utc_s, tuple(isps)), now_utc_s)
            for period, isps in sorted(by_day.items())
            if any(isp.requested for isp in isps)
        ]

    def order(self, projected: Projection, now_utc_s: float) -> tuple[Chosen, list[Order]]:
        """Order the cheapest set of what stands; why the others were not is in the choice."""
        table = {o.id: (offer, option, o) for offer, option, o in self._on_the_table(projected, now_utc_s)}
        offered = [o for _, _, o in table.values()]
        chosen = choose(projected, offered, self._reliefs(projected), self._shortfall)
        orders = []
        for name, share in sorted(chosen.shares.items()):
            offer, option, _ = table[name]
            order = _order(offer, option, share)
            self._desk.order(offer, order, now_utc_s)
            orders.append(order)
        return chosen, orders

    def slots(self, period: date) -> list[Slot]:
        """What was ordered for a day and not turned down, quarter hour by quarter hour.

        An order that was given up for lack of an answer of HTTP counts when its participant says that it has taken it.
        """
        return [
            Slot(said.recipient, order.reference, start_s, start_s + order.day.isp_s, change_w)
            for said, order in self._desk.orders(period)
            if said.answer == "accepted" or not (said.answer or said.fate.startswith("given up"))
            for isp, change_w in sorted(order.ordered_w.items())
            for start_s in (order.day.isp_start_utc_s(isp),)
        ]

    def settle(self, period: date, curtailed_wh: Curtailed, now_utc_s: float) -> list[Settled]:
        """Settle every order of a day that its participant took, by D-Prognosis and metering, and tell them.

        What the controller curtailed itself is taken out of the baseline: nobody is paid for being held back. An order
        without baseline or metering of all its periods is not settled, and the reason says what is missing.
        """
        out = [self._settled(said.recipient, order, curtailed_wh) for said, order in self._taken(period)]
        told: dict[str, list[tuple[Order, OrderSettlement]]] = defaultdict(list)
        for one in out:
            if one.result is not None:
                told[one.participant].append((one.order, one.result))
        for who, settled in sorted(told.items()):
            self._desk.settle(who, settled, now_utc_s)
        return out

    def _taken(self, period: date) -> list[tuple[Said, Order]]:
        return [(said, order) for said, order in self._desk.orders(period) if said.answer == "accepted"]

    def _settled(self, who: str, order: Order, curtailed_wh: Curtailed) -> Settled:
        baseline, metered = self._desk.baseline_w(who, order.day.period), self._desk.metered_w(who, order.day.period)
        lacking = [isp for isp in order.power_w if isp not in baseline or isp not in metered]
        if lacking:
            what = "D-Prognosis" if lacking[0] not in baseline else "metering"
            return Settled(who, order, None, f"no {what} of ISP {lacking[0]}")
        units, ordered = self._desk.market.participants[who].units, order.ordered_w
        isps = []
        for isp, change_w in sorted(ordered.items()):
            start_s = order.day.isp_start_utc_s(isp)
            held_back_wh = sum(curtailed_wh(unit, start_s, start_s + order.day.isp_s) for unit in units)
            expected_w = baseline_without_curtailment(baseline[isp], held_back_wh, order.day.isp_s)
            isps.append((isp, expected_w, change_w, metered[isp]))
        tariff = tariff_of(order.price, list(ordered.values()), self._desk.market.penalty_factor)
        return Settled(who, order, settle_order(order.reference, isps, tariff), "")

    def _reliefs(self, projected: Projection) -> Mapping[str, NDArray[np.float64]]:
        return {who.domain: relief_of(self._layout, projected, who.units) for who in self._desk.aggregators()}

    def _day(self, quarter: int) -> Day:
        market = self._desk.market
        return day_of(self._calendar.start_s(quarter), market.isp_s, market.time_zone, market.congestion_point)

    def _wanted(self, asked: Asking, day: Day) -> Wanted:
        return Wanted(
            day.isp_at(self._calendar.start_s(asked.quarter)), asked.wanted, int(asked.low_w), int(asked.high_w)
        )

    def _on_the_table(self, projected: Projection, now_utc_s: float) -> list[tuple[Offer, Option, Offered]]:
        """Every option of every offer that stands for the days of the projection."""
        count = len(projected.limits[0].excess_w) if projected.limits else 0
        days = {self._day(projected.first_quarter + k).period for k in range(count)}
        out = []
        for offer in (o for period in sorted(days) for o in self._desk.offers(period, now_utc_s)):
            for option in offer.options:
                power_w = {self._quarter(offer.day, isp): w for isp, w in option.power_w.items()}
                name, group = f"{offer.head.message_id}/{option.reference}", offer.head.message_id
                share_min = option.activation_min_frac
                out.append((offer, option, Offered(name, offer.head.sender, group, option.price, share_min, power_w)))
        return out

    def _quarter(self, day: Day, isp: int) -> int:
        return self._calendar.quarter(day.isp_start_utc_s(isp))


def _order(offer: Offer, option: Option, share: float) -> Order:
    """The option as it was offered, and the share of it that is taken and paid."""
    return Order(
        day=offer.day,
        reference=f"{offer.head.message_id[:8]}-{option.reference}",
        offer_id=offer.head.message_id,
        option=option.reference,
        price=round(option.price * share, 4),
        currency=offer.currency,
        activation_frac=share,
        power_w=option.power_w,
        runs=option.runs,
        prognosis_id=offer.prognosis_id,
        contract=offer.contract,
    )
