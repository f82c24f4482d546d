"""What a demo run is about: the site, the day and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.config.find import find_site
from controller.config.loader import load
from controller.domain.site import Site
from controller.runtime.stretch import stretch_factor
from simulators.clock_time import parse_clock
from simulators.scenario import Scenario, load_scenario

SIMULATED_YEAR = 2026
"""The year of every simulated day, so that a seed gives the same labels whenever it is run."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that is fixed before the day begins. Times in site seconds; ``start_s`` after midnight.

    ``stretch``: factor on the controller's times so that this machine keeps up (1 = as configured). ``record`` is where
    the controller records its cycles, if at all, ``data`` the folder of the station's history. ``trades`` is False for
    a day on which no platform buys anything. ``uftp``: the station process buys it from participants in processes of
    their own, by UFTP, and hears the platform by OpenADR; otherwise the demo holds auctions itself.
    """

    path: Path
    title: str
    unit_titles: Mapping[str, str]
    site: Site
    scenario: Scenario
    speed: float
    seed: int
    duration_s: float
    cycle_ms: float
    controlled: bool
    compared: bool
    port_offset: int = 0
    record: Path | None = None
    trades: bool = True
    data: Path | None = None
    uftp: bool = False

    @property
    def start_s(self) -> float:
        """Clock time of site second zero, s after midnight."""
        return self.scenario.start_s

    @property
    def has_market(self) -> bool:
        """Whether something here can be bought."""
        return self.controlled and bool(self.scenario.market.offers)

    @property
    def began_utc(self) -> datetime:
        """Time of day at site second zero, UTC: the scenario's day of this year at the site."""
        day = datetime(SIMULATED_YEAR, 1, 1, tzinfo=ZoneInfo(self.site.timezone)) + timedelta(
            days=self.scenario.day_of_year - 1, seconds=self.start_s
        )
        return day.astimezone(UTC)

    @property
    def stretch(self) -> float:
        """How much longer than configured a control cycle is."""
        return stretch_factor(self.site, self.speed, self.cycle_ms)


def setting_of(
    name: str,
    *,
    speed: float,
    seed: int,
    hours: float,
    start: str | None,
    cycle_ms: float,
    controlled: bool,
    compared: bool,
    trades: bool = True,
    data: Path | None = None,
    uftp: bool | None = False,
) -> Setting:
    """Read the site file and its scenario.

    Raises OSError, SiteError, ScenarioError or ValueError, each saying what is wrong; with ``uftp`` also where there is
    nothing to trade, or nothing to trade with. ``uftp`` None: where there is something to trade.
    """
    path = find_site(name)
    loaded = load(path)
    scenario = load_scenario(path.stem)
    if uftp is None:
        uftp = controlled and bool(scenario.market.offers)
    if uftp:
        _check_tradable(path.stem, scenario)
    if start is not None:
        scenario = scenario.starting_at(parse_clock(start))
    return Setting(
        path=path,
        title=loaded.file.site.title or loaded.site.name,
        unit_titles={unit.id: unit.title or unit.id for unit in loaded.file.units},
        site=loaded.site,
        scenario=scenario,
        speed=speed,
        seed=seed,
        duration_s=hours * 3600.0,
        cycle_ms=cycle_ms,
        controlled=controlled,
        compared=compared,
        trades=trades,
        data=data,
        uftp=uftp and controlled,
    )


def _check_tradable(name: str, scenario: Scenario) -> None:
    if not scenario.market.offers:
        raise ValueError(f"--market uftp: the scenario of {name} has no offers; expected one with a market")
    if find_spec("shapeshifter_uftp") is None:
        raise ValueError(
            "--market uftp: its library is missing; expected the extra, pip install "
            "'gridedge[market]', or --market auctions"
        )
