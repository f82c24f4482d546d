"""An evening of arriving electric cars and cold houses: the transformer overloads on import, the far end sags."""

from __future__ import annotations

import numpy as np

from .course import Array, Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .weather import smooth, wander

Z_LV = (0.125 + 0.078j) / 1000.0  # per metre, NAYY-J 4x240 SE
CABLE_A = 350.0
HUBS = (
    ("EV1", "A1", 110e3, 180.0), ("EV2", "A3", 90e3, 220.0), ("EV3", "B2", 100e3, 150.0), ("EV4", "B3", 60e3, 300.0),
    ("HP1", "A2", 50e3, 120.0), ("HP2", "B1", 60e3, 100.0),
)  # fmt: skip


def ev_evening(name: str, seed: int, *, hours: float = 2.5, metered: bool = True) -> Course:
    """Four charging hubs, two heat-pump groups and a battery behind 500 kVA; ``metered``: every section and bus."""
    rng = np.random.default_rng(seed)
    times = Times(3600.0 * hours, 1.0, 2.0, 10.0)
    t = times.grid_s()
    net = _network(name, rng, metered)
    x = t / times.duration_s
    demand = 0.55 + 0.4 * np.exp(-(((x - 0.6) / 0.35) ** 2))
    series = {
        "u_source_pu": rng.uniform(0.985, 0.995) - 0.012 * x + wander(rng, t, 600.0, 0.0015),
        "load": np.clip(demand + wander(rng, t, 120.0, 0.02), 0.0, 1.3),
    }
    for d in net["ders"]:
        if d["type"] == "flex_load":
            series[d["profile"]] = _cars(rng, t) if d["id"].startswith("EV") else _heat_pumps(rng, t)
    return Course(name, net, times, series, {"noise_seed": seed, "bias_seed": seed + 100})


def _cars(rng: np.random.Generator, t: Array) -> Array:
    """Plugs occupied at a hub: arrivals come in whole cars and leave when full."""
    plugs = 8
    arrive_s = np.sort(rng.normal(0.45, 0.22, 14)) * t[-1]
    stay_s = rng.uniform(2400.0, 5400.0, 14)
    busy = ((t[:, None] >= arrive_s) & (t[:, None] < arrive_s + stay_s)).sum(axis=1)
    level = smooth(t, np.minimum(busy, plugs) / plugs, 20.0)
    out: Array = np.clip(level * (0.95 + wander(rng, t, 60.0, 0.015)), 0.0, 1.0)
    return out


def _heat_pumps(rng: np.random.Generator, t: Array) -> Array:
    """Many compressors that switch by themselves, and more of them as it gets cold."""
    out: Array = np.clip(0.45 + 0.25 * t / t[-1] + wander(rng, t, 400.0, 0.08) + wander(rng, t, 40.0, 0.03), 0.0, 1.0)
    return out


def _network(name: str, rng: np.random.Generator, metered: bool) -> Json:
    buses = [bus("MV", 20e3, 0.9, 1.1), bus("LV", 400.0, 0.92, 1.1)]
    lines, loads = [], [load("DLV", "LV", 60e3, 15e3)]
    for feeder in "AB":
        before = "LV"
        for k, metres in enumerate((100.0, 110.0, 90.0)):
            at = f"{feeder}{k + 1}"
            buses.append(bus(at, 400.0, 0.92, 1.1))
            lines.append(line(f"C{at}", (before, at), metres * Z_LV, CABLE_A, measured=metered or k == 0))
            loads.append(load(f"D{at}", at, 32e3, 8e3))
            before = at
    silent = rng.choice(len(HUBS), 2, replace=False)
    units = [
        unit(i, at, "flex_load", p, cost, k + 1, reports=k not in silent, q_frac=0.3 if i.startswith("EV") else 0.0)
        for k, (i, at, p, cost) in enumerate(HUBS)
    ]
    return network(
        name,
        ("MV", 200e6, 0.4),
        buses=buses,
        lines=lines,
        transformers=[transformer("T1", ("MV", "LV"), (20e3, 400.0), 500e3, 0.05)],
        loads=loads,
        ders=[*units, battery("BAT", "B2", 80e3, 120e3, 0.8)],
    )
