"""The record of everything a platform has asked for, and the book of what stands: one SQLite file, one writer.

A verdict and the book that follows from it are one transaction, on the disk before anybody acts on them or is told.
Entries are chained by fingerprints (SHA-256) and can be neither changed nor deleted through this file's own triggers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.durable import closed_on_failure, open_durable, transaction

FILE = "platform.sqlite"
BEGINNING = "0" * 64
_TEXT_MAX = 20_000

_COLUMNS = "utc_s, issuer, command, counter, verdict, reason, content, chain"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS book (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS verdict (
  seq INTEGER PRIMARY KEY, utc_s REAL, issuer TEXT NOT NULL, command TEXT NOT NULL, counter TEXT NOT NULL,
  verdict TEXT NOT NULL, reason TEXT NOT NULL, content TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS verdict_stays BEFORE UPDATE ON verdict
  BEGIN SELECT raise(ABORT, 'verdicts cannot be changed'); END;
CREATE TRIGGER IF NOT EXISTS verdict_kept BEFORE DELETE ON verdict
  BEGIN SELECT raise(ABORT, 'verdicts cannot be deleted'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record. ``verdict`` is accepted, refused, withdrawn, expired or an answer of the controller.

    ``content`` is what was asked for, as far as it could be read (at most 20 000 characters of it).
    """

    utc_s: float | None
    issuer: str
    command: str
    counter: str
    verdict: str
    reason: str
    content: str

    def chained(self, previous: str) -> str:
        """Fingerprint of this entry and all before it."""
        utc = "" if self.utc_s is None else f"{self.utc_s:.6f}"
        fields = (previous, utc, self.issuer, self.command, self.counter, self.verdict, self.reason, self.content)
        return hashlib.sha256("\x1f".join(fields).encode("utf-8", "backslashreplace")).hexdigest()


class Ledger:
    """The one connection that writes; used by one thread only. Raises sqlite3.Error when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._db = open_durable(folder / FILE)
        with closed_on_failure(self._db):
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def book(self) -> str | None:
        """The book as it was last written; None before the first."""
        row = self._db.execute("SELECT text FROM book").fetchone()
        return None if row is None else str(row[0])

    def write(self, entries: list[Entry], book: str) -> None:
        """Add entries and keep the book, all or nothing."""
        with transaction(self._db):
            head = self._head()
            for entry in entries:
                head = self._add(entry, head)
            self._db.execute("INSERT OR REPLACE INTO book VALUES (1, ?)", (book,))

    def entries(self) -> Iterator[tuple[Entry, str]]:
        """Every entry with its fingerprint, oldest first."""
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM verdict ORDER BY seq"):
            yield Entry(*row[:-1]), row[-1]

    def fault(self) -> str:
        """The first entry that is not what it was when it was written; empty when all are."""
        head = BEGINNING
        for number, (entry, chain) in enumerate(self.entries(), 1):
            head = entry.chained(head)
            if head != chain:
                return f"entry {number} ({entry.command}) or one before it was changed"
        return ""

    def _head(self) -> str:
        row = self._db.execute("SELECT chain FROM verdict ORDER BY seq DESC LIMIT 1").fetchone()
        return BEGINNING if row is None else str(row[0])

    def _add(self, entry: Entry, head: str) -> str:
        texts = (entry.issuer, entry.command, entry.counter, entry.verdict, entry.reason, entry.content)
        kept = Entry(entry.utc_s, *[_writable(text) for text in texts])
        chain = kept.chained(head)
        fields = (kept.utc_s, kept.issuer, kept.command, kept.counter, kept.verdict, kept.reason, kept.content, chain)
        self._db.execute(f"INSERT INTO verdict ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", fields)
        return chain


def _writable(text: str) -> str:
    """Text of others is kept short, and without halves of surrogate pairs, which SQLite does not take."""
    return text[:_TEXT_MAX].encode("utf-8", "backslashreplace").decode()
