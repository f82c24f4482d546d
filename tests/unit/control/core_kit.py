"""A small station for tests of the control core, and a plant without noise that never lies unless told to.

GRID 33 kV ==T1==> BB 11 kV --L1--> N1 (WIND)        battery BAT and charging hub HUB at BB
                            --L2--> N2 (PV)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from controller.control.cycle import step
from controller.control.state import ControlState, initial_state
from controller.domain.limit import Limit, LimitKind
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord
from controller.domain.site import CycleSettings, Device, MeasurementChain, Site
from controller.domain.snapshot import Snapshot
from controller.domain.topology import Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind
from controller.grid.model import GridModel

CHAIN = MeasurementChain(0.0, 0.001, 0.003, 0.003, 0.004, 0.001, 0.003)
QUICK = Actuator(latency_s=0.5, tau_p_s=1.0, tau_q_s=0.5, ramp_up_w_per_s=1e6, ramp_down_w_per_s=2e6)
STORAGE = Storage(4e6, 0.05, 0.95, 0.95, 0.95)


def topology() -> Topology:
    """Two feeders behind one 10 MVA transformer; 2 MW of demand at the busbar."""
    return Topology(
        f_hz=50.0,
        source=Source("GRID", 500e6, 0.1),
        buses=(Bus("GRID", 33e3), Bus("BB", 11e3), Bus("N1", 11e3), Bus("N2", 11e3)),
        lines=(Line("L1", "BB", "N1", 0.4, 0.5, 2e-6, 500.0), Line("L2", "BB", "N2", 0.4, 0.5, 2e-6, 500.0)),
        transformers=(Transformer("T1", "GRID", "BB", 10e6, 33e3, 11e3, 0.08, 50e3, 0.002, 6e3, 10e6),),
        loads=(Load("TOWN", "BB", 2e6, 4e5, 1e6, 4e6),),
    )


def unit(unit_id: str, kind: UnitKind, bus: str, p_rated_w: float, **changes: object) -> Unit:
    """A unit that reports what it has, fails safe to a tenth of its rating (a battery to nothing), lease 10 s."""
    safe_w = {True: -0.1 * p_rated_w, False: 0.0 if kind is UnitKind.BATTERY else 0.1 * p_rated_w}[kind.generates]
    made = Unit(
        id=unit_id,
        bus=bus,
        kind=kind,
        p_rated_w=p_rated_w,
        s_rated_va=1.1 * p_rated_w,
        q_max_var=0.4 * p_rated_w,
        p_min_w=0.0 if kind.consumes else -p_rated_w,
        p_max_w=0.0 if kind.generates else p_rated_w,
        price_eur_per_mwh=50.0,
        stack_position=1,
        group="",
        reports_available=True,
        actuator=QUICK,
        fail_safe=FailSafe(safe_w, 0.0, 10.0),
        storage=STORAGE if kind is UnitKind.BATTERY else None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def two_units(**changes: Mapping[str, object]) -> tuple[Unit, ...]:
    """WIND (8 MW) and PV (6 MW), each with the changes given under its name."""
    return (
        unit("WIND", UnitKind.WIND, "N1", 8e6, **changes.get("WIND", {})),
        unit("PV", UnitKind.PV, "N2", 6e6, **changes.get("PV", {})),
    )


def four_units(**changes: Mapping[str, object]) -> tuple[Unit, ...]:
    """The two generators, a battery and a charging hub at the busbar."""
    return (
        *two_units(**changes),
        unit("BAT", UnitKind.BATTERY, "BB", 2e6, price_eur_per_mwh=8.0, **changes.get("BAT", {})),
        unit("HUB", UnitKind.EV_HUB, "BB", 1e6, q_max_var=0.0, price_eur_per_mwh=150.0, **changes.get("HUB", {})),
    )


def limits() -> tuple[Limit, ...]:
    """Transformer, both lines, both far ends, export 9 MW and import 5 MW."""
    return (
        Limit("T1.thermal", LimitKind.THERMAL, "T1", 10e6 / (np.sqrt(3.0) * 11e3)),
        Limit("L1.thermal", LimitKind.THERMAL, "L1", 500.0),
        Limit("L2.thermal", LimitKind.THERMAL, "L2", 500.0),
        Limit("N1.voltage", LimitKind.VOLTAGE, "N1", 1.06 * 11e3, 0.94 * 11e3),
        Limit("N2.voltage", LimitKind.VOLTAGE, "N2", 1.06 * 11e3, 0.94 * 11e3),
        Limit("export", LimitKind.EXPORT, "interface", 9e6),
        Limit("import", LimitKind.IMPORT, "interface", 5e6),
    )


def site(units: Iterable[Unit] | None = None, **changes: object) -> Site:
    """The station with ``units`` (default: all four); one meter device feeds the network's points."""
    chosen = four_units() if units is None else tuple(units)
    grid = topology()
    network = [f"branch.{b.id}.{q}" for b in grid.branches for q in ("p_w", "q_var", "i_a")]
    network += [f"bus.{b.id}.u_v" for b in grid.buses] + ["interface.p_w", "interface.q_var"]
    meter = Device("MTR", "modbus", "127.0.0.1:1", 1, "meter", {n: n for n in network}, None, 1.0, 3.0, 0.5)
    gateways = tuple(Device(f"G{u.id}", "modbus", "127.0.0.1:1", 1, "unit", {}, u.id, 1.0, 3.0, 0.5) for u in chosen)
    made = Site("kit", grid, chosen, limits(), (meter, *gateways), CycleSettings(), CHAIN, "merit")
    return replace(made, **changes)  # type: ignore[arg-type]


class Plant:
    """Exact first-order units behind the kit's network, read with a last digit that moves.

    ``available_w`` per unit (magnitude; a battery has none); ``deaf`` names units that obey nobody, ``deaf_to_q`` those
    that take orders for Q and keep the Q they have; ``lag`` stretches dead times and time constants of all.
    """

    SUBSTEP_S = 0.1

    def __init__(self, of: Site, available_w: Mapping[str, float], town_w: float = 2e6, lag: float = 1.0) -> None:
        self.site, self.town_w = of, town_w
        self.available_w = dict(available_w)
        self.grid = GridModel(of.topology)
        self.lag = lag
        self.now_s = 0.0
        self.deaf: set[str] = set()
        self.deaf_to_q: set[str] = set()
        self.soc_frac = 0.5
        self.cap = {u.id: 0.0 if u.storage else u.p_rated_w for u in of.units}
        self.q_var = {u.id: 0.0 for u in of.units}
        self.targets = {u.id: [(-np.inf, self.cap[u.id], 0.0)] for u in of.units}
        self._rng = np.random.default_rng(7)

    def p_w(self, unit_id: str) -> float:
        """Present power of a unit, load convention."""
        made = next(u for u in self.site.units if u.id == unit_id)
        if made.storage is not None:
            return self.cap[unit_id]
        magnitude = min(self.cap[unit_id], self.available_w[unit_id])
        return -magnitude if made.kind.generates else magnitude

    def command(self, record: CycleRecord) -> None:
        """Take the set points of a cycle; they act after each unit's dead time."""
        for s in record.setpoints:
            self.order(s.unit, s.p_w, s.q_var)

    def order(self, unit_id: str, p_w: float, q_var: float = 0.0) -> None:
        """Give one unit a set point (load convention)."""
        made = next(u for u in self.site.units if u.id == unit_id)
        if unit_id not in self.deaf:
            at_s = self.now_s + self.lag * made.actuator.latency_s
            self.targets[unit_id].append((at_s, p_w if made.storage is not None else abs(p_w), q_var))

    def move(self, dt_s: float) -> None:
        """Advance all units."""
        for _ in range(round(dt_s / self.SUBSTEP_S)):
            self.now_s += self.SUBSTEP_S
            for made in self.site.units:
                self._advance(made)

    def _advance(self, made: Unit) -> None:
        act, dt = made.actuator, self.SUBSTEP_S
        waiting = self.targets[made.id]
        while len(waiting) > 1 and waiting[1][0] <= self.now_s + 1e-9:
            waiting.pop(0)
        _, target, q = waiting[0]
        p = self.cap[made.id]
        if made.storage is None and target < p:
            p = min(p, max(self.available_w[made.id], target))
        up, down = act.ramp_up_w_per_s, act.ramp_down_w_per_s
        rise, fall = (down, up) if made.storage is not None else (up, down)
        change = (target - p) * (1.0 - math.exp(-dt / (self.lag * act.tau_p_s)))
        self.cap[made.id] = p + min(max(change, -fall * dt), rise * dt)
        if made.id not in self.deaf_to_q:
            self.q_var[made.id] += (q - self.q_var[made.id]) * (1.0 - math.exp(-dt / (self.lag * act.tau_q_s)))

    def truth(self) -> dict[str, float]:
        """Every point of the network and the units, exactly."""
        grid, topo = self.grid, self.site.topology
        injection = np.zeros(2 * grid.n_injection)
        injection[grid.injection_index("BB")] = self.town_w
        injection[grid.n_injection + grid.injection_index("BB")] = 0.2 * self.town_w
        for u in self.site.units:
            k = grid.injection_index(u.bus)
            injection[k] += self.p_w(u.id)
            injection[grid.n_injection + k] += self.q_var[u.id]
        flow = grid.solve(injection)
        out = {f"bus.{b.id}.u_v": v for b, v in zip(topo.buses, flow.u_v.tolist(), strict=True)}
        for k, b in enumerate(topo.branches):
            out[f"branch.{b.id}.p_w"], out[f"branch.{b.id}.q_var"] = float(flow.p_w[k]), float(flow.q_var[k])
            out[f"branch.{b.id}.i_a"] = float(flow.i_a[k])
        out |= {"interface.p_w": flow.interface_p_w, "interface.q_var": flow.interface_q_var}
        return out | self._units()

    def _units(self) -> dict[str, float]:
        out = {}
        for u in self.site.units:
            out[f"unit.{u.id}.p_w"], out[f"unit.{u.id}.q_var"] = self.p_w(u.id), self.q_var[u.id]
            if u.storage is not None:
                out[f"unit.{u.id}.soc_frac"] = self.soc_frac
            elif u.reports_available:
                out[f"unit.{u.id}.p_avail_w"] = self.available_w[u.id] * (-1.0 if u.kind.generates else 1.0)
        return out

    def snapshot(self, without: Callable[[str], bool] = lambda _: False) -> Snapshot:
        """What the meters say now, with a digit (1e-5) that moves; points that ``without`` names are absent."""
        truth = self.truth()
        wobble = 1.0 + 1e-5 * self._rng.standard_normal(len(truth))
        values = zip(truth.items(), wobble.tolist(), strict=True)
        return snapshot_of(self.now_s, {name: v * w for (name, v), w in values if not without(name)})


def snapshot_of(now_s: float, values: Mapping[str, float], age_s: float = 0.0) -> Snapshot:
    """A snapshot of GOOD values, all sampled ``age_s`` ago."""
    at_s = now_s - age_s
    return Snapshot(now_s, {n: Measurement(v, Quality.GOOD, at_s, now_s) for n, v in values.items()})


class Loop:
    """The core against the plant, one cycle a second."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.state: ControlState = initial_state(plant.site)
        self.records: list[CycleRecord] = []

    def run(self, cycles: int, without: Callable[[str], bool] = lambda _: False) -> CycleRecord:
        """So many cycles; the last record."""
        for _ in range(cycles):
            self.state, record = step(self.plant.site, self.state, self.plant.snapshot(without))
            self.records.append(record)
            self.plant.command(record)
            self.plant.move(self.plant.site.cycle.cycle_s)
        return self.records[-1]


def of_unit(record: CycleRecord, unit_id: str) -> float:
    """Commanded P of a unit, W (load convention)."""
    return next(s.p_w for s in record.setpoints if s.unit == unit_id)
