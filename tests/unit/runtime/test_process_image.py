"""What the controller believes about the field, by age and by what the field last said."""

from __future__ import annotations

import math

import pytest
from runtime_stubs import bad, good, make_device

from controller.domain.measurement import Measurement, Quality, missing
from controller.runtime.process_image import ProcessImage

POINT = "branch.T1.p_w"


def image(**over: object) -> ProcessImage:
    return ProcessImage([make_device("meter", {"p_w": POINT, "u_v": "bus.BB.u_v"}, **over)])


@pytest.mark.parametrize(
    ("age_s", "quality"), [(0.0, Quality.GOOD), (3.0, Quality.GOOD), (3.001, Quality.STALE), (1e6, Quality.STALE)]
)
def test_a_good_value_older_than_the_stale_limit_becomes_stale(age_s: float, quality: Quality) -> None:
    table = image()
    table.update("meter", {"p_w": good(5.0, 10.0)})
    found = table.freeze(10.0 + age_s).get(POINT)
    assert found.quality is quality
    assert found.value == 5.0
    assert found.measured_at_s == 10.0


def test_an_uncertain_value_is_shown_as_uncertain_and_ages_too() -> None:
    table = image()
    table.update("meter", {"p_w": Measurement(5.0, Quality.UNCERTAIN, 10.0, 10.0)})
    assert table.freeze(11.0).get(POINT).quality is Quality.UNCERTAIN
    assert table.freeze(14.0).get(POINT).quality is Quality.STALE


@pytest.mark.parametrize("complaint", [bad(11.0), missing(11.0, "no answer")])
def test_a_bad_answer_keeps_the_last_good_value_until_it_is_stale_then_the_point_has_no_value(
    complaint: Measurement,
) -> None:
    table = image()
    table.update("meter", {"p_w": good(5.0, 10.0)})
    table.update("meter", {"p_w": complaint})
    assert table.freeze(13.0).get(POINT) == good(5.0, 10.0)
    later = table.freeze(13.5).get(POINT)
    assert later.quality is complaint.quality
    assert math.isnan(later.value)
    assert later.reason == complaint.reason
    assert table.freeze(13.5).age_s(POINT) == 3.5


def test_a_good_answer_after_a_complaint_is_believed_again() -> None:
    table = image()
    table.update("meter", {"p_w": bad(10.0)})
    assert table.freeze(10.0).get(POINT).quality is Quality.BAD
    table.update("meter", {"p_w": good(7.0, 11.0)})
    assert table.freeze(11.0).get(POINT) == good(7.0, 11.0)


def test_a_point_that_was_never_received_is_missing() -> None:
    found = image().freeze(1.0)
    assert found.get(POINT).quality is Quality.MISSING
    assert found.age_s(POINT) == math.inf


def test_the_newest_sample_wins_whatever_the_order_of_arrival() -> None:
    table = image()
    table.update("meter", {"p_w": good(2.0, 11.0)})
    table.update("meter", {"p_w": good(1.0, 10.0)})
    table.update("meter", {"p_w": bad(10.5)})
    assert table.freeze(11.0).get(POINT) == good(2.0, 11.0)


def test_a_complaint_of_before_does_not_outlive_a_newer_value() -> None:
    table = image()
    table.update("meter", {"p_w": good(2.0, 11.0)})
    table.update("meter", {"p_w": bad(10.5)})
    assert table.freeze(20.0).get(POINT).quality is Quality.STALE


def test_a_device_that_counts_the_other_way_round_is_flipped() -> None:
    table = ProcessImage([make_device("meter", {"p_w": f"-{POINT}"})])
    table.update("meter", {"p_w": good(5.0, 1.0)})
    assert table.freeze(1.0).get(POINT).value == -5.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_good_value_that_is_no_number_is_bad(value: float) -> None:
    table = image()
    table.update("meter", {"p_w": good(value, 1.0)})
    found = table.freeze(1.0).get(POINT)
    assert found.quality is Quality.BAD
    assert "finite" in found.reason
    assert not table.health(1.0)["meter"].ok


def test_a_sample_without_an_instant_is_not_taken() -> None:
    table = image()
    table.update("meter", {"p_w": good(5.0, math.nan)})
    assert table.freeze(1.0).get(POINT).quality is Quality.MISSING


def test_a_point_that_a_reading_does_not_mention_ages() -> None:
    table = image()
    table.update("meter", {"p_w": good(5.0, 1.0), "u_v": good(400.0, 1.0)})
    table.update("meter", {"u_v": good(401.0, 5.0)})
    assert table.freeze(5.0).get(POINT).quality is Quality.STALE
    assert table.freeze(5.0).get("bus.BB.u_v").value == 401.0


def test_a_snapshot_does_not_change_while_the_field_goes_on() -> None:
    table = image()
    table.update("meter", {"p_w": good(5.0, 1.0)})
    seen = table.freeze(1.0)
    table.update("meter", {"p_w": good(6.0, 2.0)})
    assert seen.get(POINT).value == 5.0


def test_the_health_of_a_device_is_the_age_of_its_last_good_value() -> None:
    table = image()
    assert not table.health(0.0)["meter"].ok
    assert table.health(0.0)["meter"].age_s == math.inf
    assert table.update("meter", {"p_w": good(5.0, 1.0), "u_v": bad(1.0)})
    assert not table.update("meter", {"p_w": bad(3.0), "u_v": bad(3.0)})
    assert table.health(4.0)["meter"].ok
    assert table.health(4.0)["meter"].age_s == 3.0
    assert not table.health(4.1)["meter"].ok
