"""Meters whose readings come late and do not say so."""

from __future__ import annotations

from collections.abc import Callable

import core_kit as kit
import numpy as np
from lying_kit import Lie, Lying

NETWORK, UNITS = ("bus.", "branch.", "interface."), ("unit.",)


def late(beginnings: tuple[str, ...], delay_s: float) -> Lie:
    """Points whose names begin so read what they did ``delay_s`` earlier."""
    past: dict[str, list[tuple[float, float]]] = {}

    def lie(point: str, value: float, now_s: float) -> float:
        if not point.startswith(beginnings):
            return value
        told = past.setdefault(point, [])
        told.append((now_s, value))
        then = [v for at_s, v in told if at_s <= now_s - delay_s + 1e-9]
        return then[-1] if then else told[0][1]

    return lie


def restless(run: Lying, cycles: int, seed: int = 5, each: Callable[[], None] = lambda: None) -> None:
    """Sun, wind and demand that move all the time, up to more than the network can carry."""
    rng = np.random.default_rng(seed)
    for k in range(cycles):
        if k % 8 == 0:
            run.plant.available_w["WIND"] = float(rng.uniform(2e6, 8e6))
        if k % 7 == 3:
            run.plant.available_w["PV"] = float(rng.uniform(1.5e6, 6e6))
        run.plant.town_w = float(np.clip(run.plant.town_w + rng.normal(0.0, 3e4), 1.2e6, 3.8e6))
        run.run(1)
        each()


def loop(lie: Lie) -> Lying:
    """The small station behind such meters."""
    return Lying(kit.Plant(kit.site(), {"WIND": 7e6, "PV": 6e6, "HUB": 1e6}), lie)
