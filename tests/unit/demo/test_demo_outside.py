"""What the outside saw is written as it comes: the plant's own count, and what was heard and said on the market."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import demo_samples as samples
import pytest

from simulators.demo.outside import PARTIES, PLANT, Outside

BEGAN = datetime(2026, 4, 9, 19, 0, tzinfo=UTC)


def rows(folder: Path, *lines: dict[str, Any]) -> list[dict[str, str]]:
    with Outside(folder, samples.setting().site, BEGAN) as outside:
        for line in lines:
            outside.plant(line)
    with (folder / PLANT).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_has_what_the_plant_did_could_do_and_counted(tmp_path: Path) -> None:
    line = {"t_s": 3600.0, "truth": samples.truth(3600.0), "score": samples.score(3600.0, over_s=7.0)}
    (row,) = rows(tmp_path, line)
    assert row["utc"] == "2026-04-09T20:00:00+00:00"
    assert float(row["interface_p_w"]) == -11.9e6
    assert (float(row["PVB.p_w"]), float(row["PVB.available_w"])) == (-3.1e6, 3.8e6)
    assert (float(row["PVB.curtailed_wh"]), float(row["EVH1.energy_wh"])) == (2.5e6, 6e6)
    assert float(row["T1.thermal.over_s"]) == 7.0
    assert float(row["T1.thermal.frac"]) == pytest.approx(0.99, abs=0.01)


def test_what_the_plant_does_not_know_is_an_empty_field(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, {"t_s": 0.0, "truth": samples.truth(0.0), "score": samples.score(0.0)})
    assert row["BAT1.available_w"] == row["WIND1.soc_frac"] == ""


def test_a_line_without_the_true_state_is_no_row(tmp_path: Path) -> None:
    assert rows(tmp_path, {"t_s": 5.0, "final": True, "score": samples.score(5.0)}, {"ok": True}) == []


def test_what_parties_heard_is_kept_word_for_word_and_in_order(tmp_path: Path) -> None:
    said = [{"t_s": 1.0, "name": "uftp.message", "kind": "FlexOrder"}, {"t_s": 2.0, "name": "market.ordered"}]
    with Outside(tmp_path, samples.setting().site, BEGAN) as outside:
        for line in ({"name": "ready", "site": "anywhere"}, *said):
            outside.party(line)
    assert [json.loads(text) for text in (tmp_path / PARTIES).read_text("utf-8").splitlines()] == said
