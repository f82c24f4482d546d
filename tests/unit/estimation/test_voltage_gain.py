"""Where nobody knows the impedances, the box learns how voltages react, and is careful until it does."""

from __future__ import annotations

from dataclasses import replace

import core_kit as kit
import numpy as np
import pytest

from controller.domain.site import Site
from controller.domain.topology import Line
from controller.estimation.voltage_gain import HIGH, START_SIGMA, VoltageGain, VoltageGains
from controller.grid.model import GridModel, LinearGrid

TRUE_P, TRUE_Q = 0.5, 0.7  # of what the type values say


def unknown_site() -> Site:
    grid = kit.topology()
    lines = tuple(replace(x, impedance_known=False) if x.id == "L1" else x for x in grid.lines)
    return kit.site(topology=replace(grid, lines=lines))


def scaled(site: Site) -> Site:
    lines = tuple(
        replace(x, r_ohm=TRUE_P * x.r_ohm, x_ohm=TRUE_Q * x.x_ohm) if isinstance(x, Line) and x.id == "L1" else x
        for x in site.topology.lines
    )
    return replace(site, topology=replace(site.topology, lines=lines))


class Learning:
    """A model with type values watches a network whose first line is another."""

    def __init__(self, seed: int = 3) -> None:
        self.site = unknown_site()
        self.model, self.truth = GridModel(self.site.topology), GridModel(scaled(self.site).topology)
        self.gains = VoltageGains(self.site)
        self.state: VoltageGain = self.gains.initial()
        self.rng = np.random.default_rng(seed)
        self.n = self.model.n_injection
        self.linear: LinearGrid = self.model.linearise(np.zeros(2 * self.n))
        self.now_s = 0.0

    def move(self, p_w: float, q_var: float, upstream_v: float = 0.0, noise_pu: float = 0.001) -> Learning:
        """WIND at N1 does this for a second; ``upstream_v`` shifts every bus."""
        injection = np.zeros(2 * self.n)
        k = self.model.injection_index("N1")
        injection[k], injection[self.n + k] = p_w, q_var
        u_v = self.truth.solve(injection).u_v + upstream_v
        u_v = u_v * (1.0 + noise_pu * self.rng.standard_normal(len(u_v)))
        self.now_s += 1.0
        self.state = self.gains.update(self.state, u_v, injection, self.linear, self.now_s)
        return self

    def about(self, moves: int) -> Learning:
        for _ in range(moves):
            self.move(float(self.rng.uniform(-8e6, 0.0)), float(self.rng.uniform(-3e6, 3e6)))
        return self

    @property
    def at_n1(self) -> int:
        return self.model.buses.index("N1")


def test_the_factors_on_p_and_q_are_found_from_the_units_own_moves() -> None:
    run = Learning().about(120)
    resistance, reactance = run.state.factor[run.at_n1]
    assert resistance == pytest.approx(TRUE_P, abs=0.08)
    assert reactance == pytest.approx(TRUE_Q, abs=0.08)
    assert (run.state.sigma[run.at_n1] < 0.1).all()


def test_what_the_upstream_network_does_is_not_taken_for_the_line() -> None:
    run = Learning()
    for _ in range(120):
        run.move(float(run.rng.uniform(-8e6, 0.0)), float(run.rng.uniform(-3e6, 3e6)), float(run.rng.normal(0.0, 60.0)))
    assert run.state.factor[run.at_n1] == pytest.approx([TRUE_P, TRUE_Q], abs=0.12)


def test_a_quiet_week_changes_nothing() -> None:
    """Directional forgetting: what is not excited is not forgotten."""
    run = Learning().about(60)
    before = run.state
    for _ in range(2000):
        run.move(-4e6, 0.0)
    assert run.state.sigma[run.at_n1] == pytest.approx(before.sigma[run.at_n1], rel=0.2)
    for _ in range(500):
        run.move(float(run.rng.uniform(-8e6, 0.0)), 0.0)
    assert run.state.sigma[run.at_n1][1] < 0.15


def test_until_it_is_certain_it_counts_on_more_sensitivity_and_keeps_more_room() -> None:
    young, old = Learning(), Learning().about(120)
    slope = {run: abs(run.gains.applied(run.state, run.linear).jacobian[run.at_n1]).max() for run in (young, old)}
    plain = abs(young.linear.jacobian[young.at_n1]).max()
    assert slope[young] > 1.1 * plain  # the transformer's share is known
    assert slope[old] < plain
    assert young.gains.sigma_v(young.state)[young.at_n1] > 4.0 * old.gains.sigma_v(old.state)[old.at_n1]


def test_buses_behind_known_impedances_are_left_alone() -> None:
    run = Learning().about(60)
    changed = run.gains.applied(run.state, run.linear).jacobian - run.linear.jacobian
    for bus in ("GRID", "BB", "N2"):
        assert not changed[run.model.buses.index(bus)].any()
    assert not changed[len(run.model.buses) :].any()  # power and current rows


def test_voltages_that_nothing_explains_never_drive_the_factors_out_of_reason() -> None:
    run = Learning()
    for _ in range(200):
        run.move(float(run.rng.uniform(-8e6, 0.0)), float(run.rng.uniform(-3e6, 3e6)), noise_pu=0.05)
    assert np.isfinite(run.state.factor).all()
    assert (run.state.factor <= HIGH).all()
    assert (run.state.sigma <= START_SIGMA * 1.01).all()


def test_missing_readings_teach_nothing() -> None:
    run = Learning()
    nothing = np.full(run.model.n_bus, np.nan)
    for k in range(20):
        injection = np.zeros(2 * run.n)
        injection[0] = -1e6 * k
        run.state = run.gains.update(run.state, nothing, injection, run.linear, float(k))
    assert (run.state.factor == 1.0).all()
    assert run.state.sigma[run.at_n1] == pytest.approx([START_SIGMA, START_SIGMA])
