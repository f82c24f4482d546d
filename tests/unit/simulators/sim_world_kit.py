"""A small station by hand: one transformer, one line, a solar park, a battery and a hub, and plain devices."""

from __future__ import annotations

from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Device, MeasurementChain, Site
from controller.domain.topology import Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind
from drivers.profile import CommandSpec, FailBehaviour, PointSpec, Profile
from simulators.plant.perturb import NONE
from simulators.scenario import LoadShape, Scenario
from simulators.units.actuators import Spread
from simulators.world import World

EXACT = Spread(1.0, 1.0)
PERFECT = MeasurementChain(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def topology() -> Topology:
    return Topology(
        f_hz=50.0,
        source=Source("GRID", 500e6, 0.1),
        buses=(Bus("GRID", 33e3), Bus("BB", 11e3), Bus("N1", 11e3)),
        lines=(Line("L1", "BB", "N1", 0.6, 0.9, 0.0, 300.0),),
        transformers=(Transformer("T1", "GRID", "BB", 6.3e6, 33e3, 11e3, 0.08, 38e3, 0.004, 6e3, 6.3e6),),
        loads=(Load("TOWN", "BB", 1e6, 3e5, 0.5e6, 2e6),),
    )


def actuator() -> Actuator:
    return Actuator(latency_s=1.0, tau_p_s=1.0, tau_q_s=1.0, ramp_up_w_per_s=1e6, ramp_down_w_per_s=1e6)


def unit(unit_id: str, kind: UnitKind, bus: str, p_safe_w: float, storage: Storage | None = None) -> Unit:
    generates, consumes = not kind.consumes, not kind.generates
    return Unit(
        id=unit_id,
        bus=bus,
        kind=kind,
        p_rated_w=2e6,
        s_rated_va=2.2e6,
        q_max_var=0.8e6,
        p_min_w=-2e6 if generates else 0.0,
        p_max_w=2e6 if consumes else 0.0,
        price_eur_per_mwh=50.0,
        stack_position=1,
        group="",
        reports_available=True,
        actuator=actuator(),
        fail_safe=FailSafe(p_safe_w, 0.0, 10.0),
        storage=storage,
    )


COMMANDS = ("generation_w_max", "consumption_w_max", "p_w", "q_var")


def unit_profile(fails: FailBehaviour = FailBehaviour.REVERTS_TO_VALUE, names: tuple[str, ...] = COMMANDS) -> Profile:
    """A device that takes the commands ``names``, each with lease, reversion and enable."""
    settings = [f"{name}_{part}" for name in names for part in ("set", "ena", "rvrt_s", "rvrt")]
    points = [PointSpec(name, "float64", "1", "test", "rw") for name in settings]
    points += [PointSpec(name, "int32", "W", "test", scale=100.0) for name in ("p_w", "q_var", "p_avail_w")]
    points += [PointSpec(f"{name}_rem_s", "float64", "s", "test") for name in names]
    points += [PointSpec("soc_frac", "float32", "1", "test")]
    commands = [
        CommandSpec(
            name=name,
            point=f"{name}_set",
            enable_point=f"{name}_ena",
            lease_point=f"{name}_rvrt_s",
            revert_point=f"{name}_rvrt",
        )
        for name in names
    ]
    return Profile("unit", "der", "test", "modbus", "test", fails, tuple(points), commands=tuple(commands))


def meter_profile() -> Profile:
    points = [PointSpec(name, "float32", "1", "test") for name in ("p_w", "q_var", "i_a", "u_v")]
    return Profile("meter", "meter", "test", "modbus", "test", FailBehaviour.HOLDS_LAST, tuple(points))


def device(device_id: str, profile: str, feeds: dict[str, str], unit_id: str | None = None) -> Device:
    return Device(device_id, "modbus", "127.0.0.1:1", 1, profile, feeds, unit_id, 1.0, 3.0, 0.5)


def site(chain: MeasurementChain = PERFECT) -> Site:
    storage = Storage(2e6, 0.1, 0.9, 0.95, 0.95)
    units = (
        unit("PV", UnitKind.PV, "N1", -0.5e6),
        unit("BAT", UnitKind.BATTERY, "BB", 0.0, storage),
        unit("HUB", UnitKind.EV_HUB, "BB", 0.3e6),
    )
    devices = (
        device("MT", "meter", {"p_w": "branch.T1.p_w", "i_a": "branch.T1.i_a", "u_v": "bus.BB.u_v"}),
        device("ML", "meter", {"p_w": "-branch.L1.p_w"}),
        *(device(f"D{item.id}", item.kind.value, _unit_feeds(item.id), item.id) for item in units),
    )
    limits = (
        Limit("T1.thermal", LimitKind.THERMAL, "T1", 330.0),
        Limit("N1.voltage", LimitKind.VOLTAGE, "N1", 11.66e3, 10.34e3),
        Limit("export", LimitKind.EXPORT, "interface", 1e6),
    )
    return Site("kit", topology(), units, limits, devices, chain=chain)


def _unit_feeds(unit_id: str) -> dict[str, str]:
    names = ("p_w", "q_var", "p_avail_w", "soc_frac", "p_set_w", "q_set_var")
    return {name: f"unit.{unit_id}.{name}" for name in names}


def scenario(**changes: object) -> Scenario:
    """Noon without clouds, exact impedances and actuators, a flat town."""
    values: dict[str, object] = {
        "start_s": 12 * 3600.0,
        "cloud_frac": {0.0: 0.0},
        "tolerances": NONE,
        "spread": EXACT,
        "source_noise_pu": 0.0,
        "loads": {"TOWN": LoadShape("flat")},
    }
    return Scenario(**{**values, **changes})  # type: ignore[arg-type]


def profiles(fails: FailBehaviour = FailBehaviour.REVERTS_TO_VALUE) -> dict[str, Profile]:
    """Tables of the kit's devices; those of units are called by their kind."""
    kinds = {"pv": "generation_w_max", "ev_hub": "consumption_w_max", "battery": "p_w"}
    return {"meter": meter_profile(), **{kind: unit_profile(fails, (name, "q_var")) for kind, name in kinds.items()}}


def world(
    *,
    seed: int = 1,
    controlled: bool = True,
    fails: FailBehaviour = FailBehaviour.REVERTS_TO_VALUE,
    **changes: object,
) -> World:
    return World(site(), scenario(**changes), seed, controlled, profiles(fails))
