"""Commands become register writes, all of them or none, in the order that is safe for the device."""

from __future__ import annotations

import math

import pytest

from controller.domain.measurement import Measurement, Quality
from drivers.modbus.commands import CommandRefusedError, RegisterWrite, plan_writes, points_needed
from drivers.profile_loader import load_profile

DER = load_profile("sunspec_der")
BATTERY = load_profile("sunspec_battery")
HUB = load_profile("ev_hub")


def known(**values: float) -> dict[str, Measurement]:
    return {name: Measurement(value, Quality.GOOD, 1.0, 1.0) for name, value in values.items()}


DER_KNOWN = known(w_max_w=2e6, model_704_wmaxlimpct_sf=-2, model_704_varset_sf=0)


def cap(value: float, lease_s: float = 30.0, revert: float = 0.0) -> tuple[RegisterWrite, ...]:
    return plan_writes(DER, {"generation_w_max": value}, lease_s, {"generation_w_max": revert}, DER_KNOWN)


def test_a_sunspec_cap_goes_out_in_one_request_with_its_time_out_and_fallback() -> None:
    # enable, limit 25.00 %, revert to 10.00 %, revert enabled, time-out 30 s
    assert cap(500e3, revert=200e3) == (RegisterWrite(40291, bytes.fromhex("0001 09c4 03e8 0001 0000001e")),)


def test_the_lease_is_rounded_down() -> None:
    assert cap(500e3, lease_s=30.9)[0].data.endswith(bytes.fromhex("0000001e"))


@pytest.mark.parametrize("lease_s", [0.0, 0.99, -1.0, math.nan, math.inf])
def test_a_lease_below_a_second_is_refused(lease_s: float) -> None:
    with pytest.raises(CommandRefusedError, match="lease is"):
        cap(500e3, lease_s=lease_s)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_a_cap_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(CommandRefusedError, match="expected a finite number of at least 0"):
        cap(value)
    with pytest.raises(CommandRefusedError, match="expected a finite number of at least 0"):
        cap(1.0, revert=value)


def test_a_cap_above_the_rating_is_the_rating() -> None:
    assert cap(9e9)[0].data[2:4] == (10000).to_bytes(2, "big")


def test_a_cap_is_rounded_down_so_that_the_device_gets_no_more_than_allowed() -> None:
    assert cap(500_199.0)[0].data[2:4] == (2500).to_bytes(2, "big")


def test_a_battery_set_point_has_mode_lease_and_fallback_before_its_value() -> None:
    have = known(model_704_wset_sf=1, model_704_varset_sf=0)
    writes = plan_writes(BATTERY, {"p_w": 50e3}, 60.0, {"p_w": 0.0}, have)
    assert writes == (
        RegisterWrite(40307, bytes.fromhex("0001 0000003c")),  # revert enabled, 60 s
        # enable, mode watts, -5000 x 10 W (positive is injected), revert to 0
        RegisterWrite(40299, bytes.fromhex("0001 0001 ffffec78 00000000")),
    )


def test_an_enable_is_never_written_before_what_it_enables() -> None:
    writes = plan_writes(BATTERY, {"q_var": -20e3}, 60.0, {"q_var": 0.0}, known(model_704_varset_sf=0))
    order = {write.address: index for index, write in enumerate(writes)}
    assert len(writes) == 4
    assert writes[order[40312]].data == b"\0\1"
    assert order[40313] < order[40315] < order[40312]
    assert order[40321] < order[40312]


def test_a_hub_gets_time_out_and_fallback_before_its_limit() -> None:
    writes = plan_writes(HUB, {"consumption_w_max": 22000.9}, 20.0, {"consumption_w_max": 7000.0}, {})
    assert writes == (
        RegisterWrite(201, bytes.fromhex("0001 0014 00001b58")),
        RegisterWrite(1600, bytes.fromhex("000055f0")),
    )


def test_a_command_that_the_device_cannot_do_is_refused_before_the_others_are_encoded() -> None:
    with pytest.raises(CommandRefusedError, match="has no command q_var"):
        plan_writes(HUB, {"consumption_w_max": 1.0, "q_var": 0.0}, 20.0, {"consumption_w_max": 0.0}, {})


def test_a_set_point_that_its_register_cannot_hold_is_refused() -> None:
    with pytest.raises(CommandRefusedError, match="var_set_var is 4e\\+07; expected"):
        plan_writes(DER, {"q_var": 4e7}, 30.0, {"q_var": 0.0}, DER_KNOWN)


def test_without_a_value_to_revert_to_nothing_is_written() -> None:
    with pytest.raises(CommandRefusedError, match="no value to revert to"):
        plan_writes(HUB, {"consumption_w_max": 1.0}, 20.0, {}, {})


@pytest.mark.parametrize(
    ("have", "text"),
    [
        ({}, "w_max_w, which has no use: was never read"),
        (known(w_max_w=0.0), "reads 0"),
        (known(w_max_w=2e6), "model_704_wmaxlimpct_sf was never read"),
        (
            known(w_max_w=2e6) | {"model_704_wmaxlimpct_sf": Measurement(math.nan, Quality.BAD, 1, 1, "odd")},
            "model_704_wmaxlimpct_sf odd",
        ),
        ({"w_max_w": Measurement(math.nan, Quality.MISSING, 1, 1, "gone")}, "gone"),
    ],
)
def test_without_its_reference_a_fraction_is_not_written(have: dict[str, Measurement], text: str) -> None:
    with pytest.raises(CommandRefusedError, match=text):
        plan_writes(DER, {"generation_w_max": 1e6}, 30.0, {"generation_w_max": 0.0}, have)


def test_the_points_that_a_command_depends_on_are_known() -> None:
    assert points_needed(DER, ["generation_w_max", "q_var"]) == {
        "w_max_w",
        "model_704_wmaxlimpct_sf",
        "model_704_varset_sf",
    }
    assert points_needed(HUB, ["consumption_w_max", "nothing"]) == set()
