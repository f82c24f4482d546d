"""The limits on the screen: what is true, what the controller believes, what the uncontrolled world would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from controller.domain.limit import Limit, LimitKind
from simulators.demo.day import Day
from simulators.demo.style import BELIEVED, LABEL, NEAR, OTHER, OVER, PLAIN, VALUE, loading_bar, loading_colour
from simulators.demo.words import percent

_BAR_MIN = 10
_QUALITY = {"measured": "", "estimated": "est.", "worst_case": "worst"}


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit at one instant, as shares of the limit; NaN where nothing is known."""

    limit: Limit
    true_frac: float
    believed_frac: float
    other_frac: float
    quality: str
    binding: bool


def limit_lines(day: Day, t_s: float) -> list[LimitLine]:
    """Every limit of the site; what the controller believes is its best value, or the worst it must assume."""
    site = day.setting.site
    states = {state["id"]: state for state in day.record.get("limits", ())}
    true = day.course.newest.frac if day.course.newest else (math.nan,) * len(site.limits)
    elsewhere = day.uncontrolled.at(t_s)
    other = elsewhere.frac if elsewhere else (math.nan,) * len(site.limits)
    lines = []
    for limit, true_frac, other_frac in zip(site.limits, true, other, strict=True):
        state = states.get(limit.id, {})
        quality = str(state.get("quality", ""))
        believed = state.get("worst_frac" if quality == "worst_case" else "loading_frac")
        believed_frac = math.nan if believed is None else float(believed)
        binding = bool(state.get("binding", False))
        lines.append(LimitLine(limit, true_frac, believed_frac, other_frac, quality, binding))
    return lines


def limits_table(day: Day, t_s: float, width: int) -> Table:
    """Currents and exchange on the left, voltages on the right."""
    lines = limit_lines(day, t_s)
    left = [line for line in lines if line.limit.kind is not LimitKind.VOLTAGE]
    right = [line for line in lines if line.limit.kind is LimitKind.VOLTAGE]
    sides = [side for side in (left, right) if side]
    fixed = 8 + 6 + (13 if day.setting.controlled else 0) + (6 if day.setting.compared else 0)
    bar = max(_BAR_MIN, width // len(sides) - fixed - 3)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.show_header = True
    for number, side in enumerate(sides):
        if number:
            table.add_column(width=1)
        _columns(table, day, "voltage" if side is right else "current", bar)
    for k in range(max(len(side) for side in sides)):
        table.add_row(*_across(day, sides, k, bar))
    return table


def _columns(table: Table, day: Day, what: str, bar: int) -> None:
    table.add_column(Text(what, style=LABEL), width=7, no_wrap=True)
    table.add_column("", width=bar, no_wrap=True)
    table.add_column(Text("true", style=LABEL), width=5, justify="right", no_wrap=True)
    if day.setting.controlled:
        table.add_column(Text("ctrl", style=BELIEVED), width=5, justify="right", no_wrap=True)
        table.add_column("", width=6, no_wrap=True)
    if day.setting.compared:
        table.add_column(Text("w/o", style=OTHER), width=5, justify="right", no_wrap=True)


def _across(day: Day, sides: Sequence[Sequence[LimitLine]], k: int, bar: int) -> list[Text]:
    """Row ``k`` of all sides, with what separates them."""
    cells: list[Text] = []
    for number, side in enumerate(sides):
        if number:
            cells.append(Text(""))
        count = 3 + 2 * day.setting.controlled + day.setting.compared
        cells += _cells(day, side[k], bar) if k < len(side) else [Text("")] * count
    return cells


def _cells(day: Day, line: LimitLine, bar: int) -> list[Text]:
    name = {LimitKind.EXPORT: "export", LimitKind.IMPORT: "import"}.get(line.limit.kind, line.limit.element)
    cells = [
        Text(name, style=PLAIN),
        loading_bar(line.true_frac, line.other_frac, bar),
        Text(percent(line.true_frac), style=f"bold {loading_colour(line.true_frac)}"),
    ]
    if day.setting.controlled:
        mark = Text("●" if line.binding else " ", style=VALUE)
        mark.append(_QUALITY.get(line.quality, line.quality), style=OVER if line.quality == "worst_case" else NEAR)
        cells += [Text(percent(line.believed_frac), style=BELIEVED), mark]
    if day.setting.compared:
        beyond = math.isfinite(line.other_frac) and line.other_frac > 1.0
        cells.append(Text(percent(line.other_frac), style=f"bold {OTHER}" if beyond else OTHER))
    return cells
