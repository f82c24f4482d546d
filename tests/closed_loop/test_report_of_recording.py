"""The page of the morning from a recording says what a station's history of the same cycles says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from loop_kit import ClosedLoop
from replay_kit import written

from controller.control.cycle import step
from controller.control.state import ControlState
from controller.domain.record import CycleRecord
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.history.collect import Collector
from controller.history.store import Store
from controller.recording.format import Cycle
from controller.report.command import report
from controller.report.recorded import NoHistory, keep, records
from controller.runtime.publish import encode

NOON_S = 1_781_521_200.0  # 2026-06-15 11:00 UTC


@pytest.fixture(scope="module")
def cycles() -> list[Cycle]:
    """Three minutes of demo_primary in which the sun presses on its limits."""
    taped: list[Cycle] = []

    def taping(site: Site, state: ControlState, snapshot: Snapshot) -> tuple[ControlState, CycleRecord]:
        after, record = step(site, state, snapshot)
        taped.append(Cycle(state, replace(snapshot, utc_s=NOON_S + snapshot.now_s), record))
        return after, record

    ClosedLoop("demo_primary", 12.5, 1, with_faults=False, core=taping).run(180.0)
    return taped


def published(cycles: list[Cycle]) -> Iterator[dict]:
    """The same cycles as the record socket tells them."""
    for cycle in cycles:
        utc = datetime.fromtimestamp(cycle.snapshot.utc_s, UTC).isoformat()
        yield json.loads(encode(cycle.record.to_dict())) | {"utc": utc}


def test_a_recording_gives_the_report_that_the_stations_history_gives(cycles: list[Cycle], tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    collector = Collector()
    with closing(Store(stored, "demo_primary")) as store:
        for record in published(cycles):
            batch = collector.take(record)
            if batch is not None:
                store.append(batch)
        last = collector.close()
        assert last is not None
        store.append(last)
    recording = written(tmp_path / "day.gridedge", cycles)
    runs = [
        CliRunner().invoke(report, [*where, "--json"], catch_exceptions=False)
        for where in (["--data", str(stored)], ["--record", str(recording)])
    ]
    said = [json.loads(run.output) for run in runs]
    assert said[0]["bindings"] or said[0]["given_up"]
    assert said[0].pop("proof")["fault"] == ""
    assert said[1].pop("proof") is None  # its entries were only now made
    assert said[0] == said[1]


def test_a_recording_whose_time_of_day_nobody_knew_makes_no_history(cycles: list[Cycle], tmp_path: Path) -> None:
    unlabelled = [replace(cycle, snapshot=replace(cycle.snapshot, utc_s=float("nan"))) for cycle in cycles[:3]]
    recording = written(tmp_path / "day.gridedge", unlabelled)
    with pytest.raises(NoHistory, match="nobody knew the time of day"):
        list(records(recording))


def test_one_of_the_two_sources_is_named(tmp_path: Path) -> None:
    assert "expected one of --data and --record" in CliRunner().invoke(report, []).output
    missing = CliRunner().invoke(report, ["--record", str(tmp_path / "nowhere")])
    assert missing.exit_code != 0
    assert "no recording" in missing.output
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(ValueError, match="no recording"):
        keep(tmp_path / "nowhere", tmp_path)
