"""Overload steps behind one 33/11 kV transformer: with deaf units and frozen meters, or with a wrong model."""

from __future__ import annotations

from typing import Any

import numpy as np

from .course import Array, Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .weather import steps, wander

TIMES = Times(240.0, 0.1, 1.0, 0.5)
COSTS = (52.0, 57.0, 64.0, 49.0, 60.0)


def _busbar(name: str, s_va: float, feeders: list[tuple[complex, float]], units: list[Json]) -> Json:
    """A primary substation whose feeders each end in one node N1, N2, ..."""
    nodes = [f"N{k + 1}" for k in range(len(feeders))]
    buses = [bus("HV", 33e3, 0.9, 1.1), *(bus(b, 11e3, 0.94, 1.06) for b in ["BB", *nodes])]
    lines = [line(f"F{k + 1}", ("BB", n), z, i) for k, (n, (z, i)) in enumerate(zip(nodes, feeders, strict=True))]
    loads = [load(f"D{k + 1}", n, 6e5, 1.5e5) for k, n in enumerate(nodes)]
    return network(
        name,
        ("HV", 8e8, 0.15),
        buses=buses,
        lines=lines,
        transformers=[transformer("T1", ("HV", "BB"), (33e3, 11e3), s_va, 0.11)],
        loads=[*loads, load("DB", "BB", 1.4e6, 3.5e5)],
        ders=units,
    )


def _events(at_s: list[float], end_s: float) -> tuple[Json, ...]:
    ends = [*at_s[1:], end_s]
    return tuple({"branch": "T1", "t_s": a, "t_end_s": b} for a, b in zip(at_s, ends, strict=True))


FIVE_MW = (5.0, 4.0, 3.5, 3.0, 3.5)
FIVE_KIND = ("wind", "pv", "pv", "wind", "pv")
FIVE_LEVELS: tuple[list[tuple[float, float]], ...] = (
    [(0, 0.45), (20, 0.90)],
    [(0, 0.70), (110, 0.95)],
    [(0, 0.75)],
    [(0, 0.60), (20, 0.85)],
    [(0, 0.85)],
)


def _five_units(rng: np.random.Generator, with_battery: bool) -> list[Json]:
    costs = rng.permutation(COSTS)
    makers = zip(FIVE_KIND, FIVE_MW, costs, strict=True)
    units = [
        unit(f"G{k + 1}", f"N{k + 1}", kind, mw * 1e6, float(cost), k + 1, reports=k != 2)
        for k, (kind, mw, cost) in enumerate(makers)
    ]
    if with_battery:
        units[4] = battery("B1", "N5", 8e5, 8e5, 0.4)
    return units


def step_faults(name: str, seed: int, variant: str) -> Course:
    """Five units, three of them deaf and meters frozen, so that the other two must do the work.

    ``variant``: ``deaf`` = deaf from the first step on; ``born_deaf`` = they never heard a cap at all, and the second
    step is demand that falls away; ``silent`` = as ``deaf`` with a battery, and meters that freeze without saying so.
    """
    rng = np.random.default_rng(seed)
    t = TIMES.grid_s()
    units = _five_units(rng, variant == "silent")
    feeders = [
        (0.25 + 0.32j, 360.0),
        (0.3 + 0.36j, 300.0),
        (0.5 + 0.5j, 250.0),
        (0.4 + 0.42j, 250.0),
        (0.35 + 0.4j, 250.0),
    ]
    falls = variant == "born_deaf"
    demand = [(0.0, 0.75), (110.0, 0.25)] if falls else [(0.0, 0.6)]
    series: dict[str, Array] = {
        "u_source_pu": 1.0 + wander(rng, t, 60.0, 0.001),
        "load": steps(rng, t, demand, noise=0.005),
    }
    for u, levels in zip(units, FIVE_LEVELS, strict=True):
        if "profile" in u:
            series[u["profile"]] = steps(rng, t, levels)
    truth = {"noise_seed": seed, "bias_seed": seed + 100, "faults": _faults(rng, units, variant)}
    s_va = 8.5e6 if variant == "silent" else 11e6
    return Course(name, _busbar(name, s_va, feeders, units), TIMES, series, truth, _events([20.0, 110.0], 240.0))


def _faults(rng: np.random.Generator, units: list[Json], variant: str) -> list[dict[str, Any]]:
    """Three deaf units of the dispatchable five (never the largest nor the battery), and two frozen meters."""
    able = [u["id"] for u in units if u["type"] != "battery"]
    deaf = sorted(rng.choice(able[1:], 3, replace=False).tolist())
    from_s = 0.0 if variant == "born_deaf" else 20.0
    silent = {"silent": True} if variant == "silent" else {}
    meters = [
        {"type": "freeze", "prefixes": ["branch.T1.", "interface."], "t0_s": 45.0, "t1_s": 70.0} | silent,
        {"type": "freeze", "prefixes": [f"der.{able[0]}."], "t0_s": 104.0, "t1_s": 150.0} | silent,
        {"type": "freeze", "prefixes": ["bus.N2.", "branch.F2."], "t0_s": 15.0, "t1_s": 200.0} | silent,
    ]
    return [{"type": "der_deaf", "id": d, "t0_s": from_s, "t1_s": 215.0} for d in deaf] + meters


def step_wrong(name: str, seed: int) -> Course:
    """Three generators and a battery, two steps; impedances 20 % off and lags off by 0.7 or 1.6."""
    rng = np.random.default_rng(seed)
    t = TIMES.grid_s()
    units = [
        unit("G1", "N1", "wind", 8.5e6, 52.0, 2),
        unit("G2", "N2", "pv", 6e6, 57.0, 1),
        unit("G3", "N3", "pv", 3e6, 64.0, 3, reports=False),
        battery("B1", "N2", 1e6, 1.5e6, 0.5),
    ]
    feeders = [(0.25 + 0.32j, 540.0), (0.3 + 0.36j, 400.0), (0.6 + 0.6j, 250.0)]
    first = float(rng.uniform(0.25, 0.40))
    series = {
        "u_source_pu": 1.0 + wander(rng, t, 60.0, 0.001),
        "load": np.clip(0.6 + wander(rng, t, 20.0, 0.01), 0.0, 1.0),
        "g1": steps(rng, t, [(0, first), (18, 0.78)]),
        "g2": steps(rng, t, [(0, 0.92)]),
        "g3": steps(rng, t, [(0, 0.55), (125, 0.86)]),
    }
    net = _busbar(name, 10e6, feeders, units)
    return Course(name, net, TIMES, series, wrong_model(rng, net, seed), _events([18.0, 125.0], 240.0))


def wrong_model(rng: np.random.Generator, net: Json, seed: int) -> Json:
    """truth.json of a plant that differs from its papers: impedances by 20 %, actuator times by 0.7 to 1.6."""
    lines = {x["id"]: [float(v) for v in rng.uniform(0.8, 1.2, 2).round(3)] for x in net["lines"]}
    transformers = {x["id"]: round(float(rng.uniform(0.88, 1.12)), 3) for x in net["transformers"]}
    times = ("latency_s", "tau_p_s", "tau_q_s")
    actuators = {}
    for d in net["ders"]:
        factor = float(rng.choice([0.7, 1.0, 1.3, 1.6]))
        actuators[d["id"]] = {k: round(factor * d["actuator"][k], 3) for k in times}
    return {
        "noise_seed": seed,
        "bias_seed": seed + 100,
        "line_scale": lines,
        "transformer_uk_scale": transformers,
        "actuator_override": actuators,
    }
