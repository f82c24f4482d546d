"""Every bid and every activation with what became of it, on the disk before anybody is told.

A station that is killed says the same bid again, and delivers an activation as it was planned the first time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from controller.durable_file import DurableFile

FOLDER = "national"
FILE = "national.sqlite"
WAITING, ACCEPTED, REFUSED, LATE = "", "accepted", "refused", "late"
TAKEN = "taken"
LIVE_S = 3.0 * 86_400.0
"""So long after its gate a bid's window and its settlement may last."""
_BID = "id, made_utc_s, gate_utc_s, document, attempts, fate, reason"
_ACTIVATION = "id, bid, heard_utc_s, document, plan, fate, reason, answered, settlement, told"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS bid (
  id TEXT PRIMARY KEY, made_utc_s REAL NOT NULL, gate_utc_s REAL NOT NULL, document TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, fate TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS activation (
  id TEXT PRIMARY KEY, bid TEXT NOT NULL, heard_utc_s REAL NOT NULL, document TEXT NOT NULL, plan TEXT NOT NULL,
  fate TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', answered INTEGER NOT NULL DEFAULT 0,
  settlement TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0
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


@dataclass(frozen=True, slots=True)
class Asked:
    """An activation as it came and how it is delivered (both JSON; no plan: it is not), and what became of it.

    ``fate`` is waiting, taken or refused, with the reason, ``answered`` whether the market knows; ``settlement`` (JSON)
    is empty before it is settled, ``told`` whether the market has it.
    """

    id: str
    bid: str
    heard_utc_s: float
    document: str
    plan: str
    fate: str = WAITING
    reason: str = ""
    answered: bool = False
    settlement: str = ""
    told: bool = False


class Memory(DurableFile):
    """One site's bids and activations; used by one thread only. Raises sqlite3.Error when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, _SCHEMA)

    def find(self, bid_id: str) -> Offered | None:
        """The bid of that name, if there ever was one."""
        return next((bid for bid in self._where("id = ?", bid_id)), None)

    def waiting(self) -> list[Offered]:
        """Bids without an answer, oldest first."""
        return self._where("fate = ?", WAITING)

    def put(self, bid: Offered) -> None:
        """A new bid; one of that name stays as it was."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO bid (id, made_utc_s, gate_utc_s, document) VALUES (?, ?, ?, ?)",
                (bid.id, bid.made_utc_s, bid.gate_utc_s, bid.document),
            )

    def saying(self, bid_id: str) -> None:
        """It goes out once more."""
        with self.transaction():
            self._db.execute("UPDATE bid SET attempts = attempts + 1 WHERE id = ?", (bid_id,))

    def settle(self, bid_id: str, fate: str, reason: str) -> None:
        """What became of it; the first word counts."""
        with self.transaction():
            self._db.execute("UPDATE bid SET fate = ?, reason = ? WHERE id = ? AND fate = ''", (fate, reason, bid_id))

    def live(self, now_utc_s: float) -> list[Offered]:
        """Accepted bids whose gate closed so lately that there may be more to say about them."""
        return [bid for bid in self._where("fate = ?", ACCEPTED) if now_utc_s < bid.gate_utc_s + LIVE_S]

    def activation(self, name: str) -> Asked | None:
        """The activation of that name, if there ever was one."""
        return next(iter(self._asked("id = ?", name)), None)

    def activations(self, bid_id: str) -> list[Asked]:
        """All of a bid, as they came."""
        return self._asked("bid = ?", bid_id)

    def undecided(self) -> list[Asked]:
        """Activations that nobody has judged, as far as is known here."""
        return self._asked("fate = ?", WAITING)

    def unanswered(self, since_utc_s: float) -> list[Asked]:
        """Those whose fate the market does not know; older ones are given up."""
        return self._asked("fate <> '' AND NOT answered AND heard_utc_s >= ?", since_utc_s)

    def unsettled(self) -> list[Asked]:
        """Taken, and not settled."""
        return self._asked("settlement = '' AND fate = ?", TAKEN)

    def untold(self, since_utc_s: float) -> list[Asked]:
        """Those whose settlement the market does not know; older ones are given up."""
        return self._asked("settlement <> '' AND NOT told AND heard_utc_s >= ?", since_utc_s)

    def hear(self, asked: Asked) -> None:
        """A new activation with its plan; one of that name stays as it was."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO activation (id, bid, heard_utc_s, document, plan, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (asked.id, asked.bid, asked.heard_utc_s, asked.document, asked.plan, asked.reason),
            )

    def decide(self, name: str, fate: str, reason: str) -> None:
        """What became of an activation; the first word counts."""
        with self.transaction():
            self._db.execute(
                "UPDATE activation SET fate = ?, reason = ? WHERE id = ? AND fate = ''", (fate, reason, name)
            )

    def answered(self, name: str) -> None:
        """The market knows its fate."""
        with self.transaction():
            self._db.execute("UPDATE activation SET answered = 1 WHERE id = ?", (name,))

    def settled(self, name: str, settlement: str) -> None:
        """What was delivered; the first word counts."""
        with self.transaction():
            self._db.execute(
                "UPDATE activation SET settlement = ? WHERE id = ? AND settlement = ''", (settlement, name)
            )

    def told(self, name: str) -> None:
        """The market knows what was delivered."""
        with self.transaction():
            self._db.execute("UPDATE activation SET told = 1 WHERE id = ?", (name,))

    def _asked(self, condition: str, value: str | float) -> list[Asked]:
        return _activations(self._db, condition, value)

    def _where(self, condition: str, value: str) -> list[Offered]:
        return _bids(self._db, condition, value)


def read_all(db: sqlite3.Connection) -> list[tuple[Offered, list[Asked]]]:
    """Every bid with its activations, oldest first, on a connection that need not be able to write."""
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    bids = _bids(db, "id <> ?", "") if "bid" in known else []
    return [(bid, _activations(db, "bid = ?", bid.id) if "activation" in known else []) for bid in bids]


def _bids(db: sqlite3.Connection, condition: str, value: str) -> list[Offered]:
    rows = db.execute(f"SELECT {_BID} FROM bid WHERE {condition} ORDER BY made_utc_s", (value,))
    return [Offered(*row) for row in rows]


def _activations(db: sqlite3.Connection, condition: str, value: str | float) -> list[Asked]:
    rows = db.execute(f"SELECT {_ACTIVATION} FROM activation WHERE {condition} ORDER BY heard_utc_s, id", (value,))
    return [Asked(*row) for row in rows]
