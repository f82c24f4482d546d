"""A participant of a scenario's market as a UFTP aggregator: offers what it has, at its price, in its hours.

Every request is answered with one offer for each run of settlement periods in which something is wanted and something
is left; what was ordered before is not offered again. What is not divisible is offered in blocks that are taken whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import uuid4

from shapeshifter_uftp import uftp

from simulators.market.model import Offer
from simulators.platform.isps import ISP_S, clock_s, count, inside, start_utc_s
from simulators.platform.uftp_aggregator import Aggregator, Manners

W_MIN = 100_000
"""Nobody bothers to offer less."""
SHARE_MIN = 0.2
BLOCKS_FRAC = (1.0, 0.8, 0.6, 0.4)

Utc = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order that was taken: ``power_w`` by the beginning of its ISPs (UTC s), EUR in all; ``first`` of its offer."""

    offer: Offer
    power_w: dict[float, float]
    price_eur: float
    first: bool


@dataclass(slots=True)
class _Shelf:
    """What one offer of the scenario has left: W ordered by beginning of the ISP (UTC s)."""

    offer: Offer
    ordered_w: dict[float, float] = field(default_factory=dict)

    def left_w(self, begins_s: float, zone: str) -> float:
        """What it still has in an ISP, W; 0 outside its hours."""
        if not inside(clock_s(begins_s, zone), self.offer.start, self.offer.end):
            return 0.0
        return max(self.offer.power_w - self.ordered_w.get(begins_s, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive ISPs of one request: their numbers, beginnings (UTC s) and W."""

    isps: list[int]
    begins_s: list[float]
    power_w: list[int]

    def parts(self, offer: Offer) -> list[tuple[str, _Run]]:
        """All of it; of what cannot be divided also smaller blocks, of which one can be taken, by reference."""
        if offer.divisible:
            return [(offer.id, self)]
        blocks = ((offer.id if frac == 1.0 else f"{offer.id}-{frac:.0%}".rstrip("%"), frac) for frac in BLOCKS_FRAC)
        return [(name, replace(self, power_w=[int(w * frac) for w in self.power_w])) for name, frac in blocks]

    @property
    def energy_mwh(self) -> float:
        """Over all of them."""
        return sum(self.power_w) * ISP_S / 3.6e9


class Dealer(Aggregator):
    """One participant. ``took`` hears of every order, ``refused`` of what was turned down, ``overheard`` of every
    message with its direction (``heard`` or ``said``), all from the library's threads. ``here`` says whether an offer
    is there yet.

    ``baseline_w`` is what it means to take without any order in the ISPs of a usual day (load convention); without one
    it sends no D-Prognosis: what it has is storage, which rests when nobody orders anything.
    """

    num_inbound_threads = 1  # one message after the other, as they came
    num_outbound_threads = 1

    def __init__(
        self,
        domain: str,
        signing_key: str,
        offers: Sequence[Offer],
        *,
        dso_key: str,
        dso_endpoint: str,
        port: int,
        utc: Utc,
        baseline_w: Sequence[int] | None,
        took: Callable[[Ordered], None],
        refused: Callable[[str], None],
        here: Callable[[Offer], bool],
        overheard: Callable[[str, Any], None] = lambda _way, _message: None,
    ) -> None:
        most_w = round(max(offer.power_w for offer in offers))
        manners = Manners(most_w, min(offer.price_eur_per_mwh for offer in offers))
        super().__init__(domain, signing_key, manners, lambda *_: dso_key, lambda *_: dso_endpoint, port, utc)
        self._shelves = [_Shelf(offer) for offer in offers]
        self._baseline_w, self._took, self._refused = baseline_w, took, refused
        self._here, self._overheard = here, overheard
        self.heard.also = lambda message: overheard("heard", message)
        self._offered: dict[str, tuple[_Shelf, _Run]] = {}
        self._said: set[date] = set()
        self._taken: set[str] = set()
        self._lock = threading.Lock()

    def process_flex_request(self, message: Any) -> None:
        """Say what would be taken without an order, then offer what there is."""
        self.heard.add(message)
        reply = uftp.FlexRequestResponse(
            conversation_id=message.conversation_id, flex_request_message_id=message.message_id
        )
        self.send(message.sender_domain, reply)
        self._prognosticate(message)
        for offer in self._offers_for(message):
            self.send(message.sender_domain, offer)

    def process_flex_order(self, message: Any) -> None:
        """Take it, and remember what is left; of a copy there is nothing more to take."""
        super().process_flex_order(message)
        with self._lock:
            if message.message_id in self._taken:
                return
            self._taken.add(message.message_id)
            found = self._offered.get(str(message.flex_offer_message_id))
            if found is None:
                self._refused(f"{self.sender_domain}: an order for an offer that it never made")
                return
            shelf, run = found
            first = not shelf.ordered_w
            part = dict(run.parts(shelf.offer))[str(message.option_reference)]
            share = float(message.activation_factor)
            power_w = {b: w * share for b, w in zip(run.begins_s, part.power_w, strict=True)}
            for begins_s, w in power_w.items():
                shelf.ordered_w[begins_s] = shelf.ordered_w.get(begins_s, 0.0) + w
        self._took(Ordered(shelf.offer, power_w, float(message.price), first))

    def process_flex_offer_response(self, message: Any) -> None:
        """An offer that was turned down is worth knowing of."""
        self.heard.add(message)
        if message.result != uftp.AcceptedRejected.ACCEPTED:
            self._refused(f"{self.sender_domain}: offer turned down: {message.rejection_reason}")

    def process_d_prognosis_response(self, message: Any) -> None:
        """A D-Prognosis that was turned down is worth knowing of."""
        self.heard.add(message)
        if message.result != uftp.AcceptedRejected.ACCEPTED:
            self._refused(f"{self.sender_domain}: D-Prognosis turned down: {message.rejection_reason}")

    def send(self, recipient: str, message: Any) -> None:
        """To the DSO."""
        super().send(recipient, message)
        self._overheard("said", message)

    def _prognosticate(self, message: Any) -> None:
        day = date(message.period.year, message.period.month, message.period.day)
        if self._baseline_w is None or day in self._said:
            return
        self._said.add(day)
        last, usual_w = len(self._baseline_w) - 1, self._baseline_w
        powers_w = [usual_w[min(k, last)] for k in range(count(day, message.time_zone))]
        isps = [uftp.DPrognosisISP(power=w, start=k, duration=1) for k, w in enumerate(powers_w, start=1)]
        said = uftp.DPrognosis(
            time_stamp=self._utc().isoformat(),
            isp_duration=message.isp_duration,
            time_zone=message.time_zone,
            period=message.period,
            congestion_point=message.congestion_point,
            isps=isps,
            revision=1,
        )
        self.send(message.sender_domain, said)

    def _offers_for(self, message: Any) -> Iterator[Any]:
        with self._lock:
            for shelf in (one for one in self._shelves if self._here(one.offer)):
                for run in _runs(message, shelf):
                    made = self._offer(message, shelf, run)
                    self._offered[made.message_id] = shelf, run
                    yield made

    def _offer(self, message: Any, shelf: _Shelf, run: _Run) -> Any:
        offer = shelf.offer
        activation_eur = 0.0 if shelf.ordered_w else offer.activation_eur
        options = [
            uftp.FlexOfferOption(
                isps=[uftp.FlexOfferOptionISP(power=w, start=k) for k, w in zip(run.isps, part.power_w, strict=True)],
                option_reference=name,
                price=round(part.energy_mwh * offer.price_eur_per_mwh + activation_eur, 4),
                min_activation_factor=SHARE_MIN if offer.divisible else 1.0,
            )
            for name, part in run.parts(offer)
        ]
        made = self.made_of(message, options)
        made.message_id = str(uuid4())  # the order will name it
        return made


def _runs(message: Any, shelf: _Shelf) -> Iterator[_Run]:
    """Runs of ISPs in which more consumption (or less generation) is wanted and the shelf has some left."""
    day = date(message.period.year, message.period.month, message.period.day)
    found: list[tuple[int, float, int]] = []
    for isp in message.isps:
        if isp.disposition != uftp.AvailableRequested.REQUESTED:
            continue
        for number in range(isp.start, isp.start + (isp.duration or 1)):
            begins_s = start_utc_s(day, message.time_zone, number)
            w = int(min(isp.max_power, shelf.left_w(begins_s, message.time_zone)))
            if w >= W_MIN:
                found.append((number, begins_s, w))
    for _, run in groupby(enumerate(found), key=lambda x: x[1][0] - x[0]):
        numbers, begins, powers = zip(*(one for _, one in run), strict=True)
        yield _Run(list(numbers), list(begins), list(powers))
