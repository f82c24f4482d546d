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
import sqlite3
import time
import uuid
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from nacl.bindings import crypto_sign_seed_keypair
from shapeshifter_uftp import uftp
from shapeshifter_uftp.transport import from_xml, seal_message, to_xml, unseal_message

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk
from controller.balancing.uftp.endpoint import PATH, Endpoint
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Memory, Said
from controller.balancing.uftp.sender import Sender
from controller.balancing.uftp.values import Order, Request, Wanted, day_of
from controller.balancing.uftp.writing import instant
from orders.mortal import Reaper, Skew, SkewedClock, hush, until
from simulators.platform.http_server import HttpServer
from simulators.platform.http_server import Request as HttpRequest
from simulators.platform.http_server import Response as HttpResponse

logging.getLogger("shapeshifter-uftp").setLevel(logging.CRITICAL)  # whole messages otherwise

DSO, AGR = "dso.example.com", "agr.example.com"
POINT, ZONE = "ea1.2026-01.com.example:primary-1", "Europe/London"
SPEED = 50.0
OPEN_MAX = 2  # orders without an answer at a time
ASK_AGAIN_S = 0.2  # a request whose offers were lost
DAY_S, HOUR_S = 86_400.0, 3600.0


def keys(seed: int) -> tuple[str, str]:
    """(public, secret), base64."""
    public, secret = crypto_sign_seed_keypair(bytes([seed]) * 32)
    return b64encode(public).decode(), b64encode(secret).decode()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two find each other, and the day that they trade."""

    folder: Path
    dso_port: int
    agr_port: int
    period: date

    def market(self) -> Market:
        """The rules, with one participant."""
        who = Participant(AGR, "AGR", f"http://127.0.0.1:{self.agr_port}{PATH}", keys(2)[0], 5e6)
        return Market(DSO, POINT, 900, ZONE, messages_per_hour=1_000_000, participants={AGR: who})


def dso(place: Place) -> None:
    """The part of the DSO that is killed."""
    hush(entirely=True)
    asyncio.run(_Dso(place).run())


class _Dso:
    """Desk, endpoint and sender on one loop; asks and orders for ever."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._clock = SkewedClock(Skew(place.folder / "skew"), SPEED)
        self._memory = Memory(place.folder)
        self._desk = Desk(place.market(), self._memory)
        self._sender = Sender(
            self._waiting, self._attempted, _seal, lambda: self._desk.market.participants, self._clock
        )
        self._asked_s = -ASK_AGAIN_S

    async def run(self) -> None:
        """Until killed."""
        endpoint = Endpoint("127.0.0.1", self._place.dso_port, self._receive)
        await endpoint.open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sender.run())
            tasks.create_task(self._trade())

    async def _trade(self) -> None:
        while True:
            with contextlib.suppress(sqlite3.Error):  # a full disk: nothing is kept, so nothing is said
                self._round(self._now_s())
            self._sender.wake()
            await asyncio.sleep(0.005)

    def _round(self, now_s: float) -> None:
        ordered = self._desk.orders(self._place.period)
        if sum(not said.answer and said.fate in ("", "delivered") for said, _ in ordered) >= OPEN_MAX:
            return
        offers = self._desk.offers(self._place.period, now_s)
        if offers:
            offer, option = offers[0], offers[0].options[0]
            name = f"O-{len(ordered) + 1}"
            order = Order(
                offer.day, name, offer.head.message_id, option.reference, option.price, "EUR", 1.0, option.power_w
            )
            self._desk.order(offer, order, now_s)
        elif time.monotonic() - self._asked_s >= ASK_AGAIN_S:
            self._asked_s = time.monotonic()
            day = day_of(now_s + DAY_S, 900, ZONE, POINT)
            wanted = tuple(Wanted(isp, True, 0, 800_000) for isp in (48, 49))
            asked = Request(
                type(day)(self._place.period, 900, ZONE, POINT), len(ordered) + 1, now_s + HOUR_S / 2.0, wanted
            )
            self._desk.ask(asked, now_s)

    async def _receive(self, body: bytes) -> int:
        try:
            self._desk.hear(body, self._now_s())
        except wire.Unreadable as error:
            return error.status
        except sqlite3.Error:
            return 503
        return 200

    async def _waiting(self) -> list[Said]:
        return self._memory.waiting()

    async def _attempted(self, message_id: str, fate: str) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._memory.attempted(message_id, fate)

    def _now_s(self) -> float:
        return self._clock.utc().timestamp()


def _seal(text: bytes) -> bytes:
    return wire.seal(text, DSO, keys(1)[1])


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
        isps = [uftp.FlexOfferOptionISP(power=500_000, start=isp.start) for isp in request.isps]
        option = uftp.FlexOfferOption(isps=isps, option_reference="all", price=10.0, min_activation_factor=0.5)
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
    aggregator = Aggregator(Place(folder, 0, 0, period))
    server = HttpServer(aggregator.handle, None)
    await server.open()
    aggregator.place = place = Place(folder, _free_port(), server.port, period)
    sending = asyncio.create_task(aggregator.run())
    reaper = Reaper(skew, seed)
    while reaper.deaths.kills < kills:
        await reaper.take(dso, (place,))
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
    names = [order.order_reference for order in aggregator.orders.values()]
    expected = [f"O-{n + 1}" for n in range(len(names))]
    found = [] if names == expected else [f"orders came as {names[:20]}…; expected them in order, each once"]
    both = [offer for offer, verdicts in aggregator.verdicts.items() if len(verdicts) > 1]
    found += [f"offer {offer} was both accepted and rejected" for offer in both]
    with contextlib.closing(Memory(place.folder)) as memory:
        desk = Desk(place.market(), memory)
        ours = {said.message_id: said for said, _ in desk.orders(place.period)}
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
