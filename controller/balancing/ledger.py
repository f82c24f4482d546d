"""The record of everything a platform has asked for, and the book of what stands: one SQLite file, one writer.

A verdict, the book that follows from it and the reply to the platform are one transaction, on the disk before anybody
acts on them or is told: a process that is killed between any two steps goes on where it was. Entries are chained by
fingerprints (SHA-256) and can be neither changed nor deleted through this file's own triggers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.durable_file import DurableFile

FILE = "platform.sqlite"
BEGINNING = "0" * 64
JUDGED_MAX = 4096
"""Versions of commands that are known to have been judged; the oldest are forgotten first."""
REPORTS_MAX = 1000
"""Reports that wait for the platform; beyond it the oldest measurements go first, then the oldest answers."""
_TEXT_MAX = 20_000

_COLUMNS = "utc_s, issuer, command, counter, verdict, reason, content, chain"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS book (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS verdict (
  seq INTEGER PRIMARY KEY, utc_s REAL, issuer TEXT NOT NULL, command TEXT NOT NULL, counter TEXT NOT NULL,
  verdict TEXT NOT NULL, reason TEXT NOT NULL, content TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS judged (seq INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS report (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, answers INTEGER NOT NULL, about TEXT NOT NULL, text TEXT NOT NULL
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


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report about an event that the platform has not confirmed yet; ``answers`` says whether the event was taken."""

    about: str
    text: str
    answers: bool
    seq: int = 0


class Ledger(DurableFile):
    """The one connection that writes; used by one thread only. Raises sqlite3.Error when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, _SCHEMA)

    def book(self) -> str | None:
        """The book as it was last written; None before the first."""
        row = self._db.execute("SELECT text FROM book").fetchone()
        return None if row is None else str(row[0])

    def write(
        self, entries: list[Entry], book: str, judged: Iterable[str] = (), replies: Iterable[Waiting] = ()
    ) -> None:
        """Add entries and what goes with them and keep the book, all or nothing."""
        with self.transaction():
            self._add_all(entries)
            self._db.execute("INSERT OR REPLACE INTO book VALUES (1, ?)", (book,))
            self._db.executemany("INSERT OR IGNORE INTO judged (fingerprint) VALUES (?)", [(x,) for x in judged])
            self._db.execute("DELETE FROM judged WHERE seq <= (SELECT max(seq) FROM judged) - ?", (JUDGED_MAX,))
            self._queue(replies)

    def judged(self) -> list[str]:
        """Fingerprints of the versions that were judged last, oldest first."""
        return [str(found) for (found,) in self._db.execute("SELECT fingerprint FROM judged ORDER BY seq")]

    def orders(self) -> str | None:
        """What the control process was told, as it was last written; None before the first."""
        row = self._db.execute("SELECT text FROM orders").fetchone()
        return None if row is None else str(row[0])

    def write_orders(self, orders: str, entries: list[Entry]) -> None:
        """Keep what the control process is told, and add how it answered, all or nothing."""
        with self.transaction():
            self._add_all(entries)
            self._db.execute("INSERT OR REPLACE INTO orders VALUES (1, ?)", (orders,))

    def queue(self, reports: Iterable[Waiting]) -> None:
        """Keep reports for the platform."""
        with self.transaction():
            self._queue(reports)

    def waiting(self) -> Waiting | None:
        """The oldest report that the platform has not confirmed."""
        row = self._db.execute("SELECT about, text, answers, seq FROM report ORDER BY seq LIMIT 1").fetchone()
        return None if row is None else Waiting(row[0], row[1], bool(row[2]), row[3])

    def confirmed(self, report: Waiting) -> None:
        """The platform has it, or does not want it."""
        with self.transaction():
            self._db.execute("DELETE FROM report WHERE seq = ?", (report.seq,))

    def verdict_on(self, issuer: str, command: str) -> tuple[str, str] | None:
        """Verdict and reason of the first judgement of a command; None when it was never judged."""
        words = "SELECT verdict, reason FROM verdict WHERE issuer = ? AND command = ?"
        last = " AND verdict IN ('accepted', 'refused') ORDER BY seq LIMIT 1"
        row = self._db.execute(words + last, (issuer, command)).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

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

    def _queue(self, reports: Iterable[Waiting]) -> None:
        for one in reports:
            fields = (one.answers, _writable(one.about), one.text)
            self._db.execute("INSERT INTO report (answers, about, text) VALUES (?, ?, ?)", fields)
        self._db.execute(
            "DELETE FROM report WHERE seq IN (SELECT seq FROM report ORDER BY answers, seq"
            " LIMIT max(0, (SELECT count(*) FROM report) - ?))",
            (REPORTS_MAX,),
        )

    def _add_all(self, entries: Iterable[Entry]) -> None:
        head = self._head()
        for entry in entries:
            head = self._add(entry, head)

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
