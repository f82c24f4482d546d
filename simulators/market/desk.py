"""The platform's desk: holds every auction when its gate closes and says, lease by lease, what was bought.

No clock and no socket: it is told the second and gives what has to be said now. Each unit has at most one thing in
force: an order's lease, or, for a unit that belongs to others, a block until something of it has been bought.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controller.domain.instruction import Action
from controller.domain.site import Site
from simulators.market.auction import Outcome, hold_auction, hold_reactive
from simulators.market.forecast import SurplusForecast
from simulators.market.model import DAY_S, Gate, Market, Offer, ReactiveRequest
from simulators.scenario import Scenario

LEAST_S = 30.0
"""What would end sooner is not said any more."""
RENEW_S = 1800.0
"""What is in force is said again so often, for a controller whose clock runs otherwise or that has forgotten it."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One line for the controller: ``action`` about ``subject`` for ``lasts_s``; ``value`` W, None where none goes.

    ``offer`` is the accepted offer that it delivers, "" for anything else.
    """

    action: Action
    subject: str
    lasts_s: float
    reason: str
    value: float | None = None
    q_var: float | None = None
    offer: str = ""


@dataclass(frozen=True, slots=True)
class Booked:
    """A lease of an accepted offer, in seconds since the opening."""

    offer: str
    unit: str
    action: Action
    start_s: float
    end_s: float
    w: float
    q_var: float | None


@dataclass(frozen=True, slots=True)
class _Said:
    """What a unit's last word was, None for the standing contract, and when."""

    lease: Booked | None
    said_s: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at the clock brought: auctions held, participants that joined, and what to say."""

    outcomes: tuple[Outcome, ...] = ()
    joined: tuple[Offer, ...] = ()
    sayings: tuple[Saying, ...] = ()


class MarketDesk:
    """``open_for_business`` False: no auction is ever held, and what belongs to others stays theirs."""

    def __init__(self, site: Site, scenario: Scenario, seed: int, open_for_business: bool = True) -> None:
        self.market: Market = scenario.market
        self._offset_s = self.market.at(scenario.start_s)
        self._forecast = SurplusForecast(site, scenario, seed) if open_for_business else None
        self._gates = self._in_order() if open_for_business else []
        self._joins = self._joining() if open_for_business else []
        self._booked: list[Booked] = []
        self._in_force: dict[str, _Said] = {}
        self.outcomes: list[Outcome] = []

    def look(self, t_s: float) -> Looked:
        """What is new at second ``t_s`` of the simulated day; nothing while the platform is out."""
        now_s = self._offset_s + t_s
        if self.silent(t_s):
            return Looked()
        joined = tuple(self._take_joined(now_s))
        outcomes = tuple(self._close_gates(now_s))
        return Looked(outcomes, joined, tuple(self._sayings(now_s)))

    def silent(self, t_s: float) -> bool:
        """Whether the platform is out at that second of the simulated day."""
        now_s = self._offset_s + t_s
        return any(self.market.at(a) <= now_s < self.market.until(b) for a, b in self.market.outages)

    def _in_order(self) -> list[Gate | ReactiveRequest]:
        every: list[Gate | ReactiveRequest] = [*self.market.gates, *self.market.reactive]
        return sorted(every, key=lambda gate: self.market.at(gate.at))

    def _joining(self) -> list[Offer]:
        late = {o.participant: o for o in self.market.offers if o.joins is not None}
        return sorted(late.values(), key=lambda o: self.market.at(o.joins or 0.0))

    def _take_joined(self, now_s: float) -> Iterator[Offer]:
        while self._joins and self.market.at(self._joins[0].joins or 0.0) <= now_s:
            yield self._joins.pop(0)

    def _close_gates(self, now_s: float) -> Iterator[Outcome]:
        while self._gates and self.market.at(self._gates[0].at) <= now_s and self._forecast is not None:
            gate = self._gates.pop(0)
            if isinstance(gate, Gate):
                outcome = hold_auction(self.market, gate, self._forecast)
            else:
                outcome = hold_reactive(self.market, gate)
            self._booked += self._leases(outcome)
            self.outcomes.append(outcome)
            yield outcome

    def _leases(self, outcome: Outcome) -> list[Booked]:
        return [
            Booked(
                offer.id, lease.unit, lease.action, self.market.at(lease.start), self.market.until(lease.end),
                lease.none_w + (lease.w - lease.none_w) * frac, None if lease.q_var is None else lease.q_var * frac,
            )
            for offer, frac in outcome.taken
            for lease in offer.leases
        ]  # fmt: skip

    def _sayings(self, now_s: float) -> Iterator[Saying]:
        for unit in self._units():
            wanted, known = self._wanted(unit, now_s), self._in_force.get(unit)
            if known is not None and known.lease == wanted and now_s < known.said_s + RENEW_S:
                continue
            if known is not None and known.lease != wanted:
                yield Saying(Action.RELEASE, unit, LEAST_S * 2, "its hour is over")
            self._in_force[unit] = _Said(wanted, now_s)
            yield from self._say(unit, wanted, now_s)

    def _say(self, unit: str, wanted: Booked | None, now_s: float) -> Iterator[Saying]:
        if wanted is not None:
            lasts_s = wanted.end_s - now_s
            yield Saying(
                wanted.action, unit, lasts_s, f"order for {wanted.offer}", wanted.w, wanted.q_var, wanted.offer
            )
        elif unit in self.market.standing:
            lasts_s = max(self._next_start_s(unit, now_s) - now_s, LEAST_S)
            yield Saying(Action.BLOCK, unit, lasts_s, "belongs to others and nothing of it is bought")

    def _units(self) -> Sequence[str]:
        return list(dict.fromkeys((*self.market.standing, *(lease.unit for lease in self._booked))))

    def _wanted(self, unit: str, now_s: float) -> Booked | None:
        running = [x for x in self._booked if x.unit == unit and x.start_s <= now_s < x.end_s - LEAST_S]
        return max(running, key=lambda x: x.start_s, default=None)

    def _next_start_s(self, unit: str, now_s: float) -> float:
        later = [x.start_s for x in self._booked if x.unit == unit and x.start_s > now_s]
        return min(later, default=now_s + DAY_S)
