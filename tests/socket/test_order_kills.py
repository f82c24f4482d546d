"""Orders survive the death of whoever carries them; a thousand deaths: `python benchmarks/order_kills.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.socket
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "order_kills.py"


@pytest.mark.parametrize("path", ["openadr", "uftp", "national"])
def test_killed_at_any_moment_no_order_is_lost_or_executed_twice(path: str) -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "25", "--path", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 executed twice, in order" in done.stdout
