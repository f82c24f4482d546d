"""What the look-ahead of a storage is worth: the same days with and without `planning:`, on virtual time.

    python benchmarks/storage_days.py [--seed 1] [--days 3] [--export-kw 320]

Streets full of roofs with a community battery (secondary_rooftop) that may export less than a sunny noon gives. Every
day has clouds of its own; the battery's content goes on over midnight. What the station does is done here by its own
parts: records become a history on the disk, the history a forecast, the forecast prices, and these go to the control
core as leased instructions. The first day nothing is known of the site. Nine minutes of processor time.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from controller.balancing.lookout import Blind, Lookout
from controller.balancing.plan_link import RETRY_S, worth_of
from controller.clock import ManualClock
from controller.config.loader import parse_site
from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.history.collect import Collector
from controller.history.store import Store
from controller.planning.storage_ahead import planned_site
from controller.runtime.loop_sync import VirtualLoop
from controller.runtime.publish import jsonable
from controller.runtime.stretch import stretch
from simulators.adapters.in_process import InProcessField
from simulators.scenario import Scenario, load_scenario
from simulators.scoring import curtailed_total_wh
from simulators.world import World

NAME = "secondary_rooftop"
SITE = Path(__file__).resolve().parents[1] / "site_configs" / f"{NAME}.yaml"
FIRST_DAY = datetime(2026, 5, 25, tzinfo=UTC)  # a Monday; the site's clock is taken to be UTC
DAY_S, STEP_S = 86_400, 5
SPEED, CYCLE_MS = 100.0, 50.0  # a cycle every five seconds, and every time that counts cycles with it
CLOUDS = (0.1, 0.5, 0.25, 0.8)  # share of the sky by day, over and over


def site_with(export_kw: float) -> Site:
    """The site with an agreement about export, and the look-ahead."""
    text = SITE.read_text("utf-8").replace("\nlimits:\n", f"\nlimits:\n  export_kw: {export_kw:g}\n")
    return replace(parse_site(text + "\nplanning: {}\n", str(SITE)), timezone="UTC")


def weather(day: int) -> Scenario:
    """The scenario's day under that day's clouds, without its faults, from midnight on."""
    clouds = CLOUDS[day % len(CLOUDS)]
    return replace(load_scenario(NAME), cloud_frac={0.0: clouds}, faults=()).starting_at(0.0)


class Station:
    """The station's part: history, and every period a look ahead."""

    def __init__(self, site: Site, folder: Path) -> None:
        assert site.planning is not None
        self.planning = site.planning
        self.store = Store(folder, site.name)
        self.lookout = Lookout(planned_site(site), folder, site.timezone, site.planning.horizon_s)
        self.collector = Collector()
        self.due_utc_s = 0.0
        self.said = 0
        self.refused: list[str] = []

    def hear(self, record: CycleRecord, now: datetime) -> None:
        """Keep one record."""
        batch = self.collector.take(jsonable(record.to_dict()) | {"utc": now.isoformat()})
        if batch is not None:
            self.store.append(batch)

    def speak(self, loop: VirtualLoop[ControlState], now_utc_s: float) -> None:
        """Look ahead when it is time, and say what comes of it."""
        if now_utc_s < self.due_utc_s:
            return
        try:
            prices = self.lookout.prices(now_utc_s)
        except (Blind, sqlite3.Error):
            prices = ()
        self.due_utc_s = now_utc_s + (self.planning.plan_s if prices else RETRY_S)
        for price in prices:
            self.said += 1
            said = worth_of(price, self.planning, self.said, now_utc_s, self.planning.lasts_s)
            loop.desk.submit(said, lambda accepted, text: None if accepted else self.refused.append(text))


def played(site: Site, days: int, seed: int, planned: bool) -> tuple[list[float], list[str]]:
    """Curtailed MWh of every day, and which limits were exceeded for how long."""
    stretched = stretch(site, SPEED, CYCLE_MS)
    clock, state = ManualClock(started_utc=FIRST_DAY), initial_state(stretched)
    curtailed, over = [], []
    with tempfile.TemporaryDirectory() as folder:
        station = Station(site, Path(folder))
        with closing(station.store):
            for day in range(days):
                world = World(site, weather(day), 100 * seed + day)
                field = InProcessField(world, stretched.devices)
                loop = VirtualLoop(stretched, field, step, state, clock=clock)
                record = _day(loop, world, station if planned else None)
                state, site = loop.state, with_contents(site, record)
                curtailed.append(curtailed_total_wh(world.score, site.units) / 1e6)
                over += [f"day {day + 1}: {x['id']} {x['over_s']:.0f} s" for x in world.score.limits() if x["over_s"]]
        assert not station.refused, station.refused[:3]
    return curtailed, over


def _day(loop: VirtualLoop[ControlState], world: World, station: Station | None) -> CycleRecord:
    """One day to its end; its last record."""
    last: CycleRecord | None = None
    for _ in range(DAY_S // STEP_S):
        record = loop.tick()
        if record is not None:
            last = record
            if station is not None:
                station.hear(record, loop.clock.utc())
                station.speak(loop, loop.clock.utc().timestamp())
        world.step(STEP_S)
        loop.clock.advance(STEP_S)
    assert last is not None
    return last


def with_contents(site: Site, record: CycleRecord) -> Site:
    """The site whose storages begin with what they hold now."""
    held = {unit.id: unit.soc_frac for unit in record.units}
    units = tuple(
        unit if unit.storage is None else replace(unit, storage=replace(unit.storage, soc_initial_frac=held[unit.id]))
        for unit in site.units
    )
    return replace(site, units=units)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--export-kw", type=float, default=320.0)
    asked = parser.parse_args(arguments)
    site = site_with(asked.export_kw)
    sums = {}
    for planned in (False, True):
        curtailed, over = played(site, asked.days, asked.seed, planned)
        name = "with the look-ahead" if planned else "without"
        by_day = ", ".join(f"{mwh:.3f}" for mwh in curtailed)
        print(f"{name}: {sum(curtailed):.3f} MWh curtailed in {asked.days} days ({by_day})", flush=True)
        print(f"  limits exceeded: {'; '.join(over) or 'none'}", flush=True)
        sums[planned] = sum(curtailed)
    print(f"the look-ahead keeps {sums[False] - sums[True]:.3f} MWh, {1.0 - sums[True] / sums[False]:.0%} of it")


if __name__ == "__main__":
    main()
