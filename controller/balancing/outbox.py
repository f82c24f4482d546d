"""Messages that others must get: kept until they say they have them, each once, in order, within a bounded space.

Delivery is at least once: a message is gone only when it is acknowledged. Its key is unique, so whoever gets it twice
(the acknowledgement was lost) can tell. When the space is used up, the least important go first, the oldest of them
first, and a message says which are missing.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PRIORITIES = {"gaps": 0, "orders": 0, "curtailments": 1, "events": 2, "samples": 3}
"""By topic, 0 most important; a topic that is not listed counts as the most important."""
_OVERHEAD_BYTES = 128  # of a row and its index, about

_TABLE = """
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, priority INTEGER NOT NULL,
  utc_s REAL NOT NULL, body BLOB NOT NULL
)"""
_SIZE = "CREATE TABLE IF NOT EXISTS outbox_size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL)"
_GROWS = f"""
CREATE TRIGGER IF NOT EXISTS outbox_grows AFTER INSERT ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes + length(new.body) + {_OVERHEAD_BYTES};
END"""
_SHRINKS = f"""
CREATE TRIGGER IF NOT EXISTS outbox_shrinks AFTER DELETE ON outbox BEGIN
  UPDATE outbox_size SET bytes = bytes - length(old.body) - {_OVERHEAD_BYTES};
END"""
_ORDER = "CREATE INDEX IF NOT EXISTS outbox_order ON outbox (priority, id)"
_SCHEMA = (_TABLE, _ORDER, _SIZE, "INSERT OR IGNORE INTO outbox_size VALUES (1, 0)", _GROWS, _SHRINKS)


@dataclass(frozen=True, slots=True)
class OutboxPolicy:
    """Space for messages nobody has fetched yet; when it is full it is emptied to ``keep_frac`` of itself at once."""

    bytes_max: int = 512 << 20
    keep_frac: float = 0.95


DEFAULT_POLICY = OutboxPolicy()


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``id`` grows with age, ``utc_s`` is the end of what it tells (seconds since 1970)."""

    id: int
    key: str
    topic: str
    utc_s: float
    body: bytes


class Outbox:
    """On the store's own connection: what is put in is committed together with what it tells about."""

    def __init__(self, db: sqlite3.Connection, policy: OutboxPolicy = DEFAULT_POLICY) -> None:
        self._db = db
        self._policy = policy
        for statement in _SCHEMA:
            db.execute(statement)

    def put(self, key: str, topic: str, body: bytes, utc_s: float) -> None:
        """Add a message inside the caller's transaction. Raises sqlite3.IntegrityError when the key was used."""
        self._insert(key, topic, zlib.compress(body), utc_s)
        if self.used_bytes() > self._policy.bytes_max:
            self._make_room(utc_s)

    def newest_id(self) -> int:
        """Id of the newest message ever put in; 0 before the first."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return 0 if row is None else int(row[0])

    def after(self, last_id: int, bytes_max: int) -> list[Message]:
        """The oldest messages younger than ``last_id``, in order: one if there is one, then up to that size."""
        rows = self._db.execute(f"{_SELECT} WHERE id > ? ORDER BY id", (last_id,))
        return _within(rows, bytes_max)

    def up_to(self, last_id: int, bytes_max: int, beyond: Message | None = None) -> list[Message]:
        """The same of those not younger than ``last_id``, the important ones first, each kind in order.

        With ``beyond``, those that come after it in this order.
        """
        behind = (-1, 0) if beyond is None else (PRIORITIES.get(beyond.topic, 0), beyond.id)
        rows = self._db.execute(
            f"{_SELECT} WHERE (priority, id) > (?, ?) AND id <= ? ORDER BY priority, id", (*behind, last_id)
        )
        return _within(rows, bytes_max)

    def acknowledged(self, ids: Iterable[int]) -> None:
        """Others have these; inside the caller's transaction."""
        self._db.executemany("DELETE FROM outbox WHERE id = ?", [(number,) for number in ids])

    def count(self) -> int:
        """How many wait."""
        return int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def used_bytes(self) -> int:
        """About how much space the waiting messages take; kept by SQLite itself, whatever was rolled back."""
        return int(self._db.execute("SELECT bytes FROM outbox_size").fetchone()[0])

    def _insert(self, key: str, topic: str, packed: bytes, utc_s: float) -> None:
        self._db.execute(
            "INSERT INTO outbox (key, topic, priority, utc_s, body) VALUES (?, ?, ?, ?, ?)",
            (key, topic, PRIORITIES.get(topic, 0), utc_s, packed),
        )

    def _make_room(self, utc_s: float) -> None:
        """Drop the least important, the oldest first, and leave one message that says what is missing in all."""
        too_much = self.used_bytes() - int(self._policy.keep_frac * self._policy.bytes_max)
        told = self._told_before()
        ids = []
        for number, key, topic, size in self._db.execute(
            "SELECT id, key, topic, length(body) FROM outbox WHERE key NOT LIKE 'dropped/%' ORDER BY priority DESC, id"
        ):
            if too_much <= 0:
                break
            too_much -= size + _OVERHEAD_BYTES
            ids.append(number)
            before = told.get(topic, {"first": key, "count": 0})
            told[topic] = before | {"last": key, "count": before["count"] + 1}
        if ids:
            self.acknowledged(ids)
            self._db.execute("DELETE FROM outbox WHERE key LIKE 'dropped/%'")
            body = json.dumps({"dropped": told, "reason": "the outbox was full"}, separators=(",", ":"))
            self._insert(f"dropped/{ids[0]}-{ids[-1]}", "gaps", zlib.compress(body.encode()), utc_s)

    def _told_before(self) -> dict[str, dict[str, Any]]:
        """By topic: what an earlier message says is missing that nobody has fetched yet."""
        row = self._db.execute("SELECT body FROM outbox WHERE key LIKE 'dropped/%'").fetchone()
        told: dict[str, dict[str, Any]] = {} if row is None else json.loads(zlib.decompress(row[0]))["dropped"]
        return told


_SELECT = "SELECT id, key, topic, utc_s, body FROM outbox"


def _within(rows: Iterable[tuple[int, str, str, float, bytes]], bytes_max: int) -> list[Message]:
    out: list[Message] = []
    for number, key, topic, utc_s, packed in rows:
        bytes_max -= len(packed) + _OVERHEAD_BYTES
        if out and bytes_max < 0:
            break
        out.append(Message(number, key, topic, utc_s, zlib.decompress(packed)))
    return out
