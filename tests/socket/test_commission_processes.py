"""``gridedge commission`` against a simulated substation on its own ports."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from field_processes import PATIENCE_S, SITE, SPEED, bench

from controller.field.commission_command import commission
from controller.field.commission_record import digest
from controller.field.points_command import points

pytestmark = pytest.mark.socket


def test_an_inverter_is_moved_left_alone_and_found_to_revert_as_its_table_says(tmp_path: Path) -> None:
    with bench(tmp_path) as field:
        field.simulate()
        until_s = time.monotonic() + PATIENCE_S
        asked = [SITE, "--once", "--device", "GB1", "--port-offset", str(field.offset)]
        while CliRunner().invoke(points, asked).exit_code:
            assert time.monotonic() < until_s
            time.sleep(0.2)
        out = tmp_path / "records"
        more = ["--port-offset", str(field.offset), "--speed", f"{SPEED:g}", "--out", str(out)]
        found = CliRunner().invoke(commission, [SITE, "GB1", "--yes-write", "--by", "A. Engineer", *more])
    (kept,) = out.glob("*.json")
    document = json.loads(kept.read_text("utf-8"))
    assert document["sha256"] == digest(document)
    verdicts = {finding["what"]: finding["verdict"] for finding in document["findings"]}
    assert verdicts["when we fall silent"] == "agrees", found.output
    assert verdicts["lets go after"] == "agrees", found.output
    assert kept.with_suffix(".txt").read_text("utf-8").rstrip().endswith("______")
