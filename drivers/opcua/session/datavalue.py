"""DataValues and Variants (OPC 10000-6, 5.2.2.16 and 5.2.2.17), read at a few microseconds each.

A number with its status and times is one ``struct`` call by a layout that is made once per shape. asyncua's decoder
takes ten times as long, and builds what a peer announces: dimensions of 60 bytes are a million lists to it.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

from asyncua.ua.status_codes import get_name_and_doc

from drivers.opcua.session.binary import DEPTH_MAX, Reader, WireError
from drivers.opcua.values import NodeValue

_NUMBERS = {
    1: ("Boolean", "?"),
    2: ("SByte", "b"),
    3: ("Byte", "B"),
    4: ("Int16", "h"),
    5: ("UInt16", "H"),
    6: ("Int32", "i"),
    7: ("UInt32", "I"),
    8: ("Int64", "q"),
    9: ("UInt64", "Q"),
    10: ("Float", "f"),
    11: ("Double", "d"),
}
NUMBER_CODES = {name: code for code, (name, _) in _NUMBERS.items()}
NUMBER_FORMATS = {name: struct.Struct("<" + letter) for name, letter in _NUMBERS.values()}
_FIXED_BYTES = {code: struct.calcsize("<" + letter) for code, (_, letter) in _NUMBERS.items()} | {13: 8, 14: 16, 19: 4}
_NAMES = {code: name for code, (name, _) in _NUMBERS.items()} | {
    12: "String",
    13: "DateTime",
    14: "Guid",
    15: "ByteString",
    16: "XmlElement",
    17: "NodeId",
    18: "ExpandedNodeId",
    19: "StatusCode",
    20: "QualifiedName",
    21: "LocalizedText",
    22: "ExtensionObject",
    23: "DataValue",
    24: "Variant",
    25: "DiagnosticInfo",
}
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE_TIME, _HAS_SERVER_TIME = 0x01, 0x02, 0x04, 0x08
_HAS_SOURCE_PICO, _HAS_SERVER_PICO = 0x10, 0x20
_TICKS_PER_S = 1e7
_EPOCH_S = 11_644_473_600.0  # from 1601, where DateTime begins, to 1970


@functools.lru_cache(maxsize=512)
def status_name(code: int) -> str:
    """Name of a status code; the flags in its lower half are left out."""
    return str(get_name_and_doc(code & 0xFFFF_0000)[0]) if code & 0xFFFF_0000 else "Good"


@dataclass(frozen=True, slots=True)
class _Layout:
    """The shape of a DataValue with a number in it: one struct, and where in it the fields stand (-1: nowhere)."""

    fields: struct.Struct
    type: str
    status: int
    source: int
    server: int


def _layout(mask: int, code: int) -> _Layout:
    letters, places = "<BB" + _NUMBERS[code][1], {}
    for bit, letter in (
        (_HAS_STATUS, "I"),
        (_HAS_SOURCE_TIME, "q"),
        (_HAS_SOURCE_PICO, "H"),
        (_HAS_SERVER_TIME, "q"),
        (_HAS_SERVER_PICO, "H"),
    ):
        if mask & bit:
            places[bit] = len(letters) - 1
            letters += letter
    where = [places.get(bit, -1) for bit in (_HAS_STATUS, _HAS_SOURCE_TIME, _HAS_SERVER_TIME)]
    return _Layout(struct.Struct(letters), _NUMBERS[code][0], *where)


_LAYOUTS = {(mask, code): _layout(mask, code) for mask in range(_HAS_VALUE, 0x40, 2) for code in _NUMBERS}


def data_value(reader: Reader) -> NodeValue:
    """The next DataValue. Raises :class:`WireError` or ``struct.error``."""
    data, at = reader.data, reader.at
    layout = _LAYOUTS.get((data[at], data[at + 1])) if at + 1 < len(data) else None
    if layout is None:
        return _any_data_value(reader)
    fields = layout.fields.unpack_from(data, at)
    reader.at = at + layout.fields.size
    status = fields[layout.status] if layout.status >= 0 else 0
    source = fields[layout.source] if layout.source >= 0 else 0
    server = fields[layout.server] if layout.server >= 0 else 0
    return NodeValue(
        status,
        status_name(status) if status else "Good",
        layout.type,
        fields[2],
        source / _TICKS_PER_S - _EPOCH_S if source > 0 else None,
        server / _TICKS_PER_S - _EPOCH_S if server > 0 else None,
    )


def _any_data_value(reader: Reader, depth: int = 0) -> NodeValue:
    """A DataValue without a number: no value at all, a text, an array."""
    reader.spend()
    mask = reader.u8()
    if mask & ~0x3F:
        raise WireError(f"a DataValue with unknown fields {mask:#04x}")
    kind, value = variant(reader, depth) if mask & _HAS_VALUE else ("", None)
    status = reader.u32() if mask & _HAS_STATUS else 0
    source_utc_s = utc_s(reader) if mask & _HAS_SOURCE_TIME else None
    reader.skip(2 if mask & _HAS_SOURCE_PICO else 0)
    server_utc_s = utc_s(reader) if mask & _HAS_SERVER_TIME else None
    reader.skip(2 if mask & _HAS_SERVER_PICO else 0)
    return NodeValue(status, status_name(status), kind, value, source_utc_s, server_utc_s)


_TIME = struct.Struct("<q")


def utc_s(reader: Reader) -> float | None:
    """A DateTime in seconds since 1970; None for one that is not set."""
    (ticks,) = reader.unpack(_TIME)
    return ticks / _TICKS_PER_S - _EPOCH_S if ticks > 0 else None


def variant(reader: Reader, depth: int = 0) -> tuple[str, object]:
    """(type, value): a number, text or identifier; texts as a tuple; None for what we have no use for.

    The type of an array ends in ``[]``. Its values are passed over, never built.
    """
    if depth > DEPTH_MAX:
        raise WireError("values inside values without end")
    reader.spend()
    code = reader.u8()
    kind = code & 0x3F
    if kind == 0 and code == 0:
        return "", None
    if kind not in _NAMES:
        raise WireError(f"a value of type {kind}")
    if not code & 0x80:
        value = _scalar(reader, kind, depth)
        return _NAMES[kind], value
    values = _array(reader, kind, depth)
    if code & 0x40:
        reader.skip(4 * reader.count(4))
    return _NAMES[kind] + "[]", values


def _array(reader: Reader, kind: int, depth: int) -> object:
    if kind in _FIXED_BYTES:
        reader.skip(reader.count(_FIXED_BYTES[kind]) * _FIXED_BYTES[kind])
        return None
    values = [_scalar(reader, kind, depth) for _ in range(reader.count())]
    return tuple(values) if _NAMES[kind] == "String" else None


def _scalar(reader: Reader, kind: int, depth: int) -> object:
    name = _NAMES[kind]
    if name in NUMBER_FORMATS:
        return reader.unpack(NUMBER_FORMATS[name])[0]
    if kind in _FIXED_BYTES:
        reader.skip(_FIXED_BYTES[kind])
        return None
    if kind in (12, 15, 16):
        found = reader.blob(len(reader.data))
        return found.decode("utf-8", "replace")[:256] if found is not None and kind == 12 else None
    if kind in (17, 18):
        return reader.node_id() if kind == 17 else reader.expanded_node_id()
    if kind == 20:
        return reader.u16(), reader.text()
    if kind == 21:
        return reader.localized_text()
    if kind == 22:
        return reader.extension_object()
    _nested(reader, kind, depth)
    return None


def _nested(reader: Reader, kind: int, depth: int) -> None:
    if kind == 25:
        reader.diagnostic_info()
    elif kind == 23:
        _any_data_value(reader, depth + 1)
    else:
        variant(reader, depth + 1)
