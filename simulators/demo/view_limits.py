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

QUALITY_WORDS = {"measured": "", "estimated": "est.", "worst_case": "worst"}
QUALITY_COLOURS = {"measured": BELIEVED, "estimated": NEAR, "worst_case": OVER}
_BAR_MIN = 8
_NUMBER = 5
_WIDE_FROM = 92  # columns


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
        believed_frac = math.nan if believed is None else max(float(believed), 0.0)
        binding = bool(state.get("binding", False))
        lines.append(LimitLine(limit, true_frac, believed_frac, other_frac, quality, binding))
    return lines


def limits_table(day: Day, t_s: float, width: int) -> Table:
    """Currents and exchange on the left, voltages on the right."""
    lines = limit_lines(day, t_s)
    left = [line for line in lines if line.limit.kind is not LimitKind.VOLTAGE]
    right = [line for line in lines if line.limit.kind is LimitKind.VOLTAGE]
    sides = [side for side in (left, right) if side]
    form = _form(day, lines, width, len(sides))
    table = Table.grid(padding=(0, 1, 0, 0))
    table.show_header = True
    for number, side in enumerate(sides):
        if number:
            table.add_column(width=1)
        _columns(table, form, "voltage" if side is right else "current")
    table.add_column(width=1)  # rich takes the last column's padding out of its width
    blank = [Text("")] * (3 + 2 * form.controlled + form.compared)
    for k in range(max(len(side) for side in sides)):
        row: list[Text] = []
        for number, side in enumerate(sides):
            row += [Text("")] * min(number, 1) + (_cells(form, side[k]) if k < len(side) else blank)
        table.add_row(*row, Text(""))
    return table


@dataclass(frozen=True, slots=True)
class _Form:
    """Widths of the columns of one side; ``mark`` holds the binding mark and, if wide, the quality."""

    name: int
    bar: int
    mark: int
    controlled: bool
    compared: bool


def _form(day: Day, lines: Sequence[LimitLine], width: int, sides: int) -> _Form:
    controlled, compared = day.setting.controlled, day.setting.compared
    wide = width >= _WIDE_FROM
    mark = 6 if wide else 1
    name = max(7 if wide else 5, *(len(_name(line.limit)) for line in lines))
    numbers = _NUMBER + 1 + controlled * (_NUMBER + 1 + mark + 1) + compared * (_NUMBER + 1)
    bar = (width - 2 * sides) // sides - numbers - name - 1
    return _Form(name, max(bar, _BAR_MIN), mark, controlled, compared)


def _columns(table: Table, form: _Form, what: str) -> None:
    heading = what if len(what) <= form.name else what[:4] + "."
    table.add_column(Text(heading, style=LABEL), width=form.name, no_wrap=True)
    table.add_column("", width=form.bar, no_wrap=True)
    table.add_column(Text("true", style=LABEL), width=_NUMBER, justify="right", no_wrap=True)
    if form.controlled:
        table.add_column(Text("ctrl", style=BELIEVED), width=_NUMBER, justify="right", no_wrap=True)
        table.add_column("", width=form.mark, no_wrap=True)
    if form.compared:
        table.add_column(Text("w/o", style=OTHER), width=_NUMBER, justify="right", no_wrap=True)


def _name(limit: Limit) -> str:
    return limit.element if limit.kind in (LimitKind.THERMAL, LimitKind.VOLTAGE) else limit.kind.value


def _cells(form: _Form, line: LimitLine) -> list[Text]:
    cells = [
        Text(_name(line.limit), style=PLAIN),
        loading_bar(line.true_frac, line.other_frac, form.bar),
        Text(percent(line.true_frac), style=f"bold {loading_colour(line.true_frac)}"),
    ]
    if form.controlled:
        colour = QUALITY_COLOURS.get(line.quality, BELIEVED)
        mark = Text("●" if line.binding else " ", style=VALUE)
        if form.mark > 1:
            mark.append(QUALITY_WORDS.get(line.quality, line.quality), style=colour)
        cells += [Text(percent(line.believed_frac), style=colour), mark]
    if form.compared:
        beyond = math.isfinite(line.other_frac) and line.other_frac > 1.0
        cells.append(Text(percent(line.other_frac), style=f"bold {OTHER}" if beyond else OTHER))
    return cells
