"""The network of a gym-anm task as a site of ours.

gym-anm counts injections as positive, in MW and per unit of ``baseMVA``; we count consumption, in W. Ratings are
apparent powers there and currents here, converted at rated voltage. Only the structure and ratings are read: no load
or generation series.
"""

from __future__ import annotations

import math
from typing import Any

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.topology import SQRT3, Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind

W_PER_MW = 1e6
STIFF_VA = 1e13  # the task's slack bus has no impedance
PROMPT = Actuator(0.0, 1e-3, 1e-3, 1e12, 1e12)
SAFE = FailSafe(0.0, 0.0, math.inf)
PRICE_EUR_PER_MWH = 100.0  # of a MWh lost, by which the task counts; the unit does not matter
WEAR_EUR_PER_MWH = 1.0  # none in the task; a little, so that among equals the look-ahead charges sooner


def site_of(simulator: Any) -> Site:
    """The site of one simulator of gym-anm."""
    topology = _topology(simulator)
    thermal = [Limit(f"{b.id}.thermal", LimitKind.THERMAL, b.id, b.i_max_a) for b in topology.branches]
    voltage = [_band(simulator.buses[int(b.id)], b) for b in topology.buses if b.id != topology.source.bus]
    units = tuple(_unit(d, simulator.baseMVA) for d in simulator.devices.values() if _is_unit(d))
    return Site("gym-anm", topology, units, (*thermal, *voltage))


def kind_of(device: Any) -> str:
    """The task's word for a device: Load, ClassicalGen, RenewableGen or StorageUnit."""
    return type(device).__name__


def _is_unit(device: Any) -> bool:
    return kind_of(device) in ("RenewableGen", "StorageUnit")


def _band(bus: Any, ours: Bus) -> Limit:
    return Limit(
        f"{ours.id}.voltage", LimitKind.VOLTAGE, ours.id, bus.v_max * ours.u_rated_v, bus.v_min * ours.u_rated_v
    )


def _topology(simulator: Any) -> Topology:
    volts = {i: b.baseKV * 1e3 for i, b in simulator.buses.items()}
    slack = next(i for i, b in simulator.buses.items() if b.is_slack)
    base_va = simulator.baseMVA * 1e6
    lines, transformers = [], []
    for (a, b), branch in simulator.branches.items():
        if volts[a] == volts[b]:
            ohm = volts[a] ** 2 / base_va
            amperes = branch.rate * base_va / (SQRT3 * volts[a])
            lines.append(Line(f"L{a}{b}", str(a), str(b), branch.r * ohm, branch.x * ohm, branch.b / ohm, amperes))
        else:
            transformers.append(_transformer(a, b, branch, base_va, volts))
    loads = (
        Load(f"D{d.dev_id}", str(d.bus_id), 0.0, 0.0, 0.0, -d.p_min * base_va)
        for d in simulator.devices.values()
        if kind_of(d) == "Load"
    )
    buses = tuple(Bus(str(i), u) for i, u in volts.items())
    return Topology(50.0, Source(str(slack), STIFF_VA, 0.1), buses, tuple(lines), tuple(transformers), tuple(loads))


def _transformer(a: int, b: int, branch: Any, base_va: float, volts: dict[int, float]) -> Transformer:
    impedance = math.hypot(branch.r, branch.x)
    rate_va = branch.rate * base_va
    return Transformer(
        f"T{a}{b}", str(a), str(b), base_va, volts[a], volts[b], impedance, branch.r * base_va, 1e-9, 0.0, rate_va
    )


def _unit(device: Any, base_mva: float) -> Unit:
    base_w = base_mva * W_PER_MW
    stores = kind_of(device) == "StorageUnit"
    rated, reactive = device.p_max * base_w, device.q_max * base_w
    storage = None
    if stores:
        size_wh = (device.soc_max - device.soc_min) * base_w
        storage = Storage(size_wh, 0.0, 1.0, device.eff, device.eff)
    return Unit(
        id=str(device.dev_id),
        bus=str(device.bus_id),
        kind=UnitKind.BATTERY if stores else UnitKind.WIND,
        p_rated_w=rated,
        s_rated_va=math.hypot(device.p_max * base_w, device.q_plus * base_w),
        q_max_var=reactive,
        p_min_w=-rated,
        p_max_w=rated if stores else 0.0,
        price_eur_per_mwh=WEAR_EUR_PER_MWH if stores else PRICE_EUR_PER_MWH,
        stack_position=0 if stores else 1,
        group="",
        reports_available=True,
        actuator=PROMPT,
        fail_safe=SAFE,
        storage=storage,
    )
