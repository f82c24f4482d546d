"""The transmission operator asks for reactive power while generation is near a thermal limit."""

from __future__ import annotations

import numpy as np

from .course import Course, Json, Times
from .network import battery, bus, line, load, network, transformer, unit
from .weather import clouds, wander, wind


def tso_voltage(name: str, seed: int, *, hv_v: float = 110e3, mv_v: float = 20e3, minutes: float = 25.0) -> Course:
    """Two wind parks, two solar parks and a battery; three requests of both signs at three prices."""
    rng = np.random.default_rng(seed)
    times = Times(60.0 * minutes, 0.2, 1.0, 1.0)
    t = times.grid_s()
    net = _network(name, hv_v, mv_v)
    series = {
        "u_source_pu": 1.01 + wander(rng, t, 200.0, 0.002),
        "load": np.clip(0.5 + wander(rng, t, 120.0, 0.03), 0.1, 1.0),
        "w1": wind(rng, t, 0.82, slow=0.05, gust=0.015, slow_s=400.0),
        "w2": wind(rng, t, 0.78, slow=0.05, gust=0.015, slow_s=400.0),
    }
    series |= clouds(rng, t, ["s1", "s2"], sky=np.full(len(t), 0.9), clear_s=120.0, cloud_s=60.0)
    truth = {"noise_seed": seed, "bias_seed": seed + 100}
    return Course(name, net, times, series, truth, q_requests=_requests(rng, times.duration_s))


def _requests(rng: np.random.Generator, end_s: float) -> tuple[Json, ...]:
    """First a wish for import of reactive power, then export, then a dear wish beyond what the units can give."""
    wishes = ((0.08, 0.34, 5.5e6, 20.0), (0.38, 0.64, -4.5e6, 40.0), (0.70, 0.96, 8.5e6, 150.0))
    return tuple(
        {
            "t0_s": round(a * end_s),
            "t1_s": round(b * end_s),
            "q_var": round(q * float(rng.uniform(0.9, 1.1)), -3),
            "tolerance_var": 200e3,
            "penalty_eur_per_mvarh": price,
        }
        for a, b, q, price in wishes
    )


def _network(name: str, hv_v: float, mv_v: float) -> Json:
    base = (mv_v / 20e3) ** 2
    amps = 20e3 / mv_v
    ends = {"N1": ("BB", 2.4, 200.0), "N2": ("BB", 3.2, 215.0), "N3": ("N2", 1.6, 160.0), "N4": ("BB", 2.8, 210.0)}
    buses = [bus("HV", hv_v, 0.9, 1.1), *(bus(b, mv_v, 0.95, 1.05) for b in ["BB", *ends])]
    lines = [
        line(f"L{at[1]}", (frm, at), complex(0.45, 0.38) * km / 2.0 * base, amps * i)
        for at, (frm, km, i) in ends.items()
    ]
    units = [
        unit("W1", "N1", "wind", 6.5e6, 50.0, 2),
        unit("W2", "N3", "wind", 5.0e6, 55.0, 1),
        unit("S1", "N2", "pv", 4.5e6, 62.0, 3, reports=False),
        unit("S2", "N4", "pv", 5.5e6, 58.0, 4),
        battery("BAT", "BB", 2e6, 2e6, 0.5),
    ]
    return network(
        name,
        ("HV", 1.2e9, 0.1),
        buses=buses,
        lines=lines,
        transformers=[transformer("T1", ("HV", "BB"), (hv_v, mv_v), 15e6, 0.12)],
        loads=[load(f"D{at}", at, 7e5, 1.8e5) for at in ends] + [load("DB", "BB", 2.5e6, 7e5)],
        ders=units,
    )
