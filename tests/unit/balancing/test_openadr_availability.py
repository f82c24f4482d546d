"""What a platform is told that it can still ask of a unit: no more than the unit can keep up for an hour."""

from __future__ import annotations

from typing import Any

import platform_kit as kit
import pytest

from controller.balancing.meter import PeriodMeter
from controller.balancing.openadr.models import Event, Interval, ReportDescriptor, ValuesMap
from controller.balancing.openadr.reports import measurements
from controller.domain.unit import Unit

UP, DOWN = "UP_REGULATION_AVAILABLE", "DOWN_REGULATION_AVAILABLE"
UNITS: dict[str, Unit] = {unit.id: unit for unit in kit.SITE.units}
BATTERY, SUN, HUB = UNITS["BAT1"], UNITS["PVA"], UNITS["EVH1"]


def told(unit: Unit, **state: Any) -> tuple[float, float]:
    """(up, down), W, after one record of the unit."""
    meter = PeriodMeter(frozenset(UNITS))
    meter.add({"mode": "normal", "units": [{"id": unit.id, "curtailed_w": 0.0, "status": "free"} | state]}, kit.UTC_S)
    period = meter.take(kit.UTC_S + 300.0)
    assert period is not None
    event = Event(
        id="event-1",
        programID="program-1",
        reportDescriptors=[ReportDescriptor(payloadType=UP), ReportDescriptor(payloadType=DOWN)],
        intervals=[Interval(id=0, payloads=[ValuesMap(type="EXPORT_CAPACITY_LIMIT", values=[3000])])],
    )
    report = measurements(kit.SITE, event, "site", period)
    assert report is not None
    (resource,) = report.resources
    payloads = {payload.type: payload.values[0] for payload in resource.intervals[0].payloads}
    return 1e3 * float(payloads[UP]), 1e3 * float(payloads[DOWN])


def test_of_a_battery_that_is_almost_empty_only_its_content_can_be_had() -> None:
    assert BATTERY.storage is not None
    left_frac = BATTERY.storage.soc_min_frac + 0.05
    up_w, down_w = told(BATTERY, p_w=0.0, soc_frac=left_frac)
    assert up_w == pytest.approx(0.05 * BATTERY.storage.e_rated_wh * BATTERY.storage.eff_discharge_frac)
    assert up_w < 0.5 * -BATTERY.p_min_w, "more could be given than kept up"
    assert down_w == pytest.approx(BATTERY.p_max_w)


def test_of_a_battery_whose_content_nobody_knows_nothing_can_be_had() -> None:
    assert told(BATTERY, p_w=0.0, soc_frac=None) == (0.0, 0.0)


def test_a_plant_that_follows_the_weather_has_left_what_it_is_held_back_by() -> None:
    assert told(SUN, p_w=-2e6, curtailed_w=5e5, p_avail_w=2.5e6) == (pytest.approx(5e5), pytest.approx(2e6))


@pytest.mark.parametrize(("asked_w", "down_w"), [(1.2e6, 7e5), (None, 0.0)])
def test_a_hub_can_take_more_only_as_far_as_its_vehicles_are_known_to_want_it(
    asked_w: float | None, down_w: float
) -> None:
    assert told(HUB, p_w=5e5, p_avail_w=asked_w) == (pytest.approx(5e5), pytest.approx(down_w))


@pytest.mark.parametrize("status", ["lost", "deaf"])
def test_a_unit_that_does_not_answer_or_obey_is_not_offered(status: str) -> None:
    assert told(SUN, p_w=-2e6, curtailed_w=5e5, status=status) == (0.0, 0.0)
