"""The day as a drawing: ``report.png``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from controller.domain.limit import Limit, LimitKind
from controller.domain.unit import UnitKind
from simulators.demo.course import Course
from simulators.demo.day import Day
from simulators.demo.journal import FAULT

BLUE, ORANGE, GREY, RED = "#1f77b4", "#ff7f0e", "#9a9a9a", "#c62828"
LINES = ("#1565c0", "#00897b", "#6a1b9a", "#ef6c00")
UNIT_COLOURS = ("#4fc3f7", "#fbc02d", "#ffe082", "#66bb6a", "#ba68c8", "#ffab91", "#90a4ae", "#a1887f")
_SHOWN_FROM_FRAC = 0.8
_LIMITS_MAX = 4


def draw(day: Day, path: Path) -> Path:
    """Loading, voltage, unit powers and what was held back over the time of day; the path."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 10), dpi=120, layout="constrained")
        loading, voltage, powers, held = figure.subplots(4, 1, sharex=True, height_ratios=(3, 2, 3, 2))
        _draw_loading(loading, day)
        _draw_voltage(voltage, day)
        _draw_powers(powers, day)
        _draw_held_back(held, day)
        _mark_faults((loading, voltage, powers, held), day)
        _name_hours(held, day)
        control = "" if day.setting.controlled else ", nobody in control"
        figure.suptitle(f"{day.setting.title}: what really happened (seed {day.setting.seed}{control})")
        figure.savefig(path)
    return path


def _hours(day: Day, course: Course) -> Any:
    return np.array([(day.setting.start_s + sample.t_s) / 3600.0 for sample in course.samples])


def _draw_loading(axes: Any, day: Day) -> None:
    limits = day.setting.site.limits
    for colour, place in zip(LINES, _most_used(day), strict=False):
        ghost = [100.0 * sample.frac[place] for sample in day.uncontrolled.samples]
        axes.plot(_hours(day, day.uncontrolled), ghost, color=GREY, linewidth=0.8)
        values = [100.0 * sample.frac[place] for sample in day.course.samples]
        axes.plot(_hours(day, day.course), values, color=colour, linewidth=1.2, label=limits[place].id)
    axes.axhline(100.0, color=RED, linewidth=1.0, linestyle="--")
    axes.set_ylabel("use of the limit, %")
    axes.set_ylim(bottom=0.0)
    if day.uncontrolled.samples:
        axes.plot([], [], color=GREY, label="without control")
    _legend_above(axes)


def _legend_above(axes: Any) -> None:
    """Names in one row above the panel, where no curve runs."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=8, frameon=False, borderaxespad=0.2)


def _most_used(day: Day) -> list[int]:
    """Currents and exchange worth a line, highest first: the transformers' always."""
    limits = day.setting.site.limits
    transformers = {item.id for item in day.setting.site.topology.transformers}
    peak = [max(_peak(day.course, k), _peak(day.uncontrolled, k)) for k in range(len(limits))]
    shown = [
        k
        for k, limit in enumerate(limits)
        if limit.kind is not LimitKind.VOLTAGE and (peak[k] >= _SHOWN_FROM_FRAC or limit.element in transformers)
    ]
    return sorted(shown, key=lambda k: (limits[k].element not in transformers, -peak[k]))[:_LIMITS_MAX]


def _peak(course: Course, place: int) -> float:
    return max((sample.frac[place] for sample in course.samples if math.isfinite(sample.frac[place])), default=0.0)


def _draw_voltage(axes: Any, day: Day) -> None:
    limits = day.setting.site.limits
    places = [k for k, limit in enumerate(limits) if limit.kind is LimitKind.VOLTAGE]
    if not places:
        axes.set_visible(False)
        return
    place = max(places, key=lambda k: max(_peak(day.course, k), _peak(day.uncontrolled, k)))
    limit, scale, unit = limits[place], *_volts(limits[place])
    if limit.low is not None:
        axes.axhspan(limit.low / scale, limit.high / scale, color="#e8f5e9")
        axes.axhline(limit.low / scale, color=RED, linewidth=1.0, linestyle="--")
    axes.axhline(limit.high / scale, color=RED, linewidth=1.0, linestyle="--")
    ghost = [sample.value[place] / scale for sample in day.uncontrolled.samples]
    axes.plot(_hours(day, day.uncontrolled), ghost, color=GREY, linewidth=0.8)
    values = [sample.value[place] / scale for sample in day.course.samples]
    axes.plot(_hours(day, day.course), values, color=LINES[0], linewidth=1.2, label=f"bus {limit.element}")
    axes.set_ylabel(f"voltage, {unit}")
    _legend_above(axes)


def _volts(limit: Limit) -> tuple[float, str]:
    return (1e3, "kV") if limit.high >= 1e3 else (1.0, "V")


def _watts(day: Day) -> tuple[float, str]:
    return (1e6, "MW") if max(unit.p_rated_w for unit in day.setting.site.units) >= 1e6 else (1e3, "kW")


def _draw_powers(axes: Any, day: Day) -> None:
    """Generation upwards, consumption downwards."""
    scale, unit = _watts(day)
    p_w = _by_unit([sample.p_w for sample in day.course.samples]) / scale
    names = [each.id for each in day.setting.site.units]
    hours = _hours(day, day.course)
    axes.stackplot(hours, np.maximum(-p_w, 0.0), colors=UNIT_COLOURS, labels=names)
    axes.stackplot(hours, np.minimum(-p_w, 0.0), colors=UNIT_COLOURS)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel(f"units, {unit}\n(up: generating)")
    _legend_above(axes)


def _draw_held_back(axes: Any, day: Day) -> None:
    """What units could have done more: curtailed generation, and charging put off."""
    scale, unit = _watts(day)
    units = day.setting.site.units
    p_w = _by_unit([sample.p_w for sample in day.course.samples])
    available_w = _by_unit([sample.available_w for sample in day.course.samples])
    held_w = np.maximum(np.nan_to_num(available_w) - np.abs(p_w), 0.0)
    held_w[[each.kind is UnitKind.BATTERY for each in units]] = 0.0
    axes.stackplot(_hours(day, day.course), held_w / scale, colors=UNIT_COLOURS)
    axes.set_ylabel(f"held back, {unit}")
    axes.set_ylim(bottom=0.0)


def _by_unit(rows: Sequence[Sequence[float]]) -> Any:
    """Samples by units, turned: one row per unit."""
    return np.array(rows, dtype=float).T


def _mark_faults(panels: Sequence[Any], day: Day) -> None:
    for entry in (entry for entry in day.journal.entries if entry.name.startswith(FAULT)):
        hour = (day.setting.start_s + entry.t_s) / 3600.0
        for axes in panels:
            axes.axvline(hour, color=ORANGE, linewidth=0.8, linestyle=":")
        if entry.name != f"{FAULT}ends":
            top = panels[0].get_xaxis_transform()
            panels[0].text(
                hour, 0.02, f" {entry.text}", transform=top, rotation=90, fontsize=7, va="bottom", ha="right"
            )


def _name_hours(axes: Any, day: Day) -> None:
    first = day.setting.start_s / 3600.0
    last = first + max(day.course.t_s, 1.0) / 3600.0
    step = max(1, round((last - first) / 12.0))
    ticks = np.arange(math.floor(first), math.ceil(last) + 1, step if last - first > 2 else 0.25)
    axes.set_xticks(ticks, [f"{int(tick) % 24:02d}:{round(60 * (tick % 1)):02d}" for tick in ticks])
    axes.set_xlim(first, last)
    axes.set_xlabel("time of day at the site")
