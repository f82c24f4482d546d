"""Live points as tables for people and as JSON for programs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.domain.measurement import Quality
from controller.field.watch import DeviceLines, PointLine

_STYLES = {
    Quality.GOOD: "green",
    Quality.UNCERTAIN: "yellow",
    Quality.STALE: "yellow",
    Quality.BAD: "red",
    Quality.MISSING: "bright_black",
}
_TEXT_MAX = 120


def as_tables(devices: tuple[DeviceLines, ...]) -> RenderableType:
    """One table per device, its counters below."""
    return Group(*(part for lines in devices for part in (_table(lines), _counters(lines), Text())))


def as_json(devices: tuple[DeviceLines, ...], utc: str) -> dict[str, Any]:
    """The same for programs; a value that is not a number is null."""
    return {"utc": utc, "devices": [_device_json(lines) for lines in devices]}


def _table(lines: DeviceLines) -> Table:
    device = lines.device
    address = f", unit {device.unit_address}" if device.protocol == "modbus" else ""
    title = Text(f"{device.id}  {device.profile} at {device.endpoint}{address}", style="bold" if lines.ok else "red")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bright_black")
    for heading in ("point", "value", "unit", "quality", "age", "raw", "feeds", "reason"):
        table.add_column(heading, justify="right" if heading in ("value", "age") else "left", overflow="fold")
    for line in _told_once(lines.points):
        table.add_row(*_cells(line))
    return table


def as_overview(devices: tuple[DeviceLines, ...]) -> RenderableType:
    """One row per device, for a screen that does not hold all points."""
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for heading in ("device", "profile", "at", "good", "oldest", "trouble"):
        table.add_column(heading, justify="right" if heading in ("good", "oldest") else "left", overflow="fold")
    for lines in devices:
        good = sum(line.quality is Quality.GOOD for line in lines.points)
        ages = [line.age_s for line in lines.points if math.isfinite(line.age_s)]
        trouble = next((line for line in lines.points if line.quality not in (Quality.GOOD, Quality.MISSING)), None)
        if trouble is None and not lines.ok:
            trouble = next(iter(lines.points), None)
        table.add_row(
            Text(lines.device.id, style="bold" if lines.ok else "red"),
            Text(lines.device.profile),
            Text(lines.device.endpoint),
            Text(f"{good} of {len(lines.points)}", style="green" if lines.ok else "red"),
            Text(f"{max(ages):.1f} s" if ages else "-"),
            Text("" if trouble is None else f"{trouble.point}: {_plain(trouble.reason)}", style="yellow"),
        )
    return Group(table, Text("all points of some devices: gridedge points SITE DEVICE…", style="bright_black"))


def rows(devices: tuple[DeviceLines, ...]) -> int:
    """Lines of text that :func:`as_tables` needs at least."""
    return sum(len(_told_once(lines.points)) + 4 for lines in devices)


def _told_once(points: tuple[PointLine, ...]) -> tuple[PointLine, ...]:
    """One line instead of all when none has a value and all for the same reason: the device is not reached."""
    said = min((line.reason for line in points), key=len, default="")  # what is computed says of which point it is
    alike = said and all(line.reason.endswith(said) for line in points) and len({line.quality for line in points}) == 1
    if len(points) < 2 or not alike or any(math.isfinite(line.value) for line in points):
        return points
    return (replace(points[0], point=f"all {len(points)} points", unit="", reason=said, raw="", target=""),)


def _cells(line: PointLine) -> tuple[Text, ...]:
    style = _STYLES[line.quality]
    age = f"{line.age_s:.1f} s" if math.isfinite(line.age_s) else "-"
    return (
        Text(line.point),
        Text(number(line.value), style=style),
        Text(line.unit),
        Text(line.quality.name.lower(), style=style),
        Text(age),
        Text(_plain(line.raw), style="bright_black"),
        Text(line.target),
        Text(_plain(line.reason), style=style),
    )


def _counters(lines: DeviceLines) -> Text:
    return Text("  ".join(f"{name} {count}" for name, count in lines.counts.items()), style="bright_black")


def number(value: float) -> str:
    """A value with six digits, or a dash when there is none."""
    return f"{value:.6g}" if math.isfinite(value) else "-"


def _plain(text: str) -> str:
    """What a device or a server says, without anything that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:_TEXT_MAX]


def _device_json(lines: DeviceLines) -> dict[str, Any]:
    device = lines.device
    return {
        "id": device.id,
        "protocol": device.protocol,
        "endpoint": device.endpoint,
        "unit_address": device.unit_address if device.protocol == "modbus" else None,
        "profile": device.profile,
        "ok": lines.ok,
        "counts": dict(lines.counts),
        "points": [_point_json(line) for line in lines.points],
    }


def _point_json(line: PointLine) -> dict[str, Any]:
    return {
        "point": line.point,
        "value": _finite(line.value),
        "unit": line.unit,
        "quality": line.quality.name.lower(),
        "reason": line.reason,
        "age_s": _finite(round(line.age_s, 3)),
        "raw": line.raw,
        "feeds": line.target,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
