"""The page of a night on which the clocks change has every hour once, and says which of two it means."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from controller.config.find import find_site
from controller.config.loader import load_site
from controller.history.batch import Batch, Sample
from controller.history.store import Store
from controller.report.command import report
from controller.report.words import clock, day_and_clock

TEXT = find_site("demo_primary").read_text("utf-8")
PERIOD_S = 300
ENERGY = Sample("unit.PVA.p_w", 60, -1e6, -1e6, -1e6)


def site_in(folder: Path, zone: str) -> Path:
    path = folder / "demo_primary.yaml"
    path.write_text(re.sub(r"timezone: .*", f"timezone: {zone}", TEXT), "utf-8")
    return path


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Amsterdam"])
@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)])
def test_a_local_day_is_as_long_as_it_was(zone: str, day: date, hours: int, tmp_path: Path) -> None:
    midnight_s = datetime.combine(day, time(), ZoneInfo(zone)).timestamp()
    with closing(Store(tmp_path, "demo_primary")) as store:
        store._db.execute("PRAGMA synchronous=OFF")  # the disk is not what is tested here
        for k in range(-12, 27 * 12):
            store.append(Batch(int(midnight_s) + PERIOD_S * k, PERIOD_S, (ENERGY,)))
    asked = ["--from", f"{day}T00:00", "--to", f"{day + timedelta(days=1)}T00:00", "--json"]
    done = CliRunner().invoke(report, ["--data", str(tmp_path), "--site", str(site_in(tmp_path, zone)), *asked])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["from_utc_s"], found["to_utc_s"]) == (midnight_s, midnight_s + 3600.0 * hours)
    assert found["generated_wh"] == pytest.approx(1e6 * hours)
    assert found["lost_s"] == 0.0


def test_an_hour_that_comes_twice_says_which_of_the_two(tmp_path: Path) -> None:
    site = load_site(site_in(tmp_path, "Europe/London"))
    half_past_s = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    said = [clock(half_past_s + 3600.0 * k, site) for k in range(-1, 3)]
    assert said == ["00:30", "01:30 BST", "01:30 GMT", "02:30"]
    assert day_and_clock(half_past_s, site) == "2026-10-25 01:30 BST"
