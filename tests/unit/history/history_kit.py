"""Records as the control process publishes them, and periods as the store takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from controller.history.batch import Batch, Curtailment, Gap, Happening, Sample

BEGAN = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
BEGAN_S = int(BEGAN.timestamp())


def record(seq: int, at_s: float | None = None, **changes: Any) -> dict[str, Any]:
    """Cycle ``seq``, one a second: PVA gives 1 MW and gives up 0.5 MW for T1, T1 is used to 99 %."""
    now_s = float(seq if at_s is None else at_s)
    unit = {
        "id": "PVA", "p_w": -1e6 - seq, "q_var": 0.0, "p_avail_w": None, "p_set_w": -1e6, "q_set_var": 0.0,
        "curtailed_w": 5e5, "soc_frac": None, "rank": 2, "withheld": [{"cause": "T1.thermal", "w": 5e5}],
    }  # fmt: skip
    limit = {"id": "T1.thermal", "value": 300.0, "worst": 301.0, "high": 303.0, "low": None, "loading_frac": 0.99}
    made = {
        "seq": seq, "now_s": now_s, "utc": (BEGAN + timedelta(seconds=now_s)).isoformat(), "principle": "merit",
        "given_up_w": 5e5, "limits": [limit | {"worst_frac": 0.995, "given_up_w": 5e5}], "units": [unit], "events": [],
    }  # fmt: skip
    return made | changes


def batch(number: int, points: int = 2, **changes: Any) -> Batch:
    """The ``number``-th minute, with one curtailment and nothing special."""
    samples = tuple(Sample(f"unit.U{k}.p_w", 60, number + k / 8.0, number - 1.0, number + 1.0) for k in range(points))
    given = (Curtailment("PVA", "T1.thermal", "merit", 2, 12.5 + number, 7.5e5, 60.0, 0.99),)
    fields: dict[str, Any] = {"samples": samples, "curtailments": given} | changes
    return Batch(BEGAN_S + 60 * number, 60, **fields)


EVENT = Happening(BEGAN_S + 1.5, "limit.bound", "T1.thermal", "100.2 % of thermal limit")
GAP = Gap(BEGAN_S + 2.0, BEGAN_S + 9.0, 7, "the station did not keep up")
