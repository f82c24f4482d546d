"""The benchmark of one step measures what it says, on a site small enough for every run of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_benchmark_times_every_stage_of_a_site_whose_limits_bind() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "core_step.py"), "--sizes", "5", "--cycles", "20", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (site,) = json.loads(done.stdout)["sites"]
    assert (site["units"], site["limits"]) == (5, 10)
    assert site["binding_per_cycle"] > 0.5
    stages = {name: ms["p50"] for name, ms in site["ms"].items()}
    assert all(ms > 0.0 for ms in stages.values()), stages
    assert sum(stages[name] for name in ("estimate", "limits", "dispatch", "record")) < 1.2 * stages["total"]
