"""An OpenADR event as one leased command. Refuses whole what it cannot say exactly; judges nothing else.

Units are kW, of reactive power kvar, and must be stated, by the event or by its program. A randomised start is not
applied: a limit that began later than stated would not be kept. Payload types beginning with ``GRIDEDGE_`` are private
(OpenADR 3.1.1 allows private strings); see ``docs/openadr.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.balancing.command import Command, Kind, Part, Step
from controller.balancing.openadr.models import Event, EventPayloadDescriptor, Interval, IntervalPeriod, Program
from controller.balancing.openadr.strict_json import Malformed
from controller.balancing.openadr.times import NOW, duration_s, instant_utc_s
from controller.domain.instruction import INTERFACE
from controller.domain.platform import REACTIVE_PAYLOAD

LOWEST_PRIORITY = 1 << 31
GENERATION_SETPOINT = "GRIDEDGE_GENERATION_SETPOINT"
"""Private payload type: generation of a resource, kW ≥ 0, where DISPATCH_SETPOINT is its consumption."""

_CAPACITY = {
    "CAPACITY_LIMIT": Kind.LIMIT,
    "CAPACITY_SUBSCRIPTION": Kind.SUBSCRIPTION,
    "CAPACITY_RESERVATION": Kind.RESERVATION,
}
_DIRECTIONS = {"EXPORT": "export", "IMPORT": "import"}
CAPACITIES = {
    f"{word}_{name}": (kind, direction) for word, direction in _DIRECTIONS.items() for name, kind in _CAPACITY.items()
}
SET_POINTS = {"DISPATCH_SETPOINT": 1.0, GENERATION_SETPOINT: -1.0}
"""Payload types about a unit's active power and their sign in load convention."""
_MOST = 1e300  # whole numbers may be larger than a float can hold
STEPS_MAX = 20_000
"""Values of an event, each for every resource that it is for: a megabyte of text could ask for millions."""
_W_PER = {"KW": 1e3}
_VAR_PER = {"KVAR": 1e3}


@dataclass(frozen=True, slots=True)
class ReactivePayload:
    """The payload type that asks for reactive power at the interface, and its sign in load convention (site file)."""

    type: str
    sign: float


DEFAULT_REACTIVE = ReactivePayload(REACTIVE_PAYLOAD, 1.0)


@dataclass(frozen=True, slots=True)
class _Span:
    start_utc_s: float
    end_utc_s: float


def to_command(event: Event, program: Program, issuer: str, reactive: ReactivePayload = DEFAULT_REACTIVE) -> Command:
    """The command that an event is; what shall start now starts when it was issued. Raises Malformed."""
    issued_utc_s = _issued(event)
    spans = _spans(event, issued_utc_s)
    units = {**_units(program.payloadDescriptors or ()), **_units(event.payloadDescriptors or ())}
    steps: dict[tuple[Kind, str], list[Step]] = {}
    _check_count(event)
    for interval, span in zip(event.intervals, spans, strict=True):
        for key, values_w in _values(event, interval, units, reactive):
            steps.setdefault(key, []).extend(_split(span, values_w))
    parts = tuple(Part(kind, subject, _in_order(found)) for (kind, subject), found in steps.items())
    priority = LOWEST_PRIORITY if event.priority is None else event.priority
    return Command(event.id, issuer, round(issued_utc_s * 1e6), issued_utc_s, priority, parts)


def _issued(event: Event) -> float:
    text = event.modificationDateTime or event.createdDateTime
    if text is None:
        raise Malformed("modificationDateTime is missing: nobody can tell whether it is new")
    issued_utc_s = instant_utc_s(text)
    if not math.isfinite(issued_utc_s):
        raise Malformed(f"modificationDateTime {text} is no instant of this age")
    return issued_utc_s


def _units(descriptors: Iterable[object]) -> dict[str, str]:
    return {d.payloadType: d.units for d in descriptors if isinstance(d, EventPayloadDescriptor) and d.units}


def _spans(event: Event, issued_utc_s: float) -> list[_Span]:
    """When each interval holds: its own period, else one after the other from the event's start on."""
    common = event.intervalPeriod or IntervalPeriod()
    ids = [interval.id for interval in event.intervals]
    if len(set(ids)) < len(ids):
        raise Malformed("two intervals have the same id")
    out: list[_Span] = []
    for interval in event.intervals:
        own = interval.intervalPeriod or IntervalPeriod()
        length = own.duration or common.duration
        if length is None:
            raise Malformed(f"interval {interval.id} has no duration, and neither has the event")
        if own.start is None and out:
            start_utc_s = out[-1].end_utc_s
        else:
            start_utc_s = _start(own.start or common.start, interval.id, issued_utc_s)
        if not math.isfinite(start_utc_s):
            raise Malformed(f"interval {interval.id} would begin after one without end")
        out.append(_Span(start_utc_s, start_utc_s + duration_s(length)))
    _check_total(event, out)
    return out


def _start(text: str | None, interval_id: int, issued_utc_s: float) -> float:
    if text is None:
        raise Malformed(f"interval {interval_id} has no start, and neither has the event")
    start_utc_s = instant_utc_s(text)
    return issued_utc_s if start_utc_s == NOW else start_utc_s


def _check_total(event: Event, spans: Sequence[_Span]) -> None:
    """A duration of the event beyond its intervals would repeat them: not spoken."""
    if event.duration is None:
        return
    total_s = sum(span.end_utc_s - span.start_utc_s for span in spans)
    stated_s = duration_s(event.duration)
    if stated_s != total_s and abs(stated_s - total_s) > 1e-3:
        raise Malformed(
            f"duration {event.duration} is not that of the intervals, {total_s:g} s: repeating is not spoken"
        )


def _check_count(event: Event) -> None:
    asked = sum(len(payload.values) for interval in event.intervals for payload in interval.payloads)
    count = asked * max(len(event.targets or ()), 1)
    if count > STEPS_MAX:
        raise Malformed(f"{count} values for all its resources; expected at most {STEPS_MAX}")


def _values(
    event: Event, interval: Interval, units: Mapping[str, str], reactive: ReactivePayload
) -> Iterable[tuple[tuple[Kind, str], list[float]]]:
    """What one interval asks for, by kind and subject, W or var in the house's sign."""
    seen: set[tuple[Kind, str]] = set()
    for payload in interval.payloads:
        for kind, subject in _about(event, payload.type, reactive):
            if (kind, subject) in seen:
                raise Malformed(f"interval {interval.id} says twice what {kind.value} of {subject} is")
            seen.add((kind, subject))
            signed = kind is Kind.REACTIVE
            sign = reactive.sign if signed else SET_POINTS.get(payload.type, 1.0)
            factor = sign * _factor(payload.type, units, _VAR_PER if signed else _W_PER)
            values = [_number(value, payload.type, signed) * factor + 0.0 for value in payload.values]
            if not values:
                raise Malformed(f"interval {interval.id}: {payload.type} has no value")
            yield (kind, subject), values


def _about(event: Event, payload_type: str, reactive: ReactivePayload) -> list[tuple[Kind, str]]:
    if payload_type in CAPACITIES:
        return [CAPACITIES[payload_type]]
    if payload_type == reactive.type:
        return [(Kind.REACTIVE, INTERFACE)]
    if payload_type not in SET_POINTS:
        known = ", ".join((*CAPACITIES, *SET_POINTS, reactive.type))
        raise Malformed(f"payload type {payload_type!r} is not spoken; expected one of {known}")
    if not event.targets or len(set(event.targets)) < len(event.targets):
        raise Malformed(f"{payload_type} needs targets: the names of the resources it is for, each once")
    return [(Kind.SET_POINT, target) for target in event.targets]


def _factor(payload_type: str, units: Mapping[str, str], known: Mapping[str, float]) -> float:
    found = units.get(payload_type)
    if found is None or found not in known:
        raise Malformed(f"units of {payload_type} are {found!r}; expected a payload descriptor with {', '.join(known)}")
    return known[found]


def _number(value: object, payload_type: str, signed: bool) -> float:
    """OpenADR 3.1 bounds every one of its own payloads here at zero from below; reactive power has a direction."""
    low = -_MOST if signed else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= _MOST:
        expected = "a finite number" if signed else "a finite number from 0"
        raise Malformed(f"{payload_type} is {str(value)[:40]!r}; expected {expected}")
    return float(value)


def _split(span: _Span, values_w: Sequence[float]) -> list[Step]:
    """Several values share their interval equally (OpenADR 3.1.1: compact representation of serial data)."""
    if len(values_w) > 1 and not math.isfinite(span.end_utc_s):
        raise Malformed("several values cannot share an interval without end")
    if len(values_w) == 1:
        return [Step(span.start_utc_s, span.end_utc_s, values_w[0])]
    each_s = (span.end_utc_s - span.start_utc_s) / len(values_w)
    edges = [span.start_utc_s + each_s * k for k in range(len(values_w))] + [span.end_utc_s]
    return [Step(a, b, w) for a, b, w in zip(edges, edges[1:], values_w, strict=False)]


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.start_utc_s))
