"""What is written to a device, and when."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from runtime_stubs import make_device, make_site, make_unit

from controller.domain.command import Setpoint
from controller.domain.site import Site
from controller.domain.unit import FailSafe, UnitKind
from controller.runtime.commands import CommandPlanner, WriteRequest, command_values


def site_of(kind: UnitKind = UnitKind.PV, lease_s: float = 9.0, cycle_s: float = 1.0) -> Site:
    unit = make_unit("u1", kind)
    unit = make_unit("u1", kind, fail_safe=FailSafe(unit.fail_safe.p_w, 0.0, lease_s))
    return make_site((unit,), (make_device("d1", {"p_w": "unit.u1.p_w"}, "u1"),), cycle_s=cycle_s)


def due(planner: CommandPlanner, now_s: float, p_w: float, q_var: float = 0.0, left_s: float = 60.0) -> bool:
    return bool(planner.due([Setpoint("u1", p_w, q_var, now_s, now_s + left_s)], now_s))


@pytest.mark.parametrize(
    ("kind", "p_w", "values"),
    [
        (UnitKind.PV, -50e3, {"generation_w_max": 50e3, "q_var": 1e3}),
        (UnitKind.WIND, 5.0, {"generation_w_max": 0.0, "q_var": 1e3}),
        (UnitKind.GENERATOR, 0.0, {"generation_w_max": 0.0, "q_var": 1e3}),
        (UnitKind.EV_HUB, 50e3, {"consumption_w_max": 50e3}),
        (UnitKind.FLEX_LOAD, -5.0, {"consumption_w_max": 0.0}),
        (UnitKind.BATTERY, -50e3, {"p_w": -50e3, "q_var": 1e3}),
    ],
)
def test_a_set_point_becomes_the_command_of_its_kind(kind: UnitKind, p_w: float, values: dict[str, float]) -> None:
    assert command_values(make_unit("u1", kind), p_w, 1e3) == values


@pytest.mark.parametrize(("p_w", "q_var"), [(math.nan, 0.0), (math.inf, 0.0), (-50e3, math.nan), (-math.inf, 0.0)])
def test_a_set_point_that_is_no_number_becomes_the_fail_safe_one(p_w: float, q_var: float) -> None:
    assert command_values(make_unit(), p_w, q_var) == {"generation_w_max": 20e3, "q_var": 0.0}


def test_a_write_carries_the_lease_and_the_fall_back_of_its_unit() -> None:
    planner = CommandPlanner(site_of())
    (request,) = planner.due([Setpoint("u1", -50e3, 1e3, 0.0, 60.0)], 0.0)
    assert request == WriteRequest(
        "d1",
        {"generation_w_max": 50e3, "q_var": 1e3},
        9.0,
        {"generation_w_max": 20e3, "q_var": 0.0},
    )


def test_a_command_that_the_profile_does_not_have_is_left_out() -> None:
    planner = CommandPlanner(site_of(), {"d1": frozenset({"generation_w_max"})})
    (request,) = planner.due([Setpoint("u1", -50e3, 1e3, 0.0, 60.0)], 0.0)
    assert request.values == {"generation_w_max": 50e3}
    assert request.revert == {"generation_w_max": 20e3}
    assert not due(planner, 1.0, -50e3, 40e3)


def test_a_device_without_any_command_is_never_written() -> None:
    planner = CommandPlanner(site_of(), {"d1": frozenset()})
    assert not due(planner, 0.0, -50e3)
    assert planner.safe() == []


@pytest.mark.parametrize(
    ("kind", "p_w", "written"),
    [
        (UnitKind.PV, -50.0e3, False),
        (UnitKind.PV, -50.2e3, False),  # looser, inside the dead-band
        (UnitKind.PV, -50.4e3, True),  # looser, beyond it
        (UnitKind.PV, -49.9e3, True),  # tighter: at once
        (UnitKind.PV, -49.999e3, False),  # tighter by less than a register can hold
        (UnitKind.BATTERY, -49.8e3, False),
        (UnitKind.BATTERY, -50.4e3, True),
        (UnitKind.BATTERY, -49.6e3, True),
    ],
)
def test_small_changes_wait_but_a_tighter_cap_is_written_at_once(kind: UnitKind, p_w: float, written: bool) -> None:
    planner = CommandPlanner(site_of(kind))
    assert due(planner, 0.0, -50e3)
    assert due(planner, 1.0, p_w) is written


def test_a_tighter_consumption_cap_is_written_at_once() -> None:
    planner = CommandPlanner(site_of(UnitKind.EV_HUB))
    assert due(planner, 0.0, 50e3)
    assert not due(planner, 1.0, 50.2e3)
    assert due(planner, 1.0, 49.9e3)


@pytest.mark.parametrize(("q_var", "written"), [(500.0, False), (-500.0, False), (700.0, True), (-700.0, True)])
def test_reactive_power_has_a_wider_dead_band(q_var: float, written: bool) -> None:
    planner = CommandPlanner(site_of())
    assert due(planner, 0.0, -50e3)
    assert due(planner, 1.0, -50e3, q_var) is written


def test_withheld_changes_add_up_against_what_was_written() -> None:
    planner = CommandPlanner(site_of(lease_s=1e6))
    written = [due(planner, float(k), -50e3 - 100.0 * k) for k in range(5)]
    assert written == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("lease_s", "cycle_s", "period"), [(9.0, 1.0, 3), (10.0, 1.0, 3), (2.0, 1.0, 1), (60.0, 0.5, 40)]
)
def test_a_lease_is_refreshed_before_a_third_of_it_has_passed(lease_s: float, cycle_s: float, period: int) -> None:
    planner = CommandPlanner(site_of(lease_s=lease_s, cycle_s=cycle_s))
    written = [k for k in range(200) if due(planner, k * cycle_s, -50e3)]
    gaps = {b - a for a, b in pairwise(written)}
    assert gaps == {period}


def test_a_write_that_failed_is_repeated_in_the_next_cycle() -> None:
    planner = CommandPlanner(site_of())
    assert due(planner, 0.0, -50e3)
    planner.forget("d1")
    assert due(planner, 1.0, -50e3)


@pytest.mark.parametrize("left_s", [0.0, -1.0, math.nan])
def test_an_expired_set_point_is_not_written(left_s: float) -> None:
    assert not due(CommandPlanner(site_of()), 5.0, -50e3, left_s=left_s)


def test_no_lease_outlives_its_set_point() -> None:
    planner = CommandPlanner(site_of())
    (request,) = planner.due([Setpoint("u1", -50e3, 0.0, 0.0, 4.0)], 0.0)
    assert request.lease_s == 4.0


def test_the_safe_writes_name_every_commanded_unit() -> None:
    units = (make_unit("pv"), make_unit("ev", UnitKind.EV_HUB), make_unit("nobody"))
    devices = (make_device("d1", {}, "pv"), make_device("d2", {}, "ev"), make_device("meter", {}))
    found = CommandPlanner(make_site(units, devices)).safe()
    assert [(r.device_id, r.values) for r in found] == [
        ("d1", {"generation_w_max": 20e3, "q_var": 0.0}),
        ("d2", {"consumption_w_max": 20e3}),
    ]


def test_two_devices_for_one_unit_are_refused() -> None:
    devices = (make_device("d1", {}, "pv"), make_device("d2", {}, "pv"))
    with pytest.raises(ValueError, match="commanded by d1 and d2"):
        CommandPlanner(make_site((make_unit("pv"),), devices))


def test_a_device_for_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="no such unit"):
        CommandPlanner(make_site((), (make_device("d1", {}, "pv"),)))
