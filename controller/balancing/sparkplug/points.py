"""What a site has to tell, under names that are made of its own ids.

Live, from the records of the control process: node metrics ``Site/mode``, ``Limits/T1.thermal/loading_frac``, and the
metrics of each unit, which is a Sparkplug device, as ``p_w``. Stored, from the outbox, always on the node: ``Period/…``
(mean, low, high and n of a period, at the period's end), ``Events``, ``Curtailments``, ``Gaps``, and ``Stored/key``,
which tells what came twice. SI units and load convention as everywhere; the unit is the property ``engUnit``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.balancing.outbox import Message
from controller.balancing.sparkplug.payload import DataType, Quality, Value
from controller.domain.site import Site
from controller.history.collect import LIMIT_FIELDS, UNIT_FIELDS

STORED_KEY = "Stored/key"
STATISTICS = ("n", "mean", "low", "high")
_STORED_TEXTS = {"events": "Events", "curtailments": "Curtailments", "gaps": "Gaps"}
_UNIT_OF = {"w": "W", "var": "var", "frac": "1"}
_LIMIT_UNIT = {"thermal": "A", "voltage": "V", "export": "W", "import": "W"}
_IN_LIMIT_UNIT = ("value", "worst", "high", "low")
_ESTIMATES = ("value", "loading_frac")
"""What a limit says best about itself; on a worst case nobody knows it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric: of the node, or of the unit ``device``. ``unit`` is that of its values, empty for none.

    ``live`` ones say what is now and end with it; the others, what happened, at their own instant.
    """

    name: str
    datatype: DataType
    unit: str = ""
    device: str = ""
    live: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What a metric says at one instant; None where nobody knows."""

    value: Value
    timestamp_ms: int
    quality: Quality = Quality.GOOD


Told = tuple[Definition, Reading]


def definitions(site: Site) -> Iterator[Definition]:
    """Everything that is known beforehand; limits that come and go are defined when they are first seen."""
    yield Definition("Site/mode", DataType.STRING)
    yield Definition("Site/feasible", DataType.BOOLEAN)
    yield from _with_period("site", Definition("Site/given_up_w", DataType.DOUBLE, "W"))
    for limit in site.limits:
        yield Definition(f"Limits/{limit.id}/quality", DataType.STRING)
        for field in _limit_fields(limit.kind.value):
            yield from _with_period("limit", _limit(limit.id, field, limit.kind.value))
    for unit in site.units:
        yield Definition("status", DataType.STRING, device=unit.id)
        for field in UNIT_FIELDS:
            if field != "soc_frac" or unit.storage is not None:
                yield from _with_period("unit", Definition(field, DataType.DOUBLE, _unit(field), unit.id))
    yield from (_happening(name) for name in (STORED_KEY, *_STORED_TEXTS.values()))


def live(record: Mapping[str, Any], storage: frozenset[str]) -> Iterator[Told]:
    """What one record of the control process says now; ``storage`` are the units that have a state of charge."""
    at_ms = _ms(datetime.fromisoformat(record["utc"]).timestamp())
    yield Definition("Site/mode", DataType.STRING), _text(record.get("mode"), at_ms)
    yield Definition("Site/feasible", DataType.BOOLEAN), _flag(record.get("feasible"), at_ms)
    yield Definition("Site/given_up_w", DataType.DOUBLE, "W"), _number(record.get("given_up_w"), at_ms)
    for limit in record["limits"]:
        name, quality, kind = str(limit["id"]), limit.get("quality"), str(limit.get("kind", ""))
        yield Definition(f"Limits/{name}/quality", DataType.STRING), _text(quality, at_ms)
        for field in _limit_fields(kind):
            unknown = quality == "worst_case" and field in _ESTIMATES
            value = None if unknown else limit.get(field)
            yield _limit(name, field, kind), _number(value, at_ms)
    for unit in record["units"]:
        device = str(unit["id"])
        yield Definition("status", DataType.STRING, device=device), _text(unit.get("status"), at_ms)
        for field in UNIT_FIELDS:
            if field != "soc_frac" or device in storage:
                definition = Definition(field, DataType.DOUBLE, _unit(field), device)
                yield definition, _number(unit.get(field), at_ms)


def stored(message: Message) -> list[Told]:
    """What one message of the outbox says, oldest first; a topic that is not known here goes as the text it is."""
    end_ms = _ms(message.utc_s)
    body = json.loads(message.body)
    key: Told = (_happening(STORED_KEY), Reading(message.key, end_ms))
    if message.topic == "samples":
        return [key, *_periods(body["samples"], end_ms)]
    if message.topic == "events":
        told = sorted(_events(body["events"]), key=lambda item: item[1].timestamp_ms)
        return [*told, key]
    name = _STORED_TEXTS.get(message.topic, f"Stored/{message.topic}")
    content = body.get(message.topic, body)
    return [key, (_happening(name), Reading(_compact(content), end_ms))]


def _periods(samples: Mapping[str, Any], end_ms: int) -> Iterator[Told]:
    for point, values in samples.items():
        kind, _, rest = point.partition(".")
        subject, _, field = rest.rpartition(".")
        unit = "" if kind == "limit" and field in _IN_LIMIT_UNIT else _unit(field)
        for definition, value in zip(_period(kind, subject, field, unit), values, strict=True):
            yield definition, Reading(value, end_ms)


def _events(events: list[Any]) -> Iterator[Told]:
    """Those of one instant as one value: values of one metric in one message have different instants (6.5.8)."""
    by_instant: dict[int, list[Any]] = {}
    for utc_s, name, subject, text in events:
        by_instant.setdefault(_ms(utc_s), []).append({"name": name, "subject": subject, "text": text})
    for at_ms, together in by_instant.items():
        yield _happening(_STORED_TEXTS["events"]), Reading(_compact(together), at_ms)


def _with_period(kind: str, definition: Definition) -> Iterator[Definition]:
    """A metric of numbers, and the statistics of its periods."""
    yield definition
    subject = definition.device or "/".join(definition.name.split("/")[1:-1])
    yield from _period(kind, subject, definition.name.split("/")[-1], definition.unit)


def _period(kind: str, subject: str, field: str, unit: str) -> tuple[Definition, ...]:
    parts = ["Period", {"site": "Site", "limit": "Limits", "unit": "Units"}.get(kind, kind), subject, field]
    folder = "/".join(part for part in parts if part)
    count = Definition(f"{folder}/n", DataType.UINT32, live=False)
    rest = (Definition(f"{folder}/{name}", DataType.DOUBLE, unit, live=False) for name in STATISTICS[1:])
    return (count, *rest)


def _happening(name: str) -> Definition:
    return Definition(name, DataType.STRING, live=False)


def _limit_fields(kind: str) -> tuple[str, ...]:
    """Only a voltage has a lower edge."""
    return tuple(field for field in LIMIT_FIELDS if field != "low" or kind == "voltage")


def _limit(name: str, field: str, kind: str) -> Definition:
    unit = _LIMIT_UNIT.get(kind, "") if field in _IN_LIMIT_UNIT else _unit(field)
    return Definition(f"Limits/{name}/{field}", DataType.DOUBLE, unit)


def _unit(field: str) -> str:
    return _UNIT_OF.get(field.rpartition("_")[2], "")


def _number(value: object, at_ms: int) -> Reading:
    """A finite number is one; everything else is nothing, of bad quality."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Reading(float(value), at_ms)
    return Reading(None, at_ms, Quality.BAD)


def _text(value: object, at_ms: int) -> Reading:
    return Reading(value, at_ms) if isinstance(value, str) else Reading(None, at_ms, Quality.BAD)


def _flag(value: object, at_ms: int) -> Reading:
    return Reading(value, at_ms) if isinstance(value, bool) else Reading(None, at_ms, Quality.BAD)


def _compact(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _ms(utc_s: float) -> int:
    return max(round(utc_s * 1e3), 0)
