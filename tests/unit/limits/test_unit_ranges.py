"""Ranges of single units: everybody narrows, nobody makes a unit do more than another allows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.owner import PRIORITY, Owner
from controller.limits.unit_ranges import UnitRange, combine


def contract(low_w: float = -math.inf, high_w: float = math.inf) -> UnitRange:
    return UnitRange(0, Owner.CONTRACT, "contract.x", low_w, high_w)


def operator(low_w: float = -math.inf, high_w: float = math.inf) -> UnitRange:
    return UnitRange(0, Owner.OPERATOR, "operator:1", low_w, high_w)


# ranges, low and high left, whether they clash
MEETINGS = [
    ([operator(-5e6)], -5e6, math.inf, False),
    ([operator(-5e6), contract(-3e6)], -3e6, math.inf, False),
    ([contract(-3e6), operator(-5e6)], -3e6, math.inf, False),
    ([operator(-5e6, -5e6), contract(-3e6)], -3e6, -3e6, True),
    ([operator(-2e6, -2e6), contract(-3e6)], -2e6, -2e6, False),
    ([operator(0.0, 0.0), contract(-3e6, 3e6)], 0.0, 0.0, False),
    ([operator(2e6, 2e6), contract(-1e6, 1e6)], 1e6, 1e6, True),
    ([operator(-2e6, -2e6), operator(1e6, 1e6)], 0.0, 0.0, True),
    ([operator(math.nan)], 0.0, math.inf, False),
    ([operator(math.nan, math.nan)], 0.0, 0.0, False),
]


@pytest.mark.parametrize(("ranges", "low_w", "high_w", "clash"), MEETINGS)
def test_what_is_left_is_never_more_than_any_of_them_allows(
    ranges: list[UnitRange], low_w: float, high_w: float, clash: bool
) -> None:
    found = combine(1, ranges)
    assert (found.low_w[0], found.high_w[0], bool(found.clashes)) == (low_w, high_w, clash)


def test_a_clash_names_both_causes_and_what_is_kept() -> None:
    found = combine(1, [contract(-3e6), operator(-5e6, -5e6)])
    assert found.clashes == ((0, "operator:1 and contract.x do not meet; -3000 kW is kept"),)


def test_the_higher_layer_is_named_first() -> None:
    found = combine(1, [contract(-3e6), operator(-5e6)])
    assert [x.owner for x in found.by[0]] == [Owner.OPERATOR, Owner.CONTRACT]
    assert PRIORITY[Owner.FAIL_SAFE] < PRIORITY[Owner.LIMITS] < PRIORITY[Owner.OPERATOR] < PRIORITY[Owner.CONTRACT]


bounds_w = st.floats(0.0, 1e7)
caps = st.builds(lambda low, high: UnitRange(0, Owner.CONTRACT, "c", -low, high), bounds_w, bounds_w)
points = st.builds(lambda p: UnitRange(0, Owner.OPERATOR, "o", p, p), st.floats(-1e7, 1e7))


@given(st.lists(caps | points, max_size=6))
def test_no_order_and_no_number_of_ranges_widens_a_cap(ranges: list[UnitRange]) -> None:
    found = combine(1, ranges)
    low_w, high_w = float(found.low_w[0]), float(found.high_w[0])
    assert low_w <= high_w
    for wanted in ranges:
        assert high_w <= max(wanted.high_w, 0.0)
        assert low_w >= min(wanted.low_w, 0.0)
