"""What the platform says by OpenADR on a day: the export grant, voltage support, and what participants do themselves.

A participant that means to sell its night holds its vehicles back until then, or gives the energy that it stored away
in the morning: that is not the network's order but its own business, and goes through the platform as a set point.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from controller.balancing.openadr.events import GENERATION_SETPOINT
from controller.domain.instruction import Action
from controller.domain.platform import REACTIVE_PAYLOAD
from simulators.market.auction import hold_reactive
from simulators.market.model import DAY_S, Lease, Market, Offer, ReactiveRequest
from simulators.market.support import Support
from simulators.platform.baseline import waits
from simulators.platform.isps import clock_s
from simulators.platform.stand_in import StandIn
from simulators.platform.vtn import Document

RENEW_S = 1800.0
"""The grant is prolonged so often."""
SETTLE_S = 300.0
"""How the requests were met is said so often."""
FLEXIBILITY, VOLTAGE = "flexibility", "voltage-support"
"""Names of the programmes, as the site file knows them."""
ASKED = ("USAGE", "OPERATING_STATE", "UP_REGULATION_AVAILABLE", "DOWN_REGULATION_AVAILABLE", "STORAGE_CHARGE_LEVEL")
"""What the site has to report while the grant is in force."""


class Tell(Protocol):
    """Takes what happened."""

    def __call__(self, name: str, text: str, **facts: Any) -> None:
        """``name`` and words for the journal, facts for the report."""
        ...


class OperatorDesk:
    """Looks at the clock and posts events. ``utc`` is the site's time of day."""

    def __init__(self, stand_in: StandIn, market: Market, zone: str, utc: Callable[[], datetime], tell: Tell) -> None:
        self._stand_in, self._market, self._zone, self._utc, self._tell = stand_in, market, zone, utc, tell
        self._programmes = {name: stand_in.programme(name) for name in (FLEXIBILITY, VOLTAGE)}
        self._granted_s: float | None = None
        self._waiting: set[str] = set()
        self._grant_id = ""
        self._requests = sorted(market.reactive, key=lambda request: market.at(request.at))
        self._asked: list[tuple[str, Support, list[str]]] = []
        self._meter_var, self._told_s = 0.0, 0.0
        self._reports = 0

    def meter(self, now_s: float, q_var: float) -> None:
        """What the transmission operator reads at the boundary (import positive), ``now_s`` after the opening."""
        self._meter_var = q_var
        for _, support, _ in self._asked:
            support.meter(now_s, q_var)
        if self._asked and now_s >= self._told_s + SETTLE_S:
            self._told_s = now_s
            self._tell("market.supports", "", supports=[support.to_dict() for _, support, _ in self._asked])

    def look(self, now_s: float, trades: bool) -> None:
        """Do what is due."""
        self._grant(now_s)
        if trades:
            self._wait(now_s)
        while trades and self._requests and self._market.at(self._requests[0].at) <= now_s:
            self._ask(self._requests.pop(0))
        self._hear_answers()
        self._hear_reports()

    def follow_up(self, offer: Offer, now: datetime) -> None:
        """What the participant does with its unit after the hours that it has sold."""
        for lease in offer.leases:
            if lease.action is Action.OVERRIDE:
                self._post_lease(offer, lease, now)

    def _wait(self, now_s: float) -> None:
        """Participants whose units wait for the hours of their offers begin to."""
        for offer in self._market.offers:
            for lease in waits(offer):
                begun = self._market.at(lease.start) <= now_s < self._market.until(lease.end)
                if begun and offer.id not in self._waiting:
                    self._waiting.add(offer.id)
                    self._post_lease(offer, lease, self._utc())

    def _post_lease(self, offer: Offer, lease: Lease, now: datetime) -> None:
        local_s = clock_s(now.timestamp(), self._zone)
        lasts_s = (lease.end - lease.start) % DAY_S
        ahead_s = (lease.start - local_s) % DAY_S
        if ahead_s + lasts_s > DAY_S:  # it has begun
            ahead_s, lasts_s = 0.0, (lease.end - local_s) % DAY_S
        kind = "DISPATCH_SETPOINT" if lease.w >= 0.0 else GENERATION_SETPOINT
        period = {"start": _stamp(now + timedelta(seconds=ahead_s)), "duration": _duration(lasts_s)}
        self._stand_in.post(
            self._programmes[FLEXIBILITY], kind, [abs(lease.w) / 1e3], targets=[lease.unit], intervalPeriod=period
        )
        what = f"{lease.unit} at {abs(lease.w) / 1e6:.1f} MW" if lease.w >= 0.0 else f"{-lease.w / 1e6:.1f} MW back"
        self._tell("market.own", f"{offer.participant} plans for itself (OpenADR): {what} for {lasts_s / 3600:.1f} h")

    def _grant(self, now_s: float) -> None:
        """The export that is allowed for the next hours."""
        market = self._market
        if market.export_w <= 0.0 or (self._granted_s is not None and now_s < self._granted_s + RENEW_S):
            return
        period = {"start": _stamp(self._utc()), "duration": _duration(market.export_s)}
        if self._granted_s is None:
            posted = self._stand_in.post(
                self._programmes[FLEXIBILITY], "EXPORT_CAPACITY_LIMIT", [market.export_w / 1e3], intervalPeriod=period,
                reportDescriptors=[{"payloadType": name} for name in ASKED],
            )  # fmt: skip
            self._grant_id = str(posted["id"])
            self._tell("market.granted", f"{market.export_w / 1e6:.1f} MW of export granted (OpenADR), again and again")
        else:
            self._stand_in.vtn.change("events", self._grant_id, intervalPeriod=period)
        self._granted_s = now_s

    def _ask(self, request: ReactiveRequest) -> None:
        """Voltage support, as an absolute value at the boundary."""
        outcome = hold_reactive(self._market, request)
        support = Support(request, outcome, self._meter_var)
        period = {"start": _stamp(self._utc()), "duration": _duration(request.lasts_s)}
        posted = self._stand_in.post(
            self._programmes[VOLTAGE], REACTIVE_PAYLOAD, [support.asked_var / 1e3], intervalPeriod=period
        )
        self._asked.append((str(posted["id"]), support, []))
        taken = " and ".join(offer.id for offer, _ in outcome.taken)
        self._tell(
            "market.reactive",
            f"voltage support asked for (OpenADR): {request.q_var / 1e6:+.1f} Mvar, covered by bids {taken}",
        )

    def _hear_answers(self) -> None:
        """What the site has said about each request, once."""
        for event_id, support, known in self._asked:
            for answer in self._stand_in.answers(event_id):
                words = ": ".join(map(str, answer))
                if words not in known:
                    known.append(words)
                    support.answer = words
                    self._tell("market.support", f"voltage support, the site answers (OpenADR): {words}")

    def _hear_reports(self) -> None:
        """What the site has reported since the last look, as it came."""
        reports = list(self._stand_in.vtn.objects["reports"].values())
        for report in reports[self._reports :]:
            readings = [_reading(resource) for resource in report["resources"]]
            name, event = report.get("reportName"), report.get("eventID")
            self._tell("openadr.report", "", id=report["id"], report=name, event=event, resources=readings)
        self._reports = len(reports)


def _reading(resource: Document) -> Document:
    """Of one resource: the period, and the values of its payloads by their types."""
    payloads = [payload for interval in resource["intervals"] for payload in interval["payloads"]]
    values = {payload["type"]: payload["values"] for payload in payloads}
    return {"resource": resource["resourceName"], "period": resource.get("intervalPeriod"), "values": values}


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _duration(seconds: float) -> str:
    return f"PT{round(seconds)}S"
