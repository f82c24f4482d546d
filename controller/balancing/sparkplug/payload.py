"""The Sparkplug B payload: metrics with a name or an alias, an instant, a type, a value, and properties.

Source: Sparkplug 3.0.0, chapter 6, and the schema ``sparkplug_b.proto`` of Eclipse Tahu, whose field numbers stand
below. Metadata, data sets and templates are not written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from controller.balancing.sparkplug.wire import bytes_field, double_field, number_field

Value = int | float | bool | str | None


class DataType(IntEnum):
    """Those of Sparkplug's data types (6.4.16) that are used here."""

    INT32 = 3
    INT64 = 4
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


class Quality(IntEnum):
    """Values of the property ``Quality`` (6.4.11)."""

    BAD = 0
    GOOD = 192
    STALE = 500


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a metric, a whole number or a text."""

    key: str
    datatype: DataType
    value: int | str


@dataclass(frozen=True, slots=True)
class Metric:
    """One value at one instant (ms since 1970, UTC).

    ``value`` None is written as null. ``typed`` says whether the type is written too: births do, data does not.
    """

    datatype: DataType
    value: Value
    timestamp_ms: int | None = None
    name: str | None = None
    alias: int | None = None
    typed: bool = True
    historical: bool = False
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """One message: when it was sent (ms since 1970, UTC), its number in the session, what it tells."""

    timestamp_ms: int | None
    metrics: tuple[Metric, ...] = ()
    seq: int | None = None


def encode(payload: Payload) -> bytes:
    """The bytes of a payload. Raises ValueError for a value that its type cannot hold, NaN and infinity included."""
    out = [] if payload.timestamp_ms is None else [number_field(1, payload.timestamp_ms)]
    out += [bytes_field(2, _encode_metric(metric)) for metric in payload.metrics]
    if payload.seq is not None:
        out.append(number_field(3, payload.seq))
    return b"".join(out)


def _encode_metric(metric: Metric) -> bytes:
    out = [] if metric.name is None else [bytes_field(1, metric.name.encode())]
    numbers = (
        (2, metric.alias),
        (3, metric.timestamp_ms),
        (4, int(metric.datatype) if metric.typed else None),
        (5, 1 if metric.historical else None),
        (7, 1 if metric.value is None else None),
    )
    out += [number_field(field, number) for field, number in numbers if number is not None]
    if metric.properties:
        out.append(bytes_field(9, _encode_properties(metric.properties)))
    if metric.value is not None:
        out.append(_encode_value(metric.datatype, metric.value, 10))
    return b"".join(out)


def _encode_properties(properties: tuple[Property, ...]) -> bytes:
    keys = [bytes_field(1, item.key.encode()) for item in properties]
    values = [
        bytes_field(2, number_field(1, item.datatype) + _encode_value(item.datatype, item.value, 3))
        for item in properties
    ]
    return b"".join(keys + values)


BITS = {DataType.INT32: 32, DataType.INT64: 64, DataType.UINT32: 32, DataType.UINT64: 64}
SLOT = {
    DataType.INT32: 0,
    DataType.UINT32: 0,
    DataType.INT64: 1,
    DataType.UINT64: 1,
    DataType.FLOAT: 2,
    DataType.DOUBLE: 3,
    DataType.BOOLEAN: 4,
    DataType.STRING: 5,
}
"""Where a type's value stands among the alternatives int, long, float, double, boolean, string."""


def _encode_value(datatype: DataType, value: int | float | bool | str, first: int) -> bytes:
    field = first + SLOT[datatype]
    if datatype is DataType.STRING and isinstance(value, str):
        return bytes_field(field, value.encode())
    if datatype is DataType.BOOLEAN and isinstance(value, bool):
        return number_field(field, int(value))
    if datatype is DataType.DOUBLE and isinstance(value, int | float) and math.isfinite(value):
        return double_field(field, float(value))
    if datatype in BITS and isinstance(value, int) and not isinstance(value, bool):
        bits = BITS[datatype]
        signed = datatype in (DataType.INT32, DataType.INT64)
        low = -(1 << bits - 1) if signed else 0
        if low <= value < low + (1 << bits):
            return number_field(field, value & (1 << bits) - 1)
    raise ValueError(f"{value!r} is no {datatype.name}")
