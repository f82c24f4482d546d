"""The public library's own aggregator service as the other side, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from controller.balancing.uftp import wire
from controller.balancing.uftp.desk import Desk, Verdict
from controller.balancing.uftp.endpoint import PATH, Endpoint
from controller.balancing.uftp.market import Market, Participant
from controller.balancing.uftp.memory import Memory
from controller.balancing.uftp.sender import Sender
from controller.balancing.uftp.values import Order, Request, Wanted, day_of
from controller.clock import SystemClock
from controller.planning.settlement import Tariff, settle_order
from simulators.platform.uftp_aggregator import Aggregator, Manners

pytestmark = pytest.mark.socket

DSO, AGR = "dso.example.com", "agr.example.com"
POINT, ZONE = "ea1.2026-01.com.example:primary-1", "Europe/London"


def keys(seed: int) -> tuple[str, str]:
    public, secret = crypto_sign_seed_keypair(bytes([seed]) * 32)
    return b64encode(public).decode(), b64encode(secret).decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Bench:
    """A desk with both ends of its wire, and what it thought of each message."""

    desk: Desk
    memory: Memory
    sender: Sender
    endpoint: Endpoint
    verdicts: list[Verdict]
    clock: SystemClock

    def now_s(self) -> float:
        return self.clock.utc().timestamp()


@asynccontextmanager
async def bench(folder: Path, agr_port: int) -> AsyncIterator[Bench]:
    """Everything of the DSO's side on one loop, its memory too: a real one has a thread."""
    clock, memory, verdicts = SystemClock(), Memory(folder), []
    who = Participant(AGR, "AGR", f"http://127.0.0.1:{agr_port}{PATH}", keys(2)[0], 5e6)
    desk = Desk(Market(DSO, POINT, 900, ZONE, participants={AGR: who}), memory)

    async def receive(body: bytes) -> int:
        try:
            verdicts.append(desk.hear(body, clock.utc().timestamp()))
        except wire.Unreadable as error:
            return error.status
        sender.wake()
        return 200

    async def waiting() -> list:
        return memory.waiting()

    async def attempted(message_id: str, fate: str) -> None:
        memory.attempted(message_id, fate)

    def seal(text: bytes) -> bytes:
        return wire.seal(text, DSO, keys(1)[1])

    sender = Sender(waiting, attempted, seal, lambda: desk.market.participants, clock)
    endpoint = Endpoint("127.0.0.1", 0, receive)
    await endpoint.open()
    running = asyncio.create_task(sender.run())
    try:
        yield Bench(desk, memory, sender, endpoint, verdicts, clock)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await endpoint.aclose()
        memory.close()


def aggregator(dso_port: int, port: int, manners: Manners) -> Aggregator:
    return Aggregator(
        AGR,
        keys(2)[1],
        manners,
        key_of=lambda *_: keys(1)[0],
        endpoint_of=lambda *_: f"http://127.0.0.1:{dso_port}{PATH}",
        port=port,
    )


def request_soon(now_s: float) -> Request:
    day = day_of(now_s + 86400.0, 900, ZONE, POINT)
    first = 48  # noon of tomorrow, at whatever time of the day this runs
    return Request(day, 1, now_s + 1800.0, tuple(Wanted(isp, True, 0, 800_000) for isp in (first, first + 1)))


async def until(condition, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the disk
            await asyncio.sleep(0.02)


async def test_request_offer_order_and_settlement_with_the_librarys_own_service(tmp_path: Path) -> None:
    port = free_port()
    async with bench(tmp_path, port) as ours:
        agr = aggregator(ours.endpoint.port, port, Manners(500_000, 80.0))
        await asyncio.to_thread(agr.run_in_thread)
        try:
            await a_whole_conversation(ours, agr)
        finally:
            await asyncio.to_thread(agr.stop)
        assert ours.memory.verify() == ""


async def a_whole_conversation(ours: Bench, agr: Aggregator) -> None:
    asked = request_soon(ours.now_s())
    sent = ours.desk.ask(asked, ours.now_s())[AGR]
    ours.sender.wake()
    await until(lambda: ours.desk.offers(asked.day.period, ours.now_s()))
    (offer,) = ours.desk.offers(asked.day.period, ours.now_s())
    option = offer.options[0]
    assert offer.request_id == sent
    assert set(option.power_w.values()) == {500_000.0}
    assert option.price == pytest.approx(0.5 * 0.5 * 80.0)
    order = Order(offer.day, "O-1", offer.head.message_id, option.reference, option.price, "EUR", 1.0, option.power_w)
    order_id = ours.desk.order(offer, order, ours.now_s())
    ours.sender.wake()
    (taken,) = await asyncio.to_thread(agr.heard.wait_for, "FlexOrder")
    assert (taken.message_id, taken.order_reference, taken.isps[0].power) == (order_id, "O-1", 500_000)
    await until(lambda: ours.desk.orders(asked.day.period)[0][0].answer == "accepted")
    (answer,) = await asyncio.to_thread(agr.heard.wait_for, "FlexOfferResponse")
    assert answer.result == "Accepted"
    periods = [(isp, 0.0, w, w) for isp, w in sorted(order.ordered_w.items())]
    ours.desk.settle(AGR, [(order, settle_order("O-1", periods, Tariff(2e-5, 3e-5)))], ours.now_s())
    ours.sender.wake()
    (bill,) = await asyncio.to_thread(agr.heard.wait_for, "FlexSettlement")
    assert bill.flex_order_settlements[0].isps[0].delivered_flex_power == 500_000


async def test_an_aggregator_that_says_everything_twice_or_too_much_gets_nowhere(tmp_path: Path) -> None:
    port = free_port()
    async with bench(tmp_path, port) as ours:
        agr = aggregator(ours.endpoint.port, port, Manners(500_000, 80.0, offers_twice=True, exaggerates=4.0))
        await asyncio.to_thread(agr.run_in_thread)
        try:
            asked = request_soon(ours.now_s())
            ours.desk.ask(asked, ours.now_s())
            ours.sender.wake()
            rejected = await asyncio.to_thread(agr.heard.wait_for, "FlexOfferResponse", 2)
        finally:
            await asyncio.to_thread(agr.stop)
        assert {r.result for r in rejected} == {"Rejected"}
        assert all("expected what the FlexRequest has room for" in r.rejection_reason for r in rejected)
        assert ours.desk.offers(asked.day.period, ours.now_s()) == []


async def test_a_message_waits_for_a_participant_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    async with bench(tmp_path, port) as ours:
        ours.desk.ask(request_soon(ours.now_s()), ours.now_s())
        ours.sender.wake()
        await until(lambda: any(said.attempts for said in ours.memory.waiting()))
        agr = aggregator(ours.endpoint.port, port, Manners(500_000, 80.0))
        await asyncio.to_thread(agr.run_in_thread)
        try:
            assert len(await asyncio.to_thread(agr.heard.wait_for, "FlexRequest")) == 1
        finally:
            await asyncio.to_thread(agr.stop)


async def said_to(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        return await asyncio.wait_for(reader.readline(), 5.0)
    finally:
        writer.close()


def http(body: bytes, **changes: str) -> bytes:
    fields = {"method": "POST", "path": PATH, "type": "text/xml; charset=utf-8", "length": str(len(body))} | changes
    head = f"{fields['method']} {fields['path']} HTTP/1.1\r\nContent-Type: {fields['type']}\r\n"
    return f"{head}Content-Length: {fields['length']}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (http(b"<a/>", path="/"), b"404"),
        (http(b"<a/>", method="GET"), b"405"),
        (http(b"<a/>", type="application/json"), b"400"),
        (http(b"<a/>", length="99999999"), b"413"),
        (http(b"<a/>", length="-1"), b"411"),
        (http(b"<a/>", length="٣"), b"431"),
        (http(b"<a/>"), b"400"),
        (b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 3000, b"431"),
    ],
)
async def test_the_endpoint_takes_signed_messages_and_nothing_else(tmp_path: Path, raw: bytes, status: bytes) -> None:
    async with bench(tmp_path, free_port()) as ours:
        assert (await said_to(ours.endpoint.port, raw)).split()[1] == status
        assert ours.verdicts == []


def test_plain_http_is_not_spoken_beyond_this_machine() -> None:
    sender = Sender(None, None, None, dict, SystemClock(), ssl.create_default_context())
    with pytest.raises(Exception, match="expected https"):
        sender._connection("http://agr.example.com/shapeshifter/api/v3/message")
