"""True courses of loading and curtailment in the judge's plant: the core, the stored optimum, and nobody."""

from __future__ import annotations

import csv
import gzip
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from controller.cosim import Session

Json = dict[str, Any]


class Controller(Protocol):
    """Whoever gives set points."""

    def reset(self, public: Json) -> None:
        """Told before the first measurement."""

    def step(self, observation: Json) -> Json:
        """Set points after one measurement."""


class Core:
    """The control core, as ``gridedge cosim`` runs it."""

    def __init__(self) -> None:
        self._session = Session()

    def reset(self, public: Json) -> None:
        """Told before the first measurement."""
        self._session.handle({"type": "reset", **public})

    def step(self, observation: Json) -> Json:
        """Set points after one measurement."""
        answer = self._session.handle({"type": "measurement", **observation})
        return {} if answer is None else dict(answer["setpoints"])


class Replay:
    """The set points of the perfect-information optimum that lie beside the course, linear between their instants."""

    def __init__(self, folder: Path) -> None:
        with gzip.open(folder / "optimum_setpoints.csv.gz", "rt") as file:
            header, *rows = csv.reader(file)
        self._names = [name.rpartition(".")[::2] for name in header[1:]]
        self._t_s, *self._values = np.array(rows, dtype=float).T

    def reset(self, public: Json) -> None:
        """It knows everything already."""

    def step(self, observation: Json) -> Json:
        """What the optimum has for now."""
        out: Json = {}
        for (unit, quantity), values in zip(self._names, self._values, strict=True):
            out.setdefault(unit, {})[quantity] = float(np.interp(observation["t_s"], self._t_s, values))
        return out


class Nobody:
    """No set point, ever."""

    def reset(self, public: Json) -> None:
        """Not interested."""

    def step(self, observation: Json) -> Json:
        """Nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Samples of the truth: time (s), use of the most used branch (1.0 = rating), power kept back (W); the report."""

    t_s: np.ndarray
    loading: np.ndarray
    curtailed_w: np.ndarray
    report: Json


def drive(judge: Path, folder: Path, controller: Controller, seed: int, every_s: float) -> Trajectory:
    """One course to its end, sampled every ``every_s``."""
    if str(judge) not in sys.path:
        sys.path.insert(0, str(judge))
    plant = importlib.import_module("plant")
    scenario = plant.Scenario(str(folder))
    world = plant.Plant(scenario, seed)
    controller.reset(plant.public_view(scenario))
    per, keep = round(scenario.cfg["control_period_s"] / world.dt), round(every_s / world.dt)
    rows: list[tuple[float, float, float]] = []
    for k in range(world.n_steps):
        if k % per == 0:
            world.command(controller.step(world.observe()))
        world.step()
        if k % keep == 0:
            rows.append((world.t, float((world.i / scenario.i_max).max()), _curtailed_w(world, scenario)))
    t_s, loading, curtailed_w = np.array(rows).T
    return Trajectory(t_s, loading, curtailed_w, world.acc.report())


def _curtailed_w(world: Any, scenario: Any) -> float:
    """What units other than storage could do and do not, W."""
    kept = world.av - scenario.sgn * world.p
    return float(np.maximum(kept[~scenario.is_bat], 0.0).sum())
