"""Every forecast that was news, on the disk: the last good one outlives a restart, and the older ones teach."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from controller.domain.weather import QUANTITIES
from controller.durable import open_read_only
from controller.durable_file import DurableFile
from controller.planning.foretold import Foretold, says_the_same

FOLDER = "weather"
FILE = "weather.sqlite"
KEEP_S = 35 * 86_400.0
LONGER_S = 3600.0
"""A forecast that says nothing new is kept only when it reaches so much further."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS foretold (
  heard_utc_s REAL PRIMARY KEY, issued_utc_s REAL NOT NULL, start_utc_s INTEGER NOT NULL, value BLOB NOT NULL
) WITHOUT ROWID
"""
_COLUMNS = "heard_utc_s, issued_utc_s, start_utc_s, value"
_NUMBER = "<f4"


class Memory(DurableFile):
    """One site's forecasts; used by one thread only. Raises sqlite3.Error when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / FILE, _SCHEMA)

    def newest(self) -> Foretold | None:
        """The last one that was kept."""
        return next(iter(_read(self._db, "ORDER BY heard_utc_s DESC LIMIT 1")), None)

    def keep(self, heard: Foretold) -> Foretold:
        """Remember it where it is news; as it counts from now on: what says the same is as old as the first of it.

        One from before the last that was kept (the clock was set back) takes the place of everything younger.
        """
        with self.transaction():
            self._db.execute("DELETE FROM foretold WHERE heard_utc_s >= ?", (heard.heard_utc_s,))
            before = self.newest()
            if before is not None and says_the_same(before, heard):
                heard = replace(heard, issued_utc_s=before.issued_utc_s)
                if heard.end_utc_s < before.end_utc_s + LONGER_S:
                    return before
            row = (heard.heard_utc_s, heard.issued_utc_s, heard.start_utc_s, heard.value.astype(_NUMBER).tobytes())
            self._db.execute(f"INSERT INTO foretold ({_COLUMNS}) VALUES (?, ?, ?, ?)", row)
            self._db.execute("DELETE FROM foretold WHERE heard_utc_s < ?", (heard.heard_utc_s - KEEP_S,))
        return heard


def heard_since(data: Path, from_utc_s: float) -> list[Foretold]:
    """Those heard after an instant and the one before them, oldest first; none where nobody ever asked.

    Reads on a connection of its own that cannot write. Raises sqlite3.Error.
    """
    path = data / FOLDER / FILE
    if not path.is_file():
        return []
    since = "(SELECT coalesce(max(heard_utc_s), 0) FROM foretold WHERE heard_utc_s <= ?)"
    with closing(open_read_only(path)) as db:
        return _read(db, f"WHERE heard_utc_s >= {since} ORDER BY heard_utc_s", from_utc_s)


def _read(db: sqlite3.Connection, condition: str, *values: float) -> list[Foretold]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM foretold {condition}", values)
    return [Foretold(heard, issued, start, _table(raw)) for heard, issued, start, raw in rows]


def _table(raw: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.frombuffer(raw, _NUMBER).astype(np.float64).reshape(-1, QUANTITIES)
