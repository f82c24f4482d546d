"""The network model against pencil and paper, against finite differences, and against a second implementation."""

from __future__ import annotations

from pathlib import Path

import grid_by_hand as hand
import numpy as np
import pytest

from controller.config.loader import load_site
from controller.domain.site import Site
from controller.domain.topology import Bus, Line, Source, Topology, Transformer
from controller.grid.model import GridModel, PowerFlowError
from simulators.plant.network import PlantNetwork

SITES = Path(__file__).resolve().parents[3] / "site_configs"
OPERATING_POINTS = [(4e6, 1e6), (-5e6, 0.0), (-3e6, 2e6), (0.5e6, -1.5e6)]


def solved(p_w: float, q_var: float) -> tuple[GridModel, np.ndarray]:
    model = GridModel(hand.two_bus_topology())
    return model, model.stacked(np.array([[p_w, q_var]]))[0]


@pytest.mark.parametrize(("p_w", "q_var"), OPERATING_POINTS)
def test_a_line_with_a_load_is_solved_as_by_hand(p_w: float, q_var: float) -> None:
    flow = GridModel(hand.two_bus_topology()).solve(np.array([p_w, q_var]))
    by_hand = hand.two_bus(p_w, q_var)
    assert flow.u_v == pytest.approx([by_hand.source_v, by_hand.load_v], rel=1e-6)
    assert (flow.p_w[0], flow.q_var[0]) == pytest.approx((by_hand.line_p_w, by_hand.line_q_var), rel=1e-5, abs=1.0)
    assert flow.i_a[0] == pytest.approx(by_hand.line_i_a, rel=1e-6)


@pytest.mark.parametrize(("p_w", "q_var"), OPERATING_POINTS)
def test_sensitivities_are_the_slopes_of_the_flow_by_hand(p_w: float, q_var: float) -> None:
    linear = GridModel(hand.two_bus_topology()).linearise(np.array([p_w, q_var]))
    step = 1e3
    for column, (dp, dq) in enumerate([(step, 0.0), (0.0, step)]):
        above, below = hand.two_bus(p_w + dp, q_var + dq), hand.two_bus(p_w - dp, q_var - dq)
        slope_v = (above.load_v - below.load_v) / (2.0 * step)
        slope_p = (above.line_p_w - below.line_p_w) / (2.0 * step)
        slope_q = (above.line_q_var - below.line_q_var) / (2.0 * step)
        assert linear.jacobian[linear.rows_u()][1, column] == pytest.approx(slope_v, rel=0.02)
        assert linear.jacobian[linear.rows_branch("p_w")][0, column] == pytest.approx(slope_p, abs=0.005)
        assert linear.jacobian[linear.rows_branch("q_var")][0, column] == pytest.approx(slope_q, abs=0.005)


@pytest.mark.parametrize("tap_pos", [-8, -2, 0, 5])
@pytest.mark.parametrize(("p_w", "q_var"), [(8e6, 2e6), (-8e6, 1e6), (0.0, 0.0)])
def test_a_transformer_and_its_tap_are_solved_as_by_hand(tap_pos: int, p_w: float, q_var: float) -> None:
    flow = GridModel(hand.transformer_topology(tap_pos)).solve(np.array([p_w, q_var]))
    assert flow.u_v[1] == pytest.approx(hand.transformer_lv_v(p_w, q_var, tap_pos), rel=2e-4)
    assert (flow.p_w[0], flow.q_var[0]) == pytest.approx((p_w, q_var), abs=1.0)


def test_a_higher_tap_position_lowers_the_lower_side() -> None:
    low, high = (GridModel(hand.transformer_topology(k)).solve(np.zeros(2)).u_v[1] for k in (-4, 4))
    assert high < 11e3 < low


def test_generation_lifts_the_voltage_and_flows_toward_the_source() -> None:
    model = GridModel(hand.two_bus_topology())
    idle, generating = model.solve(np.zeros(2)), model.solve(np.array([-4e6, 0.0]))
    assert generating.u_v[1] > idle.u_v[1]
    assert generating.p_w[0] < 0.0
    assert generating.i_p_a[0] < 0.0


def test_inductive_absorption_lowers_the_voltage_and_flows_away_from_the_source() -> None:
    model = GridModel(hand.two_bus_topology())
    idle, absorbing = model.solve(np.zeros(2)), model.solve(np.array([0.0, 2e6]))
    assert absorbing.u_v[1] < idle.u_v[1]
    assert absorbing.q_var[0] > 0.0
    assert absorbing.i_q_a[0] > 0.0


def test_the_interface_counts_import_positive_and_pays_for_the_losses() -> None:
    model = GridModel(hand.transformer_topology(0))
    importing, exporting = (model.solve(np.array([p_w, 0.0])).interface_p_w for p_w in (8e6, -8e6))
    assert 8e6 < importing < 8.1e6
    assert -8e6 < exporting < -7.9e6


def test_current_components_have_the_sign_of_the_powers_and_the_length_of_the_current() -> None:
    flow = GridModel(hand.two_bus_topology()).solve(np.array([-3e6, 2e6]))
    assert (np.sign(flow.i_p_a[0]), np.sign(flow.i_q_a[0])) == (-1.0, 1.0)
    apparent = np.sqrt(3.0) * flow.u_v[0] * flow.i_a[0]
    assert apparent == pytest.approx(np.hypot(flow.p_w[0], flow.q_var[0]), rel=1e-9)


def test_power_at_the_source_bus_moves_nothing_and_has_no_place_among_the_injections() -> None:
    model = GridModel(hand.two_bus_topology())
    assert model.injection_index("A") == -1
    assert model.injection_index("B") == 0


def test_a_first_order_prediction_meets_the_flow_it_was_made_at() -> None:
    at = np.array([-3e6, 1e6])
    linear = GridModel(hand.two_bus_topology()).linearise(at)
    _, exact = solved(*at)
    assert linear.predict(at) == pytest.approx(exact, rel=1e-12)


def test_a_load_that_no_line_can_carry_is_an_error_and_not_a_number() -> None:
    with pytest.raises(PowerFlowError):
        GridModel(hand.two_bus_topology()).solve(np.array([500e6, 0.0]))


@pytest.fixture(scope="module", params=sorted(p.stem for p in SITES.glob("*.yaml")))
def site(request: pytest.FixtureRequest) -> Site:
    return load_site(SITES / f"{request.param}.yaml")


def injections(site: Site, model: GridModel, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random credible loads; the same as bus injections and as powers of the loads."""
    rng = np.random.default_rng(seed)
    p = np.array([rng.uniform(load.p_min_w, load.p_max_w) for load in site.topology.loads])
    q = 0.3 * p
    total = np.zeros(2 * model.n_injection)
    for load, p_w, q_var in zip(site.topology.loads, p, q, strict=True):
        k = model.injection_index(load.bus)
        total[k] += p_w
        total[model.n_injection + k] += q_var
    return total, p, q


@pytest.mark.parametrize("seed", [1, 2])
def test_every_site_is_solved_as_by_the_simulator(site: Site, seed: int) -> None:
    """The simulated network is a second implementation from the same data."""
    model, other = GridModel(site.topology), PlantNetwork(site.topology, [])
    total, p, q = injections(site, model, seed)
    ours, theirs = model.solve(total), other.solve(site.topology.source.u_pu, p, q)
    assert ours.u_v == pytest.approx(theirs.bus_u_v, rel=1e-7)
    assert ours.i_a == pytest.approx(theirs.branch_i_a, rel=1e-5, abs=1e-3)
    assert ours.p_w == pytest.approx(theirs.branch_p_w, rel=1e-6, abs=1.0)
    assert ours.interface_p_w == pytest.approx(theirs.interface_p_w, rel=1e-6, abs=1.0)


def test_sensitivities_of_every_site_are_the_slopes_of_single_power_flows(site: Site) -> None:
    model = GridModel(site.topology)
    at, _, _ = injections(site, model, 3)
    linear = model.linearise(at)
    step = 1e-3 * model.power_base_w
    blocks = [linear.rows_u(), *(linear.rows_branch(q) for q in ("p_w", "q_var", "i_p_a", "i_q_a"))]
    for j in range(2 * model.n_injection):
        moved = np.zeros_like(at)
        moved[j] = step
        above, below = model.stacked(np.array([at + moved, at - moved]))
        slope = (above - below) / (2.0 * step)
        for rows in blocks:
            scale = np.abs(linear.jacobian[rows]).max()
            assert linear.jacobian[rows, j] == pytest.approx(slope[rows], abs=0.03 * scale)


def test_sensitivities_at_the_end_of_a_low_voltage_cable_are_slopes_too() -> None:
    """Two per cent of what the primary transformer carries would be eight times what this cable can."""
    buses = (Bus("GRID", 110e3), Bus("BB", 20e3), Bus("LV", 400.0), Bus("END", 400.0))
    trafos = (
        Transformer("T1", "GRID", "BB", 80e6, 110e3, 20e3, 0.12, 170e3, 0.001, 22e3, 80e6),
        Transformer("T2", "BB", "LV", 400e3, 20e3, 400.0, 0.04, 4.6e3, 0.002, 0.6e3, 400e3),
    )
    cable = Line("C", "LV", "END", 0.031, 0.012, 0.0, 270.0)
    model = GridModel(Topology(50.0, Source("GRID", 3e9, 0.1), buses, (cable,), trafos, ()))
    at = np.array([2e6, 10e3, 50e3, 0.0, 0.0, 0.0])
    linear, step = model.linearise(at), 100.0
    for j in range(len(at)):
        moved = np.zeros_like(at)
        moved[j] = step
        slope_v = (model.solve(at + moved).u_v - model.solve(at - moved).u_v) / (2.0 * step)
        assert linear.jacobian[linear.rows_u(), j] == pytest.approx(slope_v, abs=0.03 * np.abs(slope_v).max())


def cascade() -> Topology:
    """A transformer behind a transformer: the second one's power must not count at the interface."""
    buses = (Bus("GRID", 110e3), Bus("BB", 20e3), Bus("LV", 400.0))
    trafos = (
        Transformer("T1", "GRID", "BB", 40e6, 110e3, 20e3, 0.12, 170e3, 0.001, 22e3, 40e6),
        Transformer("T2", "BB", "LV", 400e3, 20e3, 400.0, 0.04, 4.6e3, 0.002, 0.6e3, 400e3),
    )
    return Topology(50.0, Source("GRID", 3e9, 0.1), buses, (), trafos, ())


def test_only_what_leaves_the_source_counts_at_the_interface() -> None:
    model, at = GridModel(cascade()), np.array([1e6, 0.2e6, 0.0, 0.05e6])
    assert 1.2e6 < model.solve(at).interface_p_w < 1.25e6
    assert model.linearise(at).jacobian[model.linearise(at).rows_interface()][0, :2] == pytest.approx(1.0, abs=0.03)


def test_a_line_that_leaves_the_source_counts_at_the_interface() -> None:
    flow = GridModel(hand.two_bus_topology()).solve(np.array([4e6, 1e6]))
    by_hand = hand.two_bus(4e6, 1e6)
    assert (flow.interface_p_w, flow.interface_q_var) == pytest.approx((by_hand.line_p_w, by_hand.line_q_var), rel=1e-5)


def test_the_simulated_interface_is_the_source_too() -> None:
    for topology, at in ((cascade(), [1e6, 0.2e6, 0.0, 0.0]), (hand.two_bus_topology(), [4e6, 0.0])):
        buses = [b.id for b in topology.buses[1:]]
        p_w, q_var = np.split(np.array(at), 2)
        flow = PlantNetwork(topology, buses).solve(topology.source.u_pu, p_w, q_var)
        assert flow.interface_p_w == pytest.approx(GridModel(topology).solve(np.array(at)).interface_p_w, rel=1e-6)
