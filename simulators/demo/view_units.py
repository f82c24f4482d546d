"""The units on the screen: what each does, could do and may do, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from controller.domain.limit import Limit, LimitKind
from controller.domain.unit import Unit, UnitKind
from simulators.demo.day import Day
from simulators.demo.journal import KIND_NOUNS
from simulators.demo.style import BELIEVED, GOOD, LABEL, NEAR, OVER, PLAIN, UNIT_COLOURS, VALUE, level_bar
from simulators.demo.words import CAUSE_WORDS, allowed, doing, percent, power

STATUS_COLOURS = {"free": GOOD, "held": NEAR, "deaf": OVER, "lost": OVER, "safe": NEAR}
_TITLES_FROM, _BARS_FROM = 104, 92  # columns
_BAR = 10


def units_table(day: Day, width: int) -> Table:
    """One row per unit, in the order of the site."""
    wide, roomy = width >= _TITLES_FROM, width >= _BARS_FROM
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.show_header = True
    table.add_column(Text("unit", style=LABEL), no_wrap=True, overflow="ellipsis", max_width=25 if wide else 7)
    table.add_column(Text("now", style=LABEL), no_wrap=True)
    if roomy:
        table.add_column(Text("of rated", style=LABEL), no_wrap=True, width=_BAR)
    table.add_column(Text("could", style=LABEL), no_wrap=True, justify="right")
    if day.setting.controlled:
        table.add_column(Text("may", style=BELIEVED), no_wrap=True)
        table.add_column(Text("status", style=BELIEVED), no_wrap=True)
        table.add_column(Text("because of", style=BELIEVED), no_wrap=True, overflow="ellipsis", ratio=1)
    else:
        table.add_column("", ratio=1)
    states = {state["id"]: state for state in day.record.get("units", ())}
    for place, unit in enumerate(day.setting.site.units):
        table.add_row(*_cells(day, place, unit, states.get(unit.id, {}), wide, roomy))
    return table


def _cells(day: Day, place: int, unit: Unit, state: Mapping[str, Any], wide: bool, roomy: bool) -> list[Text]:
    newest = day.course.newest
    p_w = newest.p_w[place] if newest else math.nan
    available_w = newest.available_w[place] if newest else math.nan
    colour = UNIT_COLOURS[unit.kind.value]
    name = Text(unit.id, style=colour)
    title = day.setting.unit_titles.get(unit.id, "")
    if wide and title and title != unit.id:
        name.append(f" {title}", style=LABEL)
    verb, amount = doing(unit.kind, p_w)
    now = Text(f"{verb} ", style=PLAIN).append(amount, style=VALUE)
    cells = [name, now, *([level_bar(abs(p_w) / unit.p_rated_w, _BAR, colour)] if roomy else [])]
    soc_frac = newest.soc_frac[place] if newest else math.nan
    could = f"{percent(soc_frac)} full" if unit.kind is UnitKind.BATTERY else power(available_w)
    cells.append(Text(could, style=PLAIN))
    return cells + _decided(day, unit, state) if day.setting.controlled else [*cells, Text("")]


def _decided(day: Day, unit: Unit, state: Mapping[str, Any]) -> list[Text]:
    """Set point, status and causes, as the controller's record has them."""
    if not state:
        return [Text("–", style=LABEL)] * 3
    p_set_w = math.nan if state["p_set_w"] is None else float(state["p_set_w"])
    status = str(state["status"])
    causes = list(dict.fromkeys(day.orders.of(cause) for cause in state["causes"]))
    reasons = because(causes, {limit.id: limit for limit in day.setting.site.limits}, status == "free")
    free = status == "free" and unit.kind is not UnitKind.BATTERY and abs(p_set_w) >= 0.999 * unit.p_rated_w
    return [
        Text("all it can" if free else allowed(unit.kind, p_set_w), style=BELIEVED),
        Text(status, style=STATUS_COLOURS.get(status, PLAIN)),
        Text(reasons, style=PLAIN),
    ]


def because(causes: Sequence[str], limits: Mapping[str, Limit], reactive: bool = False) -> str:
    """``T1 current, N3 voltage``; of a unit that only gives reactive power: ``vars for T1, N3``.

    What is not a limit is said in words.
    """
    words = [_cause(cause, limits.get(cause), brief=reactive) for cause in causes]
    return ("vars for " if reactive and words else "") + ", ".join(words)


def _cause(cause: str, limit: Limit | None, brief: bool) -> str:
    if limit is None:
        return CAUSE_WORDS.get(cause, cause.removeprefix("mode.").replace("_", "-"))
    noun = KIND_NOUNS[limit.kind]
    if limit.kind not in (LimitKind.THERMAL, LimitKind.VOLTAGE):
        return noun
    return limit.element if brief else f"{limit.element} {noun}"
