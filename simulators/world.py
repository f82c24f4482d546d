"""The simulated substation: true network, units, instruments and faults, stepped together.

Deterministic in site, scenario, seed and the instants of commands; what is read, and when, changes nothing. Nothing
here comes from the controller's own model. Second zero is the scenario's start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from controller.domain.site import Site
from controller.domain.unit import Unit, UnitKind
from drivers.profile import Profile
from simulators.exogenous import Exogenous
from simulators.faults import Fault, FaultBoard, FaultKind, Window
from simulators.field_device import PlantDevice
from simulators.field_setup import build_devices
from simulators.plant.heat import TransformerHeat
from simulators.plant.network import Flow, PlantNetwork
from simulators.plant.perturb import perturbed
from simulators.plant.taps import TapControl
from simulators.scenario import Scenario, UnitSettings
from simulators.scoring import Score
from simulators.seeds import stream
from simulators.signals import Signals, Truth, truth_from
from simulators.units.actuators import ActuatorBank
from simulators.units.control_block import OPEN
from simulators.units.course import Array
from simulators.units.curves import VOLT_VAR, VOLT_WATT
from simulators.units.ev_hub import EvHub
from simulators.units.fleet import Fleet, LocalCurves

STEP_S_MAX = 1.0
_SETTLING_TAPS = 40


class World:
    """One station. With ``controlled=False`` nobody controls it: caps open, batteries idle, no reactive power.

    ``profiles`` (by id) stands in for the tables that come with the drivers.
    """

    def __init__(
        self,
        site: Site,
        scenario: Scenario,
        seed: int,
        controlled: bool = True,
        profiles: Mapping[str, Profile] | None = None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}; expected 0 or more")
        self.site = site
        self.scenario = scenario
        self.seed = seed
        self.signals = Signals(site.topology, site.units)
        true = perturbed(site.topology, seed, scenario.tolerances)
        self._network = PlantNetwork(true, [unit.bus for unit in site.units])
        self._taps = TapControl(true, scenario.avc, self._network)
        self._heat = TransformerHeat(true.transformers)
        self._transformer_places = slice(len(site.topology.lines), len(site.topology.branches))
        self._exogenous = Exogenous(site, scenario, seed)
        actuators = ActuatorBank(site.units, seed, scenario.spread)
        self._fleet = Fleet(site.units, actuators, _hubs(site, scenario, seed), _curves(site, scenario))
        self._u_rated_v = np.array([bus.u_rated_v for bus in site.topology.buses])
        self._board = FaultBoard(scenario.faults, scenario.start_s)
        self._field = build_devices(site, self.signals, seed, scenario.starts_open, profiles)
        self.controlled = controlled
        self._blocks = [self._field.block_of(unit.id) for unit in site.units]
        self._deaf: frozenset[int] = frozenset()
        self._clock = self._field.clock
        self.score = Score(site, self.signals)
        self.steps = 0
        self.diverged = 0
        self._start()

    @property
    def now_s(self) -> float:
        """World seconds since the scenario's start."""
        return self._clock.now_s

    @property
    def devices(self) -> Mapping[str, PlantDevice]:
        """All devices of the site, by id."""
        return self._field.devices

    @property
    def state_row(self) -> Array:
        """The present true state as numbers, in the order of ``signals.names``; not to be changed."""
        return self._row

    @cached_property
    def _index_of_unit(self) -> Mapping[str, int]:
        return {unit.id: k for k, unit in enumerate(self.site.units)}

    def step(self, dt_s: float) -> None:
        """Advance by ``dt_s`` > 0, in equal parts of at most one second."""
        if not (dt_s > 0.0 and math.isfinite(dt_s)):
            raise ValueError(f"world step is {dt_s!r} s; expected more than 0")
        parts = math.ceil(dt_s / STEP_S_MAX - 1e-9)
        start_s = self.now_s
        for k in range(1, parts + 1):
            self._advance(start_s + dt_s * k / parts, dt_s / parts)

    def inject(self, fault: Fault) -> None:
        """Begin a fault now; KeyError when there is no such device, or no such branch with another way round it."""
        if fault.kind is FaultKind.OPEN:
            self._check_breaker(fault.device)
        elif fault.device not in self.devices:
            raise KeyError(f"no device is called {fault.device!r}; expected one of {', '.join(self.devices)}")
        self._board.inject(fault)
        self._apply_faults()

    def mend(self, device: str) -> bool:
        """End what is wrong with a device, but for its death, or close a branch; False when nothing is.

        KeyError: neither a device nor an open branch.
        """
        if device not in self.devices and device not in self.opened:
            raise KeyError(f"no device is called {device!r}; expected one of {', '.join(self.devices)}")
        mended = self._board.mend(device)
        self._apply_faults()
        return mended

    @property
    def opened(self) -> frozenset[str]:
        """Branches whose breakers are open."""
        return self._board.devices(FaultKind.OPEN)

    def breakers(self) -> list[str]:
        """Branches that may be opened now: every bus keeps a way to the source."""
        closed = [branch.id for branch in self.site.topology.branches if branch.id not in self.opened]
        return [branch for branch in closed if self._network.supplies_all(self.opened | {branch})]

    def _check_breaker(self, branch: str) -> None:
        if branch not in self.breakers():
            expected = ", ".join(self.breakers()) or "none: every branch is the only way to some bus"
            raise KeyError(f"{branch!r} is no branch that can be opened; expected one of {expected}")

    def faults_since(self, then_s: float) -> list[Window]:
        """What has been wrong at some time after ``then_s``."""
        return self._board.since(then_s)

    def truth(self) -> Truth:
        """The true state, by name."""
        return truth_from(self.now_s, self.signals, self._row, self._flow.converged)

    def _start(self) -> None:
        for k in range(len(self._blocks)):
            self._command(k, 0.0)
        outside = self._exogenous.at(0.0)
        self._fleet.settle(outside[self._exogenous.available].copy())
        self._flow = self._solve(outside)
        for _ in range(_SETTLING_TAPS):
            if not self._taps.settle(self._flow.bus_u_v / self._u_rated_v):
                break
            self._flow = self._solve(outside)
        self._record(outside[self._exogenous.weather], 1.0)
        self._apply_faults()

    def _advance(self, end_s: float, dt_s: float) -> None:
        for k in range(len(self._blocks)):
            self._command(k, self.now_s)
        outside = self._exogenous.at(end_s)
        u_pu = self._flow.bus_u_v / self._u_rated_v
        available_w = outside[self._exogenous.available].copy()
        self._fleet.step(end_s, dt_s, available_w, u_pu[self.signals.unit_bus])
        self._taps.step(u_pu, dt_s)
        self._flow = self._solve(outside)
        self._clock.now_s = end_s
        self._record(outside[self._exogenous.weather], dt_s)
        self.score.count(self._row, dt_s)
        self.steps += 1
        self.diverged += not self._flow.converged
        self._apply_faults()

    def _command(self, k: int, now_s: float) -> None:
        block = self._blocks[k]
        if not self.controlled or block is None:
            self._fleet.target(k, OPEN, now_s)
        elif k not in self._deaf:
            self._fleet.target(k, block.at(now_s), now_s)

    def _solve(self, outside: Array) -> Flow:
        p_w = np.concatenate((outside[self._exogenous.active], self._fleet.p_w))
        q_var = np.concatenate((outside[self._exogenous.reactive], self._fleet.q_var))
        return self._network.solve(float(outside[0]), p_w, q_var)

    def _record(self, weather: Array, dt_s: float) -> None:
        heat_c = self._heat.step(self._flow.branch_i_a[self._transformer_places], float(weather[0]), dt_s)
        self._row = self.signals.row(self._flow, self._fleet, heat_c, self._taps.positions, weather)
        self._field.meters.push(self.now_s, self._row)

    def _apply_faults(self) -> None:
        if not self._board.advance(self.now_s):
            return
        killed = self._board.devices(FaultKind.KILLED)
        silent = self._board.devices(FaultKind.SILENT) | killed
        frozen = self._board.devices(FaultKind.FROZEN)
        for device in self.devices.values():
            device.silent, device.killed = device.id in silent, device.id in killed
            device.freeze(device.id in frozen)
        self._network.switch(self.opened)
        deaf = self._board.devices(FaultKind.DEAF)
        self._deaf = frozenset(
            self._index_of_unit[device.unit] for device in self.site.devices if device.id in deaf and device.unit
        )
        self._field.disturb(self._board.active)


def _hubs(site: Site, scenario: Scenario, seed: int) -> dict[str, EvHub]:
    def hub(unit: Unit) -> EvHub:
        settings = scenario.units.get(unit.id, UnitSettings()).ev
        return EvHub(settings, unit.p_rated_w, stream(seed, f"ev.{unit.id}"), scenario.start_s)

    return {unit.id: hub(unit) for unit in site.units if unit.kind is UnitKind.EV_HUB}


def _curves(site: Site, scenario: Scenario) -> dict[str, LocalCurves]:
    chosen = {unit.id: scenario.units.get(unit.id, UnitSettings()) for unit in site.units}
    return {
        unit_id: LocalCurves(VOLT_VAR.get(settings.volt_var), VOLT_WATT.get(settings.volt_watt))
        for unit_id, settings in chosen.items()
        if settings.volt_var or settings.volt_watt
    }
