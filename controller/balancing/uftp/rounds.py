"""One round of the market: ask for what a projection lacks, order the cheapest that came, settle what was delivered.

Who is known to the desk at that moment takes part: a participant that joins while all this runs is asked in the next
round. No clock; the caller says what time it is, and reads nothing but what the desk has on the disk.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.balancing.orders import Use
from controller.balancing.uftp.delivery import baseline_of, units_of, used
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.memory import Said
from controller.balancing.uftp.reservations import deadline_utc_s, is_due, kept, reservation_of
from controller.balancing.uftp.values import Day, Offer, Option, Order, Request, Reservation, Wanted, day_of
from controller.domain.market import Participant
from controller.domain.unit import Unit
from controller.estimation.layout import Layout
from controller.planning.calendar import QUARTER_S, Calendar
from controller.planning.counted import deliverable_w, lacks, share_of
from controller.planning.lookback import less_ordered
from controller.planning.procurement import Asking, Chosen, Offered, asking, choose, relief_of
from controller.planning.projection import Projection
from controller.planning.schedule import Slot
from controller.planning.settlement import (
    HOUR_S,
    OrderSettlement,
    Proof,
    baseline_without_curtailment,
    settle_order,
    settle_readiness,
    settle_ready,
    tariff_of,
)


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

    def ask(
        self, projected: Projection, revision: int, until_utc_s: float, now_utc_s: float, lead_s: float = 0.0
    ) -> list[dict[str, str]]:
        """Put one FlexRequest per day that needs anything to all who take part; message ids by recipient.

        Only periods that begin more than ``lead_s`` after the deadline ``until_utc_s`` are asked about.
        """
        reliefs = list(self._reliefs(projected).values())
        by_day: dict[date, list[Wanted]] = defaultdict(list)
        days: dict[date, Day] = {}
        for asked in asking(projected, reliefs):
            day = self._day(asked.quarter)
            if self._calendar.start_s(asked.quarter) > until_utc_s + lead_s:
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
        told = self._desk.note_choice(chosen.shares, chosen.left_out, now_utc_s)
        orders = []
        for name, share in sorted(chosen.shares.items()):
            offer, option, _ = table[name]
            order = _order(offer, option, share)
            self._desk.order(offer, order, now_utc_s)
            orders.append(order)
        return replace(chosen, left_out=told), orders

    def left(self, projected: Projection) -> Projection:
        """What is still to be relieved once everybody delivers what was ordered, as far as it can be counted on.

        Vehicles whose participant says by D-Prognosis that they wait relieve nothing meanwhile. An order that is used
        as needed strains no limit: the fast loop takes of it what helps.
        """
        ordered, first, known = self._ordered(projected), projected.first_quarter, []
        for who, relief in self._reliefs(projected).items():
            changes = [(relief, self._waiting_w(projected, who))]
            if who in ordered:
                counted_w = self._counted_w(projected, who, ordered[who])
                as_needed = self._desk.market.participants[who].as_needed
                changes += _helping(relief, counted_w) if as_needed else [(relief, counted_w)]
            for effect, change_w in changes:
                known.append((effect, {first + k: w for k, w in enumerate(change_w.tolist()) if w != 0.0}))
        return less_ordered(projected, known)

    def release(self, projected: Projection, now_utc_s: float) -> list[Reservation]:
        """Tell who keeps something ready for tomorrow, when it is time, how much of it tomorrow needs."""
        market, reliefs, out = self._desk.market, self._reliefs(projected), []
        today = day_of(now_utc_s, market.isp_s, market.time_zone, market.congestion_point)
        day = replace(today, period=today.period + timedelta(days=1))
        quarters = {isp: self._quarter(day, isp) for isp in range(1, day.isps + 1)}
        for contract in market.contracts:
            who = contract.participant
            due = who in reliefs and is_due(contract, day.period, market.time_zone, now_utc_s)
            if due and not self._desk.said_reservation(reservation_of(contract, day.period)):
                found = kept(contract, day, projected, reliefs[who], quarters)
                if found.power_w:
                    until_utc_s = deadline_utc_s(contract, day.period, market.time_zone)
                    self._desk.reserve(who, found, now_utc_s, until_utc_s)
                    out.append(found)
        return out

    def short(self, projected: Projection) -> dict[str, str]:
        """Orders that cannot be counted on any more, by reference, with when and how much is missing."""
        out: dict[str, str] = {}
        for who, ordered_w in self._ordered(projected).items():
            counted_w = self._counted_w(projected, who, ordered_w)
            lacking = {projected.first_quarter + int(k) for k in np.flatnonzero(lacks(ordered_w, counted_w))}
            for slot in self._slots_ahead(projected):
                quarter = self._calendar.quarter(slot.start_utc_s)
                if slot.participant == who and quarter in lacking and slot.order not in out:
                    k = quarter - projected.first_quarter
                    out[slot.order] = _missing(who, self._day(quarter), slot.start_utc_s, ordered_w[k], counted_w[k])
        return out

    def _ordered(self, projected: Projection) -> dict[str, NDArray[np.float64]]:
        """Change per quarter hour of the projection, W, by participant."""
        out: dict[str, NDArray[np.float64]] = {}
        for slot in self._slots_ahead(projected):
            at = self._calendar.quarter(slot.start_utc_s) - projected.first_quarter
            out.setdefault(slot.participant, np.zeros(projected.quarters))[at] += slot.change_w
        return dict(sorted(out.items()))

    def _slots_ahead(self, projected: Projection) -> list[Slot]:
        """What was ordered of the projection's quarter hours."""
        first, last = projected.first_quarter, projected.first_quarter + projected.quarters
        slots = [slot for period in self._days(projected) for slot in self.slots(period)]
        return [slot for slot in slots if first <= self._calendar.quarter(slot.start_utc_s) < last]

    def _counted_w(self, projected: Projection, who: str, ordered_w: NDArray[np.float64]) -> NDArray[np.float64]:
        return deliverable_w(self._units(who), projected.uptake, self._baseline_w(projected, who), ordered_w)

    def _waiting_w(self, projected: Projection, who: str) -> NDArray[np.float64]:
        """How much less than usual (≤ 0) a participant with nothing but vehicles has said to take, W."""
        units, uptake = self._units(who), projected.uptake
        if not units or any(unit.id not in uptake for unit in units):
            return np.zeros(projected.quarters)
        usual_w = np.sum([uptake[unit.id].unasked_w for unit in units], axis=0)
        said_w = np.nan_to_num(self._baseline_w(projected, who), nan=np.inf)
        return np.asarray(np.minimum(said_w - usual_w, 0.0))

    def _units(self, who: str) -> list[Unit]:
        participant = self._desk.market.participants.get(who)
        return [] if participant is None else units_of(self._layout.site, participant)

    def _baseline_w(self, projected: Projection, who: str) -> NDArray[np.float64]:
        """The participant's D-Prognosis per quarter hour; NaN where it said nothing."""
        known = {period: self._desk.baseline_w(who, period) for period in self._days(projected)}
        quarters = range(projected.first_quarter, projected.first_quarter + projected.quarters)
        days = [(self._day(quarter), self._calendar.start_s(quarter)) for quarter in quarters]
        return np.array([known[day.period].get(day.isp_at(start_s), math.nan) for day, start_s in days])

    def slots(self, period: date, *, taken: bool = False) -> list[Slot]:
        """What was ordered for a day and not turned down, quarter hour by quarter hour.

        An order that was given up for lack of an answer of HTTP counts when its participant says that it has taken it.
        With ``taken`` only what its participant has said to deliver.
        """
        return [
            Slot(said.recipient, order.reference, start_s, start_s + order.day.isp_s, change_w)
            for said, order in self._desk.orders(period)
            if said.answer == "accepted" or not (taken or said.answer or said.fate.startswith("given up"))
            for isp, change_w in sorted(order.ordered_w.items())
            for start_s in (order.day.isp_start_utc_s(isp),)
        ]

    def unsettled(self, period: date) -> list[str]:
        """Participants that took orders for a day and were not told a settlement of it."""
        return sorted({s.recipient for s, _ in self._taken(period) if not self._desk.settled(s.recipient, period)})

    def settle(self, period: date, proof: Proof, now_utc_s: float) -> list[Settled]:
        """Settle every order of a day that its participant took, by D-Prognosis and metering, and tell them, once.

        What the controller curtailed itself is taken out of the baseline: nobody is paid for being held back. Where a
        participant sends no metering, what we measured at its units counts. Who delivers as needed is paid for all that
        was ordered, for how much was used was not his choice; of what only limits could take, what they took is
        delivered, of anything else all. An order without baseline or metering of all its periods is not settled, nor
        are the participant's others of that day; the reason says what is missing.
        """
        due = self.unsettled(period)
        taken = [(said.recipient, order) for said, order in self._taken(period) if said.recipient in due]
        out = [self._settled(who, order, proof) for who, order in taken]
        lacking = {one.participant for one in out if one.result is None}
        told: dict[str, list[tuple[Order, OrderSettlement]]] = defaultdict(list)
        for one in out:
            if one.result is not None and one.participant not in lacking:
                told[one.participant].append((one.order, one.result))
        for who, settled in sorted(told.items()):
            self._desk.settle(who, settled, now_utc_s)
        return out

    def _taken(self, period: date) -> list[tuple[Said, Order]]:
        return [(said, order) for said, order in self._desk.orders(period) if said.answer == "accepted"]

    def _settled(self, who: str, order: Order, proof: Proof) -> Settled:
        participant = self._desk.market.participants[who]
        prognosis_w, metered_w = (read(who, order.day.period) for read in (self._desk.baseline_w, self._desk.metered_w))
        tariff = tariff_of(order.price, list(order.ordered_w.values()), self._desk.market.penalty_factor)
        isps, ready = [], []
        for isp, change_w in sorted(order.ordered_w.items()):
            start_s = order.day.isp_start_utc_s(isp)
            end_s = start_s + order.day.isp_s
            baseline_w = baseline_of(self._layout.site, participant, prognosis_w, isp)
            actual_w = metered_w.get(isp, _sum_of(proof.measured_w, participant.units, start_s, end_s))
            if participant.as_needed and baseline_w is not None:
                taken_w = self._taken_w(participant, change_w, proof, start_s, end_s)
                ready.append(settle_ready(isp, baseline_w, change_w, taken_w))
                continue
            if baseline_w is None or actual_w is None:
                what = "D-Prognosis" if baseline_w is None else "metering"
                return Settled(who, order, None, f"no {what} of ISP {isp}")
            held_back_wh = sum(proof.curtailed_wh(unit, start_s, end_s) for unit in participant.units)
            expected_w = baseline_without_curtailment(baseline_w, held_back_wh, order.day.isp_s)
            isps.append((isp, expected_w, change_w, actual_w))
        if participant.as_needed:
            return Settled(who, order, settle_readiness(order.reference, ready, tariff), "")
        return Settled(who, order, settle_order(order.reference, isps, tariff), "")

    def _taken_w(self, who: Participant, change_w: float, proof: Proof, start_s: float, end_s: float) -> float:
        """Mean of what limits took by an order that is used as needed; all of it where it is no reserve, W."""
        units = units_of(self._layout.site, who)
        if any(used(unit, change_w) is not Use.RESERVE for unit in units):
            return abs(change_w)
        return sum(proof.taken_wh(unit.id, start_s, end_s) for unit in units) * HOUR_S / (end_s - start_s)

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
        out, ordered = [], self._ordered(projected)
        for offer in (o for period in self._days(projected) for o in self._desk.offers(period, now_utc_s)):
            for option in offer.options:
                power_w = {self._quarter(offer.day, isp): w for isp, w in option.power_w.items()}
                name, group, who = (
                    f"{offer.head.message_id}/{option.reference}",
                    offer.head.message_id,
                    offer.head.sender,
                )
                share_max = self._share_of(projected, who, ordered.get(who), power_w)
                offered = Offered(name, who, group, option.price, option.activation_min_frac, power_w, share_max)
                out.append((offer, option, offered))
        return out

    def _share_of(
        self, projected: Projection, who: str, ordered_w: NDArray[np.float64] | None, power_w: Mapping[int, float]
    ) -> float:
        """How much of an option can be counted on beside what its participant has to deliver already."""
        units, offered_w = self._units(who), np.zeros(projected.quarters)
        if not any(unit.id in projected.uptake for unit in units):
            return 1.0
        for quarter, w in power_w.items():
            if 0 <= quarter - projected.first_quarter < projected.quarters:
                offered_w[quarter - projected.first_quarter] = w
        before_w = np.zeros(projected.quarters) if ordered_w is None else ordered_w
        return share_of(units, projected.uptake, self._baseline_w(projected, who), before_w, offered_w)

    def _days(self, projected: Projection) -> list[date]:
        return sorted({self._day(projected.first_quarter + k).period for k in range(projected.quarters)})

    def _quarter(self, day: Day, isp: int) -> int:
        return self._calendar.quarter(day.isp_start_utc_s(isp))


def _sum_of(
    measured_w: Callable[[str, float, float], float | None], units: Sequence[str], start_s: float, end_s: float
) -> float | None:
    if not units:
        return None
    found = [measured_w(unit, start_s, end_s) for unit in units]
    return None if None in found else sum(w for w in found if w is not None)


def _missing(who: str, day: Day, start_utc_s: float, ordered_w: float, counted_w: float) -> str:
    isp = day.isp_at(start_utc_s)
    return (
        f"{who}: from ISP {isp} of {day.period} on {counted_w:.0f} W can be counted on; {ordered_w:.0f} W are ordered"
    )


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


def _helping(
    relief: NDArray[np.float64], change_w: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The same changes, more and less consumption apart, with their effect on the limits that they relieve."""
    more, less = np.maximum(relief, 0.0), np.minimum(relief, 0.0)
    return [(more, np.maximum(change_w, 0.0)), (less, np.minimum(change_w, 0.0))]
