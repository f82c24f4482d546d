"""Our reader of OPC UA's binary encoding against asyncua's writer, and against what no honest peer writes."""

from __future__ import annotations

import math
import struct
import time
from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary, variant_to_binary
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.opcua.session.binary import ELEMENTS_MAX, Reader, WireError, numeric_id
from drivers.opcua.session.datavalue import NUMBER_CODES, data_value, variant
from drivers.opcua.session.services import (
    answer_head,
    browse_path,
    create_subscription_request,
    monitor_request,
    publish_request,
    read_request,
    read_value_id,
    unit_name,
    write_value,
)

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NODES = (ua.NodeId(7, 0), ua.NodeId(300, 2), ua.NodeId(70_000, 300), ua.NodeId("a.b", 1), ua.NodeId(b"xy", 1))
REFUSALS = (ValueError, struct.error)


@pytest.mark.parametrize("name", NUMBER_CODES)
@pytest.mark.parametrize("status", [0, 0x4090_0000, 0x8031_0000])
@pytest.mark.parametrize("times", [(None, None), (MOMENT, None), (None, MOMENT), (MOMENT, MOMENT)])
def test_a_number_arrives_as_it_was_written(name: str, status: int, times: tuple[datetime | None, ...]) -> None:
    value = True if name == "Boolean" else 100.5 if name in ("Float", "Double") else 100
    written = ua.DataValue(
        ua.Variant(value, ua.VariantType[name]),
        StatusCode=ua.StatusCode(status),
        SourceTimestamp=times[0],
        ServerTimestamp=times[1],
    )
    reader = Reader(struct_to_binary(written) + b"next")
    found = data_value(reader)
    assert (found.type, found.value, found.status) == (name, value, status)
    assert (found.source_utc_s, found.server_utc_s) == tuple(time and time.timestamp() for time in times)
    assert reader.data[reader.at :] == b"next"


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (ua.Variant(), ""),
        (ua.Variant("text", ua.VariantType.String), "String"),
        (ua.Variant([1.0, 2.0], ua.VariantType.Double), "Double[]"),
        (ua.Variant(["a", "b"], ua.VariantType.String), "String[]"),
        (ua.Variant(ua.LocalizedText("x", "en"), ua.VariantType.LocalizedText), "LocalizedText"),
        (ua.Variant(ua.EUInformation(), ua.VariantType.ExtensionObject), "ExtensionObject"),
        (ua.Variant([ua.Variant(1, ua.VariantType.Int32)], ua.VariantType.Variant), "Variant[]"),
        (ua.Variant(ua.DataValue(ua.Variant(1.0)), ua.VariantType.DataValue), "DataValue"),
        (ua.Variant(ua.NodeId("n", 3), ua.VariantType.NodeId), "NodeId"),
        (ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int32, [2, 2]), "Int32[]"),
        (ua.Variant(MOMENT, ua.VariantType.DateTime), "DateTime"),
    ],
)
def test_a_value_of_another_kind_is_named_and_the_next_one_is_found(written: ua.Variant, kind: str) -> None:
    reader = Reader(variant_to_binary(written) + b"next")
    assert variant(reader)[0] == kind
    assert reader.data[reader.at :] == b"next"


@pytest.mark.parametrize("node", NODES, ids=str)
def test_a_node_is_the_same_bytes_however_it_was_encoded(node: ua.NodeId) -> None:
    wide = node if isinstance(node.Identifier, str | bytes) else ua.NodeId(node.Identifier, node.NamespaceIndex)
    if not isinstance(node.Identifier, str | bytes):
        wide.NodeIdType = ua.NodeIdType.Numeric
        assert Reader(nodeid_to_binary(wide)).node_id() == numeric_id(node.Identifier, node.NamespaceIndex)
    assert Reader(nodeid_to_binary(node)).node_id() == Reader(nodeid_to_binary(wide)).node_id()
    remote = ua.ExpandedNodeId(node.Identifier, node.NamespaceIndex, ServerIndex=1)
    assert Reader(nodeid_to_binary(remote)).expanded_node_id() is None


def test_requests_are_those_that_asyncua_writes() -> None:
    node = numeric_id(300, 2)
    theirs = ua.ReadValueId(NodeId=ua.NodeId(300, 2), AttributeId=ua.AttributeIds.Value)
    read = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Both, NodesToRead=[theirs])
    assert read_request([read_value_id(node)]) == struct_to_binary(read)
    value = ua.DataValue(ua.Variant(2.5, ua.VariantType.Double), StatusCode=None)
    write = ua.WriteValue(NodeId=ua.NodeId(300, 2), AttributeId=ua.AttributeIds.Value, Value=value)
    assert write_value(node, "Double", 2.5) == struct_to_binary(write)
    step = ua.RelativePathElement(ua.NodeId(33), False, True, ua.QualifiedName("DER", 2))
    path = ua.BrowsePath(ua.NodeId(85), ua.RelativePath([step]))
    assert browse_path(2, ["DER"], units=False) == struct_to_binary(path)
    wish = ua.CreateSubscriptionParameters(100.0, 300, 8, 0, True, 0)
    assert create_subscription_request(0.1, 8, 300) == struct_to_binary(wish)
    item = ua.MonitoredItemCreateRequest(
        theirs, ua.MonitoringMode.Reporting, ua.MonitoringParameters(4, 100.0, None, 1, True)
    )
    items = ua.CreateMonitoredItemsParameters(9, ua.TimestampsToReturn.Both, [item])
    assert monitor_request(9, [(4, node)], 0.1, 1) == struct_to_binary(items)
    publish = ua.PublishParameters([ua.SubscriptionAcknowledgement(9, 41)])
    assert publish_request([(9, 41)]) == struct_to_binary(publish)


def test_the_unit_of_a_node_is_its_display_name() -> None:
    unit = ua.EUInformation("urn:x", 5, ua.LocalizedText("kW", "en"), ua.LocalizedText("kilowatt"))
    assert unit_name(variant(Reader(variant_to_binary(ua.Variant(unit))))[1]) == "kW"
    assert unit_name("kW") is None


def _nested(inner: bytes, times: int) -> bytes:
    return inner * times


BOMBS = {
    "an array of 2^31 nulls": b"\x80" + struct.pack("<i", 0x7FFF_FFFF),
    "an array of 2^31 numbers": b"\x8b" + struct.pack("<i", 0x7FFF_FFFF),
    "an array of 2^31 texts": b"\x8c" + struct.pack("<i", 0x7FFF_FFFF),
    "an array of -2 numbers": b"\x8b" + struct.pack("<i", -2),
    "a text of 2 GiB": b"\x0c" + struct.pack("<i", 0x7FFF_FFFF),
    "a text of -5 bytes": b"\x0c" + struct.pack("<i", -5),
    "a structure of 2 GiB": b"\x16\x00\x00\x01" + struct.pack("<i", 0x7FFF_FFFF),
    "values in values": _nested(b"\x18", 60_000),
    "arrays of values in arrays of values": _nested(b"\x98\x01\x00\x00\x00", 20_000),
    "data values in data values": _nested(b"\x17\x01", 60_000),
    "diagnostics in diagnostics": b"\x19" + _nested(b"\x40", 60_000),
    "100 000 empty texts": b"\x95" + struct.pack("<i", 100_000) + bytes(100_000),
    "100 000 empty data values": b"\x97" + struct.pack("<i", 100_000) + bytes(100_000),
    "a type that does not exist": b"\x3f",
    "no more bytes": b"\x0b\x00",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_no_honest_peer_writes_is_refused_at_once(bomb: bytes) -> None:
    started_s = time.process_time()
    with pytest.raises(REFUSALS):
        variant(Reader(bomb))
    assert time.process_time() - started_s < 0.25  # measured: below 0.02 s


def test_a_message_has_room_for_so_many_elements_only() -> None:
    texts = variant_to_binary(ua.Variant([""] * (ELEMENTS_MAX // 2), ua.VariantType.String))
    reader = Reader(texts + texts)
    variant(reader)
    with pytest.raises(WireError, match="elements in one message"):
        variant(reader)


def test_dimensions_that_claim_a_million_elements_make_none() -> None:
    claimed = b"\xcb" + struct.pack("<i", 0) + struct.pack("<ii", 1, 1_000_000)
    assert variant(Reader(claimed)) == ("Double[]", None)
    assert ua.ua_binary.variant_from_binary(ua.utils.Buffer(claimed)).Value == []


@given(st.binary(max_size=80))
@example(b"\x01\x0b" + struct.pack("<d", math.nan))
def test_no_bytes_at_all_raise_anything_unexpected(data: bytes) -> None:
    for read in (data_value, variant, lambda reader: answer_head(reader.data)):
        try:
            read(Reader(data))
        except REFUSALS:
            continue
