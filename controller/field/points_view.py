"""Live points as tables for people and as JSON for programs."""

from __future__ import annotations

import math
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
    for line in lines.points:
        table.add_row(*_cells(line))
    return table


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
