"""From the neutral co-simulation format to a :class:`~controller.domain.site.Site`.

What a network may say about temperatures and seasons is described in ``cosim_thermal``.

The format counts DER in generator convention; every DER sign is flipped here and in ``cosim.py`` and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controller import cosim_thermal as thermal
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import CycleSettings, Device, MeasurementChain, ReactiveRequest, Site
from controller.domain.topology import Bus, Line, Load, Source, Topology, Transformer
from controller.domain.unit import Actuator, FailSafe, Storage, Unit, UnitKind

Json = Mapping[str, Any]

KINDS = {
    "pv": UnitKind.PV,
    "wind": UnitKind.WIND,
    "battery": UnitKind.BATTERY,
    "flex_load": UnitKind.FLEX_LOAD,
    "generator": UnitKind.GENERATOR,
}
STALE_PERIODS = 3.0
LEAST_RATED_W = 1.0  # shares of nothing are no numbers: a unit that is rated at less counts as rated at this
HOLDS_S = math.inf  # the exchange knows no lease: a missing key holds the last value


def site_from_reset(network: Json, scenario: Json) -> Site:
    """The site that a ``reset`` message describes. Raises KeyError/ValueError naming what is missing or unknown."""
    topology = _topology(network)
    return Site(
        name=str(network.get("name", "cosim")),
        topology=topology,
        units=tuple(_unit(d) for d in network["ders"]),
        limits=_limits(network, topology),
        devices=(_plant(network, float(scenario["control_period_s"])),),
        cycle=_cycle(float(scenario["control_period_s"])),
        chain=_chain(scenario.get("measurement", {})),
        principle="merit",
        timezone=str(network.get("timezone", "UTC")),
        weather=thermal.weather(network),
        horizon_s=float(scenario["duration_s"]) if "duration_s" in scenario else None,
        soc_deficit_eur_per_mwh=float(scenario.get("objective", {}).get("soc_deficit_eur_per_mwh", 0.0)),
        reactive_requests=tuple(_request(r) for r in scenario.get("q_requests", ())),
    )


def _cycle(period_s: float) -> CycleSettings:
    """Cycle times of a plant that is sampled once per control period, however long that is."""
    usual = CycleSettings()
    return CycleSettings(
        cycle_s=period_s,
        fail_safe_s=max(usual.fail_safe_s, (STALE_PERIODS + 1.0) * period_s),
        recovery_hold_s=max(usual.recovery_hold_s, STALE_PERIODS * period_s),
    )


def _plant(network: Json, period_s: float) -> Device:
    """The co-simulated plant as one device that feeds every point that it says it measures."""
    buses = [f"bus.{b['id']}.u_v" for b in network["buses"] if b.get("measured", True)]
    measured = [b for b in [*network["lines"], *network["transformers"]] if b.get("measured", True)]
    names = buses + [f"branch.{b['id']}.{q}" for b in measured for q in ("i_a", "p_w", "q_var")]
    feeds = {name: name for name in [*names, "interface.p_w", "interface.q_var"]}
    stale_s = STALE_PERIODS * period_s
    return Device("plant", "cosim", "stdio", 0, "cosim", feeds, None, period_s, stale_s, period_s)


def _topology(net: Json) -> Topology:
    source = net["source"]
    return Topology(
        f_hz=float(net.get("f_hz", 50.0)),
        source=Source(source["bus"], float(source["sk_va"]), float(source["rx_ratio"])),
        buses=tuple(Bus(b["id"], float(b["u_rated_v"])) for b in net["buses"]),
        lines=tuple(_line(x) for x in net["lines"]),
        transformers=tuple(_transformer(x) for x in net["transformers"]),
        loads=tuple(_load(x) for x in net["loads"]),
    )


def _line(x: Json) -> Line:
    r_ohm, x_ohm, b_s, i_max_a = float(x["r_ohm"]), float(x["x_ohm"]), float(x.get("b_s", 0.0)), float(x["i_max_a"])
    return Line(x["id"], x["from"], x["to"], r_ohm, x_ohm, b_s, i_max_a, thermal.overhead(x), thermal.cable(x))


def _transformer(x: Json) -> Transformer:
    return Transformer(
        id=x["id"],
        hv_bus=x["hv_bus"],
        lv_bus=x["lv_bus"],
        sn_va=float(x["sn_va"]),
        u1_v=float(x["u1_v"]),
        u2_v=float(x["u2_v"]),
        uk_pu=float(x["uk_pu"]),
        pk_w=float(x["pk_w"]),
        i0_pu=float(x["i0_pu"]),
        p0_w=float(x["p0_w"]),
        s_max_va=float(x["s_max_va"]),
        tap_pos=int(x.get("tap_pos", 0)),
        tap_min=int(x.get("tap_min", 0)),
        tap_max=int(x.get("tap_max", 0)),
        tap_size_pu=float(x.get("tap_size_pu", 0.0)),
        thermal=thermal.transformer_thermal(x),
    )


def _load(x: Json) -> Load:
    p_w, q_var = float(x["p_w"]), float(x["q_var"])
    return Load(x["id"], x["bus"], 0.6 * p_w, 0.6 * q_var, min(0.0, 1.2 * p_w), max(0.0, 1.2 * p_w))


def _unit(d: Json) -> Unit:
    try:
        kind = KINDS[d["type"]]
    except KeyError:
        raise ValueError(f"ders[{d.get('id')}].type is {d.get('type')!r}; expected one of {sorted(KINDS)}") from None
    p = max(float(d["p_rated_w"]), LEAST_RATED_W)
    safe = FailSafe(0.0, 0.0, HOLDS_S)
    return Unit(
        id=d["id"],
        bus=d["bus"],
        kind=kind,
        p_rated_w=p,
        s_rated_va=max(float(d["s_rated_va"]), LEAST_RATED_W),
        q_max_var=float(d.get("q_max_var", 0.0)),
        p_min_w=0.0 if kind.consumes else -p,
        p_max_w=0.0 if kind.generates else p,
        price_eur_per_mwh=float(d["cost_eur_per_mwh"]),
        stack_position=int(d.get("stack_position", 0)),
        group="default",
        reports_available=bool(d.get("reports_available", True)),
        actuator=_actuator(d["actuator"]),
        fail_safe=safe,
        storage=_storage(d) if kind is UnitKind.BATTERY else None,
    )


def _actuator(a: Json) -> Actuator:
    keys = ("latency_s", "tau_p_s", "tau_q_s", "ramp_up_w_per_s", "ramp_down_w_per_s")
    return Actuator(*(float(a[k]) for k in keys))


def _storage(d: Json) -> Storage:
    return Storage(
        float(d["e_rated_wh"]),
        float(d.get("soc_min", 0.0)),
        float(d.get("soc_max", 1.0)),
        float(d.get("eff_charge", 1.0)),
        float(d.get("eff_discharge", 1.0)),
        float(d.get("soc_initial", 0.5)),
    )


def _limits(net: Json, topology: Topology) -> tuple[Limit, ...]:
    items = [*net["lines"], *net["transformers"]]
    currents = [thermal.thermal_limit(b, x) for b, x in zip(topology.branches, items, strict=True)]
    return (*currents, *_voltage_limits(net["buses"]))


def _voltage_limits(buses: Sequence[Json]) -> list[Limit]:
    return [
        Limit(
            f"{b['id']}.voltage",
            LimitKind.VOLTAGE,
            b["id"],
            float(b["v_max_pu"]) * float(b["u_rated_v"]),
            float(b["v_min_pu"]) * float(b["u_rated_v"]),
        )
        for b in buses
    ]


def _chain(m: Json) -> MeasurementChain:
    names = {
        "latency_s": "latency_s",
        "sigma_u_rel": "sigma_u_rel",
        "sigma_i_rel": "sigma_i_rel",
        "sigma_pq_rel": "sigma_pq_rel",
        "sigma_der_rel": "sigma_unit_rel",
        "bias_u_rel": "bias_u_rel",
        "bias_i_rel": "bias_i_rel",
    }
    return MeasurementChain(**{ours: float(m[theirs]) for theirs, ours in names.items() if theirs in m})


def _request(r: Json) -> ReactiveRequest:
    keys = ("t0_s", "t1_s", "q_var", "tolerance_var", "penalty_eur_per_mvarh")
    return ReactiveRequest(*(float(r[k]) for k in keys))
