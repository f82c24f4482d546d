"""Every bid and what became of it, on the disk before it is said: a station that is killed says the same bid again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.durable import closed_on_failure, open_durable, transaction

FILE = "national.sqlite"
WAITING, ACCEPTED, REFUSED, LATE = "", "accepted", "refused", "late"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bid (
  id TEXT PRIMARY KEY, made_utc_s REAL NOT NULL, gate_utc_s REAL NOT NULL, document TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, fate TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Offered:
    """A bid as it is said (JSON), until when, and its fate: waiting, accepted, refused or late, with the reason."""

    id: str
    made_utc_s: float
    gate_utc_s: float
    document: str
    attempts: int = 0
    fate: str = WAITING
    reason: str = ""


class Memory:
    """One site's bids; used by one thread only. Raises sqlite3.Error when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._db = open_durable(folder / FILE)
        with closed_on_failure(self._db):
            self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def find(self, bid_id: str) -> Offered | None:
        """The bid of that name, if there ever was one."""
        return next((bid for bid in self._where("id = ?", bid_id)), None)

    def waiting(self) -> list[Offered]:
        """Bids without an answer, oldest first."""
        return self._where("fate = ?", WAITING)

    def put(self, bid: Offered) -> None:
        """A new bid; one of that name stays as it was."""
        with transaction(self._db):
            self._db.execute(
                "INSERT OR IGNORE INTO bid (id, made_utc_s, gate_utc_s, document) VALUES (?, ?, ?, ?)",
                (bid.id, bid.made_utc_s, bid.gate_utc_s, bid.document),
            )

    def saying(self, bid_id: str) -> None:
        """It goes out once more."""
        with transaction(self._db):
            self._db.execute("UPDATE bid SET attempts = attempts + 1 WHERE id = ?", (bid_id,))

    def settle(self, bid_id: str, fate: str, reason: str) -> None:
        """What became of it; the first word counts."""
        with transaction(self._db):
            self._db.execute("UPDATE bid SET fate = ?, reason = ? WHERE id = ? AND fate = ''", (fate, reason, bid_id))

    def _where(self, condition: str, value: str) -> list[Offered]:
        columns = "id, made_utc_s, gate_utc_s, document, attempts, fate, reason"
        rows = self._db.execute(f"SELECT {columns} FROM bid WHERE {condition} ORDER BY made_utc_s", (value,))
        return [Offered(*row) for row in rows]
