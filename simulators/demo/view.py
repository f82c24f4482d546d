"""The picture on the screen, from the day and nothing else: no clock, no terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from controller.domain.limit import LimitKind
from simulators.demo.day import BOX_OFF, NOBODY, Day
from simulators.demo.diagram import Flows, one_line
from simulators.demo.flexible import flexible_words
from simulators.demo.style import FRAME, GOOD, LABEL, NEAR, OTHER, OVER, PLAIN, SOURCE_COLOURS, VALUE, progress_bar
from simulators.demo.view_limits import limits_table
from simulators.demo.view_units import units_table
from simulators.demo.words import percent

WIDTH_MIN, WIDTH_MAX = 80, 132
_EVENTS_MAX = 8
_EVENTS_MIN = 3
_HEADER_ROWS, _FOOTER_ROWS, _FRAME_ROWS = 3, 1, 2
_DIAGRAM_FROM = 92  # columns inside the frame
_LONG_FROM = 100
_BEHIND_FRAC = 0.95  # of the speed asked for
MODE_COLOURS = {"normal": GOOD, "degraded": NEAR, "fail_safe": OVER, "boot": NEAR, "stopping": LABEL}
MODE_COLOURS |= {BOX_OFF: f"bold {OVER}", NOBODY: f"bold {OVER}"}


def picture(day: Day, t_s: float, width: int, height: int) -> RenderableType:
    """Everything, at site second ``t_s``; what does not fit into ``height`` rows is left out, least telling first.

    Fits from 80 columns by 24 rows on. Frames go first, then the diagram, then the older events.
    """
    width = min(max(width, WIDTH_MIN), WIDTH_MAX)
    inner = width - 4
    limits, units, drawing = limits_table(day, t_s, inner), units_table(day, inner), _diagram(day, inner)
    bare_rows = _HEADER_ROWS + _rows(limits) + _rows(units) + _FOOTER_ROWS
    framed = height >= bare_rows + _EVENTS_MIN + 4 * _FRAME_ROWS
    frame = _Frame(width, framed)
    free = height - bare_rows - (4 * _FRAME_ROWS if framed else 0)
    parts: list[RenderableType] = [frame.around(_header(day, t_s, inner))]
    drawing_rows = 0 if drawing is None else drawing.plain.count("\n") + 1 + _FRAME_ROWS
    if framed and drawing is not None and free >= drawing_rows + _EVENTS_MIN:
        parts.append(frame.around(drawing))
        free -= drawing_rows
    parts += [frame.around(limits, "limits", _legend(day)), frame.around(units, "units", _flexible(day))]
    if free > 0:
        parts.append(frame.around(_events(day, min(free, _EVENTS_MAX)), "events"))
    return Group(*parts, _footer(day))


@dataclass(frozen=True, slots=True)
class _Frame:
    """Boxes of one width, or only the margin that they would have."""

    width: int
    drawn: bool

    def around(self, content: RenderableType, title: str = "", subtitle: Text | None = None) -> RenderableType:
        """The content in its box."""
        if not self.drawn:
            return Padding(content, (0, 2))
        return Panel(
            content,
            title=Text(title, style=LABEL) if title else None,
            title_align="left",
            subtitle=subtitle,
            subtitle_align="right",
            border_style=FRAME,
            box=box.ROUNDED,
            padding=(0, 1),
            width=self.width,
        )


def _rows(table: Table) -> int:
    return table.row_count + (1 if table.show_header else 0)


def _header(day: Day, t_s: float, inner: int) -> RenderableType:
    setting = day.setting
    first = Text(setting.title, style=VALUE)
    right = _mode(day).append(f"   {day.clock(t_s)}", style=VALUE)
    gap = inner - first.cell_len - right.cell_len
    first = first + Text(" " * max(gap, 1)) + right
    done = t_s / setting.duration_s if setting.duration_s > 0.0 else 0.0
    note = f" {percent(min(done, 1.0))} of {setting.duration_s / 3600.0:g} h"
    bar = progress_bar(done, inner - len(note)) + Text(note, style=LABEL)
    return Group(first, bar, _pace(day, inner))


def _mode(day: Day) -> Text:
    """How far down its fail-safe ladder the controller is."""
    mode = day.mode
    return Text(mode.replace("_", "-"), style=MODE_COLOURS.get(mode, LABEL))


def _pace(day: Day, inner: int) -> Text:
    """Speed, asked for and reached, and honesty about the stretched cycle."""
    setting, line = day.setting, Text(style=LABEL, no_wrap=True, overflow="ellipsis")
    line.append(f"{setting.speed:g}× the speed of the world" if inner >= _LONG_FROM else f"{setting.speed:g}×")
    if day.speed < _BEHIND_FRAC * setting.speed:
        line.append(f", this machine manages {day.speed:.0f}×", style=NEAR)
    if not setting.controlled:
        return line
    cycle_s, stretch = setting.site.cycle.cycle_s, setting.stretch
    if stretch == 1.0:
        return line.append(f" · control cycle {cycle_s:g} s")
    line.append(f" · control cycle stretched ×{stretch:g}: {cycle_s * stretch:g} s")
    return line.append(f" of the site instead of {cycle_s:g} s" if inner >= _LONG_FROM else "")


def _legend(day: Day) -> Text:
    legend = Text(style=LABEL)
    legend.append("━", style=GOOD).append(" true  ").append("│", style=VALUE).append(" limit")
    if day.setting.controlled:
        legend.append("  ● binding ")
    if day.setting.compared:
        legend.append(" ◆", style=OTHER).append(" without control")
    return legend


def _flexible(day: Day) -> Text | None:
    """What batteries and consumers can do otherwise for an hour."""
    words = flexible_words(day.flexible)
    return Text(f"flexible for an hour: {words}", style=LABEL) if words else None


def _diagram(day: Day, inner: int) -> Text | None:
    truth = day.course.truth
    if inner < _DIAGRAM_FROM or not truth or day.course.newest is None:
        return None
    site = day.setting.site
    fracs = {
        limit.element: frac
        for limit, frac in zip(site.limits, day.course.newest.frac, strict=True)
        if limit.kind is LimitKind.THERMAL
    }
    flows = Flows(
        branch_p_w=_numbers(truth["branch_p_w"]),
        branch_frac=fracs,
        bus_u_v=_numbers(truth["bus_u_v"]),
        unit_p_w=_numbers(truth["unit_p_w"]),
        interface_p_w=day.course.newest.interface_p_w,
    )
    return one_line(site, flows, inner)


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: math.nan if value is None else float(value) for key, value in values.items()}


def _events(day: Day, rows: int) -> Table:
    """The newest events, newest last; always ``rows`` high, so that nothing below jumps."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style=LABEL)
    grid.add_column(no_wrap=True, min_width=10)
    grid.add_column(no_wrap=True, overflow="ellipsis", style=PLAIN, ratio=1)
    newest = day.journal.entries[-rows:]
    for entry in newest:
        source = Text(entry.source, style=SOURCE_COLOURS[entry.source])
        grid.add_row(day.clock(entry.t_s), source, day.journal.sentence(entry))
    for _ in range(rows - len(newest)):
        grid.add_row("", "", "")
    return grid


def _footer(day: Day) -> Text:
    line = Text("  ", style=LABEL, no_wrap=True, overflow="ellipsis")
    if not day.record:
        alone = not day.setting.controlled or "controller" in day.off
        return line.append("the simulator runs alone" if alone else "the controller is starting")
    cycles, polls = day.cycles.to_dict(), day.cycles.polls
    line.append_text(_links(day.record.get("devices", {})))
    line.append(f" · cycle {_count(day.cycles.count)}: {cycles['p50']:.1f} ms median, {cycles['p99']:.1f} ms p99, ")
    line.append(f"{_count(day.cycles.missed)} missed", style=NEAR if day.cycles.missed else LABEL)
    return line.append(f" · polls {_count(int(polls['ok']))} ok, {_count(int(polls['failed']))} failed")


def _count(number: int) -> str:
    """``175 000``."""
    return f"{number:,}".replace(",", "\u2009")


def _links(devices: Mapping[str, Any]) -> Text:
    lost: Sequence[str] = [name for name, state in devices.items() if not state["ok"]]
    text = Text(f"links {len(devices) - len(lost)} of {len(devices)}", style=LABEL)
    if lost:
        text.append(f", lost: {', '.join(lost)}", style=OVER)
    return text
