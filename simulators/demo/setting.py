"""What a demo run is about: the site, the day and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.config.find import find_site
from controller.config.loader import load
from controller.domain.site import Site
from controller.runtime.stretch import stretch_factor
from simulators.clock_time import parse_clock
from simulators.scenario import Scenario, load_scenario


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that is fixed before the day begins. Times in site seconds; ``start_s`` after midnight.

    ``stretch``: factor on the controller's times so that this machine keeps up (1 = as configured). ``record`` is where
    the controller records its cycles, if at all.
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

    @property
    def start_s(self) -> float:
        """Clock time of site second zero, s after midnight."""
        return self.scenario.start_s

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
) -> Setting:
    """Read the site file and its scenario.

    Raises OSError, SiteError, ScenarioError or ValueError, each saying what is wrong.
    """
    path = find_site(name)
    loaded = load(path)
    scenario = load_scenario(path.stem)
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
    )
