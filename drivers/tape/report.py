"""What a field recording says, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from controller.domain.measurement import Quality
from drivers.tape.explain import Field, answered, asked, fields
from drivers.tape.replay import Played
from drivers.tape.told import Difference, Told
from drivers.tape.told_opcua import Channel
from drivers.tape.wire import Exchange, Wire

FIELDS_BYTES_MAX = 600
"""An answer of more bytes is shown by its fields only up to here: it is a flood, not a frame."""


def when(played: Played, at_s: float) -> str:
    """Time of day (UTC) of a site time where the recording knows it, else site seconds."""
    seconds = f"{at_s:.3f} s"
    if played.utc is None:
        return seconds
    try:
        return f"{played.utc + timedelta(seconds=at_s - played.utc_at_s):%H:%M:%S.%f}"[:-3]
    except (OverflowError, ValueError):  # a time of another world
        return seconds


def exchange_line(played: Played, exchange: Exchange) -> str:
    """One exchange on one line."""
    where = played.wires[exchange.line].endpoint
    return f"{when(played, exchange.sent_s)} {where} {asked(exchange.request)}: {answered(exchange)}"


def as_text(played: Played, show: int) -> Iterator[str]:
    """The whole account; at most ``show`` faults and differences in full."""
    yield from _summary(played)
    for exchange in played.faults[:show]:
        yield ""
        yield from _fault(played, exchange)
    if played.failed > show:
        yield f"\n{played.failed - min(show, len(played.faults))} more requests had no good answer (--show)"
    yield from _last_values(played)
    yield ""
    yield from _verdict(played, show)


def _summary(played: Played) -> Iterator[str]:
    spent_s = played.last_s - played.first_s
    total = played.answered + played.refused + played.failed
    begun = "" if played.utc is None else f" from {played.utc:%Y-%m-%d} {when(played, played.first_s)} UTC"
    yield (
        f"{spent_s:.1f} s{begun}: {total} requests, {played.answered} answered, {played.refused} refused by the "
        f"device, {played.failed} without a good answer"
    )
    for wire in played.wires.values():
        ends = ", ".join(f"{reason} {number}" for reason, number in wire.ends.items()) or "none"
        opened = f"opened {wire.generation}"
        yield f"connection {wire.number} {wire.endpoint.text}: {wire.exchanges} requests, {opened}, ended: {ends}"
    for channel in played.channels.values():
        ends = "; ".join(f"{number} x {text}" for text, number in channel.ends.items()) or "none"
        asked_for = f"{channel.requests} requests, {channel.answered} answered, opened {channel.opened}"
        yield f"connection {channel.number} {channel.endpoint} ({channel.device}): {asked_for}, ended: {ends}"
    if played.lost:
        yield f"{played.lost} records are missing: the disk was too slow or refused"


def _fault(played: Played, exchange: Exchange) -> Iterator[str]:
    yield exchange_line(played, exchange)
    yield f"    sent  {exchange.sent.hex(' ').upper()}"
    yield f"    came  {exchange.came[:FIELDS_BYTES_MAX].hex(' ').upper() or 'nothing'}"
    if not exchange.came or len(exchange.came) > FIELDS_BYTES_MAX:
        return
    rtu = played.wires[exchange.line].endpoint.rtu
    yield from (_field_line(item) for item in fields(exchange, played.points_on(exchange), rtu=rtu))


def _field_line(item: Field) -> str:
    said = f"    {item.name:<36} {item.came or 'missing'}"
    return f"{said}   expected {item.expected}" if item.wrong else said


def _last_values(played: Played) -> Iterator[str]:
    for told in played.devices.values():
        device = told.device
        unit = f", unit {device.unit_address}" if device.protocol == "modbus" else ""
        yield f"\n{device.id} ({device.profile}{unit}), {told.polls} polls; the last said:"
        raw = told.link.raw()
        for name, value, quality, reason in _rows(told):
            shown = "" if math.isnan(value) else f"{value:g}"
            yield f"    {name:<28} {shown:>14}  {quality.name.lower():<9} {raw.get(name, ''):<20} {reason}".rstrip()


def _rows(told: Told) -> Iterator[tuple[str, float, Quality, str]]:
    for name, value, quality in told.published:
        now = told.points.get(name)
        yield name, value, quality, now.reason if now is not None else ""


def _verdict(played: Played, show: int) -> Iterator[str]:
    values = sum(told.values for told in played.devices.values())
    yield from (f"note: {remark}" for remark in played.remarks)
    for wire in played.wires.values():
        yield from (_question_line(played, wire, *question) for question in wire.questions[:show])
    for wire in played.wires.values():
        yield from (f"note: {remark}" for remark in wire.remarks[:show])
    for channel in played.channels.values():
        yield from (f"note: {channel.endpoint}: {remark}" for remark in channel.remarks[:show])
        if channel.uncompared:
            when_open = "the connection in use was opened before the recording begins"
            yield f"{channel.uncompared} polls of {channel.device} are not compared: {when_open}."
    yield from (_difference_line(played, item) for item in played.differences[:show])
    if not values:
        yield "Nothing was published to compare with."
    elif played.differing:
        yield f"{played.differing} of {values} published values come out of the bytes otherwise."
    else:
        yield f"All {values} published values come out of the bytes again, to the last bit."


def _question_line(played: Played, wire: Wire, at_s: float, sent: bytes, came: bytes) -> str:
    said = came.hex(" ").upper() or "nothing"
    return f"{when(played, at_s)} {wire.endpoint} asked {sent.hex(' ').upper()}, not a read or write; came {said}"


def _difference_line(played: Played, item: Difference) -> str:
    now = f"{item.now.value!r} {item.now.quality.name.lower()} {item.now.reason}".rstrip()
    told = f"{item.published!r} {item.published_quality.name.lower()}"
    return (
        f"{when(played, item.at_s)} {item.device} {item.point}: published {told}, is {now} (registers {item.registers})"
    )


def as_json(played: Played) -> dict[str, Any]:
    """The account for programs."""
    return {
        "exact": played.exact,
        "requests": {"answered": played.answered, "refused": played.refused, "failed": played.failed},
        "lost_records": played.lost,
        "connections": [
            *(_wire(wire) for wire in played.wires.values()),
            *(_channel(channel) for channel in played.channels.values()),
        ],
        "devices": [_told(told) for told in played.devices.values()],
        "faults": [_fault_json(exchange) for exchange in played.faults],
        "differing": played.differing,
        "differences": [_difference_line(played, item) for item in played.differences],
        "remarks": played.remarks,
    }


def _wire(wire: Wire) -> dict[str, Any]:
    said = {"endpoint": wire.endpoint.text, "opened": wire.generation, "requests": wire.exchanges}
    return {**said, "ended": wire.ends, "remarks": wire.remarks}


def _channel(channel: Channel) -> dict[str, Any]:
    said = {"endpoint": channel.endpoint, "opened": channel.opened, "requests": channel.requests}
    return {**said, "ended": channel.ends, "remarks": channel.remarks, "polls_not_compared": channel.uncompared}


def _told(told: Told) -> dict[str, Any]:
    raw = told.link.raw()
    points = {
        name: {
            "value": None if math.isnan(value) else value,
            "quality": quality.name.lower(),
            "reason": reason,
            "raw": raw.get(name, ""),
        }
        for name, value, quality, reason in _rows(told)
    }
    return {"id": told.device.id, "profile": told.device.profile, "polls": told.polls, "points": points}


def _fault_json(exchange: Exchange) -> dict[str, Any]:
    return {
        "at_s": exchange.sent_s,
        "asked": asked(exchange.request),
        "fault": str(exchange.outcome),
        "sent": exchange.sent.hex(),
        "came": exchange.came.hex(),
    }
