"""FlexRequest → FlexOffer → FlexOrder → FlexOrderResponse, with a DSO that is killed.

The aggregator is in this process and is the judge. It reads and signs with the public library's own functions, keeps
each message once by its id, and repeats its own until they were taken. At the end its orders are compared with what
the DSO, begun once more, thinks that it has ordered.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import time
import uuid
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from nacl.bindings import crypto_sign_seed_keypair
from shapeshifter_uftp import uftp
from shapeshifter_uftp.transport import from_xml, seal_message, to_xml, unseal_message

from controller.balancing.order_port import OrderPort
from controller.balancing.uftp.endpoint import PATH
from controller.balancing.uftp.link import FOLDER, MarketLink
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.values import day_of, midnight_utc_s
from controller.balancing.uftp.writing import instant
from controller.config.find import find_site
from controller.config.loader import parse_site
from controller.domain.market import Marketplace, Timetable, Wire
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.calendar import Calendar
from controller.planning.projection import LimitOutlook, Projection
from controller.planning.settlement import Proof
from orders.mortal import Reaper, Skew, SkewedClock, hush, until
from simulators.platform.http_server import HttpServer
from simulators.platform.http_server import Request as HttpRequest
from simulators.platform.http_server import Response as HttpResponse

logging.getLogger("shapeshifter-uftp").setLevel(logging.CRITICAL)  # whole messages otherwise

DSO, AGR = "dso.example.com", "agr.example.com"
POINT, ZONE = "ea1.2026-01.com.example:primary-1", "Europe/London"
SPEED = 50.0
HURRY = Timetable(plan_s=0.5, offer_s=0.2, lead_s=0.0, again_s=0.2)
NEED_STEP_W, NEED_STEP_S = 10e3, 0.1
FIRST_ISP = 48
LIFE_S = (0.0, 0.8)  # a third of a second of it is for beginning
ROUNDING_FRAC = 0.02  # a share has two decimals, rounded up
DAY_S, HOUR_S = 86_400.0, 3600.0


def keys(seed: int) -> tuple[str, str]:
    """(public, secret), base64."""
    public, secret = crypto_sign_seed_keypair(bytes([seed]) * 32)
    return b64encode(public).decode(), b64encode(secret).decode()


SITE = parse_site(
    find_site("demo_primary").read_text("utf-8")
    + f"""
market:
  domain: {DSO}
  congestion_point: {POINT}
  listen: 127.0.0.1:8443
  signing_key: /dev/null
  participants:
    - {{domain: {AGR}, endpoint: "http://127.0.0.1:9/", public_key: {keys(2)[0]}, max_kw: 5000, units: [BAT1]}}
""",
    "demo_primary with a market",
)
LAYOUT = Layout(SITE, GridModel(SITE.topology))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two find each other, the day that they trade, and when it all began."""

    folder: Path
    dso_port: int
    agr_port: int
    period: date
    began_s: float

    def market(self) -> Marketplace:
        """The rules, with one participant, and a planner in a hurry."""
        assert SITE.market is not None
        who = Participant(AGR, "AGR", f"http://127.0.0.1:{self.agr_port}{PATH}", keys(2)[0], 5e6, ("BAT1",))
        rules = Market(DSO, POINT, 900, ZONE, messages_per_hour=1_000_000, participants={AGR: who})
        wire = Wire("127.0.0.1", self.dso_port, str(self.folder / "market.key"))
        return replace(SITE.market, rules=rules, wire=wire, timetable=HURRY)

    def need_w(self) -> float:
        """What is too much by now: ever more, so that there is always something to buy."""
        return NEED_STEP_W * (1.0 + (time.time() - self.began_s) // NEED_STEP_S)


class Sight:
    """Sees the need of tomorrow's two quarter hours, and room around it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.layout = LAYOUT
        self.calendar = Calendar(midnight_utc_s(place.period, ZONE))

    def look(self, now_utc_s: float) -> Projection:
        """The same at any time of day."""
        excess_w = np.full(2, self._place.need_w())
        return Projection(FIRST_ISP - 1, (LimitOutlook("export", "high", np.ones(2), excess_w, np.ones(LAYOUT.n_w)),))

    def proof(self) -> Proof:
        """Nothing is settled here."""
        return Proof(lambda *_: 0.0, lambda *_: 0.0, lambda *_: None)


def dso(place: Place) -> None:
    """The part of the DSO that is killed: all of the station's link to its market, on a need of its own."""
    hush(entirely=True)
    asyncio.run(_trade(place))


async def _trade(place: Place) -> None:
    clock = SkewedClock(Skew(place.folder / "skew"), SPEED)
    nobody = OrderPort(place.folder / "nobody")
    link = MarketLink(SITE, place.market(), clock, place.folder, nobody, Sight(place))
    await link.open()
    async with asyncio.TaskGroup() as tasks:
        for work in link.tasks().values():
            tasks.create_task(work())


@dataclass
class Aggregator:
    """Offers for every request, takes every order, and remembers by the ids of messages."""

    place: Place
    heard: dict[str, bytes] = field(default_factory=dict)
    orders: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, set[str]] = field(default_factory=dict)
    repeated: int = 0
    faults: list[str] = field(default_factory=list)
    outgoing: deque[tuple[str, bytes]] = field(default_factory=deque)

    @property
    def bought_w(self) -> float:
        """What all orders together change in the first period."""
        return sum(o.isps[0].power * float(o.activation_factor) for o in self.orders.values())

    def handle(self, request: HttpRequest) -> HttpResponse:
        """One message of the DSO."""
        signed = from_xml(request.body)
        message = unseal_message(signed.body, keys(1)[0])
        text = to_xml(message).encode()
        if message.message_id in self.heard:
            self.repeated += 1
            if self.heard[message.message_id] != text:
                self.faults.append(f"message {message.message_id} came again with other words")
            return HttpResponse(200)
        self.heard[message.message_id] = text
        match type(message).__name__:
            case "FlexRequest":
                self._say(uftp.FlexRequestResponse(flex_request_message_id=message.message_id), message)
                self._say(self._offer(message), message)
            case "FlexOrder":
                self._take(message)
            case "FlexOfferResponse":
                self.verdicts.setdefault(message.flex_offer_message_id, set()).add(str(message.result))
        return HttpResponse(200)

    def _take(self, order: Any) -> None:
        if any(o.flex_offer_message_id == order.flex_offer_message_id for o in self.orders.values()):
            self.faults.append(f"offer {order.flex_offer_message_id} was ordered twice")
        self.orders[order.message_id] = order
        self._say(uftp.FlexOrderResponse(flex_order_message_id=order.message_id), order)

    def _offer(self, request: Any) -> Any:
        power = min(500_000, *(isp.max_power for isp in request.isps))
        isps = [uftp.FlexOfferOptionISP(power=power, start=isp.start) for isp in request.isps]
        option = uftp.FlexOfferOption(isps=isps, option_reference="all", price=0.01, min_activation_factor=0.1)
        return uftp.FlexOffer(
            isp_duration=request.isp_duration,
            time_zone=request.time_zone,
            period=request.period,
            congestion_point=request.congestion_point,
            expiration_date_time=instant(time.time() + HOUR_S),
            flex_request_message_id=request.message_id,
            currency="EUR",
            offer_options=[option],
        )

    def _say(self, message: Any, about: Any) -> None:
        message.version, message.sender_domain, message.recipient_domain = "3.1.0", AGR, DSO
        message.message_id, message.conversation_id = str(uuid.uuid4()), about.conversation_id
        message.time_stamp = instant(time.time())
        body = uftp.SignedMessage(
            sender_domain=AGR, sender_role=uftp.UsefRole.AGR, body=seal_message(message, keys(2)[1])
        )
        self.outgoing.append((message.message_id, to_xml(body).encode()))

    async def run(self) -> None:
        """Send what waits, in order, each until it was taken; until cancelled."""
        while True:
            while self.outgoing:
                status = await asyncio.to_thread(self._post, self.outgoing[0][1])
                if status == 200:
                    self.outgoing.popleft()
                elif 400 <= status < 500:
                    self.faults.append(f"HTTP {status} for a message of the aggregator")
                    self.outgoing.popleft()
                else:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.004)

    def _post(self, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.place.dso_port, timeout=5.0)
        try:
            connection.request("POST", PATH, body, {"Content-Type": "text/xml; charset=utf-8"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


async def kill_uftp(folder: Path, kills: int, seed: int) -> tuple[str, list[str]]:
    """Kill that often; what happened in a line, and what was wrong."""
    skew = Skew(folder / "skew")
    period = day_of(time.time() + DAY_S, 900, ZONE, POINT).period
    (folder / "market.key").write_text(keys(1)[1], "ascii")
    aggregator = Aggregator(Place(folder, 0, 0, period, time.time()))
    server = HttpServer(aggregator.handle, None)
    await server.open()
    aggregator.place = place = Place(folder, _free_port(), server.port, period, time.time())
    sending = asyncio.create_task(aggregator.run())
    reaper = Reaper(skew, seed)
    while reaper.deaths.kills < kills:
        await reaper.take(dso, (place,), LIFE_S)
    enough = len(aggregator.orders) + 3
    settled = asyncio.create_task(until(lambda: len(aggregator.orders) >= enough))
    await reaper.let_live(dso, (place,), settled)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await server.aclose()
    faults = aggregator.faults + reaper.deaths.by_itself + _faults(aggregator, place)
    return _summary(aggregator, reaper), faults + ([] if await settled else ["it did not go on after the last kill"])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _faults(aggregator: Aggregator, place: Place) -> list[str]:
    """Where the two sides differ."""
    found, need_w = [], place.need_w()
    if aggregator.bought_w > need_w * (1.0 + ROUNDING_FRAC) + NEED_STEP_W:
        found.append(f"{aggregator.bought_w:.0f} W were bought; expected at most the {need_w:.0f} W that were needed")
    both = [offer for offer, verdicts in aggregator.verdicts.items() if len(verdicts) > 1]
    found += [f"offer {offer} was both accepted and rejected" for offer in both]
    with contextlib.closing(Memory(place.folder / FOLDER)) as memory:
        ours = {said.message_id: said for said in memory.said_of("FlexOrder")}
        came = [x for x in aggregator.orders if x in ours]
        found += (
            [] if came == [x for x in ours if x in aggregator.orders] else ["orders came in another order than said"]
        )
        found += [f"order {x} is executed and not known here" for x in aggregator.orders if x not in ours]
        said = [one for one in ours.values() if one.fate == "delivered" or one.answer]
        found += [f"order {x.message_id} never arrived" for x in said if x.message_id not in aggregator.orders]
        fault = memory.verify()
    return found + ([fault] if fault else [])


def _summary(aggregator: Aggregator, reaper: Reaper) -> str:
    deaths = reaper.deaths
    accepted = sum("Accepted" in verdicts for verdicts in aggregator.verdicts.values())
    return (
        f"UFTP: {deaths.kills} kills ({deaths.wrong} lives with a wrong clock, {deaths.stepped} with a clock step, "
        f"{deaths.full} with a full disk): {len(aggregator.orders)} orders executed, {accepted} offers accepted, "
        f"{len(aggregator.verdicts) - accepted} turned down; {aggregator.repeated} messages came again under their id"
    )
