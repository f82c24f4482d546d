"""Records as the outside reads them."""

from __future__ import annotations

import json
import math
from typing import Any

from structlog.testing import capture_logs

from controller.domain.record import CycleRecord, LimitState, Mode
from controller.runtime.publish import Publisher, encode

LIMIT = LimitState("L", "thermal", "T1", math.nan, math.inf, 100.0, None, math.nan, math.inf, "MISSING", False)


class FakeSink:
    """A sink that can be unwanted or in trouble."""

    def __init__(self, wanted: bool = True) -> None:
        self.name = "fake"
        self.trouble = ""
        self.wanted = wanted
        self.lines: list[bytes] = []

    def put(self, line: bytes) -> None:
        self.lines.append(line)


def record() -> CycleRecord:
    return CycleRecord(7, 1.0, Mode.NORMAL, (LIMIT,), (), (), ())


def test_numbers_that_are_none_become_null_in_depth() -> None:
    line = encode({"a": math.nan, "b": {"c": [math.inf, 1.5, (-math.inf,)]}, "d": True, "e": 3, "f": "x"})
    assert line.endswith(b"\n")
    assert json.loads(line) == {"a": None, "b": {"c": [None, 1.5, [None]]}, "d": True, "e": 3, "f": "x"}


def test_a_record_is_one_line_with_the_shell_s_fields_added() -> None:
    sink = FakeSink()
    Publisher([sink], lambda: {"stretch": 2.0}).publish(record())
    (line,) = sink.lines
    fields = json.loads(line)
    assert line.count(b"\n") == 1
    assert (fields["seq"], fields["mode"], fields["stretch"]) == (7, "normal", 2.0)
    assert (fields["limits"][0]["value"], fields["limits"][0]["worst"]) == (None, None)


def test_nothing_is_encoded_when_nobody_reads() -> None:
    def extra() -> dict[str, Any]:
        raise AssertionError("encoded for nobody")

    Publisher([FakeSink(wanted=False)], extra).publish(record())


def test_a_file_in_trouble_is_told_once_and_so_is_its_recovery() -> None:
    sink = FakeSink()
    publisher = Publisher([sink], dict)
    with capture_logs() as logs:
        for trouble in ("", "disk full", "disk full", "disk still full", "", ""):
            sink.trouble = trouble
            publisher.publish(record())
    assert [(entry["event"], entry["to"]) for entry in logs] == [("record.lost", "fake"), ("record.recovered", "fake")]
