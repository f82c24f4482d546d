"""Modbus requests and answers as bytes; no socket, no clock.

An answer is accepted whole or not at all: protocol id, length, transaction id, unit, function, byte count (or the echo
of a write) must all match the request, and nothing may follow. Functions 1-6, 15 and 16 of the MODBUS Application
Protocol V1.1b3, framed for TCP (MBAP header) or as RTU (CRC-16) inside a TCP connection.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 5, 6, 15, 16
ECHOED = (WRITE_COIL, WRITE_REGISTER)
"""Writes whose right answer is the request itself."""
REGISTERS_MAX, WRITE_REGISTERS_MAX = 125, 123
BITS_MAX, WRITE_BITS_MAX = 2000, 1968
FRAME_MAX = 260  # 7 bytes of MBAP header and 253 of PDU

EXCEPTION_NAMES = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}

_MBAP = struct.Struct(">HHHB")
_MBAP_TAIL = struct.Struct(">HHB")  # without the transaction id


class FrameError(Exception):
    """The bytes cannot be the answer to the request; ``reason`` is a short word for counters."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class ExceptionAnswer(Exception):
    """A well-formed answer in which the device refuses the request."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} {EXCEPTION_NAMES.get(code, 'unknown')}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``pdu`` goes out; an answer has ``answer_size`` bytes and starts with ``answer_head``.

    ``tcp_tail`` and ``tcp_answer_tail`` are what follows the transaction id in the frame, and in the head of a good
    answer, which has ``tcp_answer_size`` bytes.
    """

    unit: int
    pdu: bytes
    answer_head: bytes
    answer_size: int
    tcp_tail: bytes = field(init=False, repr=False, compare=False)
    tcp_answer_tail: bytes = field(init=False, repr=False, compare=False)
    tcp_answer_size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tail = _MBAP_TAIL.pack(0, len(self.pdu) + 1, self.unit) + self.pdu
        object.__setattr__(self, "tcp_tail", tail)
        answer = _MBAP_TAIL.pack(0, self.answer_size + 1, self.unit) + self.answer_head
        object.__setattr__(self, "tcp_answer_tail", answer)
        object.__setattr__(self, "tcp_answer_size", 7 + self.answer_size)

    @property
    def function(self) -> int:
        """Function code."""
        return self.pdu[0]


def read_bits(unit: int, function: int, address: int, count: int) -> Request:
    """Read ``count`` coils (function 1) or discrete inputs (2) from 0-based ``address``."""
    _check(function in (READ_COILS, READ_INPUTS), f"function {function} reads no bits; expected 1 or 2")
    return _read(unit, function, address, count, BITS_MAX, (count + 7) // 8)


@lru_cache(maxsize=1024)
def read_registers(unit: int, function: int, address: int, count: int) -> Request:
    """Read ``count`` holding (function 3) or input (4) registers from 0-based ``address``.

    Devices of one kind are asked the same: a request that they share is found in the cache.
    """
    _check(function in (READ_HOLDING, READ_INPUT), f"function {function} reads no registers; expected 3 or 4")
    return _read(unit, function, address, count, REGISTERS_MAX, 2 * count)


def write_coil(unit: int, address: int, on: bool) -> Request:
    """Set one coil (function 5)."""
    return _write(unit, WRITE_COIL, address, 0xFF00 if on else 0)


def write_register(unit: int, address: int, value: int) -> Request:
    """Set one register (function 6)."""
    _check(0 <= value <= 0xFFFF, f"register value is {value}; expected 0 to 65535")
    return _write(unit, WRITE_REGISTER, address, value)


def write_coils(unit: int, address: int, bits: tuple[bool, ...]) -> Request:
    """Set several coils (function 15), lowest address first."""
    _check(1 <= len(bits) <= WRITE_BITS_MAX, f"{len(bits)} coils to write; expected 1 to {WRITE_BITS_MAX}")
    data = sum(1 << index for index, bit in enumerate(bits) if bit).to_bytes((len(bits) + 7) // 8, "little")
    return _write(unit, WRITE_COILS, address, len(bits), bytes((len(data),)) + data)


def write_registers(unit: int, address: int, data: bytes) -> Request:
    """Set several registers (function 16); ``data`` is what stands on the wire, two bytes per register."""
    count, odd = divmod(len(data), 2)
    _check(not odd and 1 <= count <= WRITE_REGISTERS_MAX, f"{len(data)} bytes to write; expected 2 to 246, even")
    return _write(unit, WRITE_REGISTERS, address, count, bytes((len(data),)) + data)


def encode_tcp(request: Request, transaction: int) -> bytes:
    """The request behind an MBAP header."""
    return transaction.to_bytes(2, "big") + request.tcp_tail


def parse_tcp(data: bytes, request: Request, transaction: int) -> bytes | None:
    """The data bytes of the answer to ``request`` (empty for a write); None while it is still incomplete.

    Raises :class:`ExceptionAnswer` when the device refuses and :class:`FrameError` for anything else.
    """
    if len(data) < 8:
        return None
    got_transaction, protocol, length, unit = _MBAP.unpack_from(data)
    if protocol != 0:
        raise FrameError("protocol id", f"protocol id is {protocol}; expected 0")
    if got_transaction != transaction:
        raise FrameError("transaction id", f"transaction id is {got_transaction}; expected {transaction}")
    expected = request.answer_size if data[7] < 0x80 else 2
    if length != expected + 1:
        raise FrameError("length", f"length is {length}; expected {expected + 1}")
    if len(data) < 7 + expected:
        return None
    if len(data) > 7 + expected:
        raise FrameError("leftover", f"{len(data) - 7 - expected} bytes follow the answer; expected none")
    return _parse_pdu(unit, data[7:], request)


def encode_rtu(request: Request) -> bytes:
    """The request as an RTU frame."""
    frame = bytes((request.unit,)) + request.pdu
    return frame + crc16(frame).to_bytes(2, "little")


def parse_rtu(data: bytes, request: Request) -> bytes | None:
    """Like :func:`parse_tcp` for an RTU frame, which has no transaction id: the caller must exclude late answers."""
    if len(data) < 2:
        return None
    size = 1 + (request.answer_size if data[1] < 0x80 else 2) + 2
    if len(data) < size:
        return None
    if len(data) > size:
        raise FrameError("leftover", f"{len(data) - size} bytes follow the answer; expected none")
    if crc16(data[:-2]).to_bytes(2, "little") != data[-2:]:
        raise FrameError("crc", f"checksum is {data[-2:].hex()}; expected another one")
    return _parse_pdu(data[0], data[1:-2], request)


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus RTU (polynomial 0xA001, start 0xFFFF)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_CRC_TABLE = tuple(_crc_entry(value) for value in range(256))


def _parse_pdu(unit: int, pdu: bytes, request: Request) -> bytes:
    if unit != request.unit:
        raise FrameError("unit", f"unit is {unit}; expected {request.unit}")
    if pdu[0] == request.function | 0x80:
        raise ExceptionAnswer(pdu[1])
    if pdu[0] != request.function:
        raise FrameError("function", f"function is {pdu[0]}; expected {request.function}")
    head = request.answer_head
    if pdu[: len(head)] != head:
        raise FrameError("content", f"answer starts with {pdu[: len(head)].hex()}; expected {head.hex()}")
    return pdu[len(head) :]


def _read(unit: int, function: int, address: int, count: int, count_max: int, size: int) -> Request:
    _check(1 <= count <= count_max, f"count is {count}; expected 1 to {count_max}")
    _check_range(unit, address, count)
    pdu = struct.pack(">BHH", function, address, count)
    return Request(unit, pdu, bytes((function, size)), 2 + size)


def _write(unit: int, function: int, address: int, field: int, data: bytes = b"") -> Request:
    """A write is answered with its own first five bytes: function, address and value (or count)."""
    _check_range(unit, address, 1 if function in (WRITE_COIL, WRITE_REGISTER) else field)
    head = struct.pack(">BHH", function, address, field)
    return Request(unit, head + data, head, len(head))


def _check_range(unit: int, address: int, count: int) -> None:
    _check(0 <= unit <= 255, f"unit is {unit}; expected 0 to 255")
    _check(address >= 0 and address + count <= 65536, f"addresses {address} to {address + count - 1}; expected 0-65535")


def _check(ok: bool, text: str) -> None:
    if not ok:
        raise ValueError(text)
