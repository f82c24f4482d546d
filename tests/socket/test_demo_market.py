"""The day with auctions inside the demo: plant, controller and station as processes, orders over the Unix socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 300.0  # for a machine that is busy with something else

pytestmark = pytest.mark.socket


def gridedge(*arguments: str) -> str:
    """Run the command to its end; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_orders_reach_the_controller_and_the_station_can_tell_of_them_afterwards(tmp_path: Path) -> None:
    data = tmp_path / "data"
    gridedge(
        *("demo", "--market", "auctions", "--headless", "--no-compare", "--speed", "30", "--cycle-ms", "100"),
        *("--start", "21:56", "--hours", "0.12", "--report", str(tmp_path), "--data", str(data)),
    )
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    market = report["market"]
    assert set(market["auctions"][0]["taken"]) == {"EVH1-night", "BAT1-night"}
    assert market["refused_orders"] == 0
    assert {order["unit"] for order in market["orders"]} == {"EVH1", "BAT1"}
    assert next(limit["highest_frac"] for limit in report["limits"] if limit["id"] == "export") < 1.01

    page = json.loads(gridedge("report", "--data", str(data), "--json"))
    assert page["proof"]["fault"] == ""
    told = [text for _, text in page["orders"]]
    assert any(text.startswith("limit EVH1") and "order for EVH1-night" in text for text in told)
