"""What a site says to its platform, as OpenADR reports: answers to events, and the measurements that events ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.balancing.openadr.models import (
    Event,
    Interval,
    IntervalPeriod,
    Report,
    ReportPayloadDescriptor,
    ReportResource,
    ValuesMap,
)
from controller.balancing.openadr.times import duration_text, instant_text
from controller.domain.site import Site
from controller.domain.unit import Storage, Unit
from controller.planning.availability import HOUR_S, NONE, Availability, availability

ANSWER = "GRIDEDGE_ANSWER"
"""Private payload type: ACCEPTED, or REFUSED and the reason; of reactive requests also :func:`ordered`."""
REACTIVE_READING = "GRIDEDGE_REACTIVE_READING"
"""Private payload type: mean reactive power at the interface while it was asked for, kvar in the platform's sign."""
REACTIVE_AVAILABLE = "GRIDEDGE_REACTIVE_AVAILABLE"
"""Private payload type: what of it could be had, in the same way."""
SITE_RESOURCE = "SITE"
_TEXT_MAX = 256


@dataclass(frozen=True, slots=True)
class UnitReading:
    """One unit over the period: mean P, load convention; content of a storage as a fraction, NaN without one.

    ``p_avail_w``: what it could do at the end, by its own word, NaN when it says nothing.
    """

    p_w: float
    curtailed_w: float
    soc_frac: float
    status: str
    p_avail_w: float


@dataclass(frozen=True, slots=True)
class SupportReading:
    """Voltage support while it was asked for: means at the interface, measured and attainable, var, import positive."""

    q_var: float
    reached_var: float


@dataclass(frozen=True, slots=True)
class Period:
    """What was seen of the units, by id, from ``start_utc_s`` on; ``mode`` is the site's at the end.

    ``support`` is what was seen of voltage support; None when nobody asked for any.
    """

    start_utc_s: float
    lasts_s: float
    units: Mapping[str, UnitReading]
    mode: str
    support: SupportReading | None = None


def answer(event_id: str, client_name: str, refused: str, name: str) -> Report:
    """Whether an event was taken; ``refused`` is why not, empty when it was.

    ``name`` is one for each version of each event: a report that arrives twice has the same, so that it can be told.
    """
    values: list[Any] = ["REFUSED", refused[:_TEXT_MAX]] if refused else ["ACCEPTED"]
    interval = Interval(id=0, payloads=[ValuesMap(type=ANSWER, values=values)])
    resource = ReportResource(resourceName=SITE_RESOURCE, intervals=[interval])
    return Report(eventID=event_id, clientName=client_name, reportName=f"answer {name[:32]}", resources=[resource])


def ordered(event_id: str, client_name: str, refused: bool, words: str, name: str) -> Report:
    """How the control process took a reactive request: ORDERED or NOT_ORDERED, and how much can be had or why not."""
    values: list[Any] = ["NOT_ORDERED" if refused else "ORDERED", words[:_TEXT_MAX]]
    interval = Interval(id=0, payloads=[ValuesMap(type=ANSWER, values=values)])
    resource = ReportResource(resourceName=SITE_RESOURCE, intervals=[interval])
    return Report(eventID=event_id, clientName=client_name, reportName=f"order {name[:64]}", resources=[resource])


def measurements(
    site: Site, event: Event, client_name: str, period: Period, reactive_sign: float = 1.0
) -> Report | None:
    """What the event's descriptors ask for and this site can say; None when that is nothing.

    ``reactive_sign`` is that of the platform for reactive power at the interface.
    """
    spoken = [d.payloadType for d in event.reportDescriptors or () if d.payloadType in (*SPOKEN, *OF_SUPPORT)]
    asked = [name for name in spoken if name in SPOKEN]
    wanted = set(event.targets or ()) & set(period.units) or set(period.units)
    resources = [r for name in sorted(wanted) if (r := _resource(site, name, asked, period)) is not None]
    resources += _of_support(spoken, period, reactive_sign)
    if not resources:
        return None
    descriptors = [
        ReportPayloadDescriptor(
            payloadType=name,
            units=SPOKEN[name][0] if name in SPOKEN else "KVAR",
            readingType="MEAN",
            accuracy=None,
            confidence=None,
        )
        for name in dict.fromkeys(spoken)
    ]
    return Report(
        eventID=event.id,
        clientName=client_name,
        reportName="measurements",
        payloadDescriptors=descriptors,
        resources=resources,
    )


def _resource(site: Site, name: str, asked: Iterable[str], period: Period) -> ReportResource | None:
    unit = next(u for u in site.units if u.id == name)
    seen = _Seen(unit, period.units[name], period.lasts_s)
    values = {kind: SPOKEN[kind][1](seen) for kind in asked}
    payloads = [ValuesMap(type=kind, values=[v]) for kind, v in values.items() if not _unknown(v)]
    if not payloads:
        return None
    return _reported(name, payloads, period)


def _of_support(spoken: Iterable[str], period: Period, sign: float) -> list[ReportResource]:
    """The site itself, when it was asked for reactive power and somebody wants to know of it."""
    seen = period.support
    payloads = [
        ValuesMap(type=name, values=[sign * OF_SUPPORT[name](seen) / 1e3 + 0.0])
        for name in dict.fromkeys(spoken)
        if seen is not None and name in OF_SUPPORT
    ]
    return [_reported(SITE_RESOURCE, payloads, period)] if payloads else []


def _reported(name: str, payloads: list[ValuesMap], period: Period) -> ReportResource:
    span = IntervalPeriod(start=instant_text(period.start_utc_s), duration=duration_text(period.lasts_s))
    return ReportResource(resourceName=name, intervalPeriod=span, intervals=[Interval(id=0, payloads=payloads)])


def _unknown(value: float | str) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@dataclass(frozen=True, slots=True)
class _Seen:
    unit: Unit
    reading: UnitReading
    lasts_s: float


def _state(seen: _Seen) -> str:
    if seen.reading.status in ("lost", "deaf"):
        return "ERROR"
    running = "RUNNING" if seen.reading.p_w != 0.0 else "IDLE"
    return f"{running}_CURTAILED" if seen.reading.curtailed_w > 0.0 else f"{running}_NORMAL"


def _available(seen: _Seen) -> Availability:
    """What it can do otherwise for an hour; nothing of a unit that does not answer or obey.

    A plant that follows the weather has left what it was held back by.
    """
    reading = seen.reading
    if reading.status in ("lost", "deaf"):
        return NONE
    could_w = abs(reading.p_w) + max(reading.curtailed_w, 0.0) if seen.unit.kind.generates else reading.p_avail_w
    return availability(seen.unit, reading.p_w, could_w, reading.soc_frac, HOUR_S)


def _of_storage(value: Callable[[_Seen, Storage], float]) -> Callable[[_Seen], float]:
    """NaN for a unit without one."""
    return lambda seen: math.nan if seen.unit.storage is None else value(seen, seen.unit.storage)


SPOKEN: dict[str, tuple[str | None, Callable[[_Seen], float | str]]] = {
    "USAGE": ("KWH", lambda seen: seen.reading.p_w * seen.lasts_s / 3.6e6),
    "DEMAND": ("KW", lambda seen: seen.reading.p_w / 1e3),
    "OPERATING_STATE": (None, _state),
    "UP_REGULATION_AVAILABLE": ("KW", lambda seen: _available(seen).up_w / 1e3),
    "DOWN_REGULATION_AVAILABLE": ("KW", lambda seen: _available(seen).down_w / 1e3),
    "STORAGE_CHARGE_LEVEL": ("PERCENT", _of_storage(lambda seen, _: 100.0 * seen.reading.soc_frac)),
    "STORAGE_USABLE_CAPACITY": ("KWH", _of_storage(lambda _, storage: storage.e_rated_wh / 1e3)),
    "STORAGE_MAX_CHARGE_POWER": ("KW", _of_storage(lambda seen, _: seen.unit.p_max_w / 1e3)),
    "STORAGE_MAX_DISCHARGE_POWER": ("KW", _of_storage(lambda seen, _: -seen.unit.p_min_w / 1e3)),
}
"""Report payload types that are spoken, their units, and how they are found; USAGE and DEMAND are consumption."""

OF_SUPPORT: dict[str, Callable[[SupportReading], float]] = {
    REACTIVE_READING: lambda seen: seen.q_var,
    REACTIVE_AVAILABLE: lambda seen: seen.reached_var,
}
"""The same about voltage support, var at the interface."""
