"""Devices and gateways whose answers are not to the request at hand, over many requests of one size.

RTU has no transaction id: an answer of the right unit, function and length says nothing about which request it is to.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import pytest
from hostile_peer import Ask, Step, on_line
from hostile_table import SEED, registers
from test_modbus_hostile_rows import TIMEOUT_S, read, right, session_to, warm

from drivers.modbus.codec import ExceptionAnswer, read_registers
from drivers.modbus.link import LinkError

pytestmark = pytest.mark.socket

REQUESTS = 16


class Memory:
    """What a device was asked, and with which request it is wrong: ``behave`` gets both and the number of this one."""

    def __init__(self, behave: Callable[[list[Ask], int], Sequence[Step]]) -> None:
        self._behave = behave
        self._asked: list[Ask] = []

    def __call__(self, ask: Ask) -> Sequence[Step]:
        self._asked.append(ask)
        return self._behave(self._asked, len(self._asked) - 1)


def one_swallowed(asked: list[Ask], at: int) -> Sequence[Step]:
    """So late that two more were sent; the second of them is never answered."""
    if at < 2:
        return ()
    return (asked[0 if at == 2 else at - 1].right,)


def always_one_behind(asked: list[Ask], at: int) -> Sequence[Step]:
    return (asked[max(at - 1, 0)].right,)


def always_two_behind(asked: list[Ask], at: int) -> Sequence[Step]:
    return (asked[max(at - 2, 0)].right,)


def twice_across(asked: list[Ask], at: int) -> Sequence[Step]:
    """Every second answer comes once more when the next request is already on its way."""
    return (asked[at - 1].right, 0.01, asked[at].right) if at % 2 else (asked[at].right,)


def refused_late_then_right(asked: list[Ask], at: int) -> Sequence[Step]:
    """The refusal of a request that was given up comes as the answer to the probe."""
    if at == 0:
        return ()
    return (asked[at].framed(b"\x83\x06"), 0.01, asked[at].right) if at == 1 else (asked[at].right,)


def shuffled(asked: list[Ask], at: int) -> Sequence[Step]:
    """Any of the last four requests is answered, or none."""
    rng = random.Random(SEED + at)
    return (rng.choice(asked[-4:]).right,) if rng.random() < 0.8 else ()


OUT_OF_STEP = {
    "late, and one request swallowed": one_swallowed,
    "always one behind": always_one_behind,
    "always two behind": always_two_behind,
    "the last answer once more": twice_across,
    "a late refusal": refused_late_then_right,
    "any of the last four": shuffled,
}


@pytest.mark.parametrize("name", OUT_OF_STEP)
async def test_an_answer_to_another_request_of_the_same_size_is_never_taken(name: str) -> None:
    async with on_line([right, *[Memory(OUT_OF_STEP[name])] * REQUESTS]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        address, patience = 100, time.monotonic() + 12.0
        while peer.script:
            data = await read(session, address)
            assert data is None or data == registers(address, 2), f"{data!r} for {address}, asked {len(peer.asked)}"
            address += 50
            await asyncio.sleep(0.0 if data is not None else 0.01)
            assert time.monotonic() < patience
        while await read(session, address, 0.5) != registers(address, 2):
            assert time.monotonic() < patience, "it answers rightly by now and has to be read"
            await asyncio.sleep(0.01)
        await session.aclose()


async def test_registers_that_are_alike_are_read_at_the_price_of_one_short_request() -> None:
    def alike(ask: Ask) -> Sequence[Step]:
        count = int.from_bytes(ask.pdu[3:5], "big")
        return (ask.framed(bytes((3, 2 * count)) + bytes(2 * count)),)

    async with on_line([right, *[alike] * 50]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        asked = len(peer.asked)
        for address in (100, 200, 100, 200):
            assert await read(session, address, 0.5) == bytes(4)
        assert [ask.pdu[4] for ask in peer.asked[asked:]] == [2, 2, 1, 2, 2, 1], "every second one is proved"
        await session.aclose()


async def test_an_adapter_that_echoes_is_named() -> None:
    async with on_line([right, lambda ask: (ask.framed(ask.pdu), 0.01, ask.right)]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        with pytest.raises(LinkError, match=r"our own request came back.*without echo"):
            await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 0.5)
        await session.aclose()


async def test_a_unit_that_only_a_gateway_speaks_for_is_left_alone_after_the_second_time() -> None:
    async with on_line([right, *[lambda ask: (ask.framed(b"\x83\x0b"),)] * 2]) as peer:
        session = session_to(peer.endpoint, {})
        await warm(session)
        for _ in range(2):
            with pytest.raises(ExceptionAnswer, match="exception 11"):
                await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 0.5)
        with pytest.raises(LinkError, match=r"unit 1 is asked again in .* after: exception 11 gateway target device"):
            await session.request(read_registers(1, 3, 100, 2), asyncio.get_running_loop().time() + 0.5)
        await asyncio.sleep(TIMEOUT_S)
        assert await read(session, 100, 0.5) == registers(100, 2)
        await session.aclose()
