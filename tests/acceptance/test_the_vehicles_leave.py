"""07 to 10: vehicles unplug, and what is flexible is known to shrink; what the battery gives back lasts to the end."""

from __future__ import annotations

import pytest
from day_kit import DayLoop, site

from simulators.demo.flexible import FOR_S, flexible


@pytest.fixture(scope="module")
def mornings() -> list[DayLoop]:
    return [DayLoop(start).run(6.0) for start in ("07:00", "08:00", "09:00")]


def test_the_flexibility_of_the_vehicles_is_what_the_plant_has_plugged_in_and_shrinks(
    mornings: list[DayLoop],
) -> None:
    published_w = [flexible(site(), day.record)["EVH1"].up_w for day in mornings]
    truth_w = [day.world.truth().unit_available_w["EVH1"] for day in mornings]
    assert published_w == [pytest.approx(w, rel=0.1, abs=20e3) for w in truth_w]
    assert published_w[0] > 2.0 * published_w[1]
    assert published_w[1] > published_w[2] > 0.0


def test_the_flexibility_of_a_battery_is_what_its_content_keeps_up_for_an_hour(mornings: list[DayLoop]) -> None:
    for day in mornings:
        truth = day.world.truth()
        storage = next(unit.storage for unit in site().units if unit.id == "BAT1")
        assert storage is not None
        content_wh = (truth.unit_soc_frac["BAT1"] - storage.soc_min_frac) * storage.e_rated_wh
        lasting_w = content_wh * storage.eff_discharge_frac * 3600.0 / FOR_S
        up_w = flexible(site(), day.record)["BAT1"].up_w
        assert up_w == pytest.approx(max(lasting_w + truth.unit_p_w["BAT1"], 0.0), abs=60e3)


def test_what_the_battery_gives_back_is_sized_to_last_until_its_order_ends() -> None:
    day = DayLoop("06:28").run(6.0)  # 15 % full: 2 MW would last for 25 minutes of the three hours
    given_w = -day.world.truth().unit_p_w["BAT1"]
    content_wh = (day.world.truth().unit_soc_frac["BAT1"] - 0.05) * 9e6
    assert given_w > 0.15e6
    assert given_w * 2.9 < content_wh
