"""From what a server says about a node to a measurement, and from SI to what is written. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.measurement import Measurement, Quality
from drivers.profile import DerivedSpec, PointSpec

INTEGERS = {
    "SByte": (-(1 << 7), (1 << 7) - 1),
    "Byte": (0, (1 << 8) - 1),
    "Int16": (-(1 << 15), (1 << 15) - 1),
    "UInt16": (0, (1 << 16) - 1),
    "Int32": (-(1 << 31), (1 << 31) - 1),
    "UInt32": (0, (1 << 32) - 1),
    "Int64": (-(1 << 63), (1 << 63) - 1),
    "UInt64": (0, (1 << 64) - 1),
}
TYPES = ("Boolean", *INTEGERS, "Float", "Double")
"""Built-in types that a point may have (OPC 10000-6, 5.1.2)."""

SEMANTICS_CHANGED, STRUCTURE_CHANGED = 0x4000, 0x8000
"""Status bits: unit or meaning, or the shape of the value, are not what they were (OPC 10000-4, 7.39)."""
_LOCAL_OVERRIDE = 0x0096_0000
"""GoodLocalOverride: somebody has put in this value by hand (OPC 10000-8)."""
_IS_DATA_VALUE, _LIMIT = 0x0400, 0x0300
_AT_LIMIT = {0x0100: "low", 0x0200: "high"}
_FLOAT_MAX = 3.4028234663852886e38
_SQRT3 = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class NodeValue:
    """What one read says about one node: a whole DataValue, in terms of this driver.

    ``status`` is the OPC UA status code, ``type`` the name of the built-in type (``""`` for none, ``Double[]`` for an
    array). The times are what the data source and the server say, in seconds since 1970 by their own clocks.
    """

    status: int
    status_name: str
    type: str
    value: object
    source_utc_s: float | None = None
    server_utc_s: float | None = None


class EncodeError(ValueError):
    """A value cannot be written as the node's type; nothing may be sent."""


def measure(spec: PointSpec, node: NodeValue, sent_s: float, received_s: float, stale_s: float) -> Measurement:
    """The measurement that a node's value is worth.

    Severity (the top two bits of the status) decides: Good, Uncertain (to be looked at, never relied on), Bad. A Good
    value of the wrong type, not finite or outside the point's plausible range is bad, and so is one of which the server
    says that its meaning has changed. A Good value that was put in by hand, or stands at the end of what its sensor can
    say, is uncertain: what is measured may be another.
    """
    severity = node.status >> 30
    if severity >= 2:
        return _bad(f"server says {node.status_name}", sent_s, received_s)
    if has_changed(node):
        return _bad("server says that unit, meaning or shape of the value have changed", sent_s, received_s)
    fault, value = _decode(spec, node)
    if fault:
        return _bad(fault, sent_s, received_s)
    if severity == 1:
        return Measurement(value, Quality.UNCERTAIN, sent_s, received_s, f"server says {node.status_name}")
    doubt = _doubt(node.status)
    if doubt:
        return Measurement(value, Quality.UNCERTAIN, sent_s, received_s, doubt)
    return Measurement(value, Quality.GOOD, sent_s, received_s, _age_note(node, stale_s))


def has_changed(node: NodeValue) -> bool:
    """True when the server says that the value is not what was found when the points were looked for."""
    return bool(node.status & (SEMANTICS_CHANGED | STRUCTURE_CHANGED))


def _doubt(status: int) -> str:
    """Why a Good value need not be what is measured; empty when it is."""
    if status & 0xFFFF_0000 == _LOCAL_OVERRIDE:
        return "server says GoodLocalOverride: put in by hand"
    limit = _AT_LIMIT.get(status & _LIMIT) if status & _IS_DATA_VALUE else None
    return f"server says that the value stands at the {limit} end of what can be measured" if limit else ""


def _bad(reason: str, sent_s: float, received_s: float) -> Measurement:
    return Measurement(math.nan, Quality.BAD, sent_s, received_s, reason)


def _decode(spec: PointSpec, node: NodeValue) -> tuple[str, float]:
    """(fault, NaN) or ("", SI value)."""
    if node.type != spec.type or not isinstance(node.value, int | float):
        return f"value is of type {node.type or 'null'}; expected {spec.type}", math.nan
    if not math.isfinite(node.value):
        return f"value is {node.value}; expected a finite number", math.nan
    if node.value in spec.missing:
        return f"value {node.value} means not implemented", math.nan
    value = node.value * spec.scale + spec.offset
    if not math.isfinite(value):
        return f"value {node.value} is {value} when scaled; expected a finite number", math.nan
    if (spec.low is not None and value < spec.low) or (spec.high is not None and value > spec.high):
        return f"value {value:g} is implausible; expected {spec.low} to {spec.high}", math.nan
    return "", value


def _age_note(node: NodeValue, stale_s: float) -> str:
    """A remark when the source has been silent for long by the server's own clock; a steady value may be old too."""
    if node.source_utc_s is None or node.server_utc_s is None:
        return ""
    age_s = node.server_utc_s - node.source_utc_s
    return f"source time is {age_s:.1f} s behind the server" if age_s > stale_s else ""


class SourceOrder:
    """Notices a sample that is older than the newest of its point by the source's own clock.

    Such a sample was delivered twice or late, or comes from a server that woke up with old values: it is uncertain
    until its time moves on. A clock that was set back costs one sample.
    """

    def __init__(self) -> None:
        self._seen_utc_s: dict[str, tuple[float, float]] = {}

    def judge(self, name: str, node: NodeValue, found: Measurement) -> Measurement:
        """``found`` as it is, or uncertain."""
        at_s = node.source_utc_s
        if at_s is None:
            return found
        newest_s, last_s = self._seen_utc_s.get(name, (at_s, at_s))
        if at_s >= newest_s or at_s > last_s:
            self._seen_utc_s[name] = at_s, at_s
            return found
        self._seen_utc_s[name] = newest_s, at_s
        if found.quality is not Quality.GOOD:
            return found
        reason = f"source time went back by {newest_s - at_s:.3f} s"
        return Measurement(found.value, Quality.UNCERTAIN, found.measured_at_s, found.received_at_s, reason)


def encode(spec: PointSpec, value: float, *, floor: bool = False) -> int | float | bool:
    """The raw value that writes ``value`` (SI); ``floor`` rounds towards less instead of to the nearest.

    Raises :class:`EncodeError` when the value is not finite, out of the point's range, or does not fit its type.
    """
    if not math.isfinite(value):
        raise EncodeError(f"{spec.name} is {value}; expected a finite number")
    if (spec.low is not None and value < spec.low) or (spec.high is not None and value > spec.high):
        raise EncodeError(f"{spec.name} is {value:g}; expected {spec.low} to {spec.high}")
    raw = (value - spec.offset) / spec.scale
    if spec.type in INTEGERS:
        return _whole(spec, _floor(raw, spec.scale) if floor else round(raw))
    if spec.type == "Boolean":
        return bool(_whole(spec, round(raw)))
    if spec.type == "Float" and abs(raw) > _FLOAT_MAX:
        raise EncodeError(f"{spec.name} is {value:g}; expected a number that fits Float")
    return raw


def _whole(spec: PointSpec, number: int) -> int:
    low, high = INTEGERS.get(spec.type, (0, 1))
    if not low <= number <= high or number in spec.missing:
        raise EncodeError(f"{spec.name} is raw {number}; expected a {spec.type} from {low} to {high}")
    return number


def _floor(raw: float, scale: float) -> int:
    """Round so that the SI value gets smaller; a hair of tolerance keeps exact values exact."""
    return math.floor(raw + 1e-6) if scale > 0.0 else math.ceil(raw - 1e-6)


def derive(spec: DerivedSpec, points: Mapping[str, Measurement]) -> Measurement:
    """A computed point: the value by ``spec.op``, quality and age of its worst and oldest part."""
    parts = [points[name] for name in spec.of]
    worst = max(parts, key=lambda part: part.quality)
    sent_s = min(part.measured_at_s for part in parts)
    received_s = max(part.received_at_s for part in parts)
    if worst.quality > Quality.UNCERTAIN:
        return Measurement(math.nan, worst.quality, sent_s, received_s, worst.reason)
    value = _combine(spec.op, [part.value for part in parts])
    if not math.isfinite(value):
        text = f"computed from {', '.join(spec.of)} it is {value}; expected a finite number"
        return Measurement(math.nan, Quality.BAD, sent_s, received_s, text)
    return Measurement(value, worst.quality, sent_s, received_s, worst.reason)


def _combine(op: str, values: list[float]) -> float:
    """Not finite when it cannot be said."""
    total = sum(values)
    mean = total / len(values)
    table = {"max": max(values), "min": min(values), "sum": total, "mean": mean, "mean_ln_to_ll": mean * _SQRT3}
    return table[op]
