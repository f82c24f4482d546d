"""A short course in lock-step through the real `gridedge cosim` process, against a plant that knows nothing of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from controller.cosim_site import site_from_reset
from controller.domain.site import Site
from simulators.plant.network import Flow, PlantNetwork

STEP_S, PERIOD_S, DURATION_S = 0.25, 1.0, 150.0
CLEARED_S, START_UP_S = 10.0, 10.0
ACTUATOR = {"latency_s": 0.5, "tau_p_s": 1.0, "tau_q_s": 0.5, "ramp_up_w_per_s": 3e5, "ramp_down_w_per_s": 1e6}
S_MAX_VA = 5e6
Json = dict[str, Any]


def reset() -> Json:
    """33/11 kV, 5 MVA; 4 MW of wind at A, 3 MW of sun at B, 1 MW of demand."""
    band = {"v_min_pu": 0.94, "v_max_pu": 1.06}
    line = {"r_ohm": 0.3, "x_ohm": 0.35, "i_max_a": 400.0}
    transformer = {"sn_va": 5e6, "s_max_va": S_MAX_VA, "u1_v": 33e3, "u2_v": 11e3, "uk_pu": 0.08, "pk_w": 3e4}
    no_load = {"i0_pu": 0.002, "p0_w": 4e3, "tap_pos": 0, "tap_min": -8, "tap_max": 8, "tap_size_pu": 0.0125}
    moves = {"actuator": ACTUATOR, "q_max_var": 1e6}
    wind = {"type": "wind", "p_rated_w": 4e6, "s_rated_va": 4.4e6, "cost_eur_per_mwh": 50, **moves}
    sun = {"type": "pv", "p_rated_w": 3e6, "s_rated_va": 3.3e6, "cost_eur_per_mwh": 60, **moves}
    network = {
        "f_hz": 50.0,
        "source": {"bus": "HV", "sk_va": 400e6, "rx_ratio": 0.1},
        "buses": [
            {"id": "HV", "u_rated_v": 33e3, "v_min_pu": 0.9, "v_max_pu": 1.1},
            *({"id": b, "u_rated_v": 11e3, **band} for b in ("BB", "A", "B")),
        ],
        "lines": [{"id": "LA", "from": "BB", "to": "A", **line}, {"id": "LB", "from": "BB", "to": "B", **line}],
        "transformers": [{"id": "T", "hv_bus": "HV", "lv_bus": "BB", **transformer, **no_load}],
        "loads": [{"id": "TOWN", "bus": "BB", "p_w": 1e6, "q_var": 2e5}],
        "ders": [
            {"id": "W", "bus": "A", "actuator": ACTUATOR, **wind},
            {"id": "S", "bus": "B", "actuator": ACTUATOR, **sun},
        ],
    }
    sigma = {"sigma_u_rel": 0.0005, "sigma_i_rel": 0.002, "sigma_pq_rel": 0.002, "sigma_der_rel": 0.002}
    return {"type": "reset", "network": network, "scenario": {"control_period_s": PERIOD_S, "measurement": sigma}}


def available_w(t_s: float) -> np.ndarray:
    """Wind comes up at 30 s, the sun at 75 s: 1 MW, then 4, then 7 MW against a transformer of 5 MVA."""
    return np.array([0.5e6 if t_s < 30.0 else 4e6, 0.5e6 if t_s < 75.0 else 3e6])


@dataclass
class Plant:
    """Two units with dead time, lag and ramp behind the true network; generator convention at its border."""

    site: Site
    rng: np.random.Generator
    cap_w: np.ndarray = field(default_factory=lambda: np.array([4e6, 3e6]))
    q_var: np.ndarray = field(default_factory=lambda: np.zeros(2))
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.network = PlantNetwork(self.site.topology, [u.bus for u in self.site.units])
        self.waiting: list[tuple[float, int, float, float]] = []
        self.target_w, self.target_var = self.cap_w.copy(), np.zeros(2)
        self.flow = self.solve()

    @property
    def p_w(self) -> np.ndarray:
        """What the units generate."""
        return np.minimum(self.cap_w, available_w(self.now_s))

    def solve(self) -> Flow:
        p, q = np.concatenate([[1e6], -self.p_w]), np.concatenate([[2e5], -self.q_var])
        return self.network.solve(1.0, p, q)

    def command(self, setpoints: Json) -> None:
        for k, name in enumerate(("W", "S")):
            if name in setpoints:
                s = setpoints[name]
                self.waiting.append((self.now_s + ACTUATOR["latency_s"], k, s["p_w"], s["q_var"]))

    def step(self) -> None:
        self.now_s += STEP_S
        for _, k, p_w, q_var in [w for w in self.waiting if w[0] <= self.now_s]:
            self.target_w[k], self.target_var[k] = p_w, q_var
        self.waiting = [w for w in self.waiting if w[0] > self.now_s]
        start = np.where(
            self.target_w < self.cap_w, np.minimum(self.cap_w, np.maximum(self.p_w, self.target_w)), self.cap_w
        )
        change = (self.target_w - start) * -math.expm1(-STEP_S / ACTUATOR["tau_p_s"])
        self.cap_w = start + np.clip(change, -1e6 * STEP_S, 3e5 * STEP_S)
        self.q_var = self.q_var + (self.target_var - self.q_var) * -math.expm1(-STEP_S / ACTUATOR["tau_q_s"])
        self.flow = self.solve()

    def measurement(self, silent: tuple[str, ...] = ()) -> Json:
        values: dict[str, float | None] = {}
        for bus, u_v in zip(self.site.topology.buses, self.flow.bus_u_v.tolist(), strict=True):
            values[f"bus.{bus.id}.u_v"] = self.read(u_v, 0.0005 * bus.u_rated_v)
        for k, b in enumerate(self.site.topology.branches):
            values[f"branch.{b.id}.i_a"] = self.read(float(self.flow.branch_i_a[k]), 0.002 * b.i_max_a)
            values[f"branch.{b.id}.p_w"] = self.read(float(self.flow.branch_p_w[k]), 1e4)
            values[f"branch.{b.id}.q_var"] = self.read(float(self.flow.branch_q_var[k]), 1e4)
        values["interface.p_w"] = self.read(self.flow.interface_p_w, 1e4)
        values["interface.q_var"] = self.read(self.flow.interface_q_var, 1e4)
        for k, name in enumerate(("W", "S")):
            values[f"der.{name}.p_w"] = self.read(float(self.p_w[k]), 8e3)
            values[f"der.{name}.q_var"] = self.read(float(self.q_var[k]), 8e3)
            values[f"der.{name}.p_avail_w"] = self.read(float(available_w(self.now_s)[k]), 8e3)
            values[f"der.{name}.soc"] = None
        values |= {name: None for name in values if name.startswith(silent)} if silent else {}
        return {"type": "measurement", "t_s": self.now_s, "t_sample_s": self.now_s, "values": values, "stale_s": {}}

    def read(self, value: float, sigma: float) -> float:
        return value + sigma * float(self.rng.standard_normal())


class Process:
    """`gridedge cosim` on pipes."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "controller", "cosim"]
        pipes: Json = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.child = subprocess.Popen(command, text=True, **pipes)

    def tell(self, message: Json) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()

    def ask(self, message: Json) -> Json:
        self.tell(message)
        assert self.child.stdout is not None
        answer: Json = json.loads(self.child.stdout.readline())
        return answer


@pytest.fixture
def process() -> Iterator[Process]:
    started = Process()
    yield started
    started.child.kill()
    started.child.communicate()


def drive(process: Process, plant: Plant, silent: tuple[str, ...] = ()) -> list[tuple[float, float, float]]:
    """The whole course; (time, loading of the transformer, highest voltage of A and B in pu) at every plant step."""
    process.tell(reset())
    course = []
    for k in range(round(DURATION_S / STEP_S)):
        if k % round(PERIOD_S / STEP_S) == 0:
            away = silent if 90.0 <= plant.now_s < 120.0 else ()
            plant.command(process.ask(plant.measurement(away))["setpoints"])
        plant.step()
        loading = float(plant.flow.branch_i_a[2]) / (S_MAX_VA / (math.sqrt(3.0) * 11e3))
        course.append((plant.now_s, loading, float(plant.flow.bus_u_v[2:].max()) / 11e3))
    process.tell({"type": "end"})
    return course


def plant_of(seed: int) -> Plant:
    message = reset()
    return Plant(site_from_reset(message["network"], message["scenario"]), np.random.default_rng(seed))


@pytest.mark.parametrize("silent", [(), ("branch.T",), ("branch.T", "interface")])
def test_both_steps_are_cleared_and_the_transformer_stays_used(process: Process, silent: tuple[str, ...]) -> None:
    plant = plant_of(3)
    course = drive(process, plant, silent)
    over = [t for t, loading, _ in course if loading > 1.0]
    late = [t for t in over if not any(0.0 <= t - step_s <= CLEARED_S for step_s in (30.0, 75.0))]
    assert not late
    assert max(u for _, _, u in course) <= 1.06
    assert np.mean([loading for t, loading, _ in course if 60.0 < t < 75.0]) < 0.99
    used = np.mean([loading for t, loading, _ in course if t > 140.0])
    assert 0.93 < used < 1.0
    assert process.child.wait(60) == 0
    assert process.child.stderr is not None
    assert process.child.stderr.read() == ""


def test_left_alone_the_same_course_overloads_the_transformer_to_its_end() -> None:
    plant = plant_of(3)
    for _ in range(round(DURATION_S / STEP_S)):
        plant.step()
    assert float(plant.flow.branch_i_a[2]) > 1.1 * S_MAX_VA / (math.sqrt(3.0) * 11e3)


def test_the_cheaper_unit_gives_way(process: Process) -> None:
    plant = plant_of(4)
    drive(process, plant)
    assert plant.p_w[1] == pytest.approx(3e6, rel=0.03)
    assert plant.p_w[0] < 3.3e6


def test_a_message_that_makes_no_sense_ends_the_process_with_the_number_of_its_line(process: Process) -> None:
    process.tell(reset())
    process.tell({"type": "measurement", "t_s": 0.0})
    out, err = process.child.communicate(timeout=60)
    assert process.child.returncode == 1
    assert out == ""
    assert "line 2" in err
    assert "t_sample_s" in err
