"""Commands of the house as OPC UA writes, and what a device holds as set points."""

from __future__ import annotations

import math

import pytest

from controller.domain.measurement import Measurement, Quality
from drivers.opcua.commands import UnsupportedError, plan_writes, read_backs
from drivers.opcua.values import EncodeError
from drivers.profile import CommandSpec, FailBehaviour, PointSpec, Profile
from drivers.profile_loader import load_profile

RTU = load_profile("opcua_rtu_der")


def _rw(name: str, kind: str = "Double") -> PointSpec:
    return PointSpec(name, kind, "W", "test", access="rw", path=(name,))


FULL = Profile(
    id="full",
    kind="der",
    title="every part of a command",
    protocol="opcua",
    source="test",
    fails=FailBehaviour.REVERTS_TO_VALUE,
    points=(
        _rw("lim_frac"),
        _rw("rvrt_frac"),
        _rw("lease", "UInt32"),
        _rw("ena", "Boolean"),
        _rw("rvrt_ena", "Boolean"),
        _rw("mode", "Byte"),
        _rw("w_max"),
    ),
    commands=(
        CommandSpec(
            "generation_w_max", "lim_frac", "w_max", "ena", 1.0, "lease", "rvrt_frac", "rvrt_ena", None, "mode", 2.0
        ),
    ),
    namespace_uri="urn:test",
    root=("DER",),
)


def _good(value: float) -> Measurement:
    return Measurement(value, Quality.GOOD, 1.0, 1.1)


def test_lease_and_fall_back_are_written_in_a_call_before_the_set_points() -> None:
    revert = {"generation_w_max": 1e5, "q_var": 0.0}
    calls = plan_writes(RTU, {"generation_w_max": 4e5, "q_var": -2e4}, 60.0, revert, {})
    named = [{spec.name: raw for spec, raw in call} for call in calls]
    assert named == [
        {"lease_s": 60, "limit_rvrt_w": 1e5, "q_rvrt": 0.0},
        {"limit_w": 4e5, "q_set": 2e4},
    ]


def test_enabling_comes_last_and_a_mode_first() -> None:
    calls = plan_writes(FULL, {"generation_w_max": 5e4}, 30.0, {"generation_w_max": 0.0}, {"w_max": _good(1e5)})
    assert [[spec.name for spec, _ in call] for call in calls] == [
        ["mode", "lease", "rvrt_frac", "rvrt_ena"],
        ["lim_frac"],
        ["ena"],
    ]
    assert {spec.name: raw for call in calls for spec, raw in call} == {
        "mode": 2, "lease": 30, "rvrt_frac": 0.0, "rvrt_ena": True, "lim_frac": 0.5, "ena": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "lease_s", "revert"),
    [
        ({"generation_w_max": math.nan}, 60.0, {"generation_w_max": 0.0}),
        ({"generation_w_max": math.inf}, 60.0, {"generation_w_max": 0.0}),
        ({"generation_w_max": -1.0}, 60.0, {"generation_w_max": 0.0}),
        ({"generation_w_max": 4e5}, 60.0, {"generation_w_max": math.nan}),
        ({"generation_w_max": 4e5}, 60.0, {}),
        ({"generation_w_max": 4e5}, math.nan, {"generation_w_max": 0.0}),
        ({"generation_w_max": 4e5}, 0.0, {"generation_w_max": 0.0}),
        ({"generation_w_max": 4e5, "q_var": math.nan}, 60.0, {"generation_w_max": 0.0, "q_var": 0.0}),
    ],
)
def test_one_number_that_is_not_a_safe_command_stops_the_whole_set(
    values: dict[str, float], lease_s: float, revert: dict[str, float]
) -> None:
    with pytest.raises(EncodeError):
        plan_writes(RTU, values, lease_s, revert, {})


def test_an_unknown_command_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="no command consumption_w_max"):
        plan_writes(RTU, {"consumption_w_max": 1.0}, 60.0, {}, {})


@pytest.mark.parametrize("base", [None, Measurement(math.nan, Quality.BAD, 1.0, 1.0), _good(0.0)])
def test_a_fraction_of_something_unknown_is_never_sent(base: Measurement | None) -> None:
    held = {} if base is None else {"w_max": base}
    with pytest.raises(EncodeError, match="fraction of w_max"):
        plan_writes(FULL, {"generation_w_max": 5e4}, 30.0, {"generation_w_max": 0.0}, held)


def test_a_cap_on_generation_is_reported_in_load_convention() -> None:
    shown = read_backs(RTU, {"limit_w": _good(4e5), "q_set": _good(-2e4)})
    assert shown["p_set_w"].value == -4e5
    assert shown["q_set_var"].value == -2e4


def test_a_control_that_is_not_enabled_holds_no_set_point() -> None:
    points = {"lim_frac": _good(0.5), "w_max": _good(1e5), "ena": _good(0.0)}
    assert read_backs(FULL, points)["p_set_w"].quality is Quality.BAD
    points["ena"] = _good(1.0)
    assert read_backs(FULL, points)["p_set_w"].value == pytest.approx(-5e4)
    del points["w_max"]
    assert not read_backs(FULL, points)["p_set_w"].usable
