"""A device that is lost is told with what ails it, not with what it never had."""

from __future__ import annotations

from controller.domain.measurement import missing
from controller.runtime.poller import _reason


def test_the_reason_is_what_most_points_say() -> None:
    gone = "no connection to 127.0.0.1:502: Connection refused"
    points = {
        "heartbeat": missing(0.0, "the device has no model 715"),
        "p_w": missing(0.0, gone),
        "u_v": missing(0.0, gone),
    }
    assert _reason(points) == gone


def test_without_any_reason_it_is_no_answer() -> None:
    assert _reason({}) == "no answer"
