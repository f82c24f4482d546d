"""Payloads are what Google's Protocol Buffers read and write under Sparkplug's schema, and nothing hostile gets by."""

from __future__ import annotations

import math
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparkplug_kit import GooglePayload, read, value_of

from controller.balancing.sparkplug.decoding import decode
from controller.balancing.sparkplug.payload import DataType, Metric, Payload, Property, encode
from controller.balancing.sparkplug.wire import Malformed

U64 = st.integers(0, 2**64 - 1)
VALUES = {
    DataType.INT32: st.integers(-(2**31), 2**31 - 1),
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.UINT32: st.integers(0, 2**32 - 1),
    DataType.UINT64: U64,
    DataType.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: st.text(max_size=20),
}
PROPERTIES = st.one_of(
    st.builds(Property, st.text(max_size=9), st.just(DataType.STRING), st.text(max_size=9)),
    st.builds(Property, st.text(max_size=9), st.just(DataType.INT32), VALUES[DataType.INT32]),
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    datatype = draw(st.sampled_from(sorted(VALUES)))
    return Metric(
        datatype=datatype,
        value=draw(st.none() | VALUES[datatype]),
        timestamp_ms=draw(st.none() | U64),
        name=draw(st.none() | st.text(max_size=20)),
        alias=draw(st.none() | U64),
        historical=draw(st.booleans()),
        properties=tuple(draw(st.lists(PROPERTIES, max_size=3))),
    )


PAYLOADS = st.builds(Payload, st.none() | U64, st.lists(metrics(), max_size=4).map(tuple), st.none() | U64)


@given(PAYLOADS)
def test_what_is_written_is_read_back(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@given(PAYLOADS)
def test_google_reads_what_we_write_and_writes_what_we_read(payload: Payload) -> None:
    other = read(encode(payload))
    assert other.IsInitialized()
    assert (other.timestamp if other.HasField("timestamp") else None) == payload.timestamp_ms
    assert (other.seq if other.HasField("seq") else None) == payload.seq
    for ours, theirs in zip(payload.metrics, other.metrics, strict=True):
        value = value_of(theirs)
        bits = {DataType.INT32: 32, DataType.INT64: 64}.get(ours.datatype)
        if bits and value is not None:
            value = (value ^ 1 << bits - 1) - (1 << bits - 1)  # they know the sign bit only
        assert (value, theirs.datatype, theirs.is_historical) == (ours.value, ours.datatype, ours.historical)
        assert (theirs.name if theirs.HasField("name") else None) == ours.name
        assert (theirs.alias if theirs.HasField("alias") else None) == ours.alias
        assert list(theirs.properties.keys) == [item.key for item in ours.properties]
    assert decode(other.SerializeToString()) == payload


def test_one_payload_byte_by_byte() -> None:
    metric = Metric(DataType.DOUBLE, 230.5, 1_000, name="u", alias=300, historical=True)
    assert encode(Payload(1_000, (metric,), 255)).hex() == (
        "08e807"  # timestamp 1000
        "1216" + "0a0175" + "10ac02" + "18e807" + "200a" + "2801" + "69" + struct.pack("<d", 230.5).hex() + "18ff01"
    )


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.DOUBLE, math.nan),
        (DataType.DOUBLE, math.inf),
        (DataType.DOUBLE, "1"),
        (DataType.INT32, 2**31),
        (DataType.UINT32, -1),
        (DataType.INT64, True),
        (DataType.BOOLEAN, 1),
        (DataType.STRING, 1.0),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_not_sent(datatype: DataType, value: float | str) -> None:
    with pytest.raises(ValueError, match="is no"):
        encode(Payload(0, (Metric(datatype, value),)))


@given(st.binary(max_size=60))
def test_whatever_bytes_come_in_they_are_read_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        decode(data)


@given(PAYLOADS, st.data())
def test_a_payload_that_was_changed_is_read_or_refused(payload: Payload, data: st.DataObject) -> None:
    raw = bytearray(encode(payload))
    if raw:
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
    with suppress(Malformed):
        decode(bytes(raw))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("ffffffffffffffffffffff01", "does not end"),
        ("ffffffffffffffffff7f", "beyond 64 bits"),
        ("12ff7f", "16383 bytes, 0 are left"),
        ("0b", "wire type 3"),
        ("00", "number 0"),
        ("0a00", "no number"),
        ("12020a80", "bytes, 0 are left|does not end"),
        ("12030a01ff", "UTF-8"),
        ("1202200d", "data type 13"),
        ("1204200c5001", "STRING in the place of UINT32"),
        ("12054a030a0161", "1 keys and 0 values"),
    ],
)
def test_malformed_bytes_are_refused_with_the_reason(raw: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(bytes.fromhex(raw))


def test_what_is_not_known_is_passed_over() -> None:
    other = GooglePayload(timestamp=1, seq=2, uuid="schema", body=b"\x01")
    metric = other.metrics.add(name="Node Control/Rebirth", datatype=11, is_transient=True, boolean_value=True)
    metric.properties.keys.append("readOnly")
    metric.properties.values.add(type=11, boolean_value=False)
    found = decode(other.SerializeToString())
    assert (found.metrics[0].name, found.metrics[0].value) == ("Node Control/Rebirth", True)
