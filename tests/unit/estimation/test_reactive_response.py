"""Who does not give the reactive power it was told to is found soon; who obeys, however slowly, is never accused."""

from __future__ import annotations

import core_kit as kit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.control.engine import Engine
from controller.domain.unit import Actuator
from controller.estimation.actuator import CommandHistory
from controller.estimation.response import LAG_ALLOWANCE

QUICK = Actuator(0.5, 1.0, 0.5, 1e6, 2e6)
SLOW = Actuator(2.0, 5.0, 2.0, 100e3, 400e3)
FOUND_S = {QUICK: 7.0, SLOW: 12.0}  # dead time and lag 1.6 times over, the way of command and reading, noise


class Asked:
    """One estimator that watches two generators which are told their reactive power by hand."""

    def __init__(self, actuator: Actuator, lag: float = 1.0, s_rated_va: float = 8.8e6) -> None:
        units = kit.two_units(WIND={"actuator": actuator, "s_rated_va": s_rated_va}, PV={"actuator": actuator})
        self.site = kit.site(units)
        self.plant = kit.Plant(self.site, {"WIND": 4e6, "PV": 3e6}, lag=lag)
        self.engine = Engine(self.site)
        self.memory = self.engine.estimator.initial(0.0)
        self.history = CommandHistory(np.array([-np.inf]), self.engine.open_p_w[None, :], np.zeros((1, 2)))
        self.accused: dict[str, list[float]] = {"WIND": [], "PV": []}

    def tell(self, q_var: float) -> None:
        """Reactive power of both, var (load convention)."""
        p_w = self.engine.open_p_w
        for u, p in zip(self.site.units, p_w.tolist(), strict=True):
            self.plant.order(u.id, p, q_var)
        self.history = self.history.append(self.plant.now_s, p_w, np.full(2, q_var))

    def watch(self, cycles: int) -> None:
        """So many looks, a second apart."""
        held = np.ones(2, dtype=bool)
        for _ in range(cycles):
            self.memory, seen = self.engine.estimator.update(self.memory, self.plant.snapshot(), self.history, held)
            for u, deaf in zip(self.site.units, seen.deaf_q.tolist(), strict=True):
                if deaf:
                    self.accused[u.id].append(self.plant.now_s)
            self.plant.move(1.0)


@pytest.mark.parametrize("q_var", [1e6, -1e6])
@pytest.mark.parametrize("actuator", [QUICK, SLOW])
def test_a_unit_that_takes_its_order_for_q_and_does_not_give_it_is_found_and_its_neighbour_is_not(
    actuator: Actuator, q_var: float
) -> None:
    run = Asked(actuator)
    run.plant.deaf_to_q.add("PV")
    run.watch(5)
    run.tell(q_var)
    run.watch(30)
    assert run.accused["PV"][0] <= 5.0 + FOUND_S[actuator]
    assert run.accused["PV"][-1] > 33.5  # and it does not wear off
    assert not run.accused["WIND"]


def test_to_be_where_an_order_happens_to_be_proves_nothing_but_a_move_does() -> None:
    run = Asked(QUICK)
    run.plant.deaf_to_q.add("PV")
    run.tell(1e6)
    run.watch(15)
    run.tell(0.0)  # what it does anyway
    run.watch(15)
    assert run.accused["PV"][-1] > 28.5
    run.plant.deaf_to_q.clear()
    run.tell(-1e6)
    run.watch(10)
    assert run.accused["PV"][-1] < 30.0 + 5.0


@pytest.mark.parametrize(("gives_frac", "accused"), [(1.0, False), (0.4, True)])
def test_active_power_comes_first_and_what_it_leaves_no_room_for_is_not_owed(gives_frac: float, accused: bool) -> None:
    """7.5 of 8 MVA are active: 2.8 Mvar of the ordered 3.2 are all that can be had."""
    run = Asked(QUICK, s_rated_va=8e6)
    run.plant.available_w["WIND"] = 7.5e6
    run.tell(3.2e6)
    for _ in range(30):
        run.watch(1)
        room_var = gives_frac * (8e6**2 - 7.5e6**2) ** 0.5
        run.plant.q_var["WIND"] = min(run.plant.q_var["WIND"], room_var)
    assert bool(run.accused["WIND"]) == accused


@settings(max_examples=30)
@given(
    orders=st.lists(st.floats(-2e6, 2e6), min_size=6, max_size=14),
    hold=st.integers(1, 4),
    lag=st.floats(0.6, LAG_ALLOWANCE),
    actuator=st.sampled_from([QUICK, SLOW]),
)
def test_moving_orders_never_make_an_obeying_unit_deaf_to_q(
    orders: list[float], hold: int, lag: float, actuator: Actuator
) -> None:
    """Dead time and lag may be 0.6 to 1.6 times what the data sheet says."""
    run = Asked(actuator, lag)
    for q_var in orders:
        run.tell(q_var)
        run.watch(hold)
    assert not any(run.accused.values()), f"lag x{lag:.2f} {actuator}: {run.accused}"


@pytest.mark.parametrize("k", [0.5, -1.0, 0.0, 10.0])
def test_one_wrong_reading_of_q_accuses_nobody(k: float) -> None:
    run = Asked(QUICK)
    run.tell(1e6)
    run.watch(10)
    given_var = dict(run.plant.q_var)
    run.plant.q_var.update({name: k * q for name, q in given_var.items()})
    run.watch(1)
    run.plant.q_var.update(given_var)
    run.watch(10)
    assert not any(run.accused.values())
