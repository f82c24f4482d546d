"""The true network: against hand calculation, in the house's signs, and when it has no solution."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sim_world_kit import topology

from controller.domain.thermal import TransformerThermal
from controller.domain.topology import Bus, Line, Load, Source, Topology
from simulators.plant.avc import Avc, AvcSettings
from simulators.plant.heat import TransformerHeat
from simulators.plant.network import PlantNetwork
from simulators.plant.perturb import NONE, Tolerances, perturbed

R_OHM, X_OHM, U_V = 0.8, 1.1, 11e3


def two_buses() -> PlantNetwork:
    line = Line("L", "A", "B", R_OHM, X_OHM, 0.0, 300.0)
    buses = (Bus("A", U_V), Bus("B", U_V))
    return PlantNetwork(Topology(50.0, Source("A", 1e14, 0.1), buses, (line,), (), (Load("X", "B", 0, 0, 0, 1),)), [])


def far_voltage_v(p_w: float, q_var: float) -> float:
    """Upper root of U⁴ + U²(2(PR+QX) − U₁²) + (R²+X²)(P²+Q²) = 0: two buses, constant power, no shunt."""
    half = p_w * R_OHM + q_var * X_OHM - U_V**2 / 2.0
    product = (R_OHM**2 + X_OHM**2) * (p_w**2 + q_var**2)
    return math.sqrt(-half + math.sqrt(half**2 - product))


@pytest.mark.parametrize(("p_w", "q_var"), [(3e6, 1e6), (-4e6, 0.0), (-4e6, 1.5e6), (0.0, 0.0)])
def test_two_buses_agree_with_the_closed_formula(p_w: float, q_var: float) -> None:
    flow = two_buses().solve(1.0, np.array([p_w]), np.array([q_var]))
    u_v = far_voltage_v(p_w, q_var)
    i_a = math.hypot(p_w, q_var) / (math.sqrt(3.0) * u_v)
    assert flow.bus_u_v[1] == pytest.approx(u_v, rel=1e-6)
    assert flow.branch_i_a[0] == pytest.approx(i_a, abs=1e-2)
    assert flow.branch_p_w[0] == pytest.approx(p_w + 3.0 * R_OHM * i_a**2, abs=50.0)
    assert flow.branch_q_var[0] == pytest.approx(q_var + 3.0 * X_OHM * i_a**2, abs=50.0)


def test_a_load_that_no_line_can_carry_holds_the_last_state_and_says_so() -> None:
    network = two_buses()
    good = network.solve(1.0, np.array([3e6]), np.array([0.0])).bus_u_v[1]
    lost = network.solve(1.0, np.array([300e6]), np.array([0.0]))
    assert not lost.converged
    assert lost.bus_u_v[1] == good
    assert network.solve(1.0, np.array([3e6]), np.array([0.0])).converged


def test_generation_behind_the_transformer_reads_negative_on_every_branch_and_at_the_interface() -> None:
    flow = PlantNetwork(topology(), ["N1"]).solve(1.0, np.array([1e6, -4e6]), np.zeros(2))
    assert flow.branch_p_w[0] < -3.8e6  # line, at its from end
    assert flow.branch_p_w[1] < -2.8e6  # transformer, at its lower-voltage side
    assert flow.interface_p_w < 0.0


def test_what_comes_in_is_what_is_used_plus_what_is_lost() -> None:
    flow = PlantNetwork(topology(), ["N1"]).solve(1.0, np.array([1e6, -4e6]), np.array([3e5, 0.0]))
    line_loss_w = 3.0 * 0.6 * flow.branch_i_a[0] ** 2
    winding_loss_w = 38e3 * (flow.branch_i_a[1] / 330.66) ** 2
    assert flow.interface_p_w == pytest.approx(1e6 - 4e6 + line_loss_w + winding_loss_w + 6e3, abs=2e3)


def test_a_higher_tap_lowers_the_voltage_of_the_busbar() -> None:
    base = topology()
    with_taps = replace(base.transformers[0], tap_min=-8, tap_max=8, tap_size_pu=0.0125)
    tapped = replace(base, transformers=(with_taps,))
    network = PlantNetwork(tapped, [])
    before = network.solve(1.0, np.array([1e6]), np.zeros(1)).bus_u_v[1]
    network.set_tap(0, 4)
    after = network.solve(1.0, np.array([1e6]), np.zeros(1)).bus_u_v[1]
    assert after == pytest.approx(before / 1.05, rel=2e-3)


def test_the_true_network_stays_inside_its_tolerances_and_depends_on_the_seed() -> None:
    base = topology()
    first, again, other = (perturbed(base, seed, Tolerances()) for seed in (1, 1, 2))
    assert first == again != other
    assert 0.85 <= first.lines[0].r_ohm / base.lines[0].r_ohm <= 1.15
    assert 0.90 <= first.transformers[0].uk_pu / base.transformers[0].uk_pu <= 1.10
    assert perturbed(base, 1, NONE) == base


def test_the_tap_changer_waits_for_its_delay_and_forgets_a_short_excursion() -> None:
    relay = Avc(AvcSettings(target_pu=1.0, dead_band_pu=0.015, delay_s=90.0, further_s=30.0), 0, -8, 8)
    assert not any(relay.step(1.03, 1.0) for _ in range(89))
    assert not relay.step(1.0, 1.0)
    assert not any(relay.step(1.03, 1.0) for _ in range(89))
    assert relay.step(1.03, 1.0)
    assert relay.tap_pos == 1
    assert not any(relay.step(1.03, 1.0) for _ in range(29))
    assert relay.step(1.03, 1.0)


def test_a_tap_changer_at_its_end_does_not_move() -> None:
    relay = Avc(AvcSettings(delay_s=1.0, further_s=1.0), 8, -8, 8)
    assert not any(relay.step(1.2, 1.0) for _ in range(10))
    assert relay.tap_pos == 8


def test_oil_warms_towards_the_rise_of_its_load_over_hours() -> None:
    heat = TransformerHeat(topology().transformers)
    rated_a = np.array([topology().transformers[0].i_rated_a])
    start_c = heat.step(np.array([0.0]), 20.0, 1.0)[0][0]
    for _ in range(3 * 3600):
        now_c = heat.step(rated_a, 20.0, 1.0)[0][0]
    assert start_c < 35.0 < now_c < 75.0
    assert now_c - start_c == pytest.approx((75.0 - start_c) * (1.0 - math.exp(-1.0)), rel=0.01)


# IEC 60076-7, example of step loads, 250 MVA ONAF (published table): until minute, load, top oil °C, hot spot °C.
STEP_LOADS = [(190, 1.0, 61.9, 83.8), (365, 0.6, 44.4, 54.0), (500, 1.5, 89.2, 127.0), (705, 0.3, 35.0, 37.5)]


def test_the_true_temperatures_follow_the_published_step_load_example() -> None:
    onaf = TransformerThermal(38.3, 1.4 * 14.5, 1000.0, 0.8, 1.3, 0.5, 2.0, 2.0, 9000.0, 420.0)
    transformer = replace(topology().transformers[0], thermal=onaf)
    heat, rated_a = TransformerHeat((transformer,)), transformer.i_rated_a
    # In balance with a load that raises the oil by 12.7 K; the table begins with a winding as warm as its oil.
    start_pu = (((12.7 / 38.3) ** 1.25 * 1001.0 - 1.0) / 1000.0) ** 0.5
    heat.step(np.array([start_pu * rated_a]), 25.6, 0.0)
    minute = 0
    for until, load_pu, oil_c, hot_c in STEP_LOADS:
        for _ in range(60 * (until - minute)):
            oil, hot = heat.step(np.array([load_pu * rated_a]), 25.6, 1.0)
        minute = until
        assert oil[0] == pytest.approx(oil_c, abs=0.7)
        assert hot[0] == pytest.approx(hot_c, abs=1.1)


def test_true_transformers_warm_up_no_more_than_their_heat_run_says() -> None:
    given = TransformerThermal(60.0, 22.0, 6.0, 0.8, 1.3, 0.5, 2.0, 2.0, 12600.0, 600.0)
    base = topology()
    base = replace(base, transformers=(replace(base.transformers[0], thermal=given),))
    for seed in range(20):
        true = perturbed(base, seed, Tolerances()).transformers[0].thermal
        assert true is not None
        assert 0.84 <= true.top_oil_rise_k / given.top_oil_rise_k <= 1.0
        assert 0.84 <= true.hot_spot_gradient_k / given.hot_spot_gradient_k <= 1.0
        assert 0.92 <= true.tau_oil_s / given.tau_oil_s <= 1.08
    assert perturbed(base, 1, NONE) == base
