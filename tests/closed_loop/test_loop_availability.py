"""What units could have given: who says it is believed, and the record of what was withheld is near the truth."""

from __future__ import annotations

import math

import pytest
from loop_kit import HOUR_S, ClosedLoop

NOON_H = 11.75


def reporting(loop: ClosedLoop) -> list[str]:
    return [unit.id for unit in loop.site.units if unit.reports_available]


@pytest.mark.parametrize("name", ["demo_primary", "secondary_rooftop"])
def test_what_a_unit_says_it_could_give_reaches_the_record(name: str) -> None:
    loop = ClosedLoop(name, NOON_H, seed=3, with_faults=False).run(30)
    assert reporting(loop)
    truth = loop.world.truth()
    said_w = {state.id: state.p_avail_w for state in loop.records[-1].units}
    for unit_id in reporting(loop):
        assert said_w[unit_id] == pytest.approx(truth.unit_available_w[unit_id], rel=0.1), unit_id
    assert all(math.isnan(said_w[unit.id]) for unit in loop.site.units if not unit.reports_available)


def test_the_record_of_what_was_withheld_is_of_the_size_of_what_truly_was() -> None:
    """Two streets' roofs say what they could give, two do not; half an hour of noon with limits that bind."""
    loop = ClosedLoop("secondary_rooftop", NOON_H, seed=3, with_faults=False).run(120)
    before_wh, seen = curtailed_wh(loop), len(loop.records)
    loop.run(1800)
    cycle_h, told_wh = loop.site.cycle.cycle_s / HOUR_S, dict.fromkeys(before_wh, 0.0)
    for state in (state for record in loop.records[seen:] for state in record.units):
        told_wh[state.id] += cycle_h * sum(part.w for part in state.withheld)
    for unit in (unit for unit in loop.site.units if unit.kind.generates):
        true_wh = curtailed_wh(loop)[unit.id] - before_wh[unit.id]
        assert true_wh > 1000.0, "the test is of limits that bind"
        apart = 0.05 if unit.reports_available else 0.5
        assert told_wh[unit.id] == pytest.approx(true_wh, rel=apart), unit.id


def curtailed_wh(loop: ClosedLoop) -> dict[str, float]:
    """By the plant's own count."""
    return {unit["id"]: unit["curtailed_wh"] for unit in loop.world.score.units()}
