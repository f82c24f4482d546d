"""Courses of a day and of a week: medium-voltage feeder, both directions in one day, a rural week."""

from __future__ import annotations

import numpy as np

from .course import Array, Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .step_courses import wrong_model
from .weather import clouds, household, smooth, sun, wander, wind

DAY_S = 86400.0
OHM_PER_KM = 0.45 + 0.36j


def mv_day(name: str, seed: int, *, sky: str = "broken", wrong: bool = True) -> Course:
    """A 20 kV feeder with four solar parks, a wind park and a battery; ``wrong``: the plant differs from its papers."""
    rng = np.random.default_rng(seed)
    times = Times(DAY_S, 2.0, 4.0, 60.0, 1.0)
    t = times.grid_s()
    net = _feeder(name, rng)
    clear, cloud = {"clear": (7200.0, 300.0), "broken": (600.0, 400.0), "windy": (1500.0, 900.0)}[sky]
    pv = [d["profile"] for d in net["ders"] if d["type"] == "pv"]
    series: dict[str, Array] = {
        "u_source_pu": 1.005 + 0.006 * np.sin(2.0 * np.pi * t / DAY_S - 0.6) + wander(rng, t, 1800.0, 0.001),
        "load": household(rng, t) * 0.9,
        "wt1": wind(rng, t, 0.75 if sky == "windy" else 0.5),
    }
    series |= clouds(rng, t, pv, sky=sun(t, 0.96), clear_s=clear, cloud_s=cloud)
    truth = {"noise_seed": seed, "bias_seed": seed + 100} | (wrong_model(rng, net, seed) if wrong else {})
    return Course(name, net, times, series, truth)


def _feeder(name: str, rng: np.random.Generator) -> Json:
    """Seven nodes in a row behind a 110/20 kV transformer."""
    km = rng.uniform(1.5, 3.5, 6)
    nodes = [f"N{k + 1}" for k in range(6)]
    ends = list(zip(["BB", *nodes], nodes, strict=False))
    parks = (("PV1", "N1", 1.8e6), ("PV2", "N2", 2.4e6), ("PV3", "N5", 2.2e6), ("PV4", "N6", 1.6e6))
    costs = rng.uniform(48.0, 70.0, 5).round()
    units = [
        unit(i, at, "pv", p, float(c), k + 1, reports=i != "PV2")
        for k, ((i, at, p), c) in enumerate(zip(parks, costs, strict=False))
    ]
    units += [unit("WT1", "N4", "wind", 3.5e6, float(costs[4]), 5), battery("BAT1", "N5", 5e5, 1.5e6, 0.3)]
    return network(
        name,
        ("HV", 1.5e9, 0.1),
        buses=[bus("HV", 110e3, 0.9, 1.1), *(bus(b, 20e3, 0.95, 1.05) for b in ["BB", *nodes])],
        lines=[line(f"L{k + 1}", e, x * OHM_PER_KM, 140.0) for k, (e, x) in enumerate(zip(ends, km, strict=True))],
        transformers=[transformer("T1", ("HV", "BB"), (110e3, 20e3), 16e6, 0.12)],
        loads=[*(load(f"D{n}", n, 5e5, 1.2e5) for n in nodes), load("DB", "BB", 4e6, 1e6)],
        ders=units,
    )


def import_export(name: str, seed: int) -> Course:
    """Wind at night, flexible demand in the evening: one transformer binds on export and on import in one day."""
    rng = np.random.default_rng(seed)
    times = Times(DAY_S, 2.0, 4.0, 60.0, 1.0)
    t = times.grid_s()
    ends = {"N1": ("BB", 3.0), "N2": ("N1", 2.5), "N3": ("BB", 4.0), "N4": ("N3", 2.0)}
    units = [
        unit("W1", "N2", "wind", 5.6e6, 51.0, 1),
        unit("W2", "N4", "wind", 4.8e6, 56.0, 2, reports=False),
        unit("HP", "N1", "flex_load", 1.5e6, 110.0, 3, q_frac=0.0),
        unit("EV", "N3", "flex_load", 2.2e6, 170.0, 4, q_frac=0.3),
        unit("COLD", "N4", "flex_load", 1.2e6, 140.0, 5, reports=False, q_frac=0.0),
        battery("BAT", "BB", 1.0e6, 2.5e6, 0.5),
    ]
    net = network(
        name,
        ("HV", 6e8, 0.15),
        buses=[bus("HV", 33e3, 0.9, 1.1), *(bus(b, 11e3, 0.95, 1.05) for b in ["BB", *ends])],
        lines=[line(f"L{n[1]}", (frm, n), km * (0.18 + 0.16j), 330.0) for n, (frm, km) in ends.items()],
        transformers=[transformer("T1", ("HV", "BB"), (33e3, 11e3), 6e6, 0.09)],
        loads=[*(load(f"D{n}", n, 7e5, 1.7e5) for n in ends), load("DB", "BB", 1.2e6, 3e5)],
        ders=units,
    )
    series = {"u_source_pu": 1.0 + wander(rng, t, 1800.0, 0.002), "load": household(rng, t)} | _both_ways(rng, t)
    return Course(name, net, times, series, {"noise_seed": seed, "bias_seed": seed + 100})


def _both_ways(rng: np.random.Generator, t: Array) -> dict[str, Array]:
    """Strong wind until the afternoon, then a lull into a cold evening."""
    hour = t / 3600.0
    gale = 0.92 - 0.85 / (1.0 + np.exp(-(hour - 15.5) / 0.6))
    evening = np.exp(-(((hour - 19.5) / 2.6) ** 2))
    gusts = [wander(rng, t, 900.0, 0.06) + wander(rng, t, 60.0, 0.02) for _ in range(2)]
    return {
        "w1": np.clip(gale + gusts[0], 0.0, 1.0),
        "w2": np.clip(gale + gusts[1], 0.0, 1.0),
        "hp": np.clip(0.35 + 0.5 * evening + wander(rng, t, 600.0, 0.04), 0.0, 1.0),
        "ev": np.clip(0.1 + 0.85 * evening + wander(rng, t, 300.0, 0.04), 0.0, 1.0),
        "cold": np.clip(0.5 + 0.2 * evening + smooth(t, np.where(rng.random(len(t)) < 0.5, 0.3, 0.0), 600.0), 0.0, 1.0),
    }


def rural_week(name: str, seed: int) -> Course:
    """Seven days at a long weak 20 kV spur: too much sun at noon, low voltage on cold evenings, half-minute control."""
    rng = np.random.default_rng(seed)
    times = Times(7.0 * DAY_S, 10.0, 30.0, 300.0, 2.0)
    t = times.grid_s()
    units = [
        unit("PVA", "R2", "pv", 3.0e6, 58.0, 2),
        unit("PVB", "R4", "pv", 2.0e6, 62.0, 1, reports=False),
        unit("WT", "R3", "wind", 1.8e6, 50.0, 3),
        unit("HPS", "R4", "flex_load", 9e5, 130.0, 4, q_frac=0.0),
        battery("BAT", "R4", 4e5, 1.6e6, 0.4),
    ]
    nodes = ["R1", "R2", "R3", "R4"]
    net = network(
        name,
        ("HV", 4e8, 0.15),
        buses=[bus("HV", 110e3, 0.9, 1.1), *(bus(b, 20e3, 0.95, 1.05) for b in ["BB", *nodes])],
        lines=[
            line(f"S{k + 1}", e, km * (0.6 + 0.38j), 75.0)
            for k, (e, km) in enumerate(
                zip(zip(["BB", *nodes], nodes, strict=False), (6.0, 5.0, 5.0, 6.0), strict=True)
            )
        ],
        transformers=[transformer("T1", ("HV", "BB"), (110e3, 20e3), 10e6, 0.11)],
        loads=[*(load(f"D{n}", n, 4.6e5, 1.3e5) for n in nodes), load("DB", "BB", 2e6, 5e5)],
        ders=units,
    )
    gloom = np.interp(t, (np.arange(8) + 0.5) * DAY_S, rng.uniform(0.45, 1.0, 8))
    cold = 0.35 + 0.35 * household(rng, t, 0.03) + wander(rng, t, 40000.0, 0.08)
    series = {
        "u_source_pu": 1.0 + wander(rng, t, 20000.0, 0.004),
        "load": household(rng, t),
        "wt": wind(rng, t, 0.45, slow=0.25, gust=0.04, slow_s=30000.0),
        "hps": np.clip(cold, 0.0, 1.0),
    }
    series |= clouds(rng, t, ["pva", "pvb"], sky=sun(t, 0.95) * gloom, clear_s=2400.0, cloud_s=1800.0)
    return Course(name, net, times, series, {"noise_seed": seed, "bias_seed": seed + 100})
