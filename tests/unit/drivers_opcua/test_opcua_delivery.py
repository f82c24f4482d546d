"""When values are asked for and when they are reported, and which sample is too old to be the next one."""

from __future__ import annotations

import pytest

from controller.domain.measurement import Quality
from drivers.opcua.delivery import wants_subscription
from drivers.opcua.values import NodeValue, SourceOrder, measure
from drivers.profile import PointSpec

P_W = PointSpec("p_w", "Double", "W", "test")


@pytest.mark.parametrize(
    ("delivery", "points", "interval_s", "sampling_s_min", "subscribes"),
    [
        ("auto", 30, 0.1, 0.0, False),  # 300 values a second: a read, whose age is exact
        ("auto", 51, 0.1, 0.0, True),
        ("auto", 1000, 1.0, 0.0, True),
        ("auto", 1000, 0.1, 0.5, False),  # the server samples slower than we poll
        ("auto", 1000, 2.0, 0.0, False),
        ("auto", 1000, 0.01, 0.0, False),
        ("read", 1000, 0.1, 0.0, False),
        ("subscription", 1, 10.0, 5.0, True),
    ],
)
def test_many_values_at_a_pace_that_the_server_holds_are_reported(
    delivery: str, points: int, interval_s: float, sampling_s_min: float, subscribes: bool
) -> None:
    assert wants_subscription(delivery, points, interval_s, sampling_s_min) is subscribes


def test_a_sample_older_than_the_last_one_is_uncertain_once() -> None:
    order = SourceOrder()

    def judged(source_utc_s: float | None) -> Quality:
        node = NodeValue(0, "Good", "Double", 5.0, source_utc_s)
        return order.judge("p_w", node, measure(P_W, node, 1.0, 1.1, 3.0)).quality

    assert [judged(at_s) for at_s in (10.0, 10.0, 11.0, 9.0, 9.5, None)] == [
        Quality.GOOD,
        Quality.GOOD,
        Quality.GOOD,
        Quality.UNCERTAIN,
        Quality.GOOD,
        Quality.GOOD,
    ]
