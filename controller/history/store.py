"""The store: one SQLite file. What :meth:`Store.append` returned from is on the disk, whatever happens next.

Write-ahead log and ``synchronous=FULL``: a commit is in the log and synced before it returns (SQLite, "Write-Ahead
Logging" and "PRAGMA synchronous"). A period is one transaction: its samples, events, curtailments, gaps, and the
messages to the outbox that carry them, all or none.
"""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from controller.balancing.outbox import DEFAULT_POLICY, Outbox, OutboxPolicy
from controller.durable import closed_on_failure, open_durable, open_read_only, transaction
from controller.durable_file import check, or_set_aside, set_aside
from controller.history.batch import Batch, Curtailment
from controller.history.chain import BEGINNING, COLUMNS, FIELDS, chain_of, content_of

FORMAT = "2"
"""1: without ``basis``; such a file gains the column when it is opened, and its entries stay as they are."""
FILE = "history.sqlite"
_FORGET_AT_ONCE = 5000  # rows per period, so that forgetting never takes long

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS point (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS period (
  start_utc_s INTEGER, part INTEGER, period_s INTEGER NOT NULL, PRIMARY KEY (start_utc_s, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sample (
  start_utc_s INTEGER, part INTEGER, point INTEGER, n INTEGER NOT NULL, mean REAL NOT NULL, low REAL NOT NULL,
  high REAL NOT NULL, PRIMARY KEY (start_utc_s, part, point)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
  id INTEGER PRIMARY KEY, utc_s REAL NOT NULL, name TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS gap (
  id INTEGER PRIMARY KEY, from_utc_s REAL NOT NULL, to_utc_s REAL NOT NULL, lost INTEGER NOT NULL, reason TEXT NOT NULL
);
"""
_LEDGER = "CREATE TABLE IF NOT EXISTS curtailment (seq INTEGER PRIMARY KEY, {}, content TEXT, chain TEXT)".format(
    ", ".join(f"{name} TEXT NOT NULL" for name in FIELDS)
)


class StoreError(ValueError):
    """A file that is not this store; says what was expected."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long samples and events are kept; curtailments, the proof, are never forgotten."""

    samples_s: float = 400.0 * 86_400.0


DEFAULT_RETENTION = Retention()


class Store:
    """The one connection that writes; used by one thread only.

    Raises sqlite3.Error when the disk refuses: then nothing of the period was stored, and it may be tried again.
    """

    def __init__(
        self,
        folder: Path,
        site: str,
        outbox: OutboxPolicy = DEFAULT_POLICY,
        retention: Retention = DEFAULT_RETENTION,
    ) -> None:
        self.site = site
        self._retention = retention
        self._file = folder / FILE
        self._db = open_durable(self._file)
        with closed_on_failure(self._db, self._file):
            check(self._db, self._file)
            with transaction(self._db):
                for statement in (*_SCHEMA.split(";"), _LEDGER):
                    self._db.execute(statement)
                self._check_format(site)
                self.outbox = Outbox(self._db, outbox)
            self._points: dict[str, int] = dict(self._db.execute("SELECT name, id FROM point"))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def set_aside(self) -> Path:
        """Let go of the file, which turned out to be damaged, and give it a name of its own; that name."""
        self.close()
        return set_aside(self._file)

    def append(self, batch: Batch) -> int:
        """Keep one period; returns its part (0, or more when a period of that start is there already).

        When it returns, the period is on the disk: it is acknowledged.
        """
        known = dict(self._points)
        try:
            with transaction(self._db):
                return self._append(batch)
        except BaseException:
            self._points = known
            raise

    def acknowledged(self, ids: Sequence[int]) -> None:
        """Others have these messages of the outbox."""
        with transaction(self._db):
            self.outbox.acknowledged(ids)

    def known_until_s(self) -> float | None:
        """End of the last period, UTC seconds since 1970; None when there is none."""
        return known_until_s(self._db)

    def _append(self, batch: Batch) -> int:
        start_s = batch.start_utc_s
        (part,) = self._db.execute(
            "SELECT coalesce(max(part) + 1, 0) FROM period WHERE start_utc_s = ?", (start_s,)
        ).fetchone()
        self._db.execute("INSERT INTO period VALUES (?, ?, ?)", (start_s, part, batch.period_s))
        rows = [(start_s, part, self._point(s.point), s.n, s.mean, s.low, s.high) for s in batch.samples]
        self._db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._db.executemany(
            "INSERT INTO event (utc_s, name, subject, text) VALUES (?, ?, ?, ?)",
            [(h.utc_s, h.name, h.subject, h.text) for h in batch.happenings],
        )
        self._db.executemany(
            "INSERT INTO gap (from_utc_s, to_utc_s, lost, reason) VALUES (?, ?, ?, ?)",
            [(g.from_utc_s, g.to_utc_s, g.lost, g.reason) for g in batch.gaps],
        )
        entries = self._entries(batch)
        marks = ", ".join("?" * len(COLUMNS))
        self._db.executemany(f"INSERT INTO curtailment ({', '.join(COLUMNS)}) VALUES ({marks})", entries)
        self._post(batch, int(part), entries)
        self._forget(batch.end_utc_s - self._retention.samples_s)
        return int(part)

    def _point(self, name: str) -> int:
        found = self._points.get(name)
        if found is None:
            found = self._db.execute("INSERT INTO point (name) VALUES (?)", (name,)).lastrowid or 0
            self._points[name] = found
        return found

    def _entries(self, batch: Batch) -> list[tuple[str, ...]]:
        """The period's curtailments as entries of the chain."""
        row = self._db.execute("SELECT seq, chain FROM curtailment ORDER BY seq DESC LIMIT 1").fetchone()
        seq, head = (0, BEGINNING) if row is None else row
        out = []
        for curtailment in batch.curtailments:
            seq += 1
            fields = _texts(batch, curtailment)
            content = content_of(fields)
            head = chain_of(head, seq, content)
            out.append((str(seq), *fields, content, head))
        return out

    def _post(self, batch: Batch, part: int, entries: Sequence[Sequence[str]]) -> None:
        """What the period has to say to others, into the outbox."""
        key = f"{self.site}/{batch.start_utc_s}/{part}"
        points = {s.point: [s.n, s.mean, s.low, s.high] for s in batch.samples}
        about = {"start_utc_s": batch.start_utc_s, "period_s": batch.period_s}
        letters = {
            "curtailments": [dict(zip(COLUMNS, entry, strict=True)) for entry in entries],
            "gaps": [[g.from_utc_s, g.to_utc_s, g.lost, g.reason] for g in batch.gaps],
            "events": [[h.utc_s, h.name, h.subject, h.text] for h in batch.happenings],
            "samples": points,
        }
        for topic, content in letters.items():
            if content:
                body = json.dumps(about | {topic: content}, separators=(",", ":"), allow_nan=False)
                self.outbox.put(f"{key}/{topic}", topic, body.encode(), float(batch.end_utc_s))

    def _forget(self, before_utc_s: float) -> None:
        oldest = "SELECT start_utc_s, part, point FROM sample WHERE start_utc_s < ? LIMIT ?"
        limit = (before_utc_s, _FORGET_AT_ONCE)
        self._db.execute(f"DELETE FROM sample WHERE (start_utc_s, part, point) IN ({oldest})", limit)
        self._db.execute("DELETE FROM event WHERE utc_s < ?", (before_utc_s,))
        self._db.execute("DELETE FROM period WHERE start_utc_s < ?", (before_utc_s,))

    def _check_format(self, site: str) -> None:
        about = dict(self._db.execute("SELECT key, value FROM about"))
        if not about:
            self._db.executemany("INSERT INTO about VALUES (?, ?)", [("format", FORMAT), ("site", site)])
        elif (about.get("format"), about.get("site")) == ("1", site):
            self._db.execute("ALTER TABLE curtailment ADD COLUMN basis TEXT NOT NULL DEFAULT ''")
            self._db.execute("UPDATE about SET value = ? WHERE key = 'format'", (FORMAT,))
        elif (about.get("format"), about.get("site")) != (FORMAT, site):
            raise StoreError(
                f"the store is format {about.get('format')} of site {about.get('site')}; expected {FORMAT} of {site}"
            )


def open_store(folder: Path, site: str, outbox: OutboxPolicy = DEFAULT_POLICY) -> Store:
    """The store of a site; one that is found damaged is set aside, told, and begun anew.

    Raises sqlite3.Error when the disk refuses, StoreError for the store of another site.
    """

    def make() -> Store:
        folder.mkdir(exist_ok=True)
        return Store(folder, site, outbox)

    return or_set_aside(folder / FILE, make)


def _texts(batch: Batch, c: Curtailment) -> list[str]:
    """An entry's fields as they are written, signed and exported: once and for all."""
    loading = f"{c.loading_frac:.4f}" if math.isfinite(c.loading_frac) else ""
    numbers = (str(c.rank), f"{c.energy_wh:.3f}", f"{c.most_w:.1f}", f"{c.lasted_s:.1f}", loading)
    return [
        _utc(batch.start_utc_s),
        _utc(batch.end_utc_s),
        c.unit,
        c.cause,
        c.principle,
        *numbers,
        c.basis,
        secrets.token_hex(8),
    ]


def _utc(utc_s: int) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def open_to_read(folder: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside the writer's. Raises StoreError when there is no store."""
    path = folder / FILE
    if not path.is_file():
        kept = ", ".join(sorted(found.name for found in folder.glob(f"{FILE}.damaged-*[0-9]")))
        beside = f"; beside it, set aside as damaged: {kept}" if kept else ""
        raise StoreError(f"no store {path}; expected the folder given to `gridedge station --data`{beside}")
    return open_read_only(path)


def curtailments(db: sqlite3.Connection, unit: str | None = None) -> Iterator[dict[str, str]]:
    """Every entry of the chain as texts; with ``unit``, those of others with their fields left empty."""
    kept = {column[1] for column in db.execute("PRAGMA table_info(curtailment)")}
    names = [name if name in kept else f"'' AS {name}" for name in COLUMNS]
    for row in db.execute(f"SELECT {', '.join(names)} FROM curtailment ORDER BY seq"):
        entry = {name: str(value) for name, value in zip(COLUMNS, row, strict=True)}
        if unit is not None and entry["unit"] != unit:
            entry |= dict.fromkeys(FIELDS, "")
        yield entry


def samples(
    db: sqlite3.Connection, point: str, from_utc_s: float, to_utc_s: float
) -> list[tuple[int, int, float, float, float]]:
    """(start, n, mean, low, high) of one point, oldest first; the parts of a period one after the other."""
    return db.execute(
        "SELECT start_utc_s, n, mean, low, high FROM sample WHERE start_utc_s >= ? AND start_utc_s < ?"
        " AND point = (SELECT id FROM point WHERE name = ?) ORDER BY start_utc_s, part",
        (from_utc_s, to_utc_s, point),
    ).fetchall()


def means(
    db: sqlite3.Connection, points: Sequence[str], from_utc_s: float, to_utc_s: float, slot_s: float
) -> dict[int, dict[str, float]]:
    """Means of points over slots of so many seconds, counted from ``from_utc_s``; slots without a value are not there.

    Only periods that begin at or after ``from_utc_s`` and before ``to_utc_s`` count.
    """
    names = dict(db.execute("SELECT id, name FROM point"))
    wanted = ", ".join(str(key) for key, name in names.items() if name in set(points))
    rows = db.execute(
        "SELECT CAST((start_utc_s - ?) / ? AS INTEGER) AS slot, point, sum(mean * n) / sum(n) FROM sample"
        f" WHERE start_utc_s >= ? AND start_utc_s < ? AND point IN ({wanted}) GROUP BY slot, point",
        (from_utc_s, slot_s, from_utc_s, to_utc_s),
    )
    out: dict[int, dict[str, float]] = {}
    for slot, point, mean in rows:
        out.setdefault(int(slot), {})[names[point]] = float(mean)
    return out


def known_until_s(db: sqlite3.Connection) -> float | None:
    """End of the last period, UTC seconds since 1970; None when there is none."""
    (end_s,) = db.execute("SELECT max(start_utc_s + period_s) FROM period").fetchone()
    return None if end_s is None else float(end_s)
