"""A course in memory and on disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Json = dict[str, Any]

# Class 0.5 instruments behind a concentrator: the measurement chain of every course here.
MEASUREMENT: Json = {
    "latency_s": 0.5,
    "sigma_u_rel": 0.001,
    "sigma_i_rel": 0.003,
    "sigma_pq_rel": 0.003,
    "sigma_der_rel": 0.004,
    "bias_u_rel": 0.001,
    "bias_i_rel": 0.003,
    "bias_pq_rel": 0.003,
    "bias_der_rel": 0.005,
    "quant_u_rel": 0.0002,
    "quant_i_rel": 0.001,
    "quant_pq_rel": 0.001,
    "quant_der_rel": 0.001,
}
# Above the marginal cost of avoiding each violation, so that the optimum obeys the limits.
OBJECTIVE: Json = {
    "overload_eur_per_mvah": 2000.0,
    "voltage_eur_per_pu_s": 20.0,
    "soc_deficit_eur_per_mwh": 100.0,
}


@dataclass(frozen=True, slots=True)
class Times:
    """Steps of a course, all in seconds."""

    duration_s: float
    plant_dt_s: float
    control_period_s: float
    series_dt_s: float
    latency_s: float = 0.5

    def grid_s(self) -> Array:
        """Instants of the series rows, one row beyond the end so that interpolation never runs out."""
        return np.arange(0.0, self.duration_s + 1.5 * self.series_dt_s, self.series_dt_s)


@dataclass(frozen=True, slots=True)
class Course:
    """One course; ``series`` holds one column per profile, all on ``times.grid_s()``."""

    name: str
    network: Json
    times: Times
    series: dict[str, Array]
    truth: Json = field(default_factory=dict)
    events: tuple[Json, ...] = ()
    q_requests: tuple[Json, ...] = ()

    def scenario(self) -> Json:
        """Content of scenario.json."""
        out: Json = {
            "format": "anm-scenario/1",
            "name": self.name,
            "duration_s": self.times.duration_s,
            "plant_dt_s": self.times.plant_dt_s,
            "control_period_s": self.times.control_period_s,
            "series_dt_s": self.times.series_dt_s,
            "measurement": MEASUREMENT | {"latency_s": self.times.latency_s},
            "objective": OBJECTIVE,
        }
        if self.events:
            out["events"] = list(self.events)
        if self.q_requests:
            out["q_requests"] = list(self.q_requests)
        return out

    def write(self, folder: Path) -> Path:
        """Write the course below ``folder``; the bytes depend on the course alone."""
        path = folder / self.name
        path.mkdir(parents=True, exist_ok=True)
        _dump(path / "network.json", self.network)
        _dump(path / "scenario.json", self.scenario())
        truth = path / "truth.json"
        truth.unlink(missing_ok=True)
        if self.truth:
            _dump(truth, self.truth)
        (path / "series.csv.gz").write_bytes(gzip.compress(self._csv(), mtime=0))
        return path

    def _csv(self) -> bytes:
        columns = {"t_s": self.times.grid_s()} | self.series
        out = io.StringIO()
        out.write(",".join(columns) + "\n")
        formats = ["%.10g", *["%.5g"] * len(self.series)]
        np.savetxt(out, np.column_stack(list(columns.values())), fmt=formats, delimiter=",")
        return out.getvalue().encode()


def digest(folder: Path) -> str:
    """What a course directory holds, in twelve letters: an optimum belongs to one content."""
    hashed = hashlib.sha256()
    for name in ("network.json", "scenario.json", "truth.json", "series.csv.gz"):
        path = folder / name
        content = path.read_bytes() if path.exists() else b""
        hashed.update(gzip.decompress(content) if path.suffix == ".gz" else content)
    return hashed.hexdigest()[:12]


def _dump(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")
