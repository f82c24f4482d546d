"""Draw what ``docs/control-law.md`` shows: how wrong the model may be, a step of overload, and a day.

    python benchmarks/law_page.py margin several                 the real core in closed loop; four minutes
    python benchmarks/law_page.py step day --out docs/images     in the judge's plant; minutes for the day

The step and the day need the public judge and its courses beside the checkout (``--judge``); without them they are not
drawn, and that is said.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from law.figures import draw_course, draw_margin
from law.margin import Case, margin
from law.several import judged, rest
from law.trajectories import Core, Nobody, Replay, Trajectory, drive

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ("margin", "several", "step", "day")
LAGS_S, DEAD_S, CYCLES_S = (0.3, 1.0, 3.0, 5.0), (0.5, 1.5, 3.0), (1.0, 4.0)
MISJUDGED = (0.7, 1.6)  # true over believed lag and dead time
COURSES = {"step": ("twin-step", 0.1, 1.0, "s"), "day": ("twin-feeder-day", 60.0, 3600.0, "h")}


def margin_map(path: Path) -> None:
    """Search every field of the map, draw it, and print it; below it, lags that the site file misjudges."""
    cases = [Case(tau_s, dead_s, cycle_s) for cycle_s in CYCLES_S for tau_s in LAGS_S for dead_s in DEAD_S]
    found = {}
    for case in cases:
        found[case] = margin(case)
        print(f"cycle {case.cycle_s:g} s, lag {case.tau_s:g} s, dead time {case.latency_s:g} s: {found[case]:.2f}")
    for factor in MISJUDGED:
        for tau_s in (1.0, 3.0):
            ratio = margin(Case(tau_s, 0.5, 1.0, factor))
            print(f"cycle 1 s, lag {tau_s:g} s believed {factor:g} times too short: {ratio:.2f}")
    draw_margin(found, path)


def several_farms() -> None:
    """Two farms, three lines, each wrong by a factor of its own: how many combinations rest; those that do not."""
    tried = list(judged())
    for case, ratios, q_max_var, swing, told in tried:
        lost = sorted(told & {"unit.lost", "unit.deaf"})
        if not rest(swing) or lost:
            print(f"{case}, impedances {ratios} times as large, ±{q_max_var:.0f} var: swings {swing:.1%}, {lost}")
    print(f"{sum(rest(swing) for *_, swing, _ in tried)} of {len(tried)} combinations rest")


def course(name: str, judge: Path, path: Path) -> None:
    """One course with the core, the optimum's set points and nobody; a line of the judge's report each."""
    folder_name, every_s, per_axis_s, unit = COURSES[name]
    folder = judge.parent / "control-scenarios" / folder_name
    runs: dict[str, Trajectory] = {}
    for who, controller in (("core", Core()), ("optimum", Replay(folder)), ("nobody", Nobody())):
        runs[who] = drive(judge, folder, controller, 1, every_s)
        report = runs[who].report
        print(
            f"{folder_name}, {who}: J {report['J_eur']:.2f} EUR, curtailed {report['curtailed_mwh']:.4f} MWh, "
            f"{report['thermal_viol_s']['1.01']:.0f} s above 101 %"
        )
    draw_course(runs, folder_name, per_axis_s, unit, path)


def main() -> int:
    """Parse, run, draw."""
    parser = argparse.ArgumentParser(description="Draw the figures of the page about the control law.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"{', '.join(FIGURES)}; default: all")
    parser.add_argument("--judge", type=Path, default=ROOT.parent / "shared" / "control-judge")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "law")
    args = parser.parse_args()
    unknown = [name for name in args.figures if name not in FIGURES]
    if unknown:
        parser.error(f"unknown figure {', '.join(unknown)}; expected {', '.join(FIGURES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.figures or FIGURES:
        path = args.out / f"law-{name}.png"
        if name == "margin":
            margin_map(path)
        elif name == "several":
            several_farms()
            continue
        elif (args.judge / "plant.py").exists():
            course(name, args.judge, path)
        else:
            print(f"{name} not drawn: no judge (plant.py) in {args.judge}; give its place with --judge")
            continue
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
