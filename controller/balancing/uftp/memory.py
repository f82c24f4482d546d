"""Every conversation, kept: what came, how it was judged, what was sent and whether it arrived. SQLite, all synced.

A message is judged once in its life, whatever restarts lie in between, because its id is remembered with it. Verdicts
are chained by fingerprints: none can be changed or left out unseen. What is to be sent is written down before the first
attempt and sent with the same id until it has arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.durable_file import DurableFile

FILE = "market.sqlite"
BEGINNING = "0" * 64
TEXT_MAX = 200
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heard (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, sender TEXT NOT NULL, kind TEXT NOT NULL,
  utc_s REAL NOT NULL, reason TEXT NOT NULL, fingerprint TEXT NOT NULL, reference TEXT NOT NULL, period TEXT NOT NULL,
  revision INTEGER, payload BLOB NOT NULL, chain TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS heard_once ON heard (message_id) WHERE reason = '';
CREATE INDEX IF NOT EXISTS heard_id ON heard (message_id);
CREATE TRIGGER IF NOT EXISTS heard_stays BEFORE UPDATE ON heard BEGIN SELECT raise(ABORT, 'what was heard stays'); END;
CREATE TRIGGER IF NOT EXISTS heard_kept BEFORE DELETE ON heard BEGIN SELECT raise(ABORT, 'what was heard stays'); END;
CREATE TABLE IF NOT EXISTS said (
  message_id TEXT PRIMARY KEY, recipient TEXT NOT NULL, kind TEXT NOT NULL, utc_s REAL NOT NULL,
  until_utc_s REAL NOT NULL, reference TEXT NOT NULL, payload BLOB NOT NULL, fate TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS said_unsent ON said (fate) WHERE fate = '';
CREATE INDEX IF NOT EXISTS said_unanswered ON said (answer, fate) WHERE answer = '';
CREATE INDEX IF NOT EXISTS said_reference ON said (reference, kind);
CREATE TABLE IF NOT EXISTS turned_away (
  status INTEGER NOT NULL, sender TEXT NOT NULL, count INTEGER NOT NULL, first_utc_s REAL NOT NULL,
  last_utc_s REAL NOT NULL, last TEXT NOT NULL, PRIMARY KEY (status, sender)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choice (
  seq INTEGER PRIMARY KEY, utc_s REAL NOT NULL, option TEXT NOT NULL, share REAL NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS portfolio (domain TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that came; ``reason`` is empty when it was accepted. ``reference`` is the id that it answers."""

    message_id: str
    sender: str
    kind: str
    utc_s: float
    reason: str
    fingerprint: str
    reference: str
    period: str
    revision: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A message of ours; ``fate`` is empty while it waits, then ``delivered`` or why it was given up."""

    message_id: str
    recipient: str
    kind: str
    utc_s: float
    until_utc_s: float
    reference: str
    payload: bytes
    fate: str = ""
    attempts: int = 0
    answer: str = ""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Messages that ended at the door with one HTTP status; ``sender`` is the participant that they named, if any."""

    status: int
    sender: str
    count: int
    first_utc_s: float
    last_utc_s: float
    last: str


COUNTED_S = 1.0
"""What ends at the door is on the disk so much later, at most: a flood must not keep the disk busy."""

_HEARD = "message_id, sender, kind, utc_s, reason, fingerprint, reference, period, revision, payload"
_SAID = "message_id, recipient, kind, utc_s, until_utc_s, reference, payload, fate, attempts, answer"


class Memory(DurableFile):
    """The one connection; used by one thread only. Raises sqlite3.Error when the disk refuses: then nothing is kept."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, _SCHEMA)
        self._away: dict[tuple[int, str], TurnedAway] = {}
        self._counted_utc_s = -COUNTED_S

    def close(self) -> None:
        """Let go of the file."""
        try:
            self.keep_counts()
        finally:
            super().close()

    def hear(self, heard: Heard) -> None:
        """Keep a message with its verdict, inside the caller's transaction."""
        row = self._db.execute("SELECT chain FROM heard ORDER BY seq DESC LIMIT 1").fetchone()
        chain = _chained(BEGINNING if row is None else row[0], heard)
        self._db.execute(
            f"INSERT INTO heard ({_HEARD}, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(heard.message_id, heard.sender, heard.kind, heard.utc_s, heard.reason, heard.fingerprint),
                *(heard.reference, heard.period, heard.revision, heard.payload, chain),
            ),
        )

    def turn_away(self, status: int, sender: str, text: str, utc_s: float) -> None:
        """Count a message that nobody signed whom we know; there is a row for each status and sender, however many."""
        before = self._away.get((status, sender))
        count, first_s = (1, utc_s) if before is None else (before.count + 1, before.first_utc_s)
        words = text[:TEXT_MAX].encode("utf-8", "backslashreplace").decode()
        self._away[status, sender] = TurnedAway(status, sender, count, first_s, utc_s, words)
        if not abs(utc_s - self._counted_utc_s) < COUNTED_S:
            self.keep_counts()
            self._counted_utc_s = utc_s

    def turned_away(self) -> list[TurnedAway]:
        """What ended at the door, as far as it is on the disk."""
        query = "SELECT status, sender, count, first_utc_s, last_utc_s, last FROM turned_away ORDER BY status, sender"
        return [TurnedAway(*row) for row in self._db.execute(query)]

    def keep_counts(self) -> None:
        """Write down what was turned away since the last time."""
        if not self._away:
            return
        rows = [(a.status, a.sender, a.count, a.first_utc_s, a.last_utc_s, a.last) for a in self._away.values()]
        with self.transaction():
            self._db.executemany(
                "INSERT INTO turned_away VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (status, sender) DO UPDATE SET"
                " count = count + excluded.count, last_utc_s = excluded.last_utc_s, last = excluded.last",
                rows,
            )
        self._away.clear()

    def say(self, said: Said) -> None:
        """Keep a message that is to be sent, inside the caller's transaction."""
        self._db.execute(
            f"INSERT INTO said ({_SAID}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(said.message_id, said.recipient, said.kind, said.utc_s, said.until_utc_s, said.reference),
                *(said.payload, said.fate, said.attempts, said.answer),
            ),
        )

    def accepted(self, message_id: str) -> Heard | None:
        """The accepted message with this id."""
        row = self._db.execute(f"SELECT {_HEARD} FROM heard WHERE message_id = ? AND reason = ''", (message_id,))
        found = row.fetchone()
        return None if found is None else Heard(*found)

    def sent(self, message_id: str) -> Said | None:
        """Our message with this id."""
        found = self._db.execute(f"SELECT {_SAID} FROM said WHERE message_id = ?", (message_id,)).fetchone()
        return None if found is None else Said(*found)

    def sent_about(self, kind: str, reference: str) -> list[Said]:
        """Our messages of a kind that refer to this, oldest first."""
        query = f"SELECT {_SAID} FROM said WHERE kind = ? AND reference = ? ORDER BY rowid"
        return [Said(*row) for row in self._db.execute(query, (kind, reference))]

    def accepted_of(self, kind: str, period: str, sender: str | None = None) -> list[Heard]:
        """Accepted messages of a kind about a day, oldest first."""
        query = f"SELECT {_HEARD} FROM heard WHERE kind = ? AND period = ? AND reason = ''"
        rows = self._db.execute(query + " ORDER BY seq", (kind, period))
        return [heard for row in rows if sender in (None, (heard := Heard(*row)).sender)]

    def latest_revision(self, kind: str, sender: str, period: str, reference: str) -> int | None:
        """The highest accepted revision; ``reference`` tells meters apart."""
        (found,) = self._db.execute(
            "SELECT max(revision) FROM heard WHERE kind = ? AND sender = ? AND period = ? AND reference = ?"
            " AND reason = ''",
            (kind, sender, period, reference),
        ).fetchone()
        return None if found is None else int(found)

    def heard_with(self, message_id: str) -> str | None:
        """Fingerprint of an earlier message with this id that was accepted."""
        found = self.accepted(message_id)
        return None if found is None else found.fingerprint

    def newest(self, kind: str) -> Said | None:
        """The message of a kind that we said last, whatever the clock did."""
        query = f"SELECT {_SAID} FROM said WHERE kind = ? ORDER BY rowid DESC LIMIT 1"
        found = self._db.execute(query, (kind,)).fetchone()
        return None if found is None else Said(*found)

    def said_of(self, kind: str) -> list[Said]:
        """Every message of a kind in the order in which they were said, whatever the clock did."""
        return [
            Said(*row) for row in self._db.execute(f"SELECT {_SAID} FROM said WHERE kind = ? ORDER BY rowid", (kind,))
        ]

    def newest_to(self, recipient: str, kind: str) -> Said | None:
        """The message of a kind that we said to somebody last."""
        query = f"SELECT {_SAID} FROM said WHERE recipient = ? AND kind = ? ORDER BY rowid DESC LIMIT 1"
        found = self._db.execute(query, (recipient, kind)).fetchone()
        return None if found is None else Said(*found)

    def choose(self, utc_s: float, option: str, share: float, reason: str) -> bool:
        """Keep what was decided about an option, inside the caller's transaction; False when that is known already."""
        last = "SELECT share, reason FROM choice WHERE option = ? ORDER BY seq DESC LIMIT 1"
        if self._db.execute(last, (option,)).fetchone() == (share, reason):
            return False
        self._db.execute(
            "INSERT INTO choice (utc_s, option, share, reason) VALUES (?, ?, ?, ?)", (utc_s, option, share, reason)
        )
        return True

    def choices(self) -> list[tuple[float, str, float, str]]:
        """(UTC seconds, offer/option, share taken, why no more) in order."""
        return self._db.execute("SELECT utc_s, option, share, reason FROM choice ORDER BY seq").fetchall()

    def waiting(self) -> list[Said]:
        """Our messages that have not arrived, in the order in which they were said, whatever the clock did."""
        return [Said(*row) for row in self._db.execute(f"SELECT {_SAID} FROM said WHERE fate = '' ORDER BY rowid")]

    def unanswered(self, kinds: Sequence[str], now_utc_s: float) -> list[Said]:
        """Our messages of these kinds that arrived, were not answered, and are not too late yet; oldest first."""
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT {_SAID} FROM said WHERE fate = 'delivered' AND answer = '' AND until_utc_s > ?"
        rows = self._db.execute(f"{query} AND kind IN ({marks}) ORDER BY rowid", (now_utc_s, *kinds))
        return [Said(*row) for row in rows]

    def say_again(self, message_id: str) -> None:
        """Let a message that was delivered wait once more, as it is."""
        with self.transaction():
            self._db.execute("UPDATE said SET fate = '' WHERE message_id = ? AND answer = ''", (message_id,))

    def attempted(self, message_id: str, fate: str) -> None:
        """One more attempt; ``fate`` empty when it will be tried again."""
        with self.transaction():
            self._db.execute(
                "UPDATE said SET attempts = attempts + 1, fate = ? WHERE message_id = ?", (fate, message_id)
            )

    def answered(self, message_id: str, answer: str) -> None:
        """How the other side took our message, inside the caller's transaction."""
        self._db.execute("UPDATE said SET answer = ? WHERE message_id = ?", (answer, message_id))

    def set_portfolio(self, domains: frozenset[str]) -> None:
        """Who is active at the congestion point from now on, inside the caller's transaction."""
        self._db.execute("DELETE FROM portfolio")
        self._db.executemany("INSERT INTO portfolio VALUES (?)", [(domain,) for domain in sorted(domains)])
        self._db.execute("INSERT OR REPLACE INTO about VALUES ('portfolio', 'known')")

    def portfolio(self) -> frozenset[str] | None:
        """Who is active; None before anybody said."""
        if self._db.execute("SELECT 1 FROM about WHERE key = 'portfolio'").fetchone() is None:
            return None
        return frozenset(domain for (domain,) in self._db.execute("SELECT domain FROM portfolio"))

    def verdicts(self) -> list[tuple[str, str, str, str]]:
        """(message id, sender, kind, reason) of everything that came, in order."""
        return self._db.execute("SELECT message_id, sender, kind, reason FROM heard ORDER BY seq").fetchall()

    def verify(self) -> str:
        """What is wrong with the chain of verdicts; empty when nothing is."""
        head = BEGINNING
        for *row, chain in self._db.execute(f"SELECT {_HEARD}, chain FROM heard ORDER BY seq"):
            head = _chained(head, Heard(*row))
            if head != chain:
                return f"the verdict on {row[0]} or one before it was changed"
        return ""


def _chained(previous: str, heard: Heard) -> str:
    fields = (
        *(previous, heard.message_id, heard.sender, heard.kind, f"{heard.utc_s:.6f}", heard.reason),
        *(heard.fingerprint, heard.reference, heard.period, str(heard.revision)),
    )
    text = "\x1f".join(fields).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text + b"\x1f" + hashlib.sha256(heard.payload).digest()).hexdigest()
