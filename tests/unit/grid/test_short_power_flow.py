"""The short way to a power flow comes where the solver comes, and says nothing where it does not."""

from __future__ import annotations

from pathlib import Path

import grid_by_hand as hand
import numpy as np
import pytest

from controller.config.loader import load_site
from controller.grid.model import GridModel, PowerFlowError
from controller.grid.short_power_flow import ShortPowerFlow

SITES = Path(__file__).resolve().parents[3] / "site_configs"


def as_solved(model: GridModel, at: np.ndarray) -> np.ndarray:
    """The solver's voltages, per unit of the rated ones."""
    found = model._solved_anyway(at)
    return found.u_v / model.u_rated_v * np.exp(1j * found.angle_rad)


@pytest.mark.parametrize("path", sorted(SITES.glob("*.yaml")), ids=lambda p: p.stem)
def test_it_ends_at_the_solver_s_voltages(path: Path) -> None:
    site = load_site(path)
    model = GridModel(site.topology)
    rng = np.random.default_rng(20)
    rated_w = np.zeros(model.n_injection)
    for unit in site.units:
        if (k := model.injection_index(unit.bus)) >= 0:
            rated_w[k] += unit.p_rated_w
    for _ in range(5):
        at = np.concatenate([rng.uniform(-0.7, 0.7) * rated_w, rng.uniform(-0.3, 0.3) * rated_w])
        voltage_pu = ShortPowerFlow(site.topology).voltages(at)
        assert voltage_pu is not None
        assert np.abs(voltage_pu - as_solved(model, at)).max() < 1e-9


def test_where_voltages_fall_too_far_the_solver_is_asked() -> None:
    model = GridModel(hand.two_bus_topology())
    most_w = next(p for p in np.arange(1e6, 500e6, 1e6) if model._short.voltages(np.array([p, 0.0])) is None)
    at = np.array([most_w, 0.0])
    assert model.linearise(at).base == pytest.approx(model.stacked(at[None, :])[0], rel=1e-8)


@pytest.mark.parametrize("p_w", [500e6, -5e9, np.nan])
def test_what_no_line_can_carry_has_no_short_way_either(p_w: float) -> None:
    assert ShortPowerFlow(hand.two_bus_topology()).voltages(np.array([p_w, 0.0])) is None


def test_without_a_solution_it_is_an_error_and_not_a_number() -> None:
    with pytest.raises(PowerFlowError):
        GridModel(hand.two_bus_topology()).linearise(np.array([500e6, 0.0]))
