"""Voltage support is settled by how near the boundary came to what was asked, either side of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.planning.support_settlement import Asked, settle_support

MVAR = 1e6
BEGAN_S = 1_775_862_000.0  # a full quarter of an hour
ONE = Asked(BEGAN_S, 2.0 * MVAR, 0.05 * MVAR, 0.5 * MVAR, 2.0 * MVAR, 60.0)

# what flowed (Mvar) of 2.0 asked for, 0.5 before, 0.05 near enough; share of the change of 1.5
RULE = [(2.0, 1.0), (1.96, 1.0), (2.04, 1.0), (1.2, 0.5), (2.8, 0.5), (0.5, 0.05 / 1.5), (0.0, 0.0), (5.0, 0.0)]


@pytest.mark.parametrize(("q_mvar", "share"), RULE)
def test_a_boundary_beyond_the_target_misses_it_as_much_as_one_short_of_it(q_mvar: float, share: float) -> None:
    (found,) = settle_support([replace(ONE, q_var=q_mvar * MVAR)])
    assert found.share_frac == pytest.approx(share)
    assert found.ordered_var == 1.5 * MVAR
    assert found.delivered_var == pytest.approx(share * 1.5 * MVAR)


def test_giving_is_the_mirror_image_of_absorbing() -> None:
    (one,) = settle_support([replace(ONE, q_var=1.2 * MVAR)])
    (other,) = settle_support([Asked(BEGAN_S, -2.0 * MVAR, 0.05 * MVAR, -0.5 * MVAR, -1.2 * MVAR)])
    assert (other.share_frac, other.delivered_var) == pytest.approx((one.share_frac, -one.delivered_var))


def test_a_quarter_of_an_hour_is_judged_by_its_mean_and_each_for_itself() -> None:
    minutes = [replace(ONE, start_utc_s=BEGAN_S + 60.0 * k, q_var=(1.5 + (k % 2)) * MVAR) for k in range(30)]
    minutes[20:] = [replace(m, q_var=0.5 * MVAR) for m in minutes[20:]]
    found = settle_support(minutes)
    assert [f.start_utc_s - BEGAN_S for f in found] == [0.0, 900.0]
    assert found[0].share_frac == pytest.approx(1.0)
    assert found[1].share_frac < 0.6


def test_two_values_in_one_quarter_of_an_hour_are_settled_each_for_itself() -> None:
    """First this way, in full, then that way, not at all: the mean of both would be near what flows anyway."""
    other = replace(ONE, start_utc_s=BEGAN_S + 300.0, lasts_s=120.0, asked_var=-1.0 * MVAR)
    found = settle_support([other, ONE, replace(ONE, start_utc_s=BEGAN_S + 60.0)])
    assert [(f.start_utc_s - BEGAN_S, f.lasts_s, f.asked_var, f.share_frac) for f in found] == [
        (0.0, 120.0, 2.0 * MVAR, 1.0),
        (300.0, 120.0, -1.0 * MVAR, 0.0),
    ]


def test_holding_what_flows_anyway_is_delivered_or_not() -> None:
    held = replace(ONE, before_var=2.0 * MVAR)
    assert settle_support([held])[0].share_frac == 1.0
    assert settle_support([replace(held, q_var=1.0 * MVAR)])[0].share_frac == 0.0


@pytest.mark.parametrize("field", ["start_utc_s", "lasts_s", "asked_var", "tolerance_var", "before_var", "q_var"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_nobody_measured_cannot_be_settled(field: str, value: float) -> None:
    with pytest.raises(ValueError, match="expected finite"):
        settle_support([replace(ONE, **{field: value})])


def test_a_period_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        settle_support([ONE], 0.0)


number = st.floats(-1e8, 1e8)


@given(number, st.floats(0.0, 1e6), number, number)
def test_nobody_delivers_less_than_nothing_or_more_than_was_ordered(
    asked_var: float, tolerance_var: float, before_var: float, q_var: float
) -> None:
    (found,) = settle_support([Asked(BEGAN_S, asked_var, tolerance_var, before_var, q_var)])
    assert 0.0 <= found.share_frac <= 1.0
    assert abs(found.delivered_var) <= abs(found.ordered_var)
    assert found.delivered_var * found.ordered_var >= 0.0
