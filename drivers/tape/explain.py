"""Frames for people: what stood in every field and register of an answer, and what was expected there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from drivers.modbus.codec import (
    EXCEPTION_NAMES,
    READ_HOLDING,
    READ_INPUT,
    WRITE_COIL,
    WRITE_REGISTER,
    ExceptionAnswer,
    Request,
    crc16,
)
from drivers.modbus.device import FUNCTIONS
from drivers.profile import PointSpec
from drivers.profile_checks import registers
from drivers.tape.wire import Exchange

_TABLES = {1: "coils", 2: "discrete inputs", READ_HOLDING: "holding registers", READ_INPUT: "input registers"}
REGISTERS_SHOWN_MAX = 130


@dataclass(frozen=True, slots=True)
class Field:
    """One part of a frame: what came (hexadecimal, empty when it is missing), what was expected (empty: anything)."""

    name: str
    came: str
    expected: str = ""

    @property
    def wrong(self) -> bool:
        """True when it is not what was expected."""
        return bool(self.expected) and self.came != self.expected


def asked(request: Request) -> str:
    """What a request asks for, in words."""
    function, address = request.function, int.from_bytes(request.pdu[1:3], "big")
    count = 1 if function in (WRITE_COIL, WRITE_REGISTER) else int.from_bytes(request.pdu[3:5], "big")
    where = f"{address}" if count == 1 else f"{address} to {address + count - 1}"
    if function in _TABLES:
        return f"read {_TABLES[function]} {where} of unit {request.unit}"
    kind = "coils" if function in (WRITE_COIL, 15) else "registers"
    data = request.pdu[6:] if function in (15, 16) else request.pdu[3:5]
    return f"write {kind} {where} of unit {request.unit}: {data.hex(' ', 2).upper()}"


def answered(exchange: Exchange) -> str:
    """What came of an exchange, in words."""
    outcome = exchange.outcome
    if isinstance(outcome, bytes):
        took_ms = 1e3 * (exchange.done_s - exchange.sent_s)
        return f"{outcome.hex(' ', 2).upper() or 'done'} ({took_ms:.1f} ms)"
    if isinstance(outcome, ExceptionAnswer):
        return f"refused by the device: {outcome}"
    return str(outcome)


def fields(exchange: Exchange, points: Iterable[PointSpec] = (), *, rtu: bool) -> Iterator[Field]:
    """Every field of what came, in order; registers with the points that lie in them."""
    came, request = exchange.came, exchange.request
    if rtu:
        body = came[:-2] if len(came) > 3 else came
        head: list[tuple[str, bytes, bytes]] = [("unit", came[:1], bytes((request.unit,)))]
        pdu = body[1:]
    else:
        length = (request.answer_size + 1).to_bytes(2, "big")
        if came[7:8] == bytes((request.function | 0x80,)):
            length = b"\0\3"
        head = [
            ("transaction id", came[:2], exchange.sent[:2]),
            ("protocol id", came[2:4], b"\0\0"),
            ("length", came[4:6], length),
            ("unit", came[6:7], bytes((request.unit,))),
        ]
        pdu = came[7:]
    yield from (Field(name, part.hex().upper(), expected.hex().upper()) for name, part, expected in head)
    yield from _pdu_fields(pdu, request, points)
    if rtu and len(came) > 3:
        yield Field("checksum", came[-2:].hex().upper(), crc16(came[:-2]).to_bytes(2, "little").hex().upper())


def _pdu_fields(pdu: bytes, request: Request, points: Iterable[PointSpec]) -> Iterator[Field]:
    if pdu[:1] == bytes((request.function | 0x80,)):
        code = pdu[1] if len(pdu) > 1 else 0
        yield Field("function", f"{pdu[0]:02X}")
        yield Field(f"exception ({EXCEPTION_NAMES.get(code, 'unknown')})", pdu[1:2].hex().upper())
        return
    yield Field("function", pdu[:1].hex().upper(), f"{request.function:02X}")
    if request.function not in (READ_HOLDING, READ_INPUT):
        yield Field("content", pdu[1:].hex().upper())
        return
    size = request.answer_size - 2
    yield Field("byte count", pdu[1:2].hex().upper(), f"{size:02X}")
    names = register_names(points, request)
    address, data = int.from_bytes(request.pdu[1:3], "big"), pdu[2:]
    for index in range(min(size // 2, REGISTERS_SHOWN_MAX)):
        word = data[2 * index : 2 * index + 2]
        label = f"register {address + index} {names.get(address + index, '')}".rstrip()
        yield Field(label, word.hex().upper(), "" if len(word) == 2 else "a word")
    if len(data) > size:
        yield Field("left over", data[size:].hex(" ").upper(), "nothing")


def register_names(points: Iterable[PointSpec], request: Request) -> Mapping[int, str]:
    """Which point lies in which register of the table that ``request`` reads."""
    found: dict[int, str] = {}
    for spec in points:
        if FUNCTIONS.get(spec.table) != request.function or spec.address < 0:
            continue
        size = registers(spec)
        for index in range(size):
            found[spec.address + index] = spec.name if size == 1 else f"{spec.name} {index + 1}/{size}"
    return found
