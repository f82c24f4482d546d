"""The three drawings of the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .margin import RUNGS, Case
from .trajectories import Trajectory

BLUE, GREEN, GREY, RED = "#1565c0", "#00897b", "#9a9a9a", "#c62828"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
WHO = {
    "core": ("gridedge", BLUE),
    "optimum": ("the optimum, replayed", GREEN),
    "nobody": ("nobody", GREY),
}


def draw_margin(found: Mapping[Case, float], path: Path) -> None:
    """One map per cycle time: lag against dead time, the largest stable ratio in every field."""
    cycles = sorted({case.cycle_s for case in found})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(cycles), 3.4), dpi=100, layout="constrained")
        for axes, cycle_s in zip(figure.subplots(1, len(cycles), squeeze=False)[0], cycles, strict=True):
            _map(axes, {case: ratio for case, ratio in found.items() if case.cycle_s == cycle_s})
            axes.set_title(f"cycle {cycle_s:g} s")
        figure.suptitle("largest true / believed gain at which the loop comes to rest")
        figure.savefig(path)


def _map(axes: Any, found: Mapping[Case, float]) -> None:
    lags, dead = sorted({c.tau_s for c in found}), sorted({c.latency_s for c in found})
    by_place = {(c.tau_s, c.latency_s): ratio for c, ratio in found.items()}
    grid = [[by_place[lag, late] for late in dead] for lag in lags]
    axes.imshow(grid, origin="lower", cmap="YlGn", vmin=1.0, vmax=8.0, aspect="auto")
    for y, row in enumerate(grid):
        for x, ratio in enumerate(row):
            ink = "white" if ratio > 6.0 else "black"
            axes.text(x, y, f"{'≥ ' if ratio >= RUNGS[-1] else ''}{ratio:.1f}", ha="center", va="center", color=ink)
    axes.set_xticks(range(len(dead)), [f"{x:g}" for x in dead])
    axes.set_yticks(range(len(lags)), [f"{x:g}" for x in lags])
    axes.set_xlabel("dead time of the unit, s")
    axes.set_ylabel("lag of the unit, s")


def draw_course(runs: Mapping[str, Trajectory], title: str, per_axis_s: float, unit: str, path: Path) -> None:
    """Use of the most used branch, and power kept back, over time (``per_axis_s`` seconds per ``unit``)."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
        loading, kept = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for who, run in reversed(runs.items()):
            name, colour = WHO[who]
            at = run.t_s / per_axis_s
            loading.plot(at, 100.0 * run.loading, color=colour, linewidth=1.0, label=name)
            if who != "nobody":
                kept.plot(at, run.curtailed_w / 1e6, color=colour, linewidth=1.0)
        loading.axhline(100.0, color=RED, linewidth=1.0, linestyle="--")
        loading.set_ylabel("most used branch, % of its rating")
        loading.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
        kept.set_ylabel("kept back, MW")
        kept.set_xlabel(f"time, {unit}")
        kept.set_ylim(bottom=0.0)
        figure.suptitle(title)
        figure.savefig(path)
