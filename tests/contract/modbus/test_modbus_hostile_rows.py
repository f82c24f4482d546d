"""Every row of the hostile table, on every transport: a right value or none, in time, and read again soon."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
import tracemalloc
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

import pytest
from hostile_peer import Behaviour, Peer, on_line, on_socket
from hostile_table import GARBAGE, ROWS, SEED, Row, registers
from modbus_certificates import Authority

from controller.clock import SystemClock
from drivers.modbus.codec import ExceptionAnswer, read_registers
from drivers.modbus.connect import Connector
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.link import LinkError
from drivers.modbus.session import Session
from drivers.modbus.unit_health import Backoff

pytestmark = pytest.mark.socket

TIMEOUT_S = 0.08
SLACK_S = 3.0  # of a machine that others use too; a wait without bound would be far longer
TRANSPORTS = ("tcp", "tls", "rtu")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def options(authority: Authority) -> dict[str, str]:
    return authority.options()


@pytest.fixture(scope="module")
def server_context(authority: Authority) -> object:
    return authority.server_context("device")


def peer_on(transport: str, script: Iterable[Behaviour], context: object) -> AbstractAsyncContextManager[Peer]:
    if transport == "rtu":
        return on_line(script)
    return on_socket(script, context if transport == "tls" else None)  # type: ignore[arg-type]


def session_to(endpoint: str, options: dict[str, str]) -> Session:
    where, clock = Endpoint.parse(endpoint), SystemClock()
    connector = Connector(where, TIMEOUT_S, options if where.tls else {}, clock.utc)
    return Session(
        where,
        clock.now_s,
        backoff=Backoff(first_s=0.002, cap_s=0.02),
        settle_s=0.02 if where.rtu else 0.0,
        rng=random.Random(7),
        connector=connector,
    )


async def read(session: Session, address: int, timeout_s: float = TIMEOUT_S) -> bytes | None:
    """Two registers; None when there is no answer, which must be known in time."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        return (await session.request(read_registers(1, 3, address, 2), started + timeout_s)).data
    except (LinkError, ExceptionAnswer):
        return None
    finally:
        assert loop.time() - started < timeout_s + SLACK_S


async def warm(session: Session) -> None:
    """Connect, and on RTU wait until an earlier process cannot be answered any more."""
    patience = time.monotonic() + 2.0
    while await read(session, 40, 0.5) is None:
        assert time.monotonic() < patience
        await asyncio.sleep(0.01)


def right(ask: object) -> tuple[bytes]:
    return (ask.right,)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ROWS)
async def test_a_misbehaving_device_gives_no_wrong_value_and_no_late_call_and_is_read_again(
    name: str, options: dict[str, str], server_context: object
) -> None:
    row = ROWS[name]
    async with asyncio.TaskGroup() as group:
        for transport in row.on:
            group.create_task(play(row, transport, options, server_context), name=transport)


async def play(row: Row, transport: str, options: dict[str, str], server_context: object) -> None:
    """The row happens to the second request; all others are answered rightly."""
    async with peer_on(transport, [right, row.behaviour], server_context) as peer:
        session = session_to(peer.endpoint, options)
        await warm(session)
        data = await read(session, 100)
        assert data is None or (row.allowed and data == registers(100, 2)), f"{transport}: {data!r}"
        in_a_row, patience = 0, time.monotonic() + 2.0
        for address in itertools.cycle((200, 300, 300, 400, 100)):
            data = await read(session, address)
            assert data is None or data == registers(address, 2), f"{transport}: {data!r} for {address}"
            in_a_row = 0 if data is None else in_a_row + 1
            if in_a_row == 3:
                break
            assert time.monotonic() < patience, f"{transport}: it answers rightly by now and has to be read"
            await asyncio.sleep(0.01)
        assert peer.at_once_max == 1, "never two connections to one device"
        await session.aclose()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_any_sequence_of_rows_leaves_the_values_right_and_the_memory_as_it_was(
    transport: str, options: dict[str, str], server_context: object
) -> None:
    quick = [
        row.behaviour
        for name, row in ROWS.items()
        if transport in row.on and not any(word in name for word in ("late", "silence", "drip", "gap", "goes on"))
    ]
    rng = random.Random(SEED)
    script = [right, *rng.choices(quick, k=72 if transport != "rtu" else 40)]
    async with peer_on(transport, script, server_context) as peer:
        session = session_to(peer.endpoint, options)
        await warm(session)
        held: list[int] = []
        tracemalloc.start()
        patience = time.monotonic() + 60.0
        while peer.script:
            address = rng.randrange(100, 60000)
            data = await read(session, address)
            assert data is None or data == registers(address, 2)
            if data is None:
                await asyncio.sleep(0.003)
            if len(peer.script) % 8 == 0:
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
            assert time.monotonic() < patience, f"{len(peer.script)} rows left"
        tracemalloc.stop()
        early, late = (
            min(held[:4]),
            min(held[-4:]),
        )  # the least: an open TLS connection holds half a megabyte of buffers
        assert late - early < 100_000, f"nothing piles up: {held}"
        await session.aclose()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cancelled_read_leaves_nothing_for_the_next_one(
    transport: str, options: dict[str, str], server_context: object
) -> None:
    async with peer_on(transport, [right, lambda ask: (0.05, ask.right)], server_context) as peer:
        session = session_to(peer.endpoint, options)
        await warm(session)
        task = asyncio.ensure_future(read(session, 100, 1.0))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for address in (200, 300, 400):
            await asyncio.sleep(0.05)
            data = await read(session, address, 1.0)
            assert data is None or data == registers(address, 2)
        assert data is not None
        await session.aclose()


async def test_a_late_answer_of_one_unit_on_a_bus_does_not_spoil_the_read_of_another() -> None:
    def late(ask: object) -> tuple[float | bytes, ...]:
        return (0.1, ask.right)  # type: ignore[attr-defined]

    async with on_line([right, right, late]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        loop = asyncio.get_running_loop()
        assert (await session.request(read_registers(2, 3, 10, 2), loop.time() + 0.5)).data == registers(10, 2)
        assert await read(session, 100) is None
        reply = await session.request(read_registers(2, 3, 500, 2), loop.time() + 0.5)
        assert reply.data == registers(500, 2)
        assert session.generation == 1, "the line was never closed"
        patience = time.monotonic() + 2.0
        while await read(session, 300, 0.5) is None:
            assert time.monotonic() < patience
            await asyncio.sleep(0.02)
        assert peer.asked[-2].pdu[3:] == b"\0\1", "the late unit was brought into step by a short read first"
        await session.aclose()


async def test_noise_on_a_quiet_line_is_not_taken_for_the_beginning_of_an_answer() -> None:
    async with on_line([right, lambda ask: (ask.right, 0.01, GARBAGE[:3])]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        assert await read(session, 100) == registers(100, 2)
        await asyncio.sleep(0.03)
        assert not session.up
        await read(session, 200)
        await asyncio.sleep(0.05)
        assert await read(session, 300, 0.5) == registers(300, 2)
        await session.aclose()
