"""The last look before a write: every branch, every way of being wrong. ``tests/mutation`` checks this file."""

from __future__ import annotations

import math
from dataclasses import replace

import core_kit as kit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.guard import guard
from controller.domain.command import LEASE_S_MAX, Setpoint
from controller.domain.owner import Owner
from controller.domain.unit import FailSafe, Unit, UnitKind

PV = kit.unit("PV", UnitKind.PV, "N1", 1e6)
BAT = kit.unit("BAT", UnitKind.BATTERY, "BB", 1e6, s_rated_va=1.0e6, q_max_var=0.8e6)
HUB = kit.unit("HUB", UnitKind.EV_HUB, "BB", 1e6)
NOW_S = 100.0
LEASE_S = 10.0
GOOD = Setpoint("PV", -0.5e6, 0.1e6, NOW_S, NOW_S + LEASE_S, "limits", ("T1.thermal",))
FOR_BAT = replace(GOOD, unit="BAT")


def refused(setpoint: Setpoint, unit: Unit = PV, now_s: float = NOW_S) -> str:
    """What the guard says; checks that the fail-safe set point was given instead, whole."""
    passed, event = guard(setpoint, unit, now_s)
    assert event is not None, f"{setpoint} passed"
    assert (passed.unit, passed.p_w, passed.q_var) == (unit.id, unit.fail_safe.p_w, unit.fail_safe.q_var)
    assert (passed.issued_at_s, passed.expires_at_s) == (now_s, now_s + unit.fail_safe.lease_s)
    assert (passed.owner, passed.causes) == ("guard", ("guard",))
    assert (event.name, event.subject) == ("guard.clamped", unit.id)
    assert event.text.endswith("; fail-safe set point sent instead")
    return event.text


def passes(setpoint: Setpoint, unit: Unit = PV, now_s: float = NOW_S) -> None:
    """Checks that the guard has nothing to say and changes nothing."""
    assert guard(setpoint, unit, now_s) == (setpoint, None)


def test_a_good_set_point_passes_unchanged() -> None:
    passes(GOOD)


def test_a_set_point_for_another_unit_never_leaves_under_that_name() -> None:
    assert "set point is for WIND, unit is PV" in refused(replace(GOOD, unit="WIND"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["p_w", "q_var"])
def test_what_is_no_number_is_not_written(field: str, value: float) -> None:
    assert "set point is not finite (P " in refused(replace(GOOD, **{field: value}))


@pytest.mark.parametrize(
    ("p_w", "said"), [(1.0001e3, "P 1000 W is outside -1000000…0 W"), (-1.0010001e6, "P -1001000 W is outside")]
)
def test_active_power_outside_the_range_is_refused(p_w: float, said: str) -> None:
    assert said in refused(replace(GOOD, p_w=p_w, q_var=0.0))


@pytest.mark.parametrize("q_var", [0.4010001e6, -0.4010001e6])
def test_reactive_power_outside_the_range_is_refused(q_var: float) -> None:
    assert "Q " in refused(replace(GOOD, q_var=q_var))
    assert "var is outside ±400000 var" in refused(replace(GOOD, q_var=q_var))


@pytest.mark.parametrize(
    ("given_p_w", "given_q_var", "p_w", "q_var"),
    [
        (-1.001e6, 0.0, -1.0e6, 0.0),
        (1.0e3, 0.0, 0.0, 0.0),
        (-1e5, 0.401e6, -1e5, 0.4e6),
        (-1e5, -0.401e6, -1e5, -0.4e6),
    ],
)
def test_what_lies_outside_by_a_thousandth_of_the_rating_is_clipped_without_a_word(
    given_p_w: float, given_q_var: float, p_w: float, q_var: float
) -> None:
    passed, event = guard(replace(GOOD, p_w=given_p_w, q_var=given_q_var), PV, NOW_S)
    assert (passed, event) == (replace(GOOD, p_w=p_w, q_var=q_var), None)


@pytest.mark.parametrize("p_w", [-1e6, 0.0, 1e6])
def test_a_battery_may_go_both_ways(p_w: float) -> None:
    passes(replace(FOR_BAT, p_w=p_w, q_var=0.0), BAT)


@pytest.mark.parametrize(("p_w", "q_var"), [(0.6e6, 0.8e6), (-0.6e6, -0.8e6), (0.8e6, 0.6e6), (0.0, 0.8e6)])
def test_a_battery_may_use_all_of_its_apparent_power(p_w: float, q_var: float) -> None:
    passes(replace(FOR_BAT, p_w=p_w, q_var=q_var), BAT)


@pytest.mark.parametrize(("p_w", "q_var"), [(0.7e6, 0.8e6), (-1e6, 0.1e6), (0.8e6, 0.603e6)])
def test_a_battery_is_not_asked_for_more_than_its_apparent_power(p_w: float, q_var: float) -> None:
    assert "is more than 1000000 VA" in refused(replace(FOR_BAT, p_w=p_w, q_var=q_var), BAT)


def test_apparent_power_may_be_missed_by_a_thousandth_and_then_reactive_power_gives_way() -> None:
    passed, event = guard(replace(FOR_BAT, p_w=0.6006e6, q_var=0.8e6), BAT, NOW_S)
    assert (passed.p_w, event) == (0.6006e6, None)
    assert math.hypot(passed.p_w, passed.q_var) == pytest.approx(1e6)


def test_apparent_power_over_by_exactly_a_thousandth_is_rounding() -> None:
    fits = replace(BAT, s_rated_va=0.999e6)
    passed, event = guard(replace(FOR_BAT, p_w=1e6, q_var=0.0), fits, NOW_S)
    assert (passed.p_w, passed.q_var, event) == (1e6, 0.0, None)


def test_under_a_cap_reactive_power_gives_way_in_the_unit_so_the_cap_does_not_count() -> None:
    passes(replace(GOOD, p_w=-1e6, q_var=0.4e6), replace(PV, s_rated_va=1e6))


def test_reactive_power_alone_may_not_exceed_the_apparent_power() -> None:
    passed, _ = guard(replace(GOOD, q_var=0.4e6), replace(PV, s_rated_va=0.3995e6), NOW_S)
    assert passed.q_var == pytest.approx(0.3995e6)
    passed, event = guard(replace(GOOD, q_var=0.4e6), replace(PV, s_rated_va=0.399e6), NOW_S)
    assert (passed.q_var, event) == (0.399e6, None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["issued_at_s", "expires_at_s"])
def test_a_lease_without_a_beginning_or_an_end_is_refused(field: str, value: float) -> None:
    assert "times of the set point are not finite (issued at " in refused(replace(GOOD, **{field: value}))


@pytest.mark.parametrize("expires_at_s", [NOW_S, NOW_S - 5.0])
def test_what_has_expired_is_not_written(expires_at_s: float) -> None:
    said = refused(replace(GOOD, issued_at_s=NOW_S - 8.0, expires_at_s=expires_at_s))
    assert f"no time to live (issued at 92.0 s, expires at {expires_at_s} s, now 100.0 s)" in said


def test_a_clock_that_steps_back_revives_nothing() -> None:
    assert "from the future" in refused(GOOD, now_s=NOW_S - 0.002)


def test_the_last_digit_of_a_clock_is_no_future() -> None:
    passes(GOOD, now_s=NOW_S - 0.0005)
    passes(replace(GOOD, issued_at_s=0.001, expires_at_s=5.0), now_s=0.0)


def test_a_set_point_may_live_as_long_as_the_device_honours_it() -> None:
    passes(replace(GOOD, expires_at_s=NOW_S + 1e-6))
    passes(GOOD, now_s=NOW_S + LEASE_S - 1e-6)
    passes(replace(GOOD, issued_at_s=0.0, expires_at_s=LEASE_S + 0.001), now_s=1.0)


def test_a_set_point_does_not_outlive_the_lease_of_its_unit() -> None:
    assert "longer than the lease of 10 s" in refused(replace(GOOD, expires_at_s=NOW_S + LEASE_S + 0.002))


@pytest.mark.parametrize("lease_s", [math.inf, math.nan, 0.0, -1.0, LEASE_S_MAX + 1.0])
def test_where_the_device_gives_no_end_there_is_one_all_the_same(lease_s: float) -> None:
    holds = replace(PV, fail_safe=replace(PV.fail_safe, lease_s=lease_s))
    passes(replace(GOOD, expires_at_s=NOW_S + LEASE_S_MAX), holds)
    passed, event = guard(replace(GOOD, expires_at_s=NOW_S + LEASE_S_MAX + 0.002), holds, NOW_S)
    assert (passed.p_w, passed.expires_at_s) == (PV.fail_safe.p_w, NOW_S + LEASE_S_MAX)
    assert event is not None
    assert "longer than the lease of 3600 s" in event.text


def test_the_longest_lease_there_is_may_be_used() -> None:
    longest = replace(PV, fail_safe=replace(PV.fail_safe, lease_s=LEASE_S_MAX))
    passes(replace(GOOD, expires_at_s=NOW_S + LEASE_S_MAX), longest)


def test_a_very_short_lease_is_a_lease() -> None:
    short = replace(PV, fail_safe=replace(PV.fail_safe, lease_s=0.5))
    assert "longer than the lease of 0.5 s" in refused(replace(GOOD, expires_at_s=NOW_S + 0.6), short)


def test_without_a_time_nothing_is_given_that_could_be_written() -> None:
    passed, event = guard(GOOD, PV, math.nan)
    assert (passed.p_w, passed.owner) == (PV.fail_safe.p_w, "guard")
    assert not passed.expires_at_s > 0.0
    assert event is not None


def test_a_set_point_of_nobody_is_refused() -> None:
    assert "owner 'nobody' is not known" in refused(replace(GOOD, owner="nobody"))
    assert "owner '' is not known" in refused(replace(GOOD, owner=""))


@pytest.mark.parametrize("owner", [x for x in Owner if x is not Owner.DISPATCH])
def test_whoever_restricts_says_why(owner: Owner) -> None:
    passes(replace(GOOD, owner=owner.value))
    assert f"{owner.value} gives no reason" in refused(replace(GOOD, owner=owner.value, causes=()))


def test_the_dispatch_needs_no_reason_to_leave_a_unit_free() -> None:
    passes(replace(GOOD, owner="dispatch", causes=()))


@pytest.mark.parametrize("field", ["p_rated_w", "s_rated_va", "q_max_var", "p_min_w", "p_max_w"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_unit_of_which_the_ratings_are_not_known_gets_no_set_point(field: str, value: float) -> None:
    passed, event = guard(GOOD, replace(PV, **{field: value}), NOW_S)
    assert passed.owner == "guard"
    assert event is not None
    assert "ratings and range of PV are not all finite (" in event.text
    assert f"{value:g}" in event.text
    assert ", " in event.text


@pytest.mark.parametrize(
    ("changes", "p_w", "q_var"),
    [
        ({"fail_safe": FailSafe(-2e6, 0.0, 10.0)}, -1e6, 0.0),
        ({"fail_safe": FailSafe(1e6, -3e6, 10.0)}, 0.0, -0.4e6),
        ({"fail_safe": FailSafe(math.nan, math.inf, 10.0)}, 0.0, 0.0),
        ({"p_min_w": math.nan}, 0.0, 0.0),
        ({"p_max_w": math.inf}, 0.0, 0.0),
        ({"p_min_w": 1.0, "p_max_w": 0.5}, 0.0, 0.0),
        ({"p_min_w": 5.0, "p_max_w": 5.0}, 5.0, 0.0),
        ({"q_max_var": math.nan, "fail_safe": FailSafe(-1e5, 1e4, 10.0)}, -1e5, 0.0),
        ({"s_rated_va": math.nan, "fail_safe": FailSafe(-1e5, 1e4, 10.0)}, -1e5, 0.0),
        ({"s_rated_va": 0.0, "fail_safe": FailSafe(-1e5, 1e4, 10.0)}, -1e5, 0.0),
        ({"s_rated_va": 1.0, "fail_safe": FailSafe(-1e5, 0.5, 10.0)}, -1e5, 0.5),
    ],
)
def test_a_fail_safe_set_point_that_cannot_be_is_brought_inside_what_can(
    changes: dict[str, object], p_w: float, q_var: float
) -> None:
    passed, event = guard(replace(GOOD, p_w=math.nan), replace(PV, **changes), NOW_S)  # type: ignore[arg-type]
    assert (passed.p_w, passed.q_var) == (p_w, q_var)
    assert event is not None


def test_a_battery_s_fail_safe_set_point_is_inside_its_apparent_power_too() -> None:
    eager = replace(BAT, fail_safe=FailSafe(-1e6, 0.8e6, 10.0))
    passed, _ = guard(replace(FOR_BAT, p_w=math.nan), eager, NOW_S)
    assert (passed.p_w, passed.q_var) == (-1e6, 0.0)


anything = st.floats(allow_nan=True, allow_infinity=True)


@given(
    unit=st.sampled_from([PV, BAT, HUB]),
    p_w=anything,
    q_var=anything,
    issued_at_s=anything,
    expires_at_s=anything,
    owner=st.sampled_from([*(x.value for x in Owner), "", "nobody"]),
    causes=st.sampled_from([(), ("T1.thermal",)]),
)
def test_nothing_passes_that_the_unit_may_not_have(
    unit: Unit, p_w: float, q_var: float, issued_at_s: float, expires_at_s: float, owner: str, causes: tuple[str, ...]
) -> None:
    passed, _ = guard(Setpoint(unit.id, p_w, q_var, issued_at_s, expires_at_s, owner, causes), unit, NOW_S)
    assert unit.p_min_w <= passed.p_w <= unit.p_max_w
    assert abs(passed.q_var) <= unit.q_max_var
    assert NOW_S < passed.expires_at_s <= NOW_S + LEASE_S + 0.002
    assert passed.issued_at_s <= NOW_S + 0.001
    assert passed.owner in {x.value for x in Owner}
    assert passed.causes or passed.owner == "dispatch"


@given(p_w=st.floats(-1e6, 1e6), q_var=st.floats(-0.8e6, 0.8e6))
def test_a_battery_never_gets_more_than_its_apparent_power(p_w: float, q_var: float) -> None:
    passed, _ = guard(replace(FOR_BAT, p_w=p_w, q_var=q_var), BAT, NOW_S)
    assert math.hypot(passed.p_w, passed.q_var) <= BAT.s_rated_va * (1.0 + 1e-12)
