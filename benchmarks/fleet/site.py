"""A primary substation with feeders of ten units each, sized so that a sunny, windy day breaks its ratings: those of
the main transformers, of every feeder's first cable and of every secondary transformer, and the export limit.

One feeder: six medium-voltage buses on a trunk of cable, the last two carrying a secondary substation each, behind
which a low-voltage cable leads on; one unit per bus. Cables are catalogue NA2XS2Y 12/20 kV and NAYY-J 0.6/1 kV.

    GRID 110 kV ==T1 ∥ T2==> BB 20 kV --M1--M2--M3--M4--M5--M6
                                                      |      └ X2 ==> S2 0.4 kV
                                                      └ X1 ==> S1 0.4 kV --V1
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from controller.domain import points
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import CycleSettings, Device, Site
from controller.domain.topology import SQRT3, Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind
from simulators.plant.network import PlantNetwork

MV_V, LV_V = 20e3, 400.0
U_SOURCE_PU = 1.02
UNITS_PER_FEEDER = 10
TRUNK = ("M1", "M2", "M3", "M4", "M5", "M6")
GOOD_DAY_FRAC = 0.9  # of its rating: what every generator gives on a good day
RATED_AT_FRAC = 0.85  # of what flows on such a day
S_MIN_FRAC = 0.1  # of the rating on the plate: the least that a transformer is derated to

# Kind, rating (W) and price (EUR/MWh) of the unit at each bus of a feeder.
FLEET = {
    "M1": (UnitKind.WIND, 2.3e6, 60.0),
    "M2": (UnitKind.PV, 1.5e6, 50.0),
    "M3": (UnitKind.PV, 0.9e6, 52.0),
    "M4": (UnitKind.BATTERY, 0.5e6, 8.0),
    "M5": (UnitKind.PV, 0.75e6, 55.0),
    "M6": (UnitKind.GENERATOR, 0.4e6, 80.0),
    "S1": (UnitKind.PV, 0.2e6, 58.0),
    "S2": (UnitKind.EV_HUB, 0.15e6, 150.0),
    "V1": (UnitKind.PV, 0.1e6, 57.0),
    "V2": (UnitKind.FLEX_LOAD, 0.08e6, 120.0),
}
ACTUATORS = {  # latency_s, tau_p_s, tau_q_s, ramp up and down as shares of the rating per second
    UnitKind.PV: (0.7, 1.2, 0.6, 0.10, 0.30),
    UnitKind.WIND: (0.9, 3.0, 1.0, 0.05, 0.10),
    UnitKind.GENERATOR: (1.0, 2.0, 1.0, 0.05, 0.15),
    UnitKind.BATTERY: (0.5, 0.3, 0.3, 1.0, 1.0),
    UnitKind.EV_HUB: (1.0, 1.0, 0.5, 0.2, 0.5),
    UnitKind.FLEX_LOAD: (1.0, 1.5, 0.5, 0.1, 0.25),
}


@dataclass(frozen=True, slots=True)
class Cable:
    """Per kilometre: resistance and reactance (ohm), capacitance (F); rating in ground."""

    r_ohm: float
    x_ohm: float
    c_f: float
    i_max_a: float

    def line(self, name: str, ends: tuple[str, str], length_km: float) -> Line:
        """So much of it between two buses."""
        b_s = 2.0 * math.pi * 50.0 * self.c_f * length_km
        return Line(name, *ends, self.r_ohm * length_km, self.x_ohm * length_km, b_s, self.i_max_a)


MV_CABLE = Cable(0.125, 0.113, 0.30e-6, 417.0)  # 240 mm2
LV_CABLE = Cable(0.206, 0.080, 0.0, 270.0)  # 4 x 150 mm2


def build_site(n_unit: int, seed: int = 1, cycle_s: float = 1.0) -> Site:
    """A site with ``n_unit`` units and twice as many limits; lengths and loads are drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    units = tuple(_unit(k) for k in range(n_unit))
    topology = _topology(units, rng)
    topology = _rated(topology, units)
    cycle = CycleSettings(cycle_s=cycle_s)
    return Site(f"fleet-{n_unit}", topology, units, _limits(topology, units), _devices(topology, units), cycle)


def _place(k: int) -> tuple[str, str]:
    """Feeder and kind of bus of unit ``k``."""
    return f"F{k // UNITS_PER_FEEDER + 1}", list(FLEET)[k % UNITS_PER_FEEDER]


def _unit(k: int) -> Unit:
    feeder, place = _place(k)
    kind, rated_w, price = FLEET[place]
    latency_s, tau_p_s, tau_q_s, up, down = ACTUATORS[kind]
    two_way = kind is UnitKind.BATTERY
    return Unit(
        id=f"{kind.name}-{feeder}-{place}",
        bus=f"{feeder}-{place}",
        kind=kind,
        p_rated_w=rated_w,
        s_rated_va=1.1 * rated_w,
        q_max_var=0.0 if kind.consumes else 0.45 * rated_w,
        p_min_w=-rated_w if kind.generates or two_way else 0.0,
        p_max_w=rated_w if kind.consumes or two_way else 0.0,
        price_eur_per_mwh=price + 0.1 * (k // UNITS_PER_FEEDER),
        stack_position=k + 1,
        group="",
        reports_available=kind in (UnitKind.PV, UnitKind.WIND),
        actuator=Actuator(latency_s, tau_p_s, tau_q_s, up * rated_w, down * rated_w),
        fail_safe=FailSafe(0.0 if two_way else (-0.3 if kind.generates else 0.3) * rated_w, 0.0, 10.0),
        storage=Storage(2.0 * rated_w, 0.05, 0.95, 0.95, 0.95) if two_way else None,
    )


def _topology(units: tuple[Unit, ...], rng: np.random.Generator) -> Topology:
    """The network with catalogue ratings; only buses that carry a unit exist."""
    lines, small, loads = [], [], []
    used = {u.bus for u in units}
    feeders = sorted({b.split("-")[0] for b in used}, key=lambda name: int(name[1:]))
    for feeder in feeders:
        ends = ["BB", *(f"{feeder}-{m}" for m in TRUNK)]
        for a, b in pairwise(ends):
            if b in used:
                lines.append(MV_CABLE.line(f"{b}-cable", (a, b), rng.uniform(0.8, 2.5)))
        for m, s, v in (("M4", "S1", "V1"), ("M6", "S2", "V2")):
            if f"{feeder}-{s}" in used:
                small.append(_secondary(f"{feeder}-{s}-trafo", f"{feeder}-{m}", f"{feeder}-{s}"))
            if f"{feeder}-{v}" in used:
                lines.append(LV_CABLE.line(f"{feeder}-{v}-cable", (f"{feeder}-{s}", f"{feeder}-{v}"), 0.15))
    for bus in sorted(used):
        peak_w = rng.uniform(50e3, 150e3) if "-M" in bus else rng.uniform(20e3, 60e3)
        loads.append(Load(f"{bus}-load", bus, 0.5 * peak_w, 0.15 * peak_w, 0.2 * peak_w, peak_w))
    buses = (Bus("GRID", 110e3), Bus("BB", MV_V), *(Bus(b, _rated_v(b)) for b in dict.fromkeys(u.bus for u in units)))
    main = tuple(_main(f"T{k + 1}") for k in range(1 if len(units) < 50 else 2))
    return Topology(50.0, Source("GRID", 3e9, 0.1, U_SOURCE_PU), buses, tuple(lines), (*main, *small), tuple(loads))


def _rated_v(bus: str) -> float:
    return MV_V if "-M" in bus else LV_V


def _main(name: str) -> Transformer:
    return Transformer(name, "GRID", "BB", 40e6, 110e3, MV_V, 0.12, 170e3, 0.001, 22e3, 40e6)


def _secondary(name: str, hv_bus: str, lv_bus: str) -> Transformer:
    return Transformer(name, hv_bus, lv_bus, 400e3, MV_V, LV_V, 0.04, 4.6e3, 0.002, 0.6e3, 400e3)


def _rated(topology: Topology, units: tuple[Unit, ...]) -> Topology:
    """Transformers and first cables rated below what flows on a good day: limits bind in every feeder."""
    plant = PlantNetwork(topology, [u.bus for u in units])
    good_day = [GOOD_DAY_FRAC * (u.p_min_w if u.kind.generates else 0.5 * u.p_max_w) for u in units]
    p_w = np.array([load.p_w for load in topology.loads] + good_day)
    q_var = np.array([load.q_var for load in topology.loads] + [0.0] * len(units))
    amps = (RATED_AT_FRAC * plant.solve(U_SOURCE_PU, p_w, q_var).branch_i_a).tolist()
    heads = [x.from_bus == "BB" for x in topology.lines]
    lines = [replace(x, i_max_a=a) if h else x for x, h, a in zip(topology.lines, heads, amps, strict=False)]
    small = zip(topology.transformers, amps[len(lines) :], strict=True)
    trafos = [replace(t, s_max_va=max(SQRT3 * t.u2_v * a, S_MIN_FRAC * t.sn_va)) for t, a in small]
    return replace(topology, lines=tuple(lines), transformers=tuple(trafos))


def _limits(topology: Topology, units: tuple[Unit, ...]) -> tuple[Limit, ...]:
    """Two per unit: export, import, every branch as far as they go, then voltages of buses, far ends first."""
    export_w = RATED_AT_FRAC * GOOD_DAY_FRAC * sum(-u.p_min_w for u in units if u.kind.generates)
    import_w = 0.6 * sum(u.p_max_w for u in units if u.kind.consumes) + sum(x.p_w for x in topology.loads)
    limits = [Limit("export", LimitKind.EXPORT, "interface", export_w)]
    limits += [Limit("import", LimitKind.IMPORT, "interface", import_w)]
    limits += [Limit(f"{b.id}.thermal", LimitKind.THERMAL, b.id, b.i_max_a) for b in topology.branches]
    limits += [
        Limit(f"{b.id}.voltage", LimitKind.VOLTAGE, b.id, (1.0 + band) * b.u_rated_v, (1.0 - band) * b.u_rated_v)
        for b in reversed(topology.buses[1:])
        for band in (0.05 if b.u_rated_v > 1e3 else 0.10,)
    ]
    return tuple(limits[: 2 * len(units)])


def _devices(topology: Topology, units: tuple[Unit, ...]) -> tuple[Device, ...]:
    """One meter of the network, one gateway per unit."""
    network = [points.branch(b.id, q) for b in topology.branches for q in points.BRANCH_QUANTITIES]
    network += [points.bus(b.id) for b in topology.buses] + [points.interface(q) for q in points.INTERFACE_QUANTITIES]
    meter = Device("METER", "modbus", "127.0.0.1:1", 1, "meter", {n: n for n in network}, None, 1.0, 3.0, 0.5)
    gateways = [Device(f"G-{u.id}", "modbus", "127.0.0.1:1", 1, "unit", {}, u.id, 1.0, 3.0, 0.5) for u in units]
    return (meter, *gateways)
