"""The device side of a command: enable, lease, reversion."""

from __future__ import annotations

import math

import pytest
from sim_world_kit import unit_profile

from drivers.profile import CommandSpec, FailBehaviour, PointSpec, Profile
from simulators.units.control_block import ControlBlock, Effective

SAFE = Effective(generation_w_max=500.0, p_w=0.0)


def block(fails: FailBehaviour = FailBehaviour.REVERTS_TO_VALUE, *, starts_open: bool = False) -> ControlBlock:
    return ControlBlock(unit_profile(fails), SAFE, {}, starts_open)


def write_cap(target: ControlBlock, value_w: float, now_s: float, lease_s: float = 10.0) -> None:
    assert target.write("generation_w_max_rvrt_s", lease_s, now_s)
    assert target.write("generation_w_max_set", value_w, now_s)
    assert target.write("generation_w_max_ena", 1.0, now_s)


def test_before_the_first_write_a_device_is_at_its_fail_safe() -> None:
    assert block().at(0.0).generation_w_max == 500.0
    assert block().registers["generation_w_max_set"] == 500.0


def test_a_device_that_starts_open_is_free_until_the_first_write() -> None:
    target = block(starts_open=True)
    assert target.at(0.0).generation_w_max == math.inf
    write_cap(target, 800.0, 0.0)
    assert target.at(1.0).generation_w_max == 800.0


def test_a_refreshed_lease_never_runs_out() -> None:
    target = block()
    for now_s in range(0, 100, 9):
        write_cap(target, 800.0, float(now_s))
        assert target.at(now_s + 9.0).generation_w_max == 800.0


def test_a_lease_that_runs_out_goes_to_the_fail_safe_when_no_reversion_was_written() -> None:
    target = block()
    write_cap(target, 800.0, 0.0)
    assert target.at(10.0).generation_w_max == 800.0
    assert target.at(10.1).generation_w_max == 500.0


def test_a_lease_that_runs_out_goes_to_the_written_reversion_and_the_register_shows_it() -> None:
    target = block()
    assert target.write("generation_w_max_rvrt", 300.0, 0.0)
    write_cap(target, 800.0, 0.0)
    assert target.at(11.0).generation_w_max == 300.0
    assert target.registers["generation_w_max_set"] == 300.0


def test_a_lease_of_zero_never_runs_out() -> None:
    target = block()
    write_cap(target, 800.0, 0.0, lease_s=0.0)
    assert target.at(1e6).generation_w_max == 800.0


def test_a_device_that_holds_last_keeps_the_set_point_for_ever() -> None:
    target = block(FailBehaviour.HOLDS_LAST)
    write_cap(target, 800.0, 0.0)
    assert target.at(1e6).generation_w_max == 800.0


def test_a_device_that_fails_open_lets_go_when_the_lease_runs_out() -> None:
    target = block(FailBehaviour.FAILS_OPEN)
    write_cap(target, 800.0, 0.0)
    assert target.at(11.0).generation_w_max == math.inf
    assert target.registers["generation_w_max_ena"] == 0.0
    write_cap(target, 700.0, 20.0)
    assert target.at(21.0).generation_w_max == 700.0


def test_a_set_point_that_is_not_enabled_does_not_act() -> None:
    target = block()
    assert target.write("generation_w_max_set", 800.0, 0.0)
    assert target.write("generation_w_max_ena", 0.0, 0.0)
    assert target.at(1.0).generation_w_max == math.inf


def test_one_command_running_out_leaves_the_others_alone() -> None:
    target = block()
    write_cap(target, 800.0, 0.0)
    assert target.write("q_var_rvrt_s", 100.0, 0.0)
    assert target.write("q_var_set", -50.0, 0.0)
    assert target.write("q_var_ena", 1.0, 0.0)
    assert target.at(50.0) == Effective(generation_w_max=500.0, consumption_w_max=math.inf, p_w=0.0, q_var=-50.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_set_point_that_is_no_number_is_refused(value: float) -> None:
    target = block()
    assert not target.write("generation_w_max_set", value, 0.0)
    assert target.at(0.0).generation_w_max == 500.0


def test_measurements_and_unknown_points_cannot_be_written() -> None:
    assert not block().write("p_w", 1.0, 0.0)
    assert not block().write("nonsense", 1.0, 0.0)


def test_a_fraction_is_of_the_device_s_own_rating() -> None:
    points = (
        PointSpec("frac", "uint16", "1", "test", "rw", low=0.0, high=1.0),
        PointSpec("w_max_w", "uint16", "W", "test"),
    )
    command = CommandSpec("generation_w_max", "frac", of="w_max_w")
    fails = FailBehaviour.REVERTS_TO_VALUE
    profile = Profile("x", "der", "t", "modbus", "t", fails, points, commands=(command,))
    target = ControlBlock(profile, Effective(generation_w_max=500.0), {"w_max_w": 2000.0}, starts_open=False)
    assert target.registers["frac"] == 0.25
    assert target.write("frac", 0.4, 0.0)
    assert target.at(0.0).generation_w_max == pytest.approx(800.0)
    assert not target.write("frac", 1.2, 0.0)


def test_the_remaining_lease_counts_down() -> None:
    target = block()
    write_cap(target, 800.0, 0.0)
    assert target.remaining_s("generation_w_max", 4.0) == 6.0
    target.at(20.0)
    assert target.remaining_s("generation_w_max", 20.0) == 0.0
