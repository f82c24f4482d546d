"""Broken clouds over a low-voltage network full of roofs: voltage, cable and transformer limits all bind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .course import Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .weather import clouds, wander

CABLE_OHM_PER_M = (0.206 + 0.080j) / 1000.0  # NAYY-J 4x150 SE
CABLE_A = 270.0
SECTIONS_M = {"A": (90.0, 90.0, 80.0, 70.0), "B": (110.0, 100.0, 90.0)}
UNITS = (
    ("A1", 70e3), ("A2", 80e3), ("A3", 70e3), ("A4", 80e3), ("B1", 80e3), ("B2", 80e3), ("B3", 90e3), ("LV", 120e3),
)  # fmt: skip


def lv_clouds(name: str, seed: int, *, mv_v: float = 20e3, minutes: float = 15.0, metered: bool = True) -> Course:
    """Eight PV units on two cables, a battery near the end of the first; ``metered``: every section and bus."""
    rng = np.random.default_rng(seed)
    times = Times(60.0 * minutes, 0.2, 1.0, 1.0)
    t = times.grid_s()
    net = _network(name, rng, mv_v, metered)
    names = [d["profile"] for d in net["ders"] if "profile" in d]
    sky = np.full(len(t), rng.uniform(0.9, 0.97)) + 0.05 * np.sin(t / 900.0)
    sky *= np.clip(
        0.35 + t / 60.0, 0.0, 1.0
    )  # starts in shade: an overload that the controller inherits proves nothing
    load_share = np.clip(rng.uniform(0.35, 0.5) + wander(rng, t, 40.0, 0.05), 0.05, 1.2)
    source = rng.uniform(1.040, 1.046) + wander(rng, t, 120.0, 0.002)
    series = {"u_source_pu": source, "load": load_share}
    series |= clouds(rng, t, names, sky=sky, clear_s=45.0, cloud_s=30.0)
    return Course(name, net, times, series, {"noise_seed": seed, "bias_seed": seed + 100})


def lv_taps(name: str, seed: int, *, step_pu: float = 0.03) -> Course:
    """The same while the upstream voltage jumps up, back, down and back, every one to two minutes."""
    course, rng = lv_clouds(name, seed), np.random.default_rng(seed + 200)
    t = course.times.grid_s()
    at_s = 90.0 + np.cumsum(rng.uniform(60.0, 120.0, 20))
    level = step_pu * np.array([0.0, 1.0, 0.0, -1.0])[np.searchsorted(at_s, t, side="right") % 4]
    return replace(course, series=course.series | {"u_source_pu": course.series["u_source_pu"] + level})


def _network(name: str, rng: np.random.Generator, mv_v: float, metered: bool) -> Json:
    buses = [bus("MV", mv_v, 0.9, 1.1), bus("LV", 400.0, 0.9, 1.1)]
    lines, loads = [], [load("DLV", "LV", 30e3, 8e3)]
    for feeder, lengths in SECTIONS_M.items():
        before = "LV"
        for k, metres in enumerate(lengths):
            at = f"{feeder}{k + 1}"
            buses.append(bus(at, 400.0, 0.9, 1.1, measured=metered or k != 1))
            lines.append(line(f"C{at}", (before, at), metres * CABLE_OHM_PER_M, CABLE_A, measured=metered or k == 0))
            loads.append(load(f"D{at}", at, 18e3, 5e3))
            before = at
    costs, reports = rng.uniform(45.0, 80.0, len(UNITS)).round(), rng.permutation(len(UNITS))
    units = [
        unit(f"PV{k + 1}", at, "pv", p_w, float(costs[k]), k + 1, reports=bool(reports[k] > 2))
        for k, (at, p_w) in enumerate(UNITS)
    ]
    return network(
        name,
        ("MV", 150e6, 0.4),
        buses=buses,
        lines=lines,
        transformers=[transformer("T1", ("MV", "LV"), (mv_v, 400.0), 400e3, 0.04)],
        loads=loads,
        ders=[*units, battery("BAT", "A3", 40e3, 20e3, 0.5)],
    )
