"""The last look before a write: every branch, every way of being wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.guard import ROUNDING_FRAC, guard
from controller.domain.command import Setpoint
from controller.domain.unit import UnitKind

PV = kit.unit("PV", UnitKind.PV, "N1", 1e6)
BAT = kit.unit("BAT", UnitKind.BATTERY, "BB", 1e6)
HUB = kit.unit("HUB", UnitKind.EV_HUB, "BB", 1e6)
NOW_S = 100.0
GOOD = Setpoint("PV", -0.5e6, 0.1e6, NOW_S, NOW_S + 10.0, "limits", ("T1.thermal",))


def test_a_good_set_point_passes_unchanged() -> None:
    assert guard(GOOD, PV, NOW_S) == (GOOD, None)


BAD = [
    ({"unit": "WIND"}, "for WIND"),
    ({"p_w": math.nan}, "not finite"),
    ({"p_w": math.inf}, "not finite"),
    ({"p_w": -math.inf}, "not finite"),
    ({"q_var": math.nan}, "not finite"),
    ({"q_var": -math.inf}, "not finite"),
    ({"issued_at_s": math.nan}, "not finite"),
    ({"p_w": 1.0e4}, "outside"),
    ({"p_w": -1.1e6}, "outside"),
    ({"q_var": 0.5e6}, "outside"),
    ({"q_var": -0.5e6}, "outside"),
    ({"expires_at_s": NOW_S}, "live"),
    ({"expires_at_s": NOW_S - 5.0}, "live"),
    ({"expires_at_s": math.nan}, "live"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD)
def test_a_bad_set_point_becomes_the_fail_safe_one_and_is_reported(wrong: dict[str, object], said: str) -> None:
    passed, event = guard(replace(GOOD, **wrong), PV, NOW_S)  # type: ignore[arg-type]
    assert (passed.p_w, passed.q_var) == (PV.fail_safe.p_w, PV.fail_safe.q_var)
    assert (passed.issued_at_s, passed.expires_at_s) == (NOW_S, NOW_S + PV.fail_safe.lease_s)
    assert (passed.owner, passed.causes) == ("guard", ("guard",))
    assert event is not None
    assert (event.name, event.subject) == ("guard.clamped", "PV")
    assert said in event.text


def test_a_set_point_for_another_unit_never_leaves_under_that_name() -> None:
    passed, _ = guard(replace(GOOD, unit="WIND"), PV, NOW_S)
    assert passed.unit == "PV"


@pytest.mark.parametrize(
    ("p_w", "q_var"),
    [(-1e6 * (1.0 + 0.5 * ROUNDING_FRAC), 0.0), (0.5e3 * ROUNDING_FRAC, 0.0), (-1e5, 0.4e6 + 500.0 * ROUNDING_FRAC)],
)
def test_what_lies_outside_by_rounding_is_clipped_without_a_word(p_w: float, q_var: float) -> None:
    passed, event = guard(replace(GOOD, p_w=p_w, q_var=q_var), PV, NOW_S)
    assert event is None
    assert PV.p_min_w <= passed.p_w <= PV.p_max_w
    assert abs(passed.q_var) <= PV.q_max_var
    assert abs(passed.p_w - p_w) <= ROUNDING_FRAC * PV.p_rated_w


anything = st.floats(allow_nan=True, allow_infinity=True)


@given(unit=st.sampled_from([PV, BAT, HUB]), p_w=anything, q_var=anything, issued_at_s=anything, expires_at_s=anything)
def test_nothing_passes_that_the_unit_may_not_have(
    unit: kit.Unit, p_w: float, q_var: float, issued_at_s: float, expires_at_s: float
) -> None:
    passed, _ = guard(Setpoint(unit.id, p_w, q_var, issued_at_s, expires_at_s), unit, NOW_S)
    assert unit.p_min_w <= passed.p_w <= unit.p_max_w
    assert abs(passed.q_var) <= unit.q_max_var
    assert passed.expires_at_s > NOW_S
    assert math.isfinite(passed.issued_at_s)


@pytest.mark.parametrize("p_w", [-1e6, 0.0, 1e6])
def test_a_battery_may_go_both_ways(p_w: float) -> None:
    passed, event = guard(replace(GOOD, unit="BAT", p_w=p_w), BAT, NOW_S)
    assert (passed.p_w, event) == (p_w, None)
