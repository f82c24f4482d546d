"""Which registers are read together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.blocks import Block, plan_blocks
from drivers.profile import PointSpec, ReadRules
from drivers.profile_checks import registers
from drivers.profile_loader import load_profile, profile_ids


def point(address: int, kind: str = "uint16", sf: str | None = None, table: str = "holding") -> PointSpec:
    return PointSpec(f"p{address}", kind, "1", "test", address=address, sf=sf, table=table)


def spans(blocks: tuple[Block, ...]) -> list[tuple[int, int]]:
    return [(block.address, block.count) for block in blocks]


def test_near_points_are_read_together_and_far_ones_apart() -> None:
    points = [point(0, "float32"), point(4, "float32"), point(20)]
    assert spans(plan_blocks(points, ReadRules(gap_max=2))) == [(0, 6), (20, 1)]


def test_tables_are_never_mixed() -> None:
    blocks = plan_blocks([point(0), point(1, table="input")], ReadRules())
    assert [block.table for block in blocks] == ["holding", "input"]


def test_a_forbidden_register_is_read_by_nobody() -> None:
    assert spans(plan_blocks([point(0), point(3)], ReadRules(forbidden=((1, 2),)))) == [(0, 1), (3, 1)]


def test_a_point_that_lies_on_a_forbidden_register_is_refused() -> None:
    with pytest.raises(ValueError, match="p10 at 10 cannot be read"):
        plan_blocks([point(10, "int32")], ReadRules(forbidden=((11, 11),)))


def test_a_scale_factor_goes_with_its_point_even_if_that_costs_registers() -> None:
    points = [point(0), point(60, sf="p120"), point(120, "int16")]
    assert spans(plan_blocks(points, ReadRules(registers_max=100, gap_max=60))) == [(0, 1), (60, 61)]


@pytest.mark.parametrize("profile_id", ["sunspec_der", "sunspec_battery"])
def test_a_sunspec_poll_takes_two_requests_and_reads_each_value_with_its_scale_factor(profile_id: str) -> None:
    profile = load_profile(profile_id)
    blocks = plan_blocks([spec for spec in profile.points if spec.name not in profile.identity], profile.read)
    assert len(blocks) == 2
    for block in blocks:
        names = {spec.name for spec in block.points}
        assert all(spec.sf is None or spec.sf in names for spec in block.points)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["uint16", "int32", "float64"])), max_size=25),
    st.integers(4, 125),
    st.integers(0, 20),
)
def test_every_point_is_in_exactly_one_block_whole_and_within_the_rules(
    raw: list[tuple[int, str]], registers_max: int, gap_max: int
) -> None:
    points = list({address * 4: point(address * 4, kind) for address, kind in raw}.values())
    blocks = plan_blocks(points, ReadRules(registers_max=registers_max, gap_max=gap_max))
    assert sorted(spec.address for block in blocks for spec in block.points) == sorted(p.address for p in points)
    for block in blocks:
        assert block.count <= registers_max
        for spec in block.points:
            assert block.address <= spec.address
            assert spec.address + registers(spec) <= block.address + block.count


def test_the_profiles_that_come_along_can_all_be_planned() -> None:
    for profile_id in profile_ids():
        profile = load_profile(profile_id)
        if profile.protocol == "modbus":
            assert plan_blocks(profile.points, profile.read)
