"""The platform's desk: holds every auction when its gate closes and says, lease by lease, what was bought.

No clock and no socket: it is told the second and gives what has to be said now. It also plays the site's order book:
what was accepted before the platform vanished is said when its hour comes, nothing else is. Each unit has at most one
thing in force; what holds for the others is the contract in the site file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.domain.instruction import INTERFACE, Action, Instruction
from controller.domain.owner import Owner
from controller.domain.site import Site
from controller.planning.availability import sustained_range_w
from simulators.market.auction import Outcome, hold_auction, hold_reactive
from simulators.market.forecast import SurplusForecast
from simulators.market.model import Gate, Market, Offer, ReactiveRequest, Sale
from simulators.market.support import Support
from simulators.scenario import Scenario

NOTHING: Mapping[str, float] = {}
LEAST_S = 30.0
"""What would end sooner is not said any more."""
RENEW_S = 1800.0
"""What is in force is said again so often, for a controller whose clock runs otherwise or that has forgotten it."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One line for the controller: ``action`` about ``subject`` for ``lasts_s``; ``value`` W, None where none goes.

    ``issuer`` and ``owner`` are the desk behind the platform that speaks and its layer; ``offer`` is the accepted offer
    that is delivered, "" for anything else.
    """

    issuer: str
    owner: Owner

    action: Action
    subject: str
    lasts_s: float
    reason: str
    value: float | None = None
    q_var: float | None = None
    offer: str = ""

    def instruction(self, number: int, issued_utc_s: float = math.nan) -> Instruction:
        """The line as the controller gets it; ``number`` grows with every line of the day."""
        return Instruction(
            id=f"order-{number}", issuer=self.issuer, counter=number, issued_utc_s=issued_utc_s, lasts_s=self.lasts_s,
            action=self.action, subject=self.subject, value=math.nan if self.value is None else self.value,
            q_var=self.q_var, reason=self.reason, owner=self.owner,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Booked:
    """A lease of an accepted offer, in seconds since the opening; ``owner`` is the layer that it was bought for.

    ``unit`` is ``interface`` and ``w`` None for voltage support.
    """

    offer: str
    owner: Owner
    unit: str
    action: Action
    start_s: float
    end_s: float
    w: float | None
    q_var: float | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """What a unit's last word was, None for nothing, and when."""

    lease: Booked | None
    said_s: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at the clock brought: auctions held, participants that joined, what to say and what to sell."""

    outcomes: tuple[Outcome, ...] = ()
    joined: tuple[Offer, ...] = ()
    sayings: tuple[Saying, ...] = ()
    sale: Sale | None = None


class MarketDesk:
    """``open_for_business`` False: no auction is ever held, and what belongs to others stays theirs.

    Raises ValueError when the site has no platform with a desk for flexibility and one for the transmission operator.
    """

    def __init__(self, site: Site, scenario: Scenario, seed: int, open_for_business: bool = True) -> None:
        self.market: Market = scenario.market
        self._accounts = _accounts(site)
        self._offset_s = self.market.at(scenario.start_s)
        self._forecast = SurplusForecast(site, scenario, seed) if open_for_business else None
        self._gates = self._in_order() if open_for_business else []
        self._joins = self._joining() if open_for_business else []
        self._sale = self.market.sale if open_for_business else None
        self._booked: list[Booked] = []
        self._in_force: dict[str, _Said] = {}
        self._granted_s: float | None = None
        self._soc_frac: Mapping[str, float] = NOTHING
        self._storages = {unit.id: unit.storage for unit in site.units if unit.storage is not None}
        self.outcomes: list[Outcome] = []
        self.supports: list[Support] = []

    def look(self, t_s: float, boundary_var: float = 0.0, soc_frac: Mapping[str, float] = NOTHING) -> Looked:
        """What is new at second ``t_s`` of the simulated day; of the platform nothing while it is out.

        ``boundary_var`` is what the transmission operator's own meter at the boundary shows (import positive);
        ``soc_frac`` the content of storages, by which orders to give energy back are sized.
        """
        now_s = self._offset_s + t_s
        self._soc_frac = soc_frac
        heard_s = self._heard_s(now_s)
        for support in self.supports:
            support.meter(now_s, boundary_var)
        joined = tuple(self._take_joined(heard_s))
        outcomes = tuple(self._close_gates(heard_s, boundary_var))
        sayings = (*self._grant(now_s, heard_s), *self._sayings(now_s))
        return Looked(outcomes, joined, sayings, self._due_sale(heard_s))

    def accepted_eur_per_mwh(self, units: Sequence[str]) -> dict[str, float]:
        """The highest price that was accepted of each of ``units`` for active power; others are not in it."""
        taken = [offer for outcome in self.outcomes if not outcome.reactive for offer, _ in outcome.taken]
        prices = {unit: [offer.price_eur_per_mwh for offer in taken if offer.asset == unit] for unit in units}
        return {unit: max(found) for unit, found in prices.items() if found}

    def silent(self, t_s: float) -> bool:
        """Whether the platform is out at that second of the simulated day."""
        now_s = self._offset_s + t_s
        return self._heard_s(now_s) < now_s

    def _heard_s(self, now_s: float) -> float:
        """Until when the platform has spoken: now, or the beginning of the outage."""
        begun = (self.market.at(a) for a, b in self.market.outages if self.market.at(a) < now_s < self.market.until(b))
        return min(begun, default=now_s)

    def _grant(self, now_s: float, heard_s: float) -> Iterator[Saying]:
        """The export that the platform allows for the next hours, said again while it is there."""
        lasts_s = heard_s + self.market.export_s - now_s
        again = self._granted_s is None or (heard_s == now_s and now_s >= self._granted_s + RENEW_S)
        if self.market.export_w > 0.0 and again and lasts_s > LEAST_S:
            self._granted_s = now_s
            owner = Owner.FLEXIBILITY
            words = "export granted for the next hours"
            yield Saying(self._accounts[owner], owner, Action.LIMIT, "export", lasts_s, words, self.market.export_w)

    def _due_sale(self, heard_s: float) -> Sale | None:
        """The sale of the day, once."""
        sale = self._sale
        if sale is None or heard_s < self.market.at(sale.at):
            return None
        self._sale = None
        return sale

    def _in_order(self) -> list[Gate | ReactiveRequest]:
        every: list[Gate | ReactiveRequest] = [*self.market.gates, *self.market.reactive]
        return sorted(every, key=lambda gate: self.market.at(gate.at))

    def _joining(self) -> list[Offer]:
        late = {o.participant: o for o in self.market.offers if o.joins is not None}
        return sorted(late.values(), key=lambda o: self.market.at(o.joins or 0.0))

    def _take_joined(self, now_s: float) -> Iterator[Offer]:
        while self._joins and self.market.at(self._joins[0].joins or 0.0) <= now_s:
            yield self._joins.pop(0)

    def _close_gates(self, now_s: float, boundary_var: float) -> Iterator[Outcome]:
        while self._gates and self.market.at(self._gates[0].at) <= now_s and self._forecast is not None:
            gate = self._gates.pop(0)
            if isinstance(gate, Gate):
                outcome = hold_auction(self.market, gate, self._forecast)
                self._booked += self._leases(outcome)
            else:
                outcome = hold_reactive(self.market, gate)
                self.supports.append(Support(gate, outcome, boundary_var))
                self._booked.append(_request(self.supports[-1]))
            self.outcomes.append(outcome)
            yield outcome

    def _leases(self, outcome: Outcome) -> list[Booked]:
        return [
            Booked(
                offer.id, Owner.FLEXIBILITY, lease.unit, lease.action, self.market.at(lease.start),
                self.market.until(lease.end), lease.none_w + (lease.w - lease.none_w) * frac,
            )
            for offer, frac in outcome.taken
            for lease in offer.leases
        ]  # fmt: skip

    def _sayings(self, now_s: float) -> Iterator[Saying]:
        for unit in self._units():
            wanted, known = self._wanted(unit, now_s), self._in_force.get(unit)
            if known is not None and known.lease == wanted and now_s < known.said_s + RENEW_S:
                continue
            if known is not None and known.lease is not None and known.lease != wanted:
                owner = known.lease.owner
                words = "its hour is over"
                yield Saying(self._accounts[owner], owner, Action.RELEASE, unit, LEAST_S * 2, words)
            self._in_force[unit] = _Said(wanted, now_s)
            if wanted is not None:
                yield self._order(wanted, now_s)

    def _order(self, lease: Booked, now_s: float) -> Saying:
        account, words = self._accounts[lease.owner], f"order for {lease.offer}"
        left_s = lease.end_s - now_s
        return Saying(
            account, lease.owner, lease.action, lease.unit, left_s, words, self._lasting_w(lease, left_s),
            lease.q_var, lease.offer,
        )  # fmt: skip

    def _lasting_w(self, lease: Booked, left_s: float) -> float | None:
        """An order to discharge is as large as the content can keep up to its end, as far as that is known."""
        storage, soc_frac = self._storages.get(lease.unit), self._soc_frac.get(lease.unit, math.nan)
        discharges = lease.action is Action.OVERRIDE and lease.w is not None and lease.w < 0.0
        if storage is None or not discharges or lease.w is None or not math.isfinite(soc_frac):
            return lease.w
        return max(lease.w, sustained_range_w(storage, soc_frac, left_s)[0])

    def _units(self) -> Sequence[str]:
        return list(dict.fromkeys(lease.unit for lease in self._booked))

    def _wanted(self, unit: str, now_s: float) -> Booked | None:
        running = [x for x in self._booked if x.unit == unit and x.start_s <= now_s < x.end_s - LEAST_S]
        return max(running, key=lambda x: x.start_s, default=None)


def _request(support: Support) -> Booked:
    """What the controller is told: reactive power at the interface, as an absolute value."""
    return Booked(
        "voltage support", Owner.TSO, INTERFACE, Action.REACTIVE, support.begins_s, support.ends_s, None,
        support.asked_var,
    )  # fmt: skip


def _accounts(site: Site) -> dict[Owner, str]:
    """Who speaks for which layer."""
    issuers = () if site.platform is None else site.platform.issuers
    found = {issuer.service: issuer.account for issuer in issuers}
    missing = [owner.value for owner in (Owner.FLEXIBILITY, Owner.TSO) if owner not in found]
    if missing:
        raise ValueError(f"site {site.name} has no platform desk for {', '.join(missing)}; expected platform.issuers")
    return found
