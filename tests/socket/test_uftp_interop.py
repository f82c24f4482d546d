"""The public library's own aggregator service as the other side, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from free_ports import free_port
from uftp_wire_kit import AGR, CRO, DSO, KEYS, POINT, ZONE, Bench, bench, endpoint_on, market, until

from controller.balancing.uftp.endpoint import PATH
from controller.balancing.uftp.planner import publish_portfolio
from controller.balancing.uftp.reminders import FIRST_S, KINDS, Reminders
from controller.balancing.uftp.sender import Sender
from controller.balancing.uftp.values import Order, Request, Reservation, Wanted, day_of
from controller.clock import SystemClock
from controller.planning.settlement import Tariff, settle_order
from simulators.platform.certificates import Authority
from simulators.platform.reference_operator import ReferenceOperator
from simulators.platform.uftp_aggregator import Aggregator, Manners

pytestmark = pytest.mark.socket


def aggregator(dso_port: int, port: int, manners: Manners) -> Aggregator:
    return Aggregator(
        AGR,
        KEYS[AGR][1],
        manners,
        key_of=lambda *_: KEYS[DSO][0],
        endpoint_of=lambda *_: endpoint_on(dso_port),
        port=port,
    )


def request_soon(now_s: float) -> Request:
    day = day_of(now_s + 86400.0, 900, ZONE, POINT)
    first = 48  # noon of tomorrow, at whatever time of the day this runs
    return Request(day, 1, now_s + 1800.0, tuple(Wanted(isp, True, 0, 800_000) for isp in (first, first + 1)))


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


async def ordered(ours: Bench) -> tuple[str, Order]:
    """Ask for tomorrow, and order what is offered; the order's message id."""
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
    return order_id, order


async def a_whole_conversation(ours: Bench, agr: Aggregator) -> None:
    order_id, order = await ordered(ours)
    (taken,) = await asyncio.to_thread(agr.heard.wait_for, "FlexOrder")
    assert (taken.message_id, taken.order_reference, taken.isps[0].power) == (order_id, "O-1", 500_000)
    await until(lambda: ours.desk.orders(order.day.period)[0][0].answer == "accepted")
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


async def test_an_order_whose_answer_was_lost_is_said_again_and_answered_as_a_copy(tmp_path: Path) -> None:
    port = free_port()
    async with bench(tmp_path, port) as ours:
        agr = aggregator(ours.endpoint.port, port, Manners(500_000, 80.0, loses_answers=1))
        await asyncio.to_thread(agr.run_in_thread)
        try:
            order_id, order = await ordered(ours)
            await asyncio.to_thread(agr.heard.wait_for, "FlexOrder")
            await until(lambda: ours.memory.unanswered(KINDS, ours.now_s()))
            reminders = Reminders()
            assert reminders.due(ours.memory.unanswered(KINDS, ours.now_s()), 0.0) == []
            for said in reminders.due(ours.memory.unanswered(KINDS, ours.now_s()), FIRST_S):
                ours.memory.say_again(said.message_id)
            ours.sender.wake()
            copies = await asyncio.to_thread(agr.heard.wait_for, "FlexOrder", 2)
            assert {copy.message_id for copy in copies} == {order_id}
            await until(lambda: ours.desk.orders(order.day.period)[0][0].answer == "accepted")
            assert ours.memory.unanswered(KINDS, ours.now_s()) == []
        finally:
            await asyncio.to_thread(agr.stop)


async def test_a_reservation_and_a_portfolio_are_taken_by_the_librarys_own_services(tmp_path: Path) -> None:
    port, cro_port = free_port(), free_port()
    known = market(port, cro_port).participants
    async with bench(tmp_path, port, participants=known, connections=("ean.871685900012636543",)) as ours:
        agr = aggregator(ours.endpoint.port, port, Manners(500_000, 80.0))
        cro = ReferenceOperator(
            CRO, KEYS[CRO][1], dso_key=KEYS[DSO][0], dso_endpoint=endpoint_on(ours.endpoint.port), port=cro_port
        )
        for service in (agr, cro):
            await asyncio.to_thread(service.run_in_thread)
        try:
            day = day_of(ours.now_s() + timedelta(days=1).total_seconds(), 900, ZONE, POINT)
            ours.desk.reserve(AGR, Reservation(day, "C-7", f"C-7/{day.period}", {66: 400e3, 67: 0.0}), ours.now_s())
            publish_portfolio(ours.desk, day.period, ours.now_s())
            ours.sender.wake()
            (kept,) = await asyncio.to_thread(agr.heard.wait_for, "FlexReservationUpdate")
            assert [(isp.start, isp.power) for isp in kept.isps] == [(66, 400_000), (67, 0)]
            (told,) = await asyncio.to_thread(cro.heard.wait_for, "DsoPortfolioUpdate")
            assert told.congestion_points[0].connections[0].entity_address == "ean.871685900012636543"
            both = (kept.message_id, told.message_id)
            await until(lambda: [ours.memory.sent(x).answer for x in both] == ["accepted"] * 2)
        finally:
            for service in (agr, cro):
                await asyncio.to_thread(service.stop)


async def test_a_participant_with_a_certificate_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    port = free_port()
    trusts = ssl.create_default_context(cafile=str(ours.ca_file))
    async with bench(tmp_path, port, trusts, participants=market(port, scheme="https").participants) as desk:
        agr = aggregator(desk.endpoint.port, port, Manners(500_000, 80.0))
        agr.secure(other.issue("127.0.0.1"))
        await asyncio.to_thread(agr.run_in_thread)
        try:
            desk.desk.ask(request_soon(desk.now_s()), desk.now_s())
            desk.sender.wake()
            await until(lambda: any(said.attempts for said in desk.memory.waiting()))
        finally:
            await asyncio.to_thread(agr.stop)
        assert agr.heard.messages == []


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


async def test_nonsense_is_answered_at_a_walk_and_an_end_in_the_middle_leaves_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody who reaches the port may send it, and each costs a line in the log."""
    loop = asyncio.get_running_loop()
    async with bench(tmp_path, free_port()) as ours:
        began_s = loop.time()
        assert (await said_to(ours.endpoint.port, http(b"<a/>", path="/"))).split()[1] == b"404"
        assert loop.time() - began_s >= 0.1
        _, half = await asyncio.open_connection("127.0.0.1", ours.endpoint.port)
        half.write(b"POST ")
        await half.drain()
        await asyncio.sleep(0.05)
    half.close()
    assert "Exception in callback" not in caplog.text


def test_plain_http_is_not_spoken_beyond_this_machine() -> None:
    sender = Sender(None, None, None, dict, SystemClock())
    with pytest.raises(Exception, match="expected https"):
        sender._connection("http://agr.example.com/shapeshifter/api/v3/message")
