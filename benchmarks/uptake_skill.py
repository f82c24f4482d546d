"""How well a depot's vehicles are foreseen: learned from some weeks, held against the weeks that follow.

    python benchmarks/uptake_skill.py

The depot is the simulator's (vehicles come in the evening, stay until they leave for work or school, fewer at the
weekend; other vehicles every day, by seed), which shares no code with what learns it. Scored are outlooks issued every
``ISSUE_QUARTERS`` of the weeks that were not learned when they were issued. The references know the same past:
*persistence* says that the present stays, *day before* repeats the same quarter hour of the last day that is complete.
MAE is in % of the rating, of vehicles in % of their largest number; *sure* is the share of quarter hours in which the
vehicles could really take what was counted on (:data:`controller.planning.uptake.SURE_LEVEL` aims at 80 %).

The second table is the night of the market: the depot waits until 22:00 and is then asked for all that it can take.
What it took until six beside what was counted on at 20:00, with vehicles and energy reported and without.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.planning.calendar import QUARTER_S, SLOTS, Calendar
from controller.planning.forecast import forecast
from controller.planning.history import Prior, new_history, see
from controller.planning.uptake import Hubs, Plugged, Uptake, learn_hubs, new_hubs, uptakes
from simulators.units.ev_hub import EvHub, EvSettings

Array = NDArray[np.float64]

RATED_W = 1.2e6
MONDAY = 0
NOON_S = 12 * 3600.0
AHEAD_QUARTERS = (1, 2, 4, 8, 16, 32, 64)
ISSUE_QUARTERS = 7
STEP_S = 60.0
EVENING = {0.0: 0.0, 9.0: 2.0, 15.0: 2.0, 18.0: 6.0, 19.5: 35.0, 21.0: 35.0, 22.0: 15.0, 23.0: 0.0}
WEEKEND_FRAC = 0.35
ASKED_AT, ASKED_UNTIL = 40, 72  # quarter hours after noon: 22:00 and 06:00


@dataclass(frozen=True)
class Course:
    """What a hub's quarter hours were: power taken, vehicles, energy wanted at their end."""

    power_w: Array
    count: Array
    wanted_wh: Array


def night(day: int, seed: int, cap_w: Array | None = None) -> Course:
    """From the noon of one day to the next; ``cap_w`` per quarter hour."""
    weekend = (MONDAY + day) % 7 >= 4  # the evenings of Friday to Sunday
    scale, leaves = (WEEKEND_FRAC, (8.0, 11.5)) if weekend else (1.0, (7.0, 9.5))
    arrivals = {hour: scale * rate for hour, rate in EVENING.items()}
    settings = EvSettings(arrivals, car_w_max=35e3, car_w_min=4e3, energy_wh=45e3, leaves_h=leaves)
    hub = EvHub(settings, RATED_W, np.random.default_rng((seed, day)), NOON_S)
    rows = []
    for k in range(SLOTS):
        taken = []
        for _ in range(round(QUARTER_S / STEP_S)):
            w = min(hub.arrive(STEP_S), np.inf if cap_w is None else float(cap_w[k]))
            hub.charge(w, STEP_S)
            taken.append(w)
        rows.append((float(np.mean(taken)), float(hub.cars), hub.wanted_wh))
    power, count, wanted = np.array(rows).T
    return Course(power, count, wanted)


def look(course: Course, k: int, told: bool, held: bool = False) -> Plugged:
    """What the station sees of quarter hour ``k``."""
    unknown = np.array([np.nan])
    count, wanted = (course.count[[k]], course.wanted_wh[[k]]) if told else (unknown, unknown)
    return Plugged(course.power_w[[k]], count, wanted, np.array([held]))


class Station:
    """Learns quarter hour by quarter hour, as the station's look-back does."""

    def __init__(self, told: bool) -> None:
        flat = np.ones((SLOTS, 1))
        one = np.ones(1)
        prior = Prior(0.5 * RATED_W * flat, 0.25 * RATED_W * flat, 0.0 * one, RATED_W * one, 6.0 * one, one, one > 0.0)
        self.calendar = Calendar(-NOON_S, MONDAY)  # quarter 0 of the course is noon of a Monday
        self.history, self.told = new_history(self.calendar, prior), told
        self.hubs: Hubs = new_hubs(self.calendar, np.array([RATED_W]))

    def learn(self, course: Course, k: int, at_s: float, held: bool = False) -> None:
        """One more complete quarter hour."""
        self.history = see(self.history, at_s, np.where(held, np.nan, course.power_w[[k]]))
        self.hubs = learn_hubs(self.hubs, self.calendar.quarter(at_s), look(course, k, self.told, held))

    def ahead(self, now: Plugged, at_s: float, quarters: int) -> tuple[Array, Uptake]:
        """Quantiles (level, quarter) of what is taken unasked, and what can be counted on."""
        power = np.where(now.held, np.nan, now.power_w)
        seen = forecast(see(self.history, at_s, power), quarters)
        (found,) = uptakes(self.hubs, now, at_s, seen, [0])
        return seen.value[:, :, 0], found


def skill(days: int, learned: int, seed: int) -> list[str]:
    """One line per horizon."""
    station, courses = Station(told=True), [night(day, seed) for day in range(days)]
    power = np.concatenate([course.power_w for course in courses])
    whole = Course(power, *(np.concatenate([getattr(c, name) for c in courses]) for name in ("count", "wanted_wh")))
    ahead = np.array(AHEAD_QUARTERS)
    rows: dict[str, list[Array]] = {name: [] for name in ("ours", "low", "actual", "persistence", "day before")}
    for k in range(len(power) - max(AHEAD_QUARTERS) - 1):
        at_s = k * QUARTER_S + 1.0
        if k >= learned * SLOTS and k % ISSUE_QUARTERS == 0:
            values, found = station.ahead(look(whole, k, told=True), at_s, max(AHEAD_QUARTERS) + 1)
            rows["ours"].append(values[2, ahead])
            rows["low"].append(found.unasked_w[ahead])
            rows["actual"].append(power[k + ahead])
            rows["persistence"].append(np.full(len(ahead), power[k]))
            rows["day before"].append(power[k + ahead - SLOTS])
        station.learn(whole, k, at_s)
    found_rows = {name: np.array(values) for name, values in rows.items()}
    actual = found_rows["actual"]
    lines = []
    for h, quarters in enumerate(AHEAD_QUARTERS):
        mae = [
            np.abs(found_rows[n][:, h] - actual[:, h]).mean() / RATED_W for n in ("ours", "persistence", "day before")
        ]
        sure = (actual[:, h] >= 0.95 * found_rows["low"][:, h] - 0.01 * RATED_W).mean()
        lines.append(f"{quarters / 4:5.2f} " + " ".join(f"{100 * x:12.2f}" for x in mae) + f" {100 * sure:8.0f}")
    return lines


def nights(days: int, learned: int, seed: int, told: bool) -> Array:
    """Energy taken over energy counted on, per night that was not learned when it was looked at."""
    station, out = Station(told), []
    cap_w = np.full(SLOTS, np.inf)
    cap_w[:ASKED_AT] = 0.1 * RATED_W
    held = np.isfinite(cap_w)
    for day in range(days):
        course = night(day, seed, cap_w)
        at = [(day * SLOTS + k) * QUARTER_S + 1.0 for k in range(SLOTS)]
        for k in range(SLOTS):
            if k == 32 and day >= learned:
                _, found = station.ahead(look(course, k, told, held=True), at[k], SLOTS)
                allowed = np.where(np.arange(SLOTS) < ASKED_AT - k, cap_w[0], RATED_W)
                counted = found.taken_w(allowed)[ASKED_AT - k : ASKED_UNTIL - k].sum()
                out.append([course.power_w[ASKED_AT:ASKED_UNTIL].sum(), counted])
            station.learn(course, k, at[k], held=bool(held[k]))
    return np.array(out)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="How well a depot's vehicles are foreseen.")
    parser.add_argument("--days", type=int, default=56)
    parser.add_argument("--learned", type=int, default=28, help="days before the first outlook that is scored")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(f"{'h':>5} {'MAE %':>12} {'persistence':>12} {'day before':>12} {'sure %':>8}")
    print("\n".join(skill(args.days, args.learned, args.seed)))
    for told in (True, False):
        found = nights(args.days, args.learned, args.seed, told)
        kept = (found[:, 0] >= 0.95 * found[:, 1]).mean()
        words = "vehicles and energy reported" if told else "only power measured"
        print(
            f"asked for all from 22:00, {words}: {found[:, 1].mean() * QUARTER_S / 3.6e9:.2f} MWh counted on at 20:00, "
            f"{found[:, 0].mean() * QUARTER_S / 3.6e9:.2f} MWh taken, kept in {100 * kept:.0f} % of the nights"
        )


if __name__ == "__main__":
    main()
