"""Requests and answers of the services that run while a session lives (OPC 10000-4, encoded by OPC 10000-6).

Requests are the bytes after the request header; answers are read strictly: as many results as were asked for, the type
that belongs to the request, nothing built that nobody needs. Sans-IO.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.session.binary import (
    NO_OBJECT,
    Reader,
    WireError,
    array,
    numeric_id,
    qualified_name,
    text,
)
from drivers.opcua.session.datavalue import NUMBER_CODES, NUMBER_FORMATS, data_value, status_name, utc_s
from drivers.opcua.values import NodeValue

SLICE_VALUES = 200
"""Values that are decoded before the loop gets its turn: about half a millisecond."""
STRINGS_MAX = 64
SAMPLING_S_MAX = 1.0
"""Slowest sampling of a monitored item whose steady value we still believe."""
WHOLE_PATH = 0xFFFF_FFFF
"""RemainingPathIndex of a browse path that was followed to its end."""

_BOTH_TIMES = 2
_REPORTING = 2
_U32 = struct.Struct("<I")
_VALUE = int(AttributeIds.Value)


@dataclass(frozen=True, slots=True)
class Service:
    """A service by the type ids of its request and its answer."""

    name: str
    request: bytes
    answer: bytes


def _service(name: str, service: str) -> Service:
    ids = [getattr(ObjectIds, f"{service}{way}_Encoding_DefaultBinary") for way in ("Request", "Response")]
    return Service(name, *(numeric_id(int(found)) for found in ids))


READ = _service("read", "Read")
WRITE = _service("write", "Write")
TRANSLATE = _service("browse", "TranslateBrowsePathsToNodeIds")
CREATE_SUBSCRIPTION = _service("subscribe", "CreateSubscription")
CREATE_ITEMS = _service("monitor", "CreateMonitoredItems")
PUBLISH = _service("publish", "Publish")
FAULT = numeric_id(int(ObjectIds.ServiceFault_Encoding_DefaultBinary))
DATA_CHANGE = numeric_id(int(ObjectIds.DataChangeNotification_Encoding_DefaultBinary))
STATUS_CHANGE = numeric_id(int(ObjectIds.StatusChangeNotification_Encoding_DefaultBinary))
UNIT = numeric_id(int(ObjectIds.EUInformation_Encoding_DefaultBinary))

_HEAD = struct.Struct("<qII")  # timestamp, request handle, service result
_NOTHING = numeric_id(0)


def answer_head(body: bytes) -> tuple[bytes, int, int, Reader]:
    """(type id, request handle, service result, what follows) of any answer."""
    reader = Reader(body)
    type_id = reader.node_id()
    _, handle, result = reader.unpack(_HEAD)
    reader.diagnostic_info()
    for _ in range(_at_most(reader.count(4), STRINGS_MAX, "strings")):
        reader.blob()
    if reader.extension_object()[0] != _NOTHING:
        raise WireError("an additional header; expected none")
    return type_id, handle, result, reader


def _at_most(count: int, limit: int, what: str) -> int:
    if count > limit:
        raise WireError(f"{count} {what}; expected at most {limit}")
    return count


def results_of(reader: Reader, expected: int, least_bytes: int, what: str) -> None:
    """Check that as many results follow as were asked for."""
    found = reader.count(least_bytes)
    if found != expected:
        raise WireError(f"server sent {found} {what}; expected {expected}")


def finish(reader: Reader) -> None:
    """Pass over the diagnostics at the end of an answer; nothing may follow them."""
    for _ in range(reader.count(1)):
        reader.diagnostic_info()
    left = len(reader.data) - reader.at
    if left:
        raise WireError(f"{left} bytes follow the answer; expected none")


def read_value_id(node: bytes, attribute: int = _VALUE) -> bytes:
    """ReadValueId: one attribute, the whole of it, in the default encoding."""
    return node + _U32.pack(attribute) + text(None) + qualified_name(0, None)


def read_request(items: Sequence[bytes]) -> bytes:
    """Parameters of Read: values no older than now, with both times."""
    return struct.pack("<dI", 0.0, _BOTH_TIMES) + array(items)


async def read_answer(reader: Reader, expected: int) -> list[NodeValue]:
    """One DataValue per item, decoded in slices between which the loop has its turn."""
    results_of(reader, expected, 1, "values")
    found: list[NodeValue] = []
    while len(found) < expected:
        found += [data_value(reader) for _ in range(min(SLICE_VALUES, expected - len(found)))]
        await asyncio.sleep(0)
    finish(reader)
    return found


def write_value(node: bytes, type_name: str, raw: float) -> bytes:
    """WriteValue, value only: some servers refuse a write that brings a status or a timestamp."""
    value = bytes((0x01, NUMBER_CODES[type_name])) + NUMBER_FORMATS[type_name].pack(raw)
    return node + _U32.pack(_VALUE) + text(None) + value


def write_answer(reader: Reader, expected: int) -> list[NodeValue]:
    """A status per write, as a :class:`NodeValue` without a value."""
    results_of(reader, expected, 4, "statuses")
    codes = [reader.u32() for _ in range(expected)]
    finish(reader)
    return [NodeValue(code, status_name(code), "", None) for code in codes]


def browse_path(index: int, names: Sequence[str], units: bool) -> bytes:
    """From Objects along hierarchical references; with ``units`` on to the property EngineeringUnits."""
    steps = [qualified_name(index, name) for name in names]
    steps += [qualified_name(0, "EngineeringUnits")] if units else []
    along = numeric_id(int(ObjectIds.HierarchicalReferences)) + bytes((0, 1))  # forward, subtypes too
    return numeric_id(int(ObjectIds.ObjectsFolder)) + array([along + step for step in steps])


@dataclass(frozen=True, slots=True)
class PathTarget:
    """Where a browse path leads: the one local node, or None and what the server says about it."""

    node: bytes | None
    status: str


def translate_answer(reader: Reader, expected: int) -> list[PathTarget]:
    """A target per path; none when there is none, more than one, or only part of the way."""
    results_of(reader, expected, 8, "browse results")
    targets = [_path_target(reader) for _ in range(expected)]
    finish(reader)
    return targets


def _path_target(reader: Reader) -> PathTarget:
    status = reader.u32()
    targets = [(reader.expanded_node_id(), reader.u32()) for _ in range(reader.count(6))]
    good = status >> 30 == 0 and len(targets) == 1 and targets[0][1] == WHOLE_PATH
    return PathTarget(targets[0][0] if good else None, status_name(status))


def unit_name(value: object) -> str | None:
    """Display name of an EUInformation; None when the value is something else."""
    if not (isinstance(value, tuple) and value and value[0] == UNIT):
        return None
    reader = Reader(value[1])
    reader.text()
    reader.i32()
    return reader.localized_text()


@dataclass(frozen=True, slots=True)
class Granted:
    """What a server made of the request for a subscription; keep-alive and life in publishing intervals."""

    id: int
    publishing_s: float
    keep_alive_count: int
    lifetime_count: int

    @property
    def keep_alive_s(self) -> float:
        """Longest time between two messages of a healthy subscription."""
        return self.publishing_s * self.keep_alive_count


def create_subscription_request(publishing_s: float, keep_alive_count: int, lifetime_count: int) -> bytes:
    """Parameters of CreateSubscription: publishing at once, as many notifications in a message as there are."""
    return struct.pack("<dIII?B", publishing_s * 1000.0, lifetime_count, keep_alive_count, 0, True, 0)


_GRANTED = struct.Struct("<IdII")


def create_subscription_answer(reader: Reader) -> Granted:
    """What the server grants."""
    number, publishing_ms, lifetime_count, keep_alive_count = reader.unpack(_GRANTED)
    return Granted(number, publishing_ms / 1000.0, keep_alive_count, lifetime_count)


def monitor_request(subscription: int, items: Sequence[tuple[int, bytes]], sampling_s: float, queue: int) -> bytes:
    """Parameters of CreateMonitoredItems for (handle, node); no filter: every change of value or status."""
    return struct.pack("<II", subscription, _BOTH_TIMES) + array(
        [
            read_value_id(node)
            + struct.pack("<IId", _REPORTING, handle, sampling_s * 1000.0)
            + NO_OBJECT
            + struct.pack("<I?", queue, True)
            for handle, node in items
        ]
    )


@dataclass(frozen=True, slots=True)
class Monitored:
    """What a server made of the request for a monitored item; a queue of any length serves, the newest is last."""

    status: int
    sampling_s: float

    @property
    def problem(self) -> str:
        """Why the item is of no use; empty when it is."""
        if self.status >> 30:
            return f"server does not monitor it ({status_name(self.status)})"
        slow = not self.sampling_s <= SAMPLING_S_MAX
        return f"server samples it every {self.sampling_s:g} s; expected {SAMPLING_S_MAX:g} s or less" if slow else ""


_MONITORED = struct.Struct("<IIdI")


def monitor_answer(reader: Reader, expected: int) -> list[Monitored]:
    """What the server grants, item by item."""
    results_of(reader, expected, 23, "monitored items")
    found = []
    for _ in range(expected):
        status, _, sampling_ms, _ = reader.unpack(_MONITORED)
        reader.extension_object()
        found.append(Monitored(status, sampling_ms / 1000.0))
    finish(reader)
    return found


def publish_request(acknowledged: Sequence[tuple[int, int]]) -> bytes:
    """Parameters of Publish with the (subscription, sequence number) that have arrived."""
    return array([struct.pack("<II", subscription, number) for subscription, number in acknowledged])


@dataclass(frozen=True, slots=True)
class Published:
    """One message of a subscription: ``changes`` by handle; a keep-alive has none and takes no sequence number.

    ``made_utc_s`` is when the server made it, by its own clock.
    """

    subscription: int
    sequence: int
    made_utc_s: float | None
    more: bool
    keep_alive: bool
    changes: dict[int, NodeValue]


async def publish_answer(reader: Reader) -> Published:
    """A message of a subscription. Raises :class:`WireError` when it says that the subscription has ended."""
    subscription = reader.u32()
    reader.skip(4 * reader.count(4))  # numbers that could be sent again
    more = bool(reader.u8())
    (sequence,), made_utc_s = reader.unpack(_U32), utc_s(reader)
    notifications = _at_most(reader.count(3), STRINGS_MAX, "notifications")
    changes: dict[int, NodeValue] = {}
    for _ in range(notifications):
        type_id, body = reader.extension_object()
        if type_id == STATUS_CHANGE:
            raise WireError(f"the subscription has ended: {status_name(Reader(body).u32())}")
        if type_id != DATA_CHANGE:
            raise WireError("a notification that nobody asked for")
        await _take_changes(Reader(body), changes)
    reader.skip(4 * reader.count(4))  # what became of our acknowledgements
    finish(reader)
    return Published(subscription, sequence, made_utc_s, more, notifications == 0, changes)


async def _take_changes(reader: Reader, changes: dict[int, NodeValue]) -> None:
    """Newest last, as they come; in slices."""
    left = reader.count(5)
    while left:
        for _ in range(min(SLICE_VALUES, left)):
            handle = reader.u32()
            changes[handle] = data_value(reader)
            left -= 1
        await asyncio.sleep(0)
