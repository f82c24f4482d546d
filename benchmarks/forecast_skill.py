"""How good the forecast is on real profiles: a year of SimBench, against persistence and the day before.

    python -m venv out/simbench && out/simbench/bin/pip install simbench==1.6.3
    python benchmarks/forecast_skill.py out/simbench/lib/python3.11/site-packages/simbench/networks/1-*-0-sw

Reads LoadProfile.csv and RESProfile.csv (quarter hours of 2016; SimBench, licensed ODbL 1.0, which is why no number of
them is kept here). Every profile is learned from its own past only, from 1 January on; scored are forecasts issued
every ``ISSUE_QUARTERS`` from the fifteenth day on. The references know the same past: *persistence* says that the
present stays, *day before* repeats the same quarter hour of the last day that is complete. MAE is in % of the profile's
peak; skill is 1 − MAE over the reference's; pinball is the mean over the levels, over that of persistence taken as all
quantiles; coverage is the share of outcomes inside the 50 % and the 90 % interval, of the sun by daylight only.

Sun and wind come twice: by their history alone, and with a forecast of the weather whose worth is learned as the
station learns it. SimBench has no weather: that forecast is synthetic (``weather_of_profiles``, seeded).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from weather_of_profiles import OTHERS, SyntheticForecasts

from controller.domain.weather import SUN, WIND
from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import forecast
from controller.planning.history import History, Prior, new_history, see
from controller.planning.weather_forecast import forecast_in_weather
from controller.planning.weather_past import KNOTS, beside, new_weather_past

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
DARK = 0.01  # of the peak


def read(folder: Path) -> dict[str, Array]:
    """All chosen profiles (quarter, profile) by group, each over its own peak; of ``others`` the mean of a group."""
    tables = {}
    others = [("RESProfile.csv", columns) for columns in OTHERS.values()]
    for name in ("LoadProfile.csv", "RESProfile.csv"):
        with (folder / name).open(newline="") as file:
            rows = csv.reader(file, delimiter=";")
            head = next(rows)
            wanted = [head.index(c) for table, columns in (*CHOSEN.values(), *others) for c in columns if table == name]
            values = np.array([[float(row[k]) for k in wanted] for row in rows])
        tables |= {head[k]: values[:, i] / values[:, i].max() for i, k in enumerate(wanted)}
    found = {group: np.stack([tables[c] for c in columns], axis=1) for group, (_, columns) in CHOSEN.items()}
    return found | {
        f"others: {group}": np.mean([tables[c] for c in columns], axis=0) for group, columns in OTHERS.items()
    }


def prior(n: int, windy: bool) -> Prior:
    """Nothing is known but that a profile lies between nothing and its peak."""
    flat = np.ones((SLOTS, n))
    memory = np.full(n, WIND_QUARTERS if windy else OTHER_QUARTERS)
    lasting = np.zeros(n) if windy else np.ones(n)
    return Prior(0.35 * flat, 0.25 * flat, np.zeros(n), np.ones(n), memory, lasting, np.full(n, not windy))


class Learner:
    """What the station would know at every quarter hour, with forecasts of the weather or without."""

    def __init__(self, n: int, windy: bool, forecasts: SyntheticForecasts | None) -> None:
        self._history: History = new_history(Calendar(0.0, FRIDAY), prior(n, windy))
        self._past = new_weather_past(np.full(n, WIND if windy else SUN), np.ones(n))
        self._forecasts = forecasts
        self._told = np.empty((0, 3))

    def see(self, quarter: int, value: Array) -> None:
        """The next quarter hour begins, and this is what it brings."""
        if self._forecasts is not None:
            if quarter > 0:
                self._past = beside(self._past, self._history, quarter - 1, self._told[KNOTS])
            self._told = self._forecasts.at(quarter, max(AHEAD_QUARTERS) + 1)
        self._history = see(self._history, quarter * QUARTER_S + 1.0, value)

    def quantiles(self) -> Array:
        """(horizon, level, profile)."""
        quarters = max(AHEAD_QUARTERS) + 1
        if self._forecasts is None:
            found = forecast(self._history, quarters, LEVELS)
        else:
            found = forecast_in_weather(self._history, self._past, self._told, quarters, LEVELS)
        return found.value[:, np.array(AHEAD_QUARTERS)].transpose(1, 0, 2)


def run(x: Array, windy: bool, forecasts: SyntheticForecasts | None = None) -> dict[str, Array]:
    """Errors of everything, each (issue, horizon, …, profile)."""
    learner = Learner(x.shape[1], windy, forecasts)
    ahead, last = np.array(AHEAD_QUARTERS), len(x) - max(AHEAD_QUARTERS)
    out: dict[str, list[Array]] = {"quantile": [], "actual": [], "persistence": [], "day before": []}
    days = SLOTS * np.ceil(ahead / SLOTS).astype(int)
    for k in range(last):
        learner.see(k, x[k])
        if k >= WARM_UP_QUARTERS and k % ISSUE_QUARTERS == 0:
            out["quantile"].append(learner.quantiles())
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
        lit = (actual > DARK) | (r["day before"][:, h] > DARK) | (not group.startswith("sun"))
        inside = [((actual >= q[:, a]) & (actual <= q[:, b]))[lit].mean() for a, b in ((1, 3), (0, 4))]
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
    profiles = read(args.folder)
    for group in CHOSEN:
        x = profiles[group][: args.days * SLOTS]
        print("\n".join(report(group, run(x, group == "wind"))), flush=True)
        if group in OTHERS:
            forecasts = SyntheticForecasts(group, profiles[f"others: {group}"])
            print("\n".join(report(f"{group}+told", run(x, group == "wind", forecasts))), flush=True)


if __name__ == "__main__":
    main()
