"""A million mutated answers for every Modbus parser; ``GRIDEDGE_FUZZ_FRAMES`` says another number (``make fuzz``: ten
million).

What is accepted is compared with the standard's layout, written down here once more and independently. Time is CPU
time, so that a busy machine is not taken for a hanging parser.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import struct
import time
from collections.abc import Callable, Iterator

import pytest
from mutated_frames import mutated

from drivers.modbus.codec import (
    ExceptionAnswer,
    FrameError,
    Request,
    crc16,
    parse_rtu,
    parse_tcp,
    read_bits,
    read_registers,
    write_coil,
    write_register,
    write_registers,
)
from drivers.modbus.link import Link, LinkError

FRAMES = int(os.environ.get("GRIDEDGE_FUZZ_FRAMES", "1000000"))
SEED = 20261122
HANG_S = 0.05
TRANSACTION = 0x1234
REQUESTS = (
    read_registers(1, 3, 100, 2),
    read_registers(17, 4, 0, 20),
    read_bits(1, 1, 5, 19),
    write_register(1, 7, 0xABCD),
    write_coil(1, 9, True),
    write_registers(1, 30, b"\x12\x34\x56\x78"),
)
SHARE = FRAMES // len(REQUESTS)


def good_pdu(request: Request) -> bytes:
    """The right answer, by the MODBUS Application Protocol V1.1b3, clauses 6.1 to 6.12."""
    function, _, count = struct.unpack_from(">BHH", request.pdu)
    if function in (1, 2):
        return bytes((function, (count + 7) // 8)) + bytes(range(1, 1 + (count + 7) // 8))
    if function in (3, 4):
        return bytes((function, 2 * count)) + bytes(range(1, 1 + 2 * count))
    return request.pdu[:5]


def mbap(unit: int, pdu: bytes, transaction: int = TRANSACTION) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def answers(request: Request, frame: Callable[[int, bytes], bytes]) -> list[bytes]:
    """What a device may say, right and refusing."""
    refusals = [bytes((request.function | 0x80, code)) for code in (1, 2, 6, 11)]
    return [frame(request.unit, pdu) for pdu in (good_pdu(request), good_pdu(request), *refusals)]


def is_answer(body: bytes, request: Request) -> bool:
    """Whether unit and PDU are a whole, right answer to ``request``."""
    right = good_pdu(request)
    fixed = 2 if request.function <= 4 else 5  # of a read: function and byte count; of a write: all of it
    return len(body) == 1 + len(right) and body[: 1 + fixed] == bytes((request.unit,)) + right[:fixed]


def is_refusal(body: bytes, request: Request) -> bool:
    return len(body) == 3 and body[:2] == bytes((request.unit, request.function | 0x80))


def timed(batches: Iterator[list[bytes]], take: Callable[[bytes], None]) -> None:
    """No frame may take longer than 50 ms, so no hundred of them may, whatever garbage others have left."""
    gc.freeze()
    for batch in batches:
        for at in range(0, len(batch), 100):
            began = time.thread_time()
            for frame in batch[at : at + 100]:
                take(frame)
            assert time.thread_time() - began < HANG_S, batch[at : at + 100]
    gc.unfreeze()


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"function {request.function}")
def test_what_the_tcp_parser_accepts_is_a_right_answer_and_nothing_else(request_: Request) -> None:
    taken = {"data": 0, "refusal": 0, "part": 0}

    def take(frame: bytes) -> None:
        head = struct.pack(">HHH", TRANSACTION, 0, len(frame) - 6) if len(frame) >= 6 else b"?"
        try:
            data = parse_tcp(frame, request_, TRANSACTION)
        except ExceptionAnswer as refusal:
            taken["refusal"] += 1
            assert frame == head + bytes((request_.unit, request_.function | 0x80, refusal.code))  # noqa: PT017
        except FrameError:
            assert not (frame[:6] == head and is_answer(frame[6:], request_)), frame
        else:
            taken["part" if data is None else "data"] += 1
            if data is None:
                assert len(frame) < 8 or len(frame) < 6 + int.from_bytes(frame[4:6], "big"), frame
            else:
                assert frame[:6] == head, frame
                assert is_answer(frame[6:], request_), frame
                assert data == frame[7 + len(request_.answer_head) :]

    timed(mutated(answers(request_, mbap), SHARE, SEED), take)
    assert min(taken.values()) > 0, taken


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"function {request.function}")
def test_what_the_rtu_parser_accepts_is_a_right_answer_with_its_checksum(request_: Request) -> None:
    taken = {"data": 0, "refusal": 0, "part": 0}
    rng = random.Random(SEED)

    def take(frame: bytes) -> None:
        if len(frame) > 2 and rng.random() < 0.5:  # a checksum that fits lets the change get past it
            frame = frame[:-2] + crc16(frame[:-2]).to_bytes(2, "little")
        try:
            data = parse_rtu(frame, request_)
        except ExceptionAnswer:
            taken["refusal"] += 1
            assert crc16(frame[:-2]).to_bytes(2, "little") == frame[-2:]
            assert is_refusal(frame[:-2], request_), frame
        except FrameError:
            return
        else:
            taken["part" if data is None else "data"] += 1
            if data is None:
                assert len(frame) < 4 + len(good_pdu(request_)), frame
            else:
                assert crc16(frame[:-2]).to_bytes(2, "little") == frame[-2:]
                assert is_answer(frame[:-2], request_), frame

    timed(mutated(answers(request_, rtu), SHARE, SEED + 1), take)
    assert min(taken.values()) > 0, taken


class Wire:
    """A transport that goes nowhere."""

    def write(self, data: bytes) -> None:
        return

    def abort(self) -> None:
        return


class Bench:
    """A link that is fed in pieces; a new one after every fault."""

    def __init__(self, framing_rtu: bool, depth: int) -> None:
        self.rtu, self.depth = framing_rtu, depth
        self.rng = random.Random(SEED)
        self.link = self.fresh()
        self.good = self.faults = 0
        self.told: dict[int, bytes | Exception] = {}

    def fresh(self) -> Link:
        link = Link(self.rtu, self.depth)
        link.connection_made(Wire())
        return link

    def play(self, frame: bytes, request: Request) -> None:
        """Ask, feed ``frame`` in pieces, and see what the link makes of it."""
        if not self.link.usable:
            self.link = self.fresh()
        self.told.clear()
        pending = 1 if self.rtu else self.rng.randint(1, self.depth)
        for number in range(pending):
            self.link.begin(request, TRANSACTION + number, lambda found, number=number: self.tell(number, found))
        self.feed(frame)
        for number, found in self.told.items():
            if isinstance(found, bytes):
                self.good += 1
                assert self.holds(frame, request, number, found), (frame, number, found)
        if self.link.usable:
            self.link.abort(LinkError("over", "closed"))
        assert len(self.told) == pending, "everybody who waits is told, once"
        self.faults += self.link.fault is not None

    def tell(self, number: int, found: bytes | Exception) -> None:
        assert number not in self.told
        assert isinstance(found, (bytes, LinkError, ExceptionAnswer))
        self.told[number] = found

    def feed(self, frame: bytes) -> None:
        at = 0
        while at < len(frame) and self.link.usable:
            space = self.link.get_buffer(-1)
            assert len(space) > 0
            size = min(len(frame) - at, len(space), len(frame) if self.rng.random() < 0.7 else self.rng.randint(1, 9))
            space[:size] = frame[at : at + size]
            self.link.buffer_updated(size)
            at += size

    def holds(self, frame: bytes, request: Request, number: int, data: bytes) -> bool:
        """Whether the right answer to the request called ``number``, with ``data``, stands in ``frame``."""
        pdu = request.answer_head + data
        whole = rtu(request.unit, pdu) if self.rtu else mbap(request.unit, pdu, TRANSACTION + number)
        return whole in frame and is_answer(bytes((request.unit,)) + pdu, request)


@pytest.mark.parametrize(("framing_rtu", "depth"), [(False, 1), (False, 4), (True, 1)])
def test_whoever_waits_at_a_link_gets_what_stands_in_the_stream_or_a_fault(framing_rtu: bool, depth: int) -> None:
    async def scene() -> Bench:
        bench = Bench(framing_rtu, depth)
        for request in REQUESTS[:2]:
            frame = rtu if framing_rtu else mbap
            one = answers(request, frame)
            several = [] if framing_rtu else [mbap(request.unit, good_pdu(request), TRANSACTION + n) for n in range(4)]
            streams = [*one, one[0] + one[0], *several, b"".join(reversed(several)), b"".join(several[1:3])]
            timed(mutated([s for s in streams if s], FRAMES // 6, SEED + depth), lambda f, r=request: bench.play(f, r))
        return bench

    bench = asyncio.run(scene())
    assert bench.good > FRAMES // 300
    assert bench.faults > FRAMES // 30
