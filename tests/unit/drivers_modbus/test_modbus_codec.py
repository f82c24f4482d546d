"""The codec against an independent implementation (pymodbus) and against arbitrary bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
)

from drivers.modbus import codec
from drivers.modbus.codec import ExceptionAnswer, FrameError, Request

TID = 0x1234


def oracle_tcp(pdu: ModbusPDU) -> bytes:
    pdu.transaction_id = TID
    return FramerSocket(DecodePDU(False)).buildFrame(pdu)


def oracle_rtu(pdu: ModbusPDU) -> bytes:
    return FramerRTU(DecodePDU(False)).buildFrame(pdu)


PAIRS = [
    (codec.read_bits(3, 1, 19, 37), ReadCoilsRequest(address=19, count=37, dev_id=3)),
    (codec.read_registers(3, 3, 40000, 125), ReadHoldingRegistersRequest(address=40000, count=125, dev_id=3)),
    (codec.read_registers(247, 4, 0, 1), ReadInputRegistersRequest(address=0, count=1, dev_id=247)),
    (codec.write_coil(1, 172, True), WriteSingleCoilRequest(address=172, bits=[True], dev_id=1)),
    (codec.write_coil(1, 172, False), WriteSingleCoilRequest(address=172, bits=[False], dev_id=1)),
    (codec.write_register(1, 1, 3), WriteSingleRegisterRequest(address=1, registers=[3], dev_id=1)),
    (
        codec.write_coils(9, 19, (True, False, True, True, False, False, True, True, True, False)),
        WriteMultipleCoilsRequest(address=19, bits=[c == "1" for c in "1011001110"], dev_id=9),
    ),
    (
        codec.write_registers(1, 65534, struct.pack(">2H", 10, 0xFFFE)),
        WriteMultipleRegistersRequest(address=65534, registers=[10, 0xFFFE], dev_id=1),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_requests_are_byte_for_byte_what_another_implementation_sends(ours: Request, theirs: ModbusPDU) -> None:
    assert codec.encode_tcp(ours, TID) == oracle_tcp(theirs)
    assert codec.encode_rtu(ours) == oracle_rtu(theirs)


@given(st.integers(0, 255), st.integers(0, 65535 - 125), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125))
def test_answers_of_another_implementation_are_read_right(unit: int, address: int, values: list[int]) -> None:
    request = codec.read_registers(unit, 3, address, len(values))
    theirs = ReadHoldingRegistersResponse(registers=values, dev_id=unit)
    expected = struct.pack(f">{len(values)}H", *values)
    assert codec.parse_tcp(oracle_tcp(theirs), request, TID) == expected
    assert codec.parse_rtu(oracle_rtu(theirs), request) == expected


def test_bits_and_write_echoes_of_another_implementation_are_read_right() -> None:
    bits = codec.read_bits(3, 1, 19, 10)
    answer = oracle_tcp(ReadCoilsResponse(bits=[True, False] * 5, dev_id=3))
    assert codec.parse_tcp(answer, bits, TID) == b"\x55\x01"
    write = codec.write_registers(1, 10, b"\0\1\0\2")
    assert codec.parse_tcp(oracle_tcp(WriteMultipleRegistersResponse(address=10, count=2, dev_id=1)), write, TID) == b""


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11, 99])
def test_an_exception_of_another_implementation_is_told_by_name(code: int) -> None:
    request = codec.read_registers(7, 4, 100, 2)
    with pytest.raises(ExceptionAnswer, match=f"exception {code} {codec.EXCEPTION_NAMES.get(code, 'unknown')}"):
        codec.parse_tcp(oracle_tcp(ExceptionResponse(4, code, device_id=7)), request, TID)


@settings(max_examples=400)
@given(st.binary(max_size=300), st.sampled_from([pair[0] for pair in PAIRS]))
def test_arbitrary_bytes_raise_nothing_but_the_typed_errors(data: bytes, request_: Request) -> None:
    for parse in (lambda: codec.parse_tcp(data, request_, TID), lambda: codec.parse_rtu(data, request_)):
        try:
            found = parse()
        except (FrameError, ExceptionAnswer):
            continue
        assert found is None or len(found) + len(request_.answer_head) == request_.answer_size


REQUEST = codec.read_registers(1, 3, 100, 2)
GOOD = oracle_tcp(ReadHoldingRegistersResponse(registers=[0x1111, 0x2222], dev_id=1))


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.binary(max_size=4), st.integers(0, len(GOOD)))
@example(8, 1, b"", len(GOOD))
def test_a_changed_answer_is_accepted_only_where_the_change_is_in_the_data(
    at: int, flip: int, tail: bytes, cut: int
) -> None:
    data = bytearray(GOOD)
    data[at] ^= flip
    mutated = bytes(data[:cut]) + tail
    try:
        found = codec.parse_tcp(mutated, REQUEST, TID)
    except (FrameError, ExceptionAnswer):
        return
    assert found is None or (mutated[:9] == GOOD[:9] and len(mutated) == len(GOOD) and found == mutated[9:])


@given(st.integers(0, 8), st.integers(1, 255))
def test_one_wrong_byte_in_an_rtu_answer_is_always_found(at: int, flip: int) -> None:
    data = bytearray(oracle_rtu(ReadHoldingRegistersResponse(registers=[0x1111, 0x2222], dev_id=1)))
    data[at] ^= flip
    try:
        assert codec.parse_rtu(bytes(data), REQUEST) is None
    except FrameError:
        return
    except ExceptionAnswer:
        pytest.fail("a broken frame passed for an exception")


@pytest.mark.parametrize(
    "build",
    [
        lambda: codec.read_registers(1, 3, 0, 0),
        lambda: codec.read_registers(1, 3, 0, 126),
        lambda: codec.read_registers(1, 3, 65535, 2),
        lambda: codec.read_registers(1, 3, -1, 2),
        lambda: codec.read_registers(256, 3, 0, 2),
        lambda: codec.read_registers(1, 1, 0, 2),
        lambda: codec.read_bits(1, 3, 0, 2),
        lambda: codec.read_bits(1, 1, 0, 2001),
        lambda: codec.write_register(1, 0, 65536),
        lambda: codec.write_registers(1, 0, b""),
        lambda: codec.write_registers(1, 0, b"\0"),
        lambda: codec.write_registers(1, 0, bytes(248)),
        lambda: codec.write_registers(1, 65535, bytes(4)),
        lambda: codec.write_coils(1, 0, ()),
    ],
)
def test_a_request_outside_the_protocol_is_never_built(build: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        build()  # type: ignore[operator]
