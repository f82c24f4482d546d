"""Slopes of the power flow's equations against central differences of its solutions, in every kind of network."""

from __future__ import annotations

import cmath
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import grid_by_hand as hand
import numpy as np
import pytest

from controller.config.loader import load_site
from controller.domain.topology import Bus, Line, Source, Topology, Transformer
from controller.grid.admittance import BASE_VA, TwoPorts, bus_matrix
from controller.grid.model import GridModel, PowerFlowError
from controller.grid.slopes import Slopes, exchange

SITES = Path(__file__).resolve().parents[3] / "site_configs"
STEP_W = 500.0
T1 = Transformer("T1", "GRID", "BB", 40e6, 110e3, 20e3, 0.12, 170e3, 0.001, 22e3, 40e6, 3, -8, 8, 0.015)
T2 = Transformer("T2", "BB", "LV", 400e3, 20e3, 410.0, 0.04, 4.6e3, 0.002, 0.6e3, 400e3)
BUSES = (Bus("BB", 20e3), Bus("A", 20e3), Bus("GRID", 110e3), Bus("B", 20e3), Bus("LV", 400.0))
RING = (
    Line("R1", "BB", "A", 0.6, 0.5, 80e-6, 417.0),
    Line("R2", "A", "B", 0.4, 0.3, 60e-6, 417.0),
    Line("R3", "B", "BB", 0.9, 0.8, 90e-6, 417.0),
)


def ring() -> Topology:
    """A ring of cables behind a transformer that is not at its middle tap, with a second one in parallel."""
    return Topology(50.0, Source("GRID", 800e6, 0.1, 1.02), BUSES, RING, (T1, replace(T1, id="T1B"), T2), ())


def fed_by_a_line() -> Topology:
    """The source's bus is where a cable ends."""
    lines = (replace(RING[0], from_bus="A", to_bus="BB"), RING[1])
    buses = (Bus("A", 20e3), Bus("BB", 20e3), Bus("B", 20e3))
    return Topology(50.0, Source("BB", 200e6, 0.5), buses, lines, (), ())


@cache
def networks() -> dict[str, Topology]:
    made = {"ring": ring(), "line": fed_by_a_line(), "two buses": hand.two_bus_topology()}
    return made | {p.stem: load_site(p).topology for p in sorted(SITES.glob("*.yaml"))}


def working_point(model: GridModel) -> np.ndarray:
    """Something flows everywhere, in one direction here and in the other there; low voltage carries little."""
    u_v = np.array([b.u_rated_v for b in model.topology.buses if b.id in model.injection_buses])
    scale = np.minimum(1e6, 50e3 * u_v / 400.0)
    signs = np.resize([1.0, -1.5, 0.5], len(u_v))
    return np.concatenate([signs * scale, 0.4 * np.roll(signs, 1) * scale])


def voltages(model: GridModel, at: np.ndarray) -> np.ndarray:
    """The solver's, per unit of the rated ones."""
    solved = model._solved(at)
    return solved.u_v / model.u_rated_v * np.exp(1j * solved.angle_rad)


@pytest.mark.parametrize("name", networks())
def test_slopes_are_those_of_the_solver_s_power_flows(name: str) -> None:
    model = GridModel(networks()[name])
    at = working_point(model)
    steps = STEP_W * np.eye(len(at))
    differences = (model.stacked(at + steps) - model.stacked(at - steps)).T / (2.0 * STEP_W)
    linear = model.linearise(at)
    branch = [linear.rows_branch(q) for q in ("p_w", "q_var", "i_p_a", "i_q_a")]
    for rows in (linear.rows_u(), *branch, linear.rows_interface()):
        scale = np.abs(differences[rows]).max()
        assert linear.jacobian[rows] == pytest.approx(differences[rows], abs=2e-5 * scale)
    assert linear.base == pytest.approx(model.stacked(at[None, :])[0], rel=1e-8, abs=1e-2)


def test_the_matrix_of_admittances_carries_the_solver_s_power_flow() -> None:
    """Kirchhoff: what the solver's voltages drive through our matrix is what was asked of it, bus by bus."""
    topology = ring()
    model = GridModel(topology)
    at, n = working_point(model), model.n_injection
    voltage_pu = voltages(model, at)
    taken_in = BASE_VA * voltage_pu * np.conj(bus_matrix(TwoPorts.of(topology), topology) @ voltage_pu)
    others = [k for k, b in enumerate(topology.buses) if b.id != "GRID"]
    assert taken_in[others] == pytest.approx(-(at[:n] + 1j * at[n:]), abs=5.0)


def test_a_transformer_stands_for_its_ratio_its_short_circuit_and_its_idle_current() -> None:
    """From the plate: short-circuited it takes sn / uk, idle i0 and p0, and turns 110 kV × 1.045 into 20 kV."""
    ports = TwoPorts.of(Topology(50.0, Source("GRID", 1e9, 0.1), BUSES, (), (T1,), ()))
    assert abs(ports.y_22[0]) * BASE_VA == pytest.approx(T1.sn_va / T1.uk_pu, rel=1e-3)
    idle = ports.y_11[0] - ports.y_12[0] * ports.y_21[0] / ports.y_22[0]
    at_plate = 1.045**2 * BASE_VA * idle
    assert at_plate.real == pytest.approx(T1.p0_w, rel=0.01)
    assert abs(at_plate) == pytest.approx(T1.i0_pu * T1.sn_va, rel=0.01)
    ratio = -ports.y_21[0] / ports.y_22[0]
    assert cmath.polar(ratio)[0] == pytest.approx(1.0 / 1.045, rel=1e-3)


@pytest.mark.parametrize("step", [2, 4, 6, 10])
def test_blocks_of_any_size_come_to_the_same_inverse(step: int) -> None:
    model, slopes = GridModel(ring()), Slopes(ring())
    whole = slopes.matrix(voltages(model, working_point(model)))
    part = whole.copy()
    for first in range(0, len(whole), step):
        exchange(part, slopes.order[first : first + step])
    assert part @ whole == pytest.approx(np.eye(len(whole)), abs=1e-9)


@pytest.mark.parametrize("name", networks())
def test_from_the_far_ends_every_bus_is_exchanged_once_and_the_source_s_last(name: str) -> None:
    topology = networks()[name]
    order, buses = Slopes(topology).order, [b.id for b in topology.buses]
    assert sorted(order) == list(range(2 * len(buses)))
    assert order[-2:] == pytest.approx(2 * buses.index(topology.source.bus) + np.arange(2))


def test_of_a_long_feeder_only_the_neighbourhood_is_computed() -> None:
    buses = (Bus("GRID", 20e3), *(Bus(f"B{k}", 20e3) for k in range(60)))
    lines = tuple(Line(f"L{k}", a.id, b.id, 0.1, 0.1, 0.0, 300.0) for k, (a, b) in enumerate(pairwise(buses)))
    topology = Topology(50.0, Source("GRID", 800e6, 0.1), buses, lines, (), ())
    slopes = Slopes(topology)
    whole = slopes.matrix(np.ones(61, dtype=complex))
    part, products = whole.copy(), 0
    for first in range(0, 60, 10):
        products += exchange(part, slopes.order[first : first + 10])
    assert products < 0.2 * len(whole) ** 2 * 60
    exchange(part, slopes.order[60:])
    assert part @ whole == pytest.approx(np.eye(len(whole)), abs=1e-6)


def test_a_network_without_slopes_at_its_solution_is_an_error_and_not_a_number() -> None:
    model = GridModel(ring())
    solved = model.proceed(model.begin(working_point(model)))
    stuck = replace(solved, equations=np.zeros((10, 10)), exchanged=0)
    with pytest.raises(PowerFlowError, match="collapsing"):
        model.proceed(stuck)
