"""The edge node without clock and socket: what is to be sent next, numbered in the order in which it must be sent.

Whoever asks for packets must send them, all and in this order, before asking again. Instants are ms since 1970, UTC.
The ids in brackets are those of the conformance statements of Sparkplug 3.0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from controller.balancing.mqtt.packet import Packet
from controller.balancing.outbox import Message
from controller.balancing.sparkplug.payload import DataType, Metric, Payload, Property, Quality, encode
from controller.balancing.sparkplug.points import Definition, Reading, Told, definitions, live, stored
from controller.balancing.sparkplug.topics import Topics
from controller.domain.site import Site

BD_SEQ = Definition("bdSeq", DataType.INT64, live=False)
REBIRTH = Definition("Node Control/Rebirth", DataType.BOOLEAN, live=False)
SEQ_MAX = 255
LOST = "lost"


class EdgeNode:
    """One site. ``session`` begins a session, ``observe`` and ``silent`` say what is known, the others make packets.

    A unit that is lost is a dead device, and so is every unit while the control process is silent: a value that is
    not known now is never shown as one that is.
    """

    def __init__(self, site: Site, topics: Topics) -> None:
        self._topics = topics
        self._storage = frozenset(unit.id for unit in site.units if unit.storage is not None)
        self._aliases: dict[tuple[str, str], int] = {}
        self._defined: dict[tuple[str, str], Definition] = {}
        self._now: dict[tuple[str, str], Reading] = {}
        self._told: dict[tuple[str, str], Reading] = {}
        self._alive: set[str] = set()
        self._born: set[str] = set()
        self._bd_seq = 0
        self._seq = 0
        for definition in (BD_SEQ, REBIRTH, *definitions(site)):
            self._define(definition)

    @property
    def rebirth_alias(self) -> int:
        """What a host may call the rebirth command instead of its name."""
        return self._aliases["", REBIRTH.name]

    def session(self, bd_seq: int, now_ms: int) -> Packet:
        """Begin a session of this number: its last will, which is also what is sent before leaving."""
        self._bd_seq = bd_seq
        self._born = set()
        self._now = {key: reading for key, reading in self._now.items() if self._defined[key].live}
        return self.death(now_ms)

    def death(self, now_ms: int) -> Packet:
        """NDEATH: bdSeq by name, no sequence number [payloads-ndeath-seq, payloads-ndeath-bdseq], QoS 1."""
        metric = Metric(BD_SEQ.datatype, self._bd_seq, now_ms, BD_SEQ.name)
        return Packet(self._topics.of("NDEATH"), encode(Payload(now_ms, (metric,))), qos=1)

    def observe(self, record: Mapping[str, Any]) -> None:
        """Take a record of the control process as what is known now."""
        alive = {str(unit["id"]) for unit in record["units"] if unit.get("status") != LOST}
        said = {self._define(definition): reading for definition, reading in live(record, self._storage)}
        self._forget(max((reading.timestamp_ms for reading in said.values()), default=0))
        self._now |= said
        self._alive = alive

    def silent(self, now_ms: int) -> None:
        """The control process says nothing any more: nothing is known."""
        self._alive = set()
        self._forget(now_ms)

    def birth(self, now_ms: int) -> list[Packet]:
        """NBIRTH, numbered 0, then a DBIRTH for every unit that is there [payloads-nbirth-seq, payloads-dbirth-order].

        Every metric with its current value [operational-behavior-data-publish-nbirth-values], oldest first.
        """
        self._seq = SEQ_MAX
        self._now["", BD_SEQ.name] = Reading(self._bd_seq, now_ms)
        self._now["", REBIRTH.name] = Reading(False, now_ms)
        self._born = set()
        return [self._birth_of("", now_ms), *(self._device_birth(unit, now_ms) for unit in sorted(self._alive))]

    def live(self, now_ms: int) -> list[Packet]:
        """What has changed since it was last told [operational-behavior-data-publish-nbirth-change]."""
        if self._undefined_abroad():
            return self.birth(now_ms)
        packets = [self._death_of(unit, now_ms) for unit in sorted(self._born - self._alive)]
        packets += [self._device_birth(unit, now_ms) for unit in sorted(self._alive - self._born)]
        for device in ("", *sorted(self._born)):
            changed = [key for key in self._keys(device) if key in self._now and self._differs(key)]
            if changed:
                packets.append(self._data(device, [(self._defined[key], self._now[key]) for key in changed], now_ms))
        return packets

    def stored(self, message: Message, historical: bool, now_ms: int) -> list[Packet]:
        """One message of the outbox as one NDATA; a birth before it when it tells of something new.

        What is historical is no current value [6.4.5, is_historical] and is not told again by a birth.
        """
        told = stored(message)
        for definition, _ in told:
            self._define(definition)
        packets = self.birth(now_ms) if self._undefined_abroad() else []
        if not historical:
            self._now |= {("", definition.name): reading for definition, reading in told}
        return [*packets, self._data("", told, now_ms, historical=historical)]

    def _forget(self, at_ms: int) -> None:
        """What is live and was known is not known any more, unless somebody says it anew."""
        for key, reading in self._now.items():
            if self._defined[key].live and reading.quality is not Quality.STALE:
                self._now[key] = Reading(None, at_ms, Quality.STALE)

    def _define(self, definition: Definition) -> tuple[str, str]:
        key = (definition.device, definition.name)
        if key not in self._defined:
            self._defined[key] = definition
            self._aliases[key] = len(self._aliases) + 1
        return key

    def _keys(self, device: str) -> list[tuple[str, str]]:
        return [key for key in self._defined if key[0] == device]

    def _undefined_abroad(self) -> bool:
        """Whether a metric of something that was born was not in its birth."""
        return any(key not in self._told for key in self._defined if not key[0] or key[0] in self._born)

    def _differs(self, key: tuple[str, str]) -> bool:
        now, told = self._now[key], self._told[key]
        return (now.value, now.quality) != (told.value, told.quality)

    def _device_birth(self, unit: str, now_ms: int) -> Packet:
        self._born.add(unit)
        return self._birth_of(unit, now_ms)

    def _birth_of(self, device: str, now_ms: int) -> Packet:
        metrics = []
        for key in self._keys(device):
            definition = self._defined[key]
            nothing = Reading(None, now_ms, Quality.BAD if definition.live else Quality.GOOD)
            reading = self._now.get(key, nothing)
            self._told[key] = reading
            metrics.append(self._metric(definition, reading, birth=True))
        metrics.sort(key=lambda metric: metric.timestamp_ms or 0)
        return self._numbered("DBIRTH" if device else "NBIRTH", device, metrics, now_ms)

    def _death_of(self, unit: str, now_ms: int) -> Packet:
        self._born.discard(unit)
        return self._numbered("DDEATH", unit, [], now_ms)

    def _data(self, device: str, told: Iterable[Told], now_ms: int, *, historical: bool = False) -> Packet:
        metrics = []
        for definition, reading in told:
            if not historical:
                self._told[definition.device, definition.name] = reading
            metrics.append(replace(self._metric(definition, reading), historical=historical))
        metrics.sort(key=lambda metric: metric.timestamp_ms or 0)
        return self._numbered("DDATA" if device else "NDATA", device, metrics, now_ms)

    def _numbered(self, kind: str, device: str, metrics: list[Metric], now_ms: int) -> Packet:
        self._seq = 0 if self._seq == SEQ_MAX else self._seq + 1
        return Packet(self._topics.of(kind, device), encode(Payload(now_ms, tuple(metrics), self._seq)))

    def _metric(self, definition: Definition, reading: Reading, *, birth: bool = False) -> Metric:
        """By name and alias in a birth, by alias alone in data [payloads-alias-data-cmd-requirement]."""
        key = (definition.device, definition.name)
        properties = []
        if birth and definition.unit:
            properties.append(Property("engUnit", DataType.STRING, definition.unit))
        if reading.quality is not Quality.GOOD:
            properties.append(Property("Quality", DataType.INT32, int(reading.quality)))
        return Metric(
            datatype=definition.datatype,
            value=reading.value,
            timestamp_ms=reading.timestamp_ms,
            name=definition.name if birth else None,
            alias=self._aliases[key],
            typed=birth,
            properties=tuple(properties),
        )
