"""Settlement by the rule of UFTP 3.1, with the numbers of its own example."""

from __future__ import annotations

import math

import pytest

from controller.planning.settlement import (
    Tariff,
    baseline_without_curtailment,
    settle_order,
    settle_period,
    tariff_of,
)

MW = 1e6
# UFTP 3.1, "Settlement example": allocation, delivered, deficiency (MW), paid, penalty, settlement (EUR)
EXAMPLE = [
    (7, 2, 0, 14, 0, 14),
    (8, 2, 0, 14, 0, 14),
    (9, 1, 1, 7, 11, -4),
    (10, 0, 2, 0, 22, -22),
    (11, 0, 3, 0, 33, -33),
]


@pytest.mark.parametrize(("allocation", "delivered", "deficiency", "paid", "penalty", "net"), EXAMPLE)
def test_the_example_of_the_specification(
    allocation: float, delivered: float, deficiency: float, paid: float, penalty: float, net: float
) -> None:
    """10 MW of consumption expected, 2 MW less ordered, 7 EUR/MW paid, 11 EUR/MW for what is missing."""
    found = settle_order("o1", [(1, 10 * MW, -2 * MW, allocation * MW)], Tariff(7 / MW, 11 / MW))
    assert found.periods[0].delivered_w == -delivered * MW
    assert found.periods[0].deficiency_w == deficiency * MW
    assert (found.paid_eur, found.penalty_eur, found.net_eur) == pytest.approx((paid, penalty, net))


@pytest.mark.parametrize(("allocation", "delivered", "deficiency", "paid", "penalty", "net"), EXAMPLE)
def test_turning_consumption_up_is_settled_as_its_mirror_image(
    allocation: float, delivered: float, deficiency: float, paid: float, penalty: float, net: float
) -> None:
    found = settle_order("o1", [(1, -10 * MW, 2 * MW, -allocation * MW)], Tariff(7 / MW, 11 / MW))
    assert found.periods[0].delivered_w == delivered * MW
    assert found.net_eur == pytest.approx(net)


def test_periods_add_up_and_the_share_delivered_is_of_energy() -> None:
    isps = [(1, 10 * MW, -2 * MW, 8 * MW), (2, 10 * MW, -2 * MW, 9 * MW)]
    found = settle_order("o1", isps, Tariff(7 / MW, 11 / MW))
    assert found.net_eur == pytest.approx(14 + 7 - 11)
    assert found.delivered_frac == pytest.approx(0.75)


def test_a_period_that_nobody_measured_is_not_settled() -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        settle_period(3, 1.0, -1.0, math.nan)


def test_an_order_of_nothing_costs_nothing() -> None:
    found = settle_order("o1", [(1, 5.0, 0.0, 99.0)], tariff_of(10.0, [0.0], 1.5))
    assert (found.net_eur, found.delivered_frac) == (0.0, 1.0)


def test_a_whole_orders_price_is_earned_by_delivering_the_whole_order() -> None:
    tariff = tariff_of(30.0, [-1 * MW, -2 * MW], penalty_factor=1.5)
    full = settle_order("o1", [(1, 5 * MW, -1 * MW, 4 * MW), (2, 5 * MW, -2 * MW, 3 * MW)], tariff)
    none = settle_order("o1", [(1, 5 * MW, -1 * MW, 5 * MW), (2, 5 * MW, -2 * MW, 5 * MW)], tariff)
    assert full.net_eur == pytest.approx(30.0)
    assert none.net_eur == pytest.approx(-45.0)


def test_power_that_the_controller_held_back_itself_is_not_paid_as_delivery() -> None:
    """A generator expected at 4 MW is curtailed by 1 MW in the hour in which it had sold 1 MW less."""
    baseline_w = baseline_without_curtailment(-4 * MW, 1 * MW, 3600.0)
    assert baseline_w == -3 * MW
    assert settle_period(1, baseline_w, 1 * MW, -3 * MW).delivered_w == 0.0


@pytest.mark.parametrize("bad", [(-1.0, 900.0), (1.0, 0.0), (math.nan, 900.0)])
def test_a_curtailed_energy_that_cannot_be_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected at least 0 Wh"):
        baseline_without_curtailment(0.0, *bad)
