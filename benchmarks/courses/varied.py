"""Any number of short courses by seed: networks, units, weather and faults of the kinds that a site may have.

The seed draws everything: a tree at 0.4, 11 or 20 kV, ratings that the units would exceed by up to half, cycle and
delay of the measurements, lags, what is not metered, who reports what he could do, and faults. Every such course can
be lost: undisturbed units overload something or take a voltage out of its band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .course import Array, Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .power_flow import Flow, Inputs, TrueNetwork
from .step_courses import wrong_model
from .weather import Rng, clouds, steps, wander, wind

SOFT_S = 30.0  # the sun rises within it: an overload that the controller inherits proves nothing


@dataclass(frozen=True, slots=True)
class Style:
    """What courses of one kind have in common; ``drop_pu``: change of voltage that the units would make at the end."""

    u_v: tuple[float, float]
    s_va: tuple[float, float]
    band_pu: tuple[float, float]
    z_ohm: complex
    drop_pu: tuple[float, float]
    cycles_s: tuple[float, ...]
    kinds: tuple[str, ...]
    cost: tuple[float, float]
    uk_pu: float
    sk_va: float


STYLES = (
    Style((20e3, 400.0), (250e3, 630e3), (0.9, 1.1), 0.02 + 0.008j, (0.03, 0.10), (1.0, 1.0, 2.0),
          ("pv", "pv", "pv"), (45.0, 80.0), 0.04, 1.5e8),
    Style((33e3, 11e3), (6e6, 16e6), (0.94, 1.06), 0.4 + 0.4j, (0.01, 0.06), (1.0, 1.0, 2.0),
          ("pv", "wind", "wind"), (45.0, 70.0), 0.11, 8e8),
    Style((20e3, 400.0), (250e3, 630e3), (0.92, 1.1), 0.02 + 0.012j, (0.03, 0.08), (1.0, 2.0, 2.0),
          ("flex_load", "flex_load", "flex_load"), (90.0, 300.0), 0.05, 2e8),
    Style((110e3, 20e3), (10e6, 25e6), (0.95, 1.05), 0.9 + 0.8j, (0.01, 0.05), (1.0, 2.0, 4.0),
          ("pv", "wind", "pv"), (45.0, 70.0), 0.12, 1.5e9),
)  # fmt: skip


def varied(name: str, seed: int, *, seconds: float = 300.0) -> Course:
    """The course of this seed; a quarter of the seeds each: roofs, steps behind a primary, charging, support of Q."""
    rng = np.random.default_rng(10_000 + seed)
    style = STYLES[seed % len(STYLES)]
    cycle_s = float(rng.choice(style.cycles_s))
    times = Times(seconds, 0.2, cycle_s, 1.0, float(rng.choice([0.2, 0.4, 0.6, 1.0])))
    net = _network(name, style, rng)
    series = _series(net, style, times.grid_s(), rng)
    truth: Json = {"noise_seed": seed, "bias_seed": seed + 100}
    if rng.random() < 0.5:
        truth = wrong_model(rng, net, seed)
    net = _dimensioned(net, style, series, rng)
    faults = _faults(net, seconds, rng)
    support = style is STYLES[3]
    return Course(
        name,
        net,
        times,
        series,
        truth | ({"faults": faults} if faults else {}),
        q_requests=_requests(net, seconds, rng) if support else (),
    )


def _network(name: str, style: Style, rng: Rng) -> Json:
    """A tree with units at random places; nothing is dimensioned yet."""
    n = int(rng.integers(3, 9))
    low, high = style.band_pu
    s_va = float(round(rng.uniform(*style.s_va), -4))
    gaps = rng.random() < 0.4
    at = ["BB"]
    buses, lines, loads = [bus("HV", style.u_v[0], 0.9, 1.1), bus("BB", style.u_v[1], low, high)], [], []
    for k in range(n):
        before, here = at[int(rng.integers(max(0, len(at) - 3), len(at)))], f"N{k + 1}"
        at.append(here)
        buses.append(bus(here, style.u_v[1], low, high, measured=not (gaps and rng.random() < 0.5)))
        metered = not (gaps and rng.random() < 0.5)
        lines.append(line(f"L{k + 1}", (before, here), style.z_ohm * rng.uniform(0.5, 1.5), 1.0, measured=metered))
        share = s_va / n * rng.uniform(0.2, 0.5)
        loads.append(load(f"D{k + 1}", here, round(share), round(0.25 * share)))
    tree: dict[str, list[Json]] = {"buses": buses, "lines": lines, "loads": loads}
    tree["transformers"] = [transformer("T1", ("HV", "BB"), style.u_v, s_va, style.uk_pu)]
    return network(name, ("HV", style.sk_va, 0.2), **tree, ders=_units(at, style, s_va, rng))


def _units(at: list[str], style: Style, s_va: float, rng: Rng) -> list[Json]:
    """Three to nine units of 1.1 to 1.8 times the transformer together, and half of the time a battery."""
    n = int(rng.integers(3, 10))
    rated = rng.dirichlet(np.full(n, 3.0)) * s_va * rng.uniform(1.1, 1.8)
    units = []
    for k in range(n):
        kind, cost = style.kinds[int(rng.integers(len(style.kinds)))], float(round(rng.uniform(*style.cost)))
        place, reports = at[int(rng.integers(1, len(at)))], bool(rng.random() < 0.75)
        q_frac = float(rng.choice([0.0, 0.3])) if kind == "flex_load" else float(rng.choice([0.0, 0.33, 0.484, 0.484]))
        one = unit(f"G{k + 1}", place, kind, round(rated[k]), cost, k + 1, reports=reports, q_frac=q_frac)
        pace = float(rng.choice([0.6, 1.0, 1.0, 2.0]))
        one["actuator"] |= {x: round(pace * one["actuator"][x], 2) for x in ("tau_p_s", "tau_q_s", "latency_s")}
        units.append(one)
    if rng.random() < 0.5:
        p_w = round(s_va * rng.uniform(0.08, 0.2))
        hours = float(rng.choice([0.1, 0.5, 2.0]))
        units.append(battery("BAT", at[-1], p_w, round(p_w * hours), round(rng.uniform(0.2, 0.8), 2)))
    return units


def _series(net: Json, style: Style, t: Array, rng: Rng) -> dict[str, Array]:
    """Clouds, wind, steps or arriving cars for every unit, and demand that wanders or falls."""
    soft = np.clip(0.35 + t / SOFT_S, 0.0, 1.0)
    demand = np.clip(0.6 + wander(rng, t, 40.0, 0.05), 0.1, 1.2)
    if rng.random() < 0.4:
        later = (float(rng.uniform(60.0, 200.0)), float(rng.uniform(0.3, 1.0)))
        demand = steps(rng, t, [(0.0, 0.7), later], noise=0.01)
    imports = style.kinds[0] == "flex_load"
    level = rng.uniform(0.99, 1.0) if imports else rng.uniform(1.0, 1.03)
    series: dict[str, Array] = {"u_source_pu": level + wander(rng, t, 90.0, 0.002), "load": demand}
    able = [d for d in net["ders"] if "profile" in d]
    sky = clouds(rng, t, [d["profile"] for d in able], sky=np.full(len(t), 0.95), clear_s=45.0, cloud_s=30.0)
    for d in able:
        stepped = steps(rng, t, [(0.0, float(rng.uniform(0.2, 0.6))), (float(rng.uniform(20.0, 200.0)), 0.95)])
        blown = wind(rng, t, float(rng.uniform(0.6, 0.9)), slow=0.12, gust=0.03, slow_s=90.0)
        weather = {"pv": sky[d["profile"]], "wind": blown, "flex_load": stepped}[d["type"]]
        series[d["profile"]] = soft * (stepped if rng.random() < 0.3 else weather)
    return series


def _dimensioned(net: Json, style: Style, series: dict[str, Array], rng: Rng) -> Json:
    """Impedances and ratings by what would flow if nobody controlled: some too small by up to half."""
    flow = undisturbed(net, series)
    drop = np.abs(flow.v_pu[:, 2:] - flow.v_pu[:, 1:2]).max()
    scale = rng.uniform(*style.drop_pu) / max(float(drop), 1e-4)
    for x in net["lines"]:
        x["r_ohm"], x["x_ohm"] = round(x["r_ohm"] * scale, 6), round(x["x_ohm"] * scale, 6)
    flow = undisturbed(net, series)
    most, size = np.abs(flow.ends).max(axis=0), TrueNetwork(net, {}).branch
    for k, x in enumerate(net["lines"]):
        tight = rng.random() < 0.3
        peak_a = x["i_max_a"] * max(float(most[j]) for j, of in enumerate(size) if of == k)
        x["i_max_a"] = round(max(peak_a * (1.0 / rng.uniform(1.05, 1.4) if tight else rng.uniform(1.1, 1.5)), 1.0))
    t1 = net["transformers"][0]
    t1["s_max_va"] = round(t1["sn_va"] * float(most[-1]) / rng.uniform(1.1, 1.5))
    return net


def undisturbed(net: Json, series: dict[str, Array]) -> Flow:
    """Power flow of every fifth row with all units at what they could do."""
    at = slice(None, None, 5)
    sign = {"flex_load": -1.0}
    n = len(series["u_source_pu"][at])
    p = [
        sign.get(d["type"], 1.0) * d["p_rated_w"] * (series[d["profile"]][at] if "profile" in d else np.zeros(n))
        for d in net["ders"]
    ]
    p_load, q_load = (np.stack([x[k] * series[x["profile_p"]][at] for x in net["loads"]], 1) for k in ("p_w", "q_var"))
    p_w = np.stack([x if d["type"] != "battery" else np.zeros(n) for x, d in zip(p, net["ders"], strict=True)], 1)
    return TrueNetwork(net, {}).solve(Inputs(series["u_source_pu"][at], p_load, q_load, p_w, np.zeros_like(p_w)))


def _faults(net: Json, seconds: float, rng: Rng) -> list[Json]:
    """In a third of the courses units that lose orders, in two fifths meters that freeze, half of them silently."""
    able = [d["id"] for d in net["ders"] if d["type"] != "battery"]
    found: list[Json] = []
    if rng.random() < 0.33:
        for name in rng.choice(able, max(1, len(able) // 3), replace=False):
            from_s = float(round(rng.uniform(0.0, 0.4) * seconds))
            found.append({"type": "der_deaf", "id": str(name), "t0_s": from_s, "t1_s": from_s + 0.4 * seconds})
    if rng.random() < 0.4:
        places = ["branch.T1.", "interface.", f"der.{able[0]}.", "branch.L1.", f"bus.N{len(net['lines'])}.", "branch."]
        for place in rng.choice(places, 2, replace=False):
            from_s = float(round(rng.uniform(0.1, 0.6) * seconds))
            until_s = from_s + float(round(rng.uniform(10.0, 60.0)))
            freeze: Json = {"type": "freeze", "prefixes": [str(place)], "t0_s": from_s, "t1_s": until_s}
            found.append(freeze | ({"silent": True} if rng.random() < 0.5 else {}))
    return found


def _requests(net: Json, seconds: float, rng: Rng) -> tuple[Json, ...]:
    """Two wishes of opposite sign at two prices."""
    s_va = float(net["transformers"][0]["sn_va"])
    spans = ((0.2, 0.5, 1.0, 20.0), (0.6, 0.95, -1.0, 60.0))
    return tuple(
        {
            "t0_s": round(a * seconds),
            "t1_s": round(b * seconds),
            "q_var": float(round(sign * s_va * rng.uniform(0.1, 0.35), -3)),
            "tolerance_var": float(round(0.015 * s_va, -3)),
            "penalty_eur_per_mvarh": price,
        }
        for a, b, sign, price in spans
    )
