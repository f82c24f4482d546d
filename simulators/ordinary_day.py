"""Quarter-hour means of a day that nobody touches: what loads draw, and what units would do if they were left alone."""

from __future__ import annotations

from collections.abc import Mapping
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
    """By quarter hour from midnight and element, W and var in load convention; batteries rest.

    ``hubs`` by unit: vehicles plugged in and energy that they want (Wh), a column each.
    """

    load_w: Array
    load_var: Array
    unit_w: Array
    hubs: Mapping[str, Array]


def ordinary_day(site: Site, scenario: Scenario, seed: int) -> OrdinaryDay:
    """One day of the scenario from midnight to midnight, with the gusts, clouds and kettles of a seed."""
    outside = Exogenous(site, scenario.starting_at(0.0), seed)
    steps = int(QUARTER_S // _STEP_S)
    rows = np.array([outside.at(k * _STEP_S) for k in range(QUARTERS * steps)])
    means = rows.reshape(QUARTERS, steps, -1).mean(axis=1)
    charging = {unit.id: _charging(unit, scenario, seed) for unit in site.units if unit.kind is UnitKind.EV_HUB}
    available = means[:, outside.available]
    units = [
        charging[unit.id][:, 0] if unit.id in charging else _left_alone(unit, available[:, k])
        for k, unit in enumerate(site.units)
    ]
    hubs = {name: found[:, 1:] for name, found in charging.items()}
    return OrdinaryDay(means[:, outside.active], means[:, outside.reactive], np.stack(units, axis=1), hubs)


def _left_alone(unit: Unit, available_w: Array) -> Array:
    if unit.storage is not None:
        return np.zeros(QUARTERS)
    return -available_w if unit.kind.generates else available_w


def _charging(unit: Unit, scenario: Scenario, seed: int) -> Array:
    """What a hub takes when every vehicle charges as soon as it comes, how many are there, and what they want."""
    settings = replace(scenario.units.get(unit.id, UnitSettings()).ev, before_w_max=float("inf"))
    hub = EvHub(settings, unit.p_rated_w, stream(seed, f"ev.{unit.id}"), 0.0)
    seen = np.zeros((DAY_S // int(_STEP_S), 3))
    for row in seen:
        taken_w = hub.arrive(_STEP_S)
        row[:] = taken_w, hub.plugged, hub.wanted_wh
        hub.charge(taken_w, _STEP_S)
    return np.asarray(seen.reshape(QUARTERS, -1, 3).mean(axis=1))
