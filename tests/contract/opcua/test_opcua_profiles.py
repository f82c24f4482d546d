"""What holds for every OPC UA table, without being told about a new one."""

from __future__ import annotations

import pytest

from controller.domain.measurement import Quality
from drivers.opcua.commands import plan_writes, read_backs
from drivers.opcua.values import INTEGERS, TYPES, NodeValue, encode, measure
from drivers.profile import PointSpec, Profile
from drivers.profile_loader import load_profile, profile_ids
from drivers.registry import catalogue

PROFILES = [load_profile(name) for name in profile_ids() if load_profile(name).protocol == "opcua"]
IDS = [profile.id for profile in PROFILES]


def _plausible(spec: PointSpec) -> float:
    """A value within the point's range that its type holds exactly."""
    low, high = spec.low if spec.low is not None else 0.0, spec.high if spec.high is not None else 2.0
    value = low + 0.25 * (high - low)
    return float(round(value)) if spec.type in INTEGERS else value


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
def test_every_point_has_a_place_a_type_and_a_source(profile: Profile) -> None:
    assert profile.namespace_uri.startswith("urn:")
    assert len({spec.path for spec in profile.points}) == len(profile.points)
    for spec in profile.points:
        assert spec.path
        assert spec.ref
        assert spec.type in TYPES


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
def test_every_point_reads_back_what_is_written(profile: Profile) -> None:
    for spec in profile.points:
        value = _plausible(spec)
        found = measure(spec, NodeValue(0, "Good", spec.type, encode(spec, value)), 0.0, 0.0, 3.0)
        assert found.quality is Quality.GOOD
        assert found.value == pytest.approx(value)


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
def test_every_command_has_a_lease_and_a_fall_back_and_shows_what_it_holds(profile: Profile) -> None:
    for command in profile.commands:
        assert command.lease_point
        assert command.revert_point
        value = _plausible(profile.point(command.point))
        calls = plan_writes(profile, {command.name: value}, 60.0, {command.name: value}, {})
        assert {spec.name for spec, _ in calls[0]} >= {command.lease_point, command.revert_point}
        held = {
            spec.name: measure(spec, NodeValue(0, "Good", spec.type, raw), 0.0, 0.0, 3.0)
            for call in calls
            for spec, raw in call
        }
        (shown,) = read_backs(profile, held).values()
        assert abs(shown.value) == pytest.approx(abs(value))


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
def test_the_catalogue_promises_what_the_driver_returns(profile: Profile) -> None:
    names = {spec.name for spec in profile.points if "r" in spec.access}
    names |= {spec.name for spec in profile.derived}
    shown = {
        spec.name: measure(spec, NodeValue(0, "Good", spec.type, encode(spec, _plausible(spec))), 0, 0, 3)
        for spec in profile.points
    }
    assert catalogue().points(profile.id) == names | set(read_backs(profile, shown))
