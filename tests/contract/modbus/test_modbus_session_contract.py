"""What a session promises however badly the other side behaves: a right value or none, and always in time."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
import time

import pytest
from hostile_modbus_server import Behaviour, good, hostile, mbap, registers

from drivers.modbus.codec import ExceptionAnswer, read_registers, write_registers
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import LinkError
from drivers.modbus.session import Session
from drivers.modbus.unit_health import Backoff

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.08
LATE_S = 0.12
NOISE_SEED = 20240611


def session_to(endpoint: str, **options: object) -> Session:
    backoff = Backoff(first_s=0.002, cap_s=0.02)
    return Session(Endpoint.parse(endpoint), time.monotonic, backoff=backoff, rng=random.Random(7), **options)  # type: ignore[arg-type]


async def read(session: Session, address: int, count: int = 2, timeout_s: float = TIMEOUT_S) -> bytes:
    deadline = asyncio.get_running_loop().time() + timeout_s
    return (await session.request(read_registers(1, 3, address, count), deadline)).data


def head(frame: bytes) -> tuple[int, int]:
    transaction, _, _, unit = struct.unpack_from(">HHHB", frame)
    return transaction, unit


def answer(
    frame: bytes, pdu: bytes, *, tid: int = 0, unit: int = 0, protocol: int = 0, length: int | None = None
) -> bytes:
    transaction, unit_address = head(frame)
    return mbap((transaction + tid) & 0xFFFF, unit_address + unit, pdu, protocol=protocol, length=length)


GARBAGE = random.Random(NOISE_SEED).randbytes(64)
FAULTS: dict[str, Behaviour] = {
    "silence": lambda _: (),
    "late": lambda f: (LATE_S, good(f)),
    "late twice": lambda f: (LATE_S, good(f), good(f)),
    "next transaction id": lambda f: (answer(f, good(f)[7:], tid=1),),
    "transaction id 0": lambda f: (b"\0\0" + good(f)[2:],),
    "late with transaction id 0": lambda f: (LATE_S, b"\0\0" + good(f)[2:]),
    "protocol id": lambda f: (answer(f, good(f)[7:], protocol=1),),
    "other unit": lambda f: (answer(f, good(f)[7:], unit=1),),
    "other function": lambda f: (answer(f, b"\x04" + good(f)[8:]),),
    "echo of a write": lambda f: (answer(f, struct.pack(">BHH", 16, 100, 2)),),
    "one register too few": lambda f: (answer(f, b"\x03\x02" + registers(100, 1)),),
    "one register too many": lambda f: (answer(f, b"\x03\x06" + registers(100, 3)),),
    "odd byte count": lambda f: (answer(f, b"\x03\x03" + registers(100, 2)[:3]),),
    "byte count lies": lambda f: (answer(f, b"\x03\x02" + registers(100, 2)),),
    "length 0": lambda f: (answer(f, good(f)[7:], length=0),),
    "length 65535": lambda f: (answer(f, good(f)[7:], length=65535),),
    "length one short": lambda f: (answer(f, good(f)[7:], length=6),),
    "half a frame, the rest late": lambda f: (good(f)[:9], LATE_S, good(f)[9:]),
    "header, the rest late": lambda f: (good(f)[:7], LATE_S, good(f)[7:]),
    "two glued answers": lambda f: (good(f) + good(f),),
    "one stray byte after": lambda f: (good(f) + b"\0",),
    "drip slower than the time-out": lambda f: tuple(
        step for index in range(13) for step in (good(f)[index : index + 1], 0.02)
    ),
    "garbage": lambda _: (GARBAGE,),
    "a flood": lambda _: (GARBAGE * 200,),
    "exception for another function": lambda f: (answer(f, b"\x84\x02"),),
    "exception of another transaction": lambda f: (answer(f, b"\x83\x02", tid=1),),
    "an exception with a tail": lambda f: (answer(f, b"\x83\x02") + b"\0",),
    **{f"rst after {n} bytes": lambda f, n=n: (good(f)[:n], "rst") for n in (0, 1, 7, 8, 12)},  # type: ignore[misc]
    **{f"fin after {n} bytes": lambda f, n=n: (good(f)[:n], "fin") for n in (0, 1, 7, 8, 12)},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_misbehaving_device_gives_no_wrong_value_and_no_late_call_and_is_read_again(name: str) -> None:
    async with hostile(FAULTS[name]) as server:
        session = session_to(server.endpoint)
        good_reads = 0
        for attempt, address in enumerate((100, 200, 300, 300, 400, 100)):
            started = time.monotonic()
            try:
                data = await read(session, address)
            except LinkError:
                assert attempt < 5, "the device answers rightly by now and has to be read"
                await asyncio.sleep(0.03)
            else:
                good_reads += 1
                assert attempt > 0, "the first answer was wrong and must not be taken"
                assert data == registers(address, 2)
            assert time.monotonic() - started < TIMEOUT_S + 0.15
        assert good_reads >= 2
        assert server.used_at_once_max == 1, "never two connections to one device"
        await session.aclose()


async def test_every_pair_of_faults_in_a_row_leaves_the_values_right() -> None:
    quick = [name for name in FAULTS if "late" not in name and name not in ("silence", "drip slower than the time-out")]
    pairs = random.Random(NOISE_SEED).sample(list(itertools.product(quick, quick)), 60)
    async with hostile(*(FAULTS[name] for pair in pairs for name in pair)) as server:
        session = session_to(server.endpoint)
        for number in itertools.takewhile(lambda n: server.script and n < 3000, itertools.count()):
            address = 100 + 7 * (number % 50)
            try:
                data = await read(session, address)
            except (LinkError, ExceptionAnswer):
                await asyncio.sleep(0.004)
            else:
                assert data == registers(address, 2)
        assert not server.script, "every fault has been played"
        await session.aclose()


async def test_an_answer_in_single_bytes_within_the_time_out_is_accepted() -> None:
    async with hostile(lambda f: tuple(s for i in range(13) for s in (good(f)[i : i + 1], 0.001))) as server:
        session = session_to(server.endpoint)
        assert await read(session, 100, timeout_s=1.0) == registers(100, 2)
        await session.aclose()


async def test_a_busy_device_is_an_exception_and_the_connection_stays() -> None:
    async with hostile(lambda f: (answer(f, b"\x83\x06"),)) as server:
        session = session_to(server.endpoint)
        with pytest.raises(ExceptionAnswer, match="exception 6 server device busy"):
            await read(session, 100)
        assert await read(session, 100) == registers(100, 2)
        assert server.connections == 1
        await session.aclose()


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_lost_connection_fails_the_pending_request_at_once(ending: str) -> None:
    async with hostile(lambda _: (ending,)) as server:
        session = session_to(server.endpoint)
        started = time.monotonic()
        with pytest.raises(LinkError, match="the connection was lost"):
            await read(session, 100, timeout_s=5.0)
        assert time.monotonic() - started < 0.5
        await session.aclose()


async def test_a_cancelled_read_ends_its_connection_so_that_its_answer_reaches_nobody() -> None:
    async with hostile(lambda f: (0.05, good(f))) as server:
        session = session_to(server.endpoint)
        task = asyncio.ensure_future(read(session, 100, timeout_s=1.0))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.005)
        assert await read(session, 200, timeout_s=1.0) == registers(200, 2)
        assert server.connections == 2
        await session.aclose()


async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async with hostile(greeting=mbap(9, 1, b"\x03\x04" + registers(500, 2))) as server:
        session = session_to(server.endpoint)
        await session.connected(asyncio.get_running_loop().time() + 1.0)
        await asyncio.sleep(0.02)
        assert not session.up
        server.greeting = b""
        with pytest.raises(LinkError, match="nobody asked for"):
            await read(session, 100)
        await asyncio.sleep(0.01)
        assert await read(session, 100) == registers(100, 2)
        assert session.counters.rejected["unsolicited"] == 1
        await session.aclose()


async def test_a_write_is_sent_once_even_when_no_answer_comes() -> None:
    async with hostile(lambda _: ()) as server:
        session = session_to(server.endpoint)
        deadline = asyncio.get_running_loop().time() + TIMEOUT_S
        with pytest.raises(LinkError, match="no answer within the time-out"):
            await session.request(write_registers(1, 10, b"\0\1"), deadline, urgent=True)
        await asyncio.sleep(0.1)
        assert len(server.frames) == 1
        await session.aclose()


async def test_a_write_overtakes_the_polls_that_wait() -> None:
    async with hostile(lambda f: (0.05, good(f))) as server:
        session = session_to(server.endpoint)
        polls = [asyncio.ensure_future(read(session, address, timeout_s=1.0)) for address in (100, 200, 300)]
        await asyncio.sleep(0.02)
        deadline = asyncio.get_running_loop().time() + 1.0
        await session.request(write_registers(1, 10, b"\0\1"), deadline, urgent=True)
        await asyncio.gather(*polls)
        assert [frame[7] for frame in server.frames] == [3, 16, 3, 3]
        await session.aclose()


async def test_waiting_behind_another_request_is_bounded_too() -> None:
    async with hostile(lambda f: (0.2, good(f))) as server:
        session = session_to(server.endpoint)
        slow = asyncio.ensure_future(read(session, 100, timeout_s=1.0))
        await asyncio.sleep(0.01)
        with pytest.raises(LinkError, match="busy with another request"):
            await read(session, 200, timeout_s=0.05)
        assert await slow == registers(100, 2)
        assert await read(session, 300, timeout_s=1.0) == registers(300, 2)
        await session.aclose()


async def test_a_waiting_request_that_is_cancelled_hands_its_turn_on() -> None:
    async with hostile(lambda f: (0.05, good(f))) as server:
        session = session_to(server.endpoint)
        first, second, third = (asyncio.ensure_future(read(session, a, timeout_s=1.0)) for a in (100, 200, 300))
        await asyncio.sleep(0.01)
        second.cancel()
        assert await third == registers(300, 2)
        assert await first == registers(100, 2)
        assert second.cancelled()
        await session.aclose()


async def test_a_closed_port_is_said_at_once_and_tried_again_after_a_growing_pause() -> None:
    async with hostile() as server:
        endpoint = server.endpoint
    backoff = Backoff(first_s=0.05, cap_s=0.1)
    session = Session(Endpoint.parse(endpoint), time.monotonic, backoff=backoff)
    reasons = []
    for _ in range(2):
        with pytest.raises(LinkError) as caught:
            await read(session, 100)
        reasons.append(caught.value.reason)
    assert reasons == ["refused", "back-off"]
    assert [backoff.pause_s(n) for n in (0, 1, 2, 3, 99)] == [0.0, 0.05, 0.1, 0.1, 0.1]
    await session.aclose()


async def test_a_request_bound_to_an_older_connection_is_not_sent_on_a_newer_one() -> None:
    async with hostile(lambda _: ("fin",)) as server:
        session = session_to(server.endpoint)
        deadline = asyncio.get_running_loop().time() + 1.0
        generation = await session.connected(deadline)
        with pytest.raises(LinkError):
            await read(session, 100)
        await asyncio.sleep(0.01)
        with pytest.raises(LinkError, match="renewed in between"):
            await session.request(read_registers(1, 3, 200, 2), deadline, generation=generation)
        assert len(server.frames) == 1
        await session.aclose()


async def test_transaction_ids_are_never_0_and_change_with_every_request() -> None:
    async with hostile() as server:
        session = session_to(server.endpoint)
        session._transaction = 0xFFFD
        for address in range(5):
            await read(session, address)
        assert [head(frame)[0] for frame in server.frames] == [0xFFFE, 0xFFFF, 1, 2, 3]
        await session.aclose()


async def test_a_closed_session_refuses_and_can_be_closed_twice() -> None:
    async with hostile() as server:
        session = session_to(server.endpoint)
        await read(session, 100)
        await session.aclose()
        await session.aclose()
        with pytest.raises(LinkError, match="closed"):
            await read(session, 100)


@pytest.mark.parametrize("text", ["", "host", "host:", ":502", "host:0", "host:65536", "udp://h:502", "host:５02"])
def test_an_endpoint_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="endpoint is"):
        Endpoint.parse(text)


def test_an_endpoint_names_host_port_and_framing() -> None:
    assert Endpoint.parse("10.0.0.7:502") == Endpoint("10.0.0.7", 502)
    assert Endpoint.parse("rtu+tcp://gw:4001") == Endpoint("gw", 4001, rtu=True)
    assert Endpoint.parse("[fe80::1]:502") == Endpoint("fe80::1", 502)
