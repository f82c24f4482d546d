"""What was measured of a unit between two instants, from the store; for a settlement."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from controller.history.store import means, open_to_read

MEASURED_FRAC = 0.9  # of a period that must be stored for its mean to count


def measured_mean_w(folder: Path, unit: str, from_utc_s: float, to_utc_s: float) -> float | None:
    """Mean power, W (load convention); None where less than :data:`MEASURED_FRAC` of the time is stored.

    Raises StoreError when there is no store, sqlite3.Error when it cannot be read.
    """
    point, lasts_s = f"unit.{unit}.p_w", to_utc_s - from_utc_s
    with closing(open_to_read(folder)) as db:
        query = "SELECT coalesce(sum(period_s), 0) FROM period WHERE start_utc_s >= ? AND start_utc_s < ?"
        (seen_s,) = db.execute(query, (from_utc_s, to_utc_s)).fetchone()
        found = means(db, [point], from_utc_s, to_utc_s, lasts_s).get(0, {})
    return found.get(point) if seen_s >= MEASURED_FRAC * lasts_s else None
