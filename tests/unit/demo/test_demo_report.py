"""The report: what it contains, and that it is the truth of the plant."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from demo_samples import NOON_S, day_at_noon, record, score, setting, status
from rich.console import Console

from simulators.demo.day import Day
from simulators.demo.hour_line import hour_line
from simulators.demo.report import report_of, write_report
from simulators.demo.summary import summary


def text_of(day: Day, completed: bool = True) -> str:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    with console.capture() as capture:
        console.print(summary(report_of(day, completed)))
    return capture.get()


def test_the_report_has_these_keys() -> None:
    report = report_of(day_at_noon(), completed=True)
    assert {"limits", "units", "cycle_ms", "polls", "seed", "speed", "hours", "uncontrolled", "events"} <= set(report)
    assert set(report["limits"][0]) == {"id", "kind", "highest_frac", "over_s", "longest_over_s"}
    assert set(report["units"][0]) == {"id", "kind", "curtailed_wh", "flexed_wh", "energy_wh", "causes"}
    assert {"p50", "p99", "max", "missed"} <= set(report["cycle_ms"])
    assert set(report["polls"]) == {"ok", "failed"}
    assert (report["seed"], report["speed"], report["stretch"], report["cycle_s"]) == (1, 144.0, 3.6, 3.6)


def test_limits_are_the_simulators_truth_whatever_the_controller_believes() -> None:
    day = day_at_noon()
    believed = record()
    for limit in believed["limits"]:
        limit["loading_frac"] = 0.1
    day.take_record(believed, NOON_S)
    assert report_of(day, completed=True)["limits"] == score()["limits"]


def test_causes_are_the_controllers() -> None:
    units = {unit["id"]: unit for unit in report_of(day_at_noon(), completed=True)["units"]}
    assert units["PVB"]["causes"] == {"N3.voltage": 60.0, "T1.thermal": 60.0}
    assert units["EVH1"]["causes"] == {}


def test_the_uncontrolled_day_is_cut_at_the_same_instant() -> None:
    day = day_at_noon()
    day.uncontrolled.take({"t_s": NOON_S + 600.0, "truth": status(NOON_S + 600.0)["truth"], "score": score(over_s=9e9)})
    report = report_of(day, completed=False)
    assert report["uncontrolled"]["limits"][0]["over_s"] == 5400.0


def test_without_a_controller_the_report_says_so() -> None:
    report = report_of(day_at_noon(controlled=False, compared=False), completed=True)
    assert report["controlled"] is False
    assert report["uncontrolled"] is None
    assert report["cycle_ms"] == {"p50": None, "p99": None, "max": None, "missed": 0, "count": 0}
    assert report["polls"] == {"ok": 0, "failed": 0}


def test_the_report_is_strict_json(tmp_path: Path) -> None:
    report = report_of(day_at_noon(), completed=True)
    path = write_report(report, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == report


def test_the_summary_says_whether_the_limits_were_kept_and_what_control_was_worth() -> None:
    text = " ".join(text_of(day_at_noon()).split())
    assert "every limit was kept" in text
    assert "Without control 1 limit would have been exceeded: T1.thermal for 90 min and up to 131.0 %." in text
    assert "Keeping it cost 10.0 MWh of generation and 800 kWh of consumption put off." in text


def test_the_summary_does_not_hide_a_broken_limit() -> None:
    day = day_at_noon()
    day.take_status(status(NOON_S + 72.0, over_s=12.0), NOON_S)
    text = text_of(day, completed=False)
    assert "over the limit for 12 s: T1.thermal" in text
    assert "(ended early)" in text
    assert "every limit was kept" not in text


def test_the_line_of_an_hour() -> None:
    assert hour_line(Day(setting())) == ""
    line = hour_line(day_at_noon())
    assert line.startswith("12:30:00  normal  most used: T1.thermal 99.0 %  export 11.9 MW")
    assert "curtailed so far 10.0 MWh" in line
    assert "cycles missed 3  polls failed 41" in line


@pytest.mark.parametrize("controlled", [True, False])
def test_the_drawing_is_a_png(tmp_path: Path, controlled: bool) -> None:
    pytest.importorskip("matplotlib")
    from simulators.demo.plot import draw

    path = draw(day_at_noon(controlled, compared=controlled), tmp_path / "report.png")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
