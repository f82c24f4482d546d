"""Google's own Protocol Buffers as the other side, and a host that reads as Sparkplug says.

The schema is built from the numbers and types of ``sparkplug_b.proto`` (Eclipse Tahu), as far as they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controller.balancing.mqtt.packet import Packet
from controller.balancing.outbox import Message
from controller.balancing.sparkplug.node import EdgeNode
from controller.balancing.sparkplug.topics import Topics
from controller.config.loader import load_site
from controller.domain.site import Site

_KINDS = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "uint32": _KINDS.TYPE_UINT32, "uint64": _KINDS.TYPE_UINT64, "bool": _KINDS.TYPE_BOOL, "string": _KINDS.TYPE_STRING,
    "bytes": _KINDS.TYPE_BYTES, "float": _KINDS.TYPE_FLOAT, "double": _KINDS.TYPE_DOUBLE,
}  # fmt: skip
_VALUES = ["uint32 int_value", "uint64 long_value", "float float_value", "double double_value", "bool boolean_value",
           "string string_value"]  # fmt: skip
_SCHEMA = {
    "PropertyValue": ([(1, "uint32 type"), (2, "bool is_null")], 3),
    "PropertySet": ([(1, "*string keys"), (2, "*PropertyValue values")], 0),
    "Metric": ([(1, "string name"), (2, "uint64 alias"), (3, "uint64 timestamp"), (4, "uint32 datatype"),
                (5, "bool is_historical"), (6, "bool is_transient"), (7, "bool is_null"),
                (9, "PropertySet properties")], 10),
    "Payload": ([(1, "uint64 timestamp"), (2, "*Metric metrics"), (3, "uint64 seq"), (4, "string uuid"),
                 (5, "bytes body")], 0),
}  # fmt: skip


def _schema() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    for name, (plain, values_from) in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, declaration in plain:
            _declare(message, number, declaration)
        if values_from:
            message.oneof_decl.add(name="value")
            for k, declaration in enumerate(_VALUES):
                _declare(message, values_from + k, declaration).oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


def _declare(message: Any, number: int, declaration: str) -> Any:
    kind, name = declaration.split()
    label = _KINDS.LABEL_REPEATED if kind.startswith("*") else _KINDS.LABEL_OPTIONAL
    made = message.field.add(name=name, number=number, label=label)
    kind = kind.removeprefix("*")
    if kind in _TYPES:
        made.type = _TYPES[kind]
    else:
        made.type, made.type_name = _KINDS.TYPE_MESSAGE, f".sparkplug.{kind}"
    return made


GooglePayload = _schema()

SITE: Site = load_site(Path(__file__).parents[3] / "site_configs" / "demo_primary.yaml")
TOPICS = Topics("fleet", "demo", "scada")
NOW_MS = 1_780_000_000_000


def read(payload: bytes) -> Any:
    """A payload as Google's runtime reads it; nothing in it may be unknown to the schema."""
    message = GooglePayload()
    assert message.ParseFromString(payload) == len(payload)
    return message


def value_of(metric: Any) -> Any:
    """None for null."""
    kind = metric.WhichOneof("value")
    assert (kind is None) == metric.is_null, metric
    return None if kind is None else getattr(metric, kind)


@dataclass
class Host:
    """A host application: refuses what breaks the order, keeps every value it was told."""

    seq: int = -1
    names: dict[int, tuple[str, str]] = field(default_factory=dict)
    now: dict[tuple[str, str], Any] = field(default_factory=dict)
    quality: dict[tuple[str, str], int] = field(default_factory=dict)
    late: list[tuple[str, int, Any]] = field(default_factory=list)
    told: list[tuple[str, int, Any]] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    kinds: list[str] = field(default_factory=list)

    def hear(self, topic: str, payload: bytes) -> Any:
        namespace, group, kind, node, *device = topic.split("/")
        assert (namespace, group, node) == ("spBv1.0", "fleet", "demo")
        message = read(payload)
        self.kinds.append("/".join([kind, *device]))
        if kind == "NDEATH":
            assert not message.HasField("seq")
            self.alive.clear()
            return message
        if kind == "NBIRTH":
            assert message.seq == 0
            self.names, self.alive = {}, set()
        else:
            assert message.HasField("seq")
            assert message.seq == (self.seq + 1) % 256, (topic, message.seq, self.seq)
        self.seq = message.seq
        self._take(kind, device[0] if device else "", message)
        return message

    def _take(self, kind: str, device: str, message: Any) -> None:
        if device and kind != "DBIRTH":
            assert device in self.alive, f"{kind} of {device}, which was not born"
        if kind == "DDEATH":
            self.alive.discard(device)
        if kind == "DBIRTH":
            self.alive.add(device)
        for metric in message.metrics:
            if kind in ("NBIRTH", "DBIRTH"):
                born = (device, metric.name)
                assert self.names.setdefault(metric.alias, born) == born, "an alias of two metrics"
            key = self.names[metric.alias]
            assert key[0] == device
            properties = dict(zip(metric.properties.keys, metric.properties.values, strict=True))
            quality = properties["Quality"].int_value if "Quality" in properties else 192
            heard = (key[1], metric.timestamp, value_of(metric))
            if metric.is_historical:
                self.late.append(heard)
                continue
            self.now[key], self.quality[key] = heard[2], quality
            if kind in ("NDATA", "DDATA"):
                self.told.append(heard)

    def hear_all(self, packets: list[Packet]) -> None:
        for packet in packets:
            self.hear(packet.topic, packet.payload)


def born(**changes: Any) -> tuple[EdgeNode, Host]:
    """A node that has seen one record and was born, and the host that heard it."""
    node, host = EdgeNode(SITE, TOPICS), Host()
    node.session(7, NOW_MS)
    node.observe(record(0, **changes))
    host.hear_all(node.birth(NOW_MS))
    return node, host


def record(seq: int, *, lost: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """A record of the demo site in which all is well, except that units in ``lost`` are."""
    units = [
        {"id": unit.id, "status": "lost" if unit.id in lost else "free", "p_w": -1000.0 - seq, "q_var": 0.0,
         "p_avail_w": 5e5, "p_set_w": -1000.0, "q_set_var": 0.0, "curtailed_w": 0.0,
         "soc_frac": 0.5 if unit.storage else None}
        for unit in SITE.units
    ]  # fmt: skip
    limits = [
        {"id": limit.id, "kind": limit.kind.value, "quality": "measured", "value": 100.0, "worst": 101.0,
         "high": 200.0, "low": None, "loading_frac": 0.5, "worst_frac": 0.51, "given_up_w": 0.0}
        for limit in SITE.limits
    ]  # fmt: skip
    made = {"seq": seq, "now_s": float(seq), "utc": "2026-05-28T20:26:40+00:00", "mode": "normal", "feasible": True,
            "given_up_w": 0.0, "limits": limits, "units": units, "events": []}  # fmt: skip
    return made | changes


def message(
    number: int, topic: str = "samples", body: str = '{"samples":{"unit.PVA.p_w":[60,-5.5,-6.0,-5.0]}}'
) -> Message:
    """The ``number``-th message of the outbox; its period ends ``number`` minutes after the beginning."""
    return Message(number, f"demo/{number}/{topic}", topic, NOW_MS / 1e3 + 60.0 * number, body.encode())
