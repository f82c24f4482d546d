"""Log lines, readable for people and for machines."""

from __future__ import annotations

import io
import json
import logging

import structlog

from controller.clock import ManualClock
from controller.runtime.log import logging_to


def lines(*, as_json: bool, exc: Exception | None = None) -> list[str]:
    stream = io.BytesIO()
    with logging_to(stream, ManualClock(90.0), as_json=as_json):
        log = structlog.get_logger()
        log.warning("device.lost", device="meter", reason="no <b>answer</b>\nSECOND LINE", exc_info=exc)
        log.debug("not.heard")
        for _ in range(5):
            logging.getLogger("library.client").warning("from a library")
        logging.getLogger("library.client").info("not heard either")
    return stream.getvalue().decode().splitlines()


def test_in_service_every_transition_is_one_json_line_with_the_site_s_time() -> None:
    first, second = lines(as_json=True)
    assert json.loads(first) == {
        "utc": "2026-01-01T00:01:30.000+00:00",
        "event": "device.lost",
        "level": "warning",
        "device": "meter",
        "reason": "no <b>answer</b>\nSECOND LINE",
    }
    assert json.loads(second)["event"] == "library"
    assert json.loads(second)["text"] == "from a library"


def test_on_a_terminal_a_transition_is_one_readable_line() -> None:
    first, second = lines(as_json=False)
    assert first.startswith("2026-01-01T00:01:30")
    assert "device.lost" in first
    assert "SECOND LINE" in first
    assert "from a library" in second


def test_a_traceback_is_kept() -> None:
    text = "\n".join(lines(as_json=True, exc=ValueError("bad register")))
    assert "ValueError: bad register" in text


def test_a_library_that_repeats_itself_is_heard_once_a_minute() -> None:
    stream, clock = io.BytesIO(), ManualClock()
    with logging_to(stream, clock, as_json=True):
        for _ in range(180):
            logging.getLogger("library.client").warning("no %s", "answer")
            clock.advance(1.0)
    assert [json.loads(line)["utc"][14:19] for line in stream.getvalue().splitlines()] == ["00:00", "01:00", "02:00"]
