"""Reading a Sparkplug B payload that somebody else wrote: strictly, and never believing a length.

What is not known here (metadata, data sets, templates) is passed over; a type that is not known is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.balancing.sparkplug.payload import BITS, SLOT, DataType, Metric, Payload, Property, Value
from controller.balancing.sparkplug.wire import BYTES, FIXED32, FIXED64, Malformed, double, fields, single


def decode(data: bytes) -> Payload:
    """What the bytes say; fields that are not known are passed over. Raises Malformed."""
    timestamp_ms, seq, metrics = None, None, []
    for field, kind, content in fields(data):
        if field == 1:
            timestamp_ms = _number(content, field)
        elif field == 2:
            metrics.append(_decode_metric(_bytes(content, kind, field)))
        elif field == 3:
            seq = _number(content, field)
    return Payload(timestamp_ms, tuple(metrics), seq)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a text that is not UTF-8: {error}") from error


_UNTYPED = (DataType.UINT32, DataType.UINT64, DataType.FLOAT, DataType.DOUBLE, DataType.BOOLEAN, DataType.STRING)
_READ: Mapping[int, tuple[int, Callable[[bytes], Value]]] = {
    2: (FIXED32, single),
    3: (FIXED64, double),
    5: (BYTES, _text),
}


def _decode_metric(data: bytes) -> Metric:
    numbers: dict[int, int] = {}
    name, slot, value = None, None, None
    properties: tuple[Property, ...] = ()
    for field, kind, content in fields(data):
        if field == 1:
            name = _text(_bytes(content, kind, field))
        elif field in (2, 3, 4, 5, 7):
            numbers[field] = _number(content, field)
        elif field == 9:
            properties = _decode_properties(_bytes(content, kind, field))
        elif 10 <= field <= 15:
            slot, value = field - 10, _decode_value(field - 10, kind, content)
    datatype = _datatype(numbers.get(4), slot)
    return Metric(
        datatype=datatype,
        value=None if numbers.get(7) else _signed(datatype, value),
        timestamp_ms=numbers.get(3),
        name=name,
        alias=numbers.get(2),
        typed=4 in numbers,
        historical=bool(numbers.get(5)),
        properties=properties,
    )


def _datatype(number: int | None, slot: int | None) -> DataType:
    """The type that was written; otherwise what the place of the value says; a null without either is a text."""
    if number is None:
        return DataType.STRING if slot is None else _UNTYPED[slot]
    try:
        datatype = DataType(number)
    except ValueError as error:
        raise Malformed(f"data type {number} is not known here") from error
    if slot is not None and SLOT[datatype] != slot:
        raise Malformed(f"a value of type {datatype.name} in the place of {_UNTYPED[slot].name}")
    return datatype


def _decode_value(slot: int, kind: int, content: int | bytes) -> Value:
    if slot not in _READ:
        number = _number(content, slot)
        return bool(number) if slot == 4 else number
    expected, read = _READ[slot]
    if kind != expected or isinstance(content, int):
        raise Malformed(f"a value of wire type {kind}; expected {expected}")
    return read(content)


def _signed(datatype: DataType, value: Value) -> Value:
    if datatype in (DataType.INT32, DataType.INT64) and isinstance(value, int) and not isinstance(value, bool):
        bits = BITS[datatype]
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> bits - 1 else value
    return value


def _decode_properties(data: bytes) -> tuple[Property, ...]:
    keys: list[str] = []
    values: list[tuple[DataType, Value]] = []
    for field, kind, content in fields(data):
        if field == 1:
            keys.append(_text(_bytes(content, kind, field)))
        elif field == 2:
            values.append(_decode_property(_bytes(content, kind, field)))
    if len(keys) != len(values):
        raise Malformed(f"{len(keys)} keys and {len(values)} values of properties")
    return tuple(
        Property(key, datatype, value)
        for key, (datatype, value) in zip(keys, values, strict=True)
        if isinstance(value, int | str)
    )


def _decode_property(data: bytes) -> tuple[DataType, Value]:
    number, slot, value = None, None, None
    for field, kind, content in fields(data):
        if field == 1:
            number = _number(content, field)
        elif 3 <= field <= 8:
            slot, value = field - 3, _decode_value(field - 3, kind, content)
    datatype = _datatype(number, slot)
    return datatype, _signed(datatype, value)


def _number(content: int | bytes, field: int) -> int:
    if not isinstance(content, int):
        raise Malformed(f"field {field} is no number")
    return content


def _bytes(content: int | bytes, kind: int, field: int) -> bytes:
    if isinstance(content, int) or kind != BYTES:
        raise Malformed(f"field {field} has wire type {kind}; expected {BYTES}")
    return content
