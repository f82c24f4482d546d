"""A day of ``gridedge demo`` on real sockets, as the outside saw it: the plant's own count and what parties heard.

Nothing here comes from the controller or the station: ``plant.csv`` is written of the simulator's status lines,
``parties.jsonl`` by the process of aggregators, transmission operator and platform.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.domain.site import Site
from simulators.clock_time import parse_clock
from simulators.demo.outside import PARTIES, PLANT
from simulators.market.model import Market
from simulators.scenario import load_scenario

NAME = "a_day_in_the_life"
SPEED = 144.0
START_S = 600.0
"""Machine time that the start of six processes may take beside whatever else this machine does, and their end."""
LATE_S = 150.0
"""At 144 x a quarter of a second of looking, and a status line twice a second, are so much later, s of the site."""
DAY_S = 86_400.0

Line = Mapping[str, Any]


def play(folder: Path, start: str, hours: float, *more: str) -> Seen:
    """Play so many hours of the day from ``start`` (HH:MM) on; ``more`` are words for ``gridedge demo``."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "controller", "demo", "--headless", "--no-compare", "--start", start),
            *("--hours", f"{hours:g}", "--report", str(folder), "--data", str(folder / "data"), *more),
        ],
        capture_output=True,
        text=True,
        timeout=START_S + 4.0 * hours * 3600.0 / SPEED,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Seen(folder)


@dataclass(frozen=True)
class Seen:
    """What is left of a played day. Clock times are those of the site; the day may go past midnight."""

    folder: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        """The demo's own summary: what the simulator counted in all, and what was played."""
        return dict(json.loads((self.folder / "report.json").read_text("utf-8")))

    @cached_property
    def site(self) -> Site:
        return load_site(find_site(NAME))

    @property
    def market(self) -> Market:
        """The scenario's: who sells what, and when the platform is gone."""
        return load_scenario(NAME).market

    @cached_property
    def plant(self) -> dict[str, Any]:
        """Columns of the plant's record by name; what it does not know is NaN."""
        with (self.folder / PLANT).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [name for name in rows[0] if name != "utc"]
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
        began = datetime.fromisoformat(rows[0]["utc"]).timestamp() - columns["t_s"][0]
        return columns | {"began_utc_s": round(began)}

    @cached_property
    def parties(self) -> list[Line]:
        """What was heard and said, as it came."""
        return [json.loads(line) for line in (self.folder / PARTIES).read_text("utf-8").splitlines()]

    def t_s(self, clock: str) -> float:
        """Seconds from the beginning to the next such time of the clock."""
        return float((parse_clock(clock) - parse_clock(self.report["start"][:5])) % DAY_S)

    def utc_s(self, clock: str) -> float:
        return float(self.plant["began_utc_s"]) + self.t_s(clock)

    def over(self, column: str, begins: str, ends: str) -> Any:
        """Values of a column of the plant between two times of the clock."""
        t_s = self.plant["t_s"]
        found = self.plant[column][(t_s >= self.t_s(begins)) & (t_s <= self.t_s(ends))]
        assert len(found), f"nothing known of {column} from {begins} to {ends}"
        return found

    def quarter_means(self, column: str) -> list[float]:
        """Of every quarter hour of the clock, over the rows of the plant in it."""
        quarters = (self.plant["began_utc_s"] + self.plant["t_s"]) // 900.0
        return [float(np.mean(self.plant[column][quarters == quarter])) for quarter in np.unique(quarters)]

    def at_s(self, column: str, t_s: float) -> float:
        """A column of the plant at an instant, between its rows."""
        return float(np.interp(t_s, self.plant["t_s"], self.plant[column]))

    def grew(self, column: str, begins: str, ends: str) -> float:
        """How much a counter of the plant grew."""
        return self.at_s(column, self.t_s(ends)) - self.at_s(column, self.t_s(begins))

    def curtailed_wh(self, begins: str, ends: str) -> float:
        """What the generators could have given and did not, all of them."""
        return sum(self.grew(f"{unit}.curtailed_wh", begins, ends) for unit in self.generators())

    def generated_wh(self, begins: str, ends: str) -> float:
        return -sum(self.grew(f"{unit}.energy_wh", begins, ends) for unit in self.generators())

    def generators(self) -> list[str]:
        return [unit.id for unit in self.site.units if unit.kind.generates and unit.storage is None]

    def told(self, name: str) -> list[Line]:
        """Lines of one name."""
        return [line for line in self.parties if line["name"] == name]

    def messages(self, kind: str, party: str | None = None) -> list[Line]:
        """UFTP messages of a kind that a participant (or any) has heard or said."""
        return [m for m in self.told("uftp.message") if m["kind"] == kind and party in (None, m["party"])]

    def measured(self, unit: str) -> Iterator[Reading]:
        """What the site has reported of a unit to the platform (OpenADR), in the order of arrival."""
        for line in self.told("openadr.report"):
            for resource in line["resources"] if line["report"] == "measurements" else ():
                if resource["resource"] == unit:
                    begins_s = datetime.fromisoformat(resource["period"]["start"]).timestamp()
                    lasts_s = float(resource["period"]["duration"].strip("PTS"))
                    yield Reading(line["t_s"], begins_s - self.plant["began_utc_s"], lasts_s, resource["values"])


@dataclass(frozen=True, slots=True)
class Reading:
    """One period of one unit as the platform got it: when, of when, and values by payload type."""

    heard_s: float
    begins_s: float
    lasts_s: float
    values: Mapping[str, list[Any]]

    @property
    def ends_s(self) -> float:
        return self.begins_s + self.lasts_s
