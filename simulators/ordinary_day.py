"""Quarter-hour means of a day that nobody touches: what loads draw, and what units would do if they were left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller.domain.site import Site
from controller.domain.unit import Unit, UnitKind
from simulators.exogenous import Exogenous
from simulators.scenario import Scenario, UnitSettings
from simulators.seeds import stream
from simulators.units.course import DAY_S, Array
from simulators.units.ev_hub import EvHub

QUARTER_S = 900
QUARTERS = DAY_S // QUARTER_S
_STEP_S = 30.0


@dataclass(frozen=True, slots=True)
class OrdinaryDay:
    """By quarter hour from midnight and element, W and var in load convention; batteries rest."""

    load_w: Array
    load_var: Array
    unit_w: Array


def ordinary_day(site: Site, scenario: Scenario, seed: int) -> OrdinaryDay:
    """One day of the scenario from midnight to midnight, with the gusts, clouds and kettles of a seed."""
    outside = Exogenous(site, scenario.starting_at(0.0), seed)
    steps = int(QUARTER_S // _STEP_S)
    rows = np.array([outside.at(k * _STEP_S) for k in range(QUARTERS * steps)])
    means = rows.reshape(QUARTERS, steps, -1).mean(axis=1)
    units = [_left_alone(unit, scenario, seed, means[:, outside.available][:, k]) for k, unit in enumerate(site.units)]
    return OrdinaryDay(means[:, outside.active], means[:, outside.reactive], np.stack(units, axis=1))


def _left_alone(unit: Unit, scenario: Scenario, seed: int, available_w: Array) -> Array:
    if unit.storage is not None:
        return np.zeros(QUARTERS)
    if unit.kind is UnitKind.EV_HUB:
        return _charging(unit, scenario, seed)
    return -available_w if unit.kind.generates else available_w


def _charging(unit: Unit, scenario: Scenario, seed: int) -> Array:
    """What a hub takes when every vehicle charges as soon as it comes."""
    settings = replace(scenario.units.get(unit.id, UnitSettings()).ev, before_w_max=float("inf"))
    hub = EvHub(settings, unit.p_rated_w, stream(seed, f"ev.{unit.id}"), 0.0)
    taken_w = np.zeros(DAY_S // int(_STEP_S))
    for k in range(len(taken_w)):
        taken_w[k] = hub.arrive(_STEP_S)
        hub.charge(float(taken_w[k]), _STEP_S)
    return np.asarray(taken_w.reshape(QUARTERS, -1).mean(axis=1))
