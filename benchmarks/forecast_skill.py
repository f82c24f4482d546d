"""How good the forecast is on real profiles: a year of SimBench, against persistence and the day before.

    python -m venv out/simbench && out/simbench/bin/pip install simbench==1.6.3
    python benchmarks/forecast_skill.py out/simbench/lib/python3.11/site-packages/simbench/networks/1-*-0-sw

Reads LoadProfile.csv and RESProfile.csv (quarter hours of 2016; SimBench, licensed ODbL 1.0, which is why no number of
them is kept here). Every profile is learned from its own past only, from 1 January on; scored are forecasts issued
every ``ISSUE_QUARTERS`` from the fifteenth day on. The references know the same past: *persistence* says that the
present stays, *day before* repeats the same quarter hour of the last day that is complete. MAE is in % of the profile's
peak; skill is 1 − MAE over the reference's; pinball is the mean over the levels, over that of persistence taken as all
quantiles; coverage is the share of outcomes inside the 50 % and the 90 % interval.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import forecast
from controller.planning.history import Prior, new_history, see

Array = NDArray[np.float64]

FRIDAY = 4  # 1 January 2016
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
AHEAD_QUARTERS = (1, 4, 16, 48, 96, 192)
ISSUE_QUARTERS = 23  # prime to the day, so that every hour of it takes its turn
WARM_UP_QUARTERS = 14 * SLOTS
CHOSEN = {
    "households": ("LoadProfile.csv", ("H0-A_pload", "H0-B_pload", "H0-C_pload", "H0-G_pload")),
    "trade": ("LoadProfile.csv", ("G0-A_pload", "G1-A_pload", "G3-A_pload", "G4-A_pload")),
    "farms": ("LoadProfile.csv", ("L0-A_pload", "L1-A_pload", "L2-A_pload")),
    "sun": ("RESProfile.csv", ("PV1", "PV3", "PV5", "PV8")),
    "wind": ("RESProfile.csv", ("WP2", "WP4", "WP7", "WP10")),
}
WIND_QUARTERS, OTHER_QUARTERS = 40.0, 6.0


def read(folder: Path) -> dict[str, Array]:
    """All chosen profiles (quarter, profile) by group, each over its own peak."""
    tables = {}
    for name in ("LoadProfile.csv", "RESProfile.csv"):
        with (folder / name).open(newline="") as file:
            rows = csv.reader(file, delimiter=";")
            head = next(rows)
            wanted = [head.index(c) for table, columns in CHOSEN.values() for c in columns if table == name]
            values = np.array([[float(row[k]) for k in wanted] for row in rows])
        tables |= {head[k]: values[:, i] / values[:, i].max() for i, k in enumerate(wanted)}
    return {group: np.stack([tables[c] for c in columns], axis=1) for group, (_, columns) in CHOSEN.items()}


def prior(n: int, windy: bool) -> Prior:
    """Nothing is known but that a profile lies between nothing and its peak."""
    flat = np.ones((SLOTS, n))
    memory = np.full(n, WIND_QUARTERS if windy else OTHER_QUARTERS)
    lasting = np.zeros(n) if windy else np.ones(n)
    return Prior(0.35 * flat, 0.25 * flat, np.zeros(n), np.ones(n), memory, lasting, np.full(n, not windy))


def run(x: Array, windy: bool) -> dict[str, Array]:
    """Errors of everything, each (issue, horizon, …, profile)."""
    history = new_history(Calendar(0.0, FRIDAY), prior(x.shape[1], windy))
    ahead, last = np.array(AHEAD_QUARTERS), len(x) - max(AHEAD_QUARTERS)
    out: dict[str, list[Array]] = {"quantile": [], "actual": [], "persistence": [], "day before": []}
    days = SLOTS * np.ceil(ahead / SLOTS).astype(int)
    for k in range(last):
        history = see(history, k * QUARTER_S + 1.0, x[k])
        if k >= WARM_UP_QUARTERS and k % ISSUE_QUARTERS == 0:
            out["quantile"].append(
                forecast(history, max(AHEAD_QUARTERS) + 1, LEVELS).value[:, ahead].transpose(1, 0, 2)
            )
            out["actual"].append(x[k + ahead])
            out["persistence"].append(np.repeat(x[[k]], len(ahead), axis=0))
            out["day before"].append(x[k + ahead - days])
    return {name: np.array(values) for name, values in out.items()}


def pinball(actual: Array, quantile: Array) -> Array:
    """Mean pinball loss over the levels; ``quantile`` has them on its third axis from the end."""
    level = np.array(LEVELS)[:, None]
    error = actual[..., None, :] - quantile
    return np.maximum(level * error, (level - 1.0) * error).mean(axis=-2)


def report(group: str, r: dict[str, Array]) -> list[str]:
    """One line per horizon."""
    lines = []
    for h, quarters in enumerate(AHEAD_QUARTERS):
        actual, q = r["actual"][:, h], r["quantile"][:, h]
        mae = {name: np.abs(actual - r[name][:, h]).mean() for name in ("persistence", "day before")}
        ours = np.abs(actual - q[:, 2]).mean()
        skill = {name: 1.0 - ours / reference for name, reference in mae.items()}
        flat = np.repeat(r["persistence"][:, h][:, None], len(LEVELS), axis=1)
        sharp = pinball(actual, q).mean() / pinball(actual, flat).mean()
        inside = [((actual >= q[:, a]) & (actual <= q[:, b])).mean() for a, b in ((1, 3), (0, 4))]
        lines.append(
            f"{group:11} {quarters / 4:5.2f} {100 * ours:6.2f} {100 * mae['persistence']:12.2f} "
            f"{100 * mae['day before']:11.2f} {skill['persistence']:+9.2f} {skill['day before']:+9.2f} "
            f"{sharp:8.2f} {100 * inside[0]:6.0f} {100 * inside[1]:6.0f}"
        )
    return lines


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="Forecast skill on SimBench profiles.")
    parser.add_argument("folder", type=Path, help="directory of LoadProfile.csv and RESProfile.csv")
    parser.add_argument("--days", type=int, default=366, help="only the first so many days")
    args = parser.parse_args()
    print(
        f"{'profiles':11} {'h':>5} {'MAE %':>6} {'persistence':>12} {'day before':>11} {'vs pers.':>9} {'vs day':>9} "
        f"{'pinball':>8} {'in 50%':>6} {'in 90%':>6}"
    )
    for group, x in read(args.folder).items():
        print("\n".join(report(group, run(x[: args.days * SLOTS], group == "wind"))), flush=True)


if __name__ == "__main__":
    main()
