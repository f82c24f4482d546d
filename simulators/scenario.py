"""A scenario: weather, demand, source voltage and faults of one day at one site, from a file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from simulators.clock_time import ClockTime
from simulators.faults import Fault
from simulators.market.model import Market
from simulators.plant.avc import AvcSettings
from simulators.plant.perturb import Tolerances
from simulators.units.actuators import Spread
from simulators.units.course import DAY_S
from simulators.units.ev_hub import EvSettings
from simulators.units.pv import PvSettings
from simulators.units.wind import WindSettings


class ScenarioError(ValueError):
    """A scenario file that cannot be used; says where, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class LoadShape:
    """Daily shape of one load and how much of its credible span it uses."""

    shape: str = "flat"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """How one unit differs from its kind; ``volt_var`` and ``volt_watt`` are IEEE 1547 categories, "" is off."""

    wind: WindSettings = field(default_factory=WindSettings)
    pv: PvSettings = field(default_factory=PvSettings)
    ev: EvSettings = field(default_factory=lambda: EvSettings({0.0: 6.0}))
    request_frac: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0})
    volt_var: str = ""
    volt_watt: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One day. Courses are by clock hour (0…24); the world's second zero is ``start_s`` after midnight.

    ``starts_open``: units are free until the first command, instead of at their fail-safe set points.
    """

    name: str = "calm"
    start_s: ClockTime = 0.0
    duration_s: float = float(DAY_S)
    starts_open: bool = False
    day_of_year: int = 172
    latitude_deg: float = 52.0
    source_u_pu: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0})
    source_noise_pu: float = 0.0015
    wind_m_s: Mapping[float, float] = field(default_factory=lambda: {0.0: 7.0})
    cloud_frac: Mapping[float, float] = field(default_factory=lambda: {0.0: 0.2})
    ambient_c: Mapping[float, float] = field(default_factory=lambda: {5.0: 12.0, 15.0: 22.0})
    avc: AvcSettings = field(default_factory=AvcSettings)
    tolerances: Tolerances = field(default_factory=Tolerances)
    spread: Spread = field(default_factory=Spread)
    units: Mapping[str, UnitSettings] = field(default_factory=dict)
    loads: Mapping[str, LoadShape] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    market: Market = field(default_factory=Market)

    def starting_at(self, start_s: float) -> Scenario:
        """The same day, entered at another clock time (seconds after midnight)."""
        return replace(self, start_s=start_s % DAY_S)


# A list, because only then does the strictness reach the dataclasses inside.
_ADAPTER = TypeAdapter(list[Scenario], config=ConfigDict(extra="forbid", allow_inf_nan=False))


def load_scenario(name: str) -> Scenario:
    """The scenario that comes with the package under that name (the stem of the site file).

    Raises :class:`ScenarioError` when there is none or its file is refused.
    """
    folder = files("simulators") / "scenarios"
    known = sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))
    if name not in known:
        raise ScenarioError(f"no scenario is called {name!r}; expected one of {', '.join(known)}")
    return parse_scenario((folder / f"{name}.yaml").read_text("utf-8"), name)


def parse_scenario(text: str, name: str) -> Scenario:
    """The scenario written in ``text``; unknown keys are refused."""
    try:
        (scenario,) = _ADAPTER.validate_python([{**yaml.safe_load(text), "name": name}])
    except (ValidationError, yaml.YAMLError, TypeError) as fault:
        raise ScenarioError(f"scenario {name} is refused: {fault}") from fault
    return scenario
