"""Everything that a device, a gateway or a cable has been seen to do, one row each.

A row says what happens to the first request of two registers, and on which transports it can happen.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from hostile_peer import Ask, Behaviour

SEED = 20261122
LATE_S = 0.12  # after the time-out of the contract test
SOCKETS = ("tcp", "tls")
ALL = ("tcp", "tls", "rtu")
GARBAGE = random.Random(SEED).randbytes(64)


@dataclass(frozen=True)
class Row:
    """``allowed``: the first answer may be taken, because what is wrong is not wrong with it."""

    behaviour: Behaviour
    on: tuple[str, ...] = ALL
    allowed: bool = False


def registers(first: int, count: int) -> bytes:
    return struct.pack(f">{count}H", *range(first, first + count))


def drip(ask: Ask, pause_s: float) -> tuple[bytes | float, ...]:
    return tuple(step for index in range(len(ask.right)) for step in (ask.right[index : index + 1], pause_s))


def cut(size: int, ending: str) -> Behaviour:
    return lambda ask: (ask.right[:size], ending)


def half(size: int) -> Behaviour:
    return lambda ask: (ask.right[:size], LATE_S, ask.right[size:])


def flipped(*bits: int) -> Behaviour:
    """The right answer with some bits wrong, counted from its first."""

    def behave(ask: Ask) -> tuple[bytes]:
        number = int.from_bytes(ask.right, "big")
        for bit in bits:
            number ^= 1 << 8 * len(ask.right) - 1 - bit % (8 * len(ask.right))
        return (number.to_bytes(len(ask.right), "big"),)

    return behave


ROWS: dict[str, Row] = {
    "silence": Row(lambda _: ()),
    "late": Row(lambda ask: (LATE_S, ask.right)),
    "late twice": Row(lambda ask: (LATE_S, ask.right, ask.right)),
    "next transaction id": Row(lambda ask: (ask.framed(ask.right_pdu, tid=1),), SOCKETS),
    "last transaction id": Row(lambda ask: (ask.framed(ask.right_pdu, tid=-1),), SOCKETS),
    "transaction id 0": Row(lambda ask: (ask.framed(ask.right_pdu, tid=-ask.transaction),), SOCKETS),
    "late with transaction id 0": Row(lambda ask: (LATE_S, ask.framed(ask.right_pdu, tid=-ask.transaction)), SOCKETS),
    "protocol id": Row(lambda ask: (ask.framed(ask.right_pdu, protocol=1),), SOCKETS),
    "other unit": Row(lambda ask: (ask.framed(ask.right_pdu, unit=1),)),
    "unit 255": Row(lambda ask: (ask.framed(ask.right_pdu, unit=254),)),
    "other function": Row(lambda ask: (ask.framed(b"\x04" + ask.right_pdu[1:]),)),
    "function 0": Row(lambda ask: (ask.framed(b"\x00" + ask.right_pdu[1:]),)),
    "echo of a write": Row(lambda ask: (ask.framed(struct.pack(">BHH", 16, 100, 2)),)),
    "one register too few": Row(lambda ask: (ask.framed(b"\x03\x02" + registers(100, 1)),)),
    "one register too many": Row(lambda ask: (ask.framed(b"\x03\x06" + registers(100, 3)),)),
    "odd byte count": Row(lambda ask: (ask.framed(b"\x03\x03" + registers(100, 2)[:3]),)),
    "byte count lies": Row(lambda ask: (ask.framed(b"\x03\x02" + registers(100, 2)),)),
    "byte count 255": Row(lambda ask: (ask.framed(b"\x03\xff" + registers(100, 2)),)),
    "length 0": Row(lambda ask: (ask.framed(ask.right_pdu, length=0),), SOCKETS),
    "length 1": Row(lambda ask: (ask.framed(ask.right_pdu, length=1),), SOCKETS),
    "length 65535": Row(lambda ask: (ask.framed(ask.right_pdu, length=65535),), SOCKETS),
    "length one short": Row(lambda ask: (ask.framed(ask.right_pdu, length=6),), SOCKETS),
    "length one long": Row(lambda ask: (ask.framed(ask.right_pdu, length=8) + b"\0",), SOCKETS),
    "announces 64 KiB and sends it": Row(lambda ask: (ask.framed(ask.right_pdu, length=65535), bytes(65535)), SOCKETS),
    "wrong checksum": Row(lambda ask: (ask.framed(ask.right_pdu, crc=1),), ("rtu",)),
    "checksum in the wrong order": Row(lambda ask: (ask.right[:-2] + ask.right[:-3:-1],), ("rtu",)),
    "a gap inside the frame": Row(lambda ask: (ask.right[:4], 0.06, ask.right[4:]), ("rtu",)),
    "a noise byte before": Row(lambda ask: (b"\x00" + ask.right,)),
    "our own request comes back": Row(lambda ask: (ask.framed(ask.pdu),)),
    "half a frame, the rest late": Row(half(4)),
    "header, the rest late": Row(half(7)),
    "all but one byte, the rest late": Row(lambda ask: (ask.right[:-1], LATE_S, ask.right[-1:])),
    "two glued answers": Row(lambda ask: (ask.right + ask.right,)),
    "two answers in two segments": Row(lambda ask: (ask.right, 0.01, ask.right), allowed=True),
    "an answer in two segments, then once more": Row(
        lambda ask: (ask.right[:5], 0.005, ask.right[5:], 0.01, ask.right), allowed=True
    ),
    "one stray byte after": Row(lambda ask: (ask.right + b"\0",)),
    "one stray byte soon after": Row(lambda ask: (ask.right, 0.01, b"\0"), allowed=True),
    "drip slower than the time-out": Row(lambda ask: drip(ask, 0.02)),
    "drip within the time-out": Row(lambda ask: drip(ask, 0.001), allowed=True),
    "garbage": Row(lambda _: (GARBAGE,)),
    "zeros": Row(lambda _: (bytes(64),)),
    "a flood": Row(lambda _: (GARBAGE * 200,)),
    "a flood of right answers": Row(lambda ask: (ask.right * 100,)),
    "a flood that goes on": Row(lambda _: tuple(step for _ in range(30) for step in (GARBAGE, 0.002))),
    "exception 2": Row(lambda ask: (ask.framed(b"\x83\x02"),)),
    "busy": Row(lambda ask: (ask.framed(b"\x83\x06"),)),
    "exception 0": Row(lambda ask: (ask.framed(b"\x83\x00"),)),
    "exception 255": Row(lambda ask: (ask.framed(b"\x83\xff"),)),
    "exception for another function": Row(lambda ask: (ask.framed(b"\x84\x02"),)),
    "exception of another transaction": Row(lambda ask: (ask.framed(b"\x83\x02", tid=1),), SOCKETS),
    "exception without a code": Row(lambda ask: (ask.framed(b"\x83"),)),
    "exception with a tail": Row(lambda ask: (ask.framed(b"\x83\x02") + b"\0",)),
    "unit 0": Row(lambda ask: (ask.framed(ask.right_pdu, unit=-1),)),
    "our own request, then the answer": Row(lambda ask: (ask.framed(ask.pdu) + ask.right,)),
    "our own request, soon after it the answer": Row(lambda ask: (ask.framed(ask.pdu), 0.01, ask.right)),
    "a noise byte just before": Row(lambda ask: (b"\xff", 0.005, ask.right)),
    "the length in two parts": Row(lambda ask: (ask.right[:5], 0.005, ask.right[5:]), allowed=True),
    "glued with the next answer": Row(lambda ask: (ask.right + ask.framed(ask.right_pdu, tid=1),), SOCKETS),
    "an answer, then that to the next request": Row(
        lambda ask: (ask.right, 0.01, ask.framed(ask.right_pdu, tid=1)), SOCKETS, allowed=True
    ),
    "length 255": Row(lambda ask: (ask.framed(ask.right_pdu, length=255), bytes(255)), SOCKETS),
    "a byte in 100 ms": Row(lambda ask: (ask.right[:1], 0.1, ask.right[1:2], 0.1)),
    "acknowledge": Row(lambda ask: (ask.framed(b"\x83\x05"),)),
    "gateway: no path": Row(lambda ask: (ask.framed(b"\x83\x0a"),)),
    "gateway: no answer": Row(lambda ask: (ask.framed(b"\x83\x0b"),)),
    "busy, then the answer": Row(lambda ask: (ask.framed(b"\x83\x06"), 0.01, ask.right)),
    "the answer, then busy": Row(lambda ask: (ask.right, 0.01, ask.framed(b"\x83\x06")), allowed=True),
    "exception 127": Row(lambda ask: (ask.framed(b"\x83\x7f"),)),
    "exception to function 0": Row(lambda ask: (ask.framed(b"\x80\x02"),)),
    "exception to function 127": Row(lambda ask: (ask.framed(b"\xff\x02"),)),
    "a refusal as long as the answer": Row(lambda ask: (ask.framed(b"\x83" + ask.right_pdu[1:]),)),
    "refused and answered at once": Row(lambda ask: (ask.framed(b"\x83\x02") + ask.right,)),
    "the registers of the other table": Row(lambda ask: (ask.framed(b"\x04" + ask.right_pdu[1:]), 0.01, ask.right)),
    "a byte dropped": Row(lambda ask: (ask.right[:-4] + ask.right[-3:],)),
    "a byte twice": Row(lambda ask: (ask.right[:-4] + ask.right[-5:],)),
    "two answers interleaved": Row(lambda ask: (bytes(byte for byte in ask.right for _ in range(2)),)),
    "backwards": Row(lambda ask: (ask.right[::-1],)),
    "the banner of a shell": Row(lambda _: (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",)),
    "a page of the web": Row(lambda _: (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>", "fin")),
    "a record of TLS": Row(lambda _: (b"\x15\x03\x03\x00\x02\x02\x28",)),
    "another unit in front of the right one": Row(lambda ask: (ask.framed(ask.right_pdu, unit=1) + ask.right,)),
    "a frame for everybody": Row(lambda ask: (ask.framed(b"\x10" + ask.right_pdu[1:5], unit=-1), 0.01, ask.right)),
    "refused late": Row(lambda ask: (LATE_S, ask.framed(b"\x83\x06"))),
    **{f"bit {bit} wrong": Row(flipped(bit), ("rtu",)) for bit in range(0, 72, 7)},
    **{f"bits {bit} and {bit + gap} wrong": Row(flipped(bit, bit + gap), ("rtu",)) for bit, gap in ((9, 1), (20, 33))},
    "three bits of the values wrong": Row(flipped(26, 38, 51), ("rtu",)),
    **{f"rst after {size} bytes": Row(cut(size, "rst"), SOCKETS) for size in range(13)},
    **{f"fin after {size} bytes": Row(cut(size, "fin"), SOCKETS) for size in range(13)},
    "fin after the answer": Row(lambda ask: (ask.right, "fin"), SOCKETS, allowed=True),
    "rst after the answer": Row(lambda ask: (ask.right, 0.01, "rst"), SOCKETS, allowed=True),
}
