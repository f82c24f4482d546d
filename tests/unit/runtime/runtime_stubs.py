"""A small site, scripted devices and a scripted core for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Mapping

from controller.domain.command import Outcome, OutcomeState, Setpoint
from controller.domain.measurement import Measurement, Quality
from controller.domain.record import CycleRecord, Event, Mode
from controller.domain.site import CycleSettings, Device, Site
from controller.domain.snapshot import Snapshot
from controller.domain.topology import Bus, Source, Topology
from controller.domain.unit import Actuator, FailSafe, Unit, UnitKind

ACKNOWLEDGED = Outcome(OutcomeState.ACKNOWLEDGED)


def make_unit(unit_id: str = "pv1", kind: UnitKind = UnitKind.PV, **over: object) -> Unit:
    """A 100 kVA unit that falls back to 20 kW in its own direction after 9 s."""
    safe_w = {True: -20e3, False: 20e3}[kind.generates] if kind is not UnitKind.BATTERY else 0.0
    settings: dict[str, object] = {
        "id": unit_id,
        "bus": "BB",
        "kind": kind,
        "p_rated_w": 100e3,
        "s_rated_va": 100e3,
        "q_max_var": 44e3,
        "p_min_w": -100e3,
        "p_max_w": 100e3,
        "price_eur_per_mwh": 50.0,
        "stack_position": 1,
        "group": "",
        "reports_available": True,
        "actuator": Actuator(0.3, 1.0, 1.0, 1e5, 1e5),
        "fail_safe": FailSafe(safe_w, 0.0, 9.0),
    }
    return Unit(**(settings | over))  # type: ignore[arg-type]


def make_device(device_id: str, feeds: Mapping[str, str], unit: str | None = None, **over: object) -> Device:
    """A device polled every second whose values are believed for 3 s."""
    settings: dict[str, object] = {
        "id": device_id,
        "protocol": "modbus",
        "endpoint": "127.0.0.1:1502",
        "unit_address": 1,
        "profile": "stub",
        "feeds": feeds,
        "unit": unit,
        "poll_s": 1.0,
        "stale_s": 3.0,
        "timeout_s": 0.5,
    }
    return Device(**(settings | over))  # type: ignore[arg-type]


def make_site(units: tuple[Unit, ...] = (), devices: tuple[Device, ...] = (), **cycle: float) -> Site:
    """A site of one bus; ``cycle`` overrides the times of the fast loop."""
    topology = Topology(50.0, Source("BB", 100e6, 0.1), (Bus("BB", 400.0),), (), (), ())
    return Site("stub", topology, units, (), devices, CycleSettings(**cycle))


def pv_site(**cycle: float) -> Site:
    """One meter and one PV plant behind one device each."""
    return make_site(
        (make_unit(),),
        (make_device("meter", {"p_w": "interface.p_w"}), make_device("inverter", {"p_w": "unit.pv1.p_w"}, "pv1")),
        **cycle,
    )


def good(value: float, at_s: float) -> Measurement:
    """A good value sampled and received at ``at_s``."""
    return Measurement(value, Quality.GOOD, at_s, at_s)


def bad(at_s: float, reason: str = "device busy") -> Measurement:
    """An answer without a value."""
    return Measurement(float("nan"), Quality.BAD, at_s, at_s, reason)


class StubCore:
    """Commands every unit to ``p_w``; remembers the snapshots that it saw."""

    def __init__(self, p_w: float = -50e3, lease_s: float = 9.0) -> None:
        self.p_w = p_w
        self.lease_s = lease_s
        self.snapshots: list[Snapshot] = []
        self.events: tuple[Event, ...] = ()

    def step(self, site: Site, state: int, snapshot: Snapshot) -> tuple[int, CycleRecord]:
        """One cycle; the state counts cycles."""
        self.snapshots.append(snapshot)
        now_s = snapshot.now_s
        setpoints = tuple(Setpoint(u.id, self.p_w, 0.0, now_s, now_s + self.lease_s) for u in site.units)
        return state + 1, CycleRecord(state, now_s, Mode.NORMAL, (), (), setpoints, self.events)
