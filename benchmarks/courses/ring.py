"""A closed ring behind two unequal transformers side by side: every limit feels every unit, from both sides."""

from __future__ import annotations

import numpy as np

from .course import Course, Json, Times
from .network import bus, line, load, network, transformer, unit
from .weather import clouds, steps, wander

TIMES = Times(240.0, 0.1, 1.0, 0.5)
UNITS = (("wind", 4.0), ("pv", 3.5), ("wind", 4.0), ("pv", 3.0), ("wind", 4.5), ("pv", 3.0))  # MW, at stations R1…R6
DEAF = ("G1", "G4")


def ring(name: str, seed: int, *, deaf: bool = False) -> Course:
    """Wind steps at three stations, clouds over the other three, and demand that halves.

    ``deaf``: one unit under the clouds and one of the wind lose the orders of more than a minute.
    """
    rng = np.random.default_rng(seed)
    t = TIMES.grid_s()
    demand = steps(rng, t, [(0.0, 0.8), (150.0, 0.4)])
    sky = 0.95 * np.clip(0.4 + t / 40.0, 0.0, 1.0)
    series = {"u_source_pu": 1.0 + wander(rng, t, 60.0, 0.001), "load": demand}
    series |= clouds(rng, t, ["g2", "g4", "g6"], sky=sky, clear_s=40.0, cloud_s=20.0)
    series |= {f"g{k}": steps(rng, t, [(0.0, 0.4), (20.0 + 10.0 * k, 0.95)]) for k in (1, 3, 5)}
    truth: Json = {"noise_seed": seed, "bias_seed": seed + 100}
    if deaf:
        truth["faults"] = [{"type": "der_deaf", "id": d, "t0_s": 50.0, "t1_s": 190.0} for d in DEAF]
    events = tuple({"branch": "TB", "t_s": a, "t_end_s": b} for a, b in ((30.0, 150.0), (150.0, 240.0)))
    return Course(name, _network(name, rng), TIMES, series, truth, events)


def _network(name: str, rng: np.random.Generator) -> Json:
    stations = [f"R{k + 1}" for k in range(len(UNITS))]
    path = ["BB", *stations, "BB"]
    lines = [
        line(f"S{k + 1}", (path[k], path[k + 1]), (0.4 + 0.35j) * rng.uniform(0.7, 1.5), 320.0)
        for k in range(len(path) - 1)
    ]
    costs = rng.permutation([50.0, 52.0, 55.0, 58.0, 60.0, 65.0])
    return network(
        name,
        ("HV", 1.5e9, 0.1),
        buses=[bus("HV", 110e3, 0.9, 1.1), *(bus(b, 20e3, 0.95, 1.05) for b in ["BB", *stations])],
        lines=[*lines, line("X", ("R2", "R5"), 0.9 + 0.7j, 160.0)],
        transformers=[
            transformer("TA", ("HV", "BB"), (110e3, 20e3), 9e6, 0.11),
            transformer("TB", ("HV", "BB"), (110e3, 20e3), 7e6, 0.10),
        ],
        loads=[load(f"D{k + 1}", at, 5e5, 1e5) for k, at in enumerate(stations)],
        ders=[
            unit(f"G{k + 1}", stations[k], kind, mw * 1e6, float(costs[k]), k + 1, reports=k != 2)
            for k, (kind, mw) in enumerate(UNITS)
        ],
    )
