"""A file of promises on a disk that may refuse, and after a blow that may have damaged it.

A disk that is full or read-only at the start is no reason not to start: what is on it is read, nothing new is promised,
and as soon as it takes something again it is written as ever. A damaged file is set aside under a name of its own and
told; it is never deleted.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import structlog

from controller.durable import closed_on_failure, naming, open_durable, transaction

_log = structlog.get_logger()

T = TypeVar("T")

CHECKED_BYTES_MAX = 32 << 20
"""A file up to this size is read through when it is opened; of a larger one only what is needed at once."""
_REFUSED = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REFUSED_BY_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
_BESIDE = ("", "-wal", "-shm")


class NotOpen(OSError):
    """There is no file yet, because the disk refuses one."""


def refused(error: BaseException) -> bool:
    """Whether it says that the disk takes nothing: full, read-only, or broken. It may take something later."""
    if isinstance(error, sqlite3.Error):
        return _primary(error) in _REFUSED
    return isinstance(error, NotOpen) or (isinstance(error, OSError) and error.errno in _REFUSED_BY_SYSTEM)


def damaged(error: BaseException) -> bool:
    """Whether it says that the file is no database any more."""
    return isinstance(error, sqlite3.Error) and _primary(error) in _DAMAGED


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code: the last eight bits of the extended one."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def check(db: sqlite3.Connection, file: Path) -> None:
    """Read a small file through. Raises sqlite3.DatabaseError when it is damaged."""
    with naming(file):
        if file.stat().st_size > CHECKED_BYTES_MAX:
            return
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            torn = sqlite3.DatabaseError(f"damaged: {found}")
            torn.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise torn


def or_set_aside(file: Path, make: Callable[[], T]) -> T:
    """What ``make`` opens; a damaged file is set aside and told, and made anew.

    Raises sqlite3.Error and OSError as ``make`` does, also when a damaged file cannot be set aside: then it stays.
    """
    try:
        return make()
    except sqlite3.Error as error:
        if not damaged(error):
            raise
        _log.error("storage.damaged", file=str(file), reason=str(error), kept_as=str(set_aside(file)))
    return make()


def set_aside(file: Path) -> Path:
    """Give the file, and what SQLite keeps beside it, the first free name ``FILE.damaged-N``; that name."""
    number = 1
    while any(Path(f"{file}.damaged-{number}{beside}").exists() for beside in _BESIDE):
        number += 1
    kept = Path(f"{file}.damaged-{number}")
    for beside in reversed(_BESIDE):  # the database last: until then it is found damaged once more
        part = Path(f"{file}{beside}")
        if part.exists():
            part.rename(f"{kept}{beside}")
    return kept


class DurableFile:
    """One SQLite file with its tables, used by one thread only.

    On a disk that refuses, a file that is there can be read, and every write tries first whether the disk takes it
    again. Raises sqlite3.Error or OSError when there is nothing to read, sqlite3.Error when the disk refuses a write:
    then nothing is kept.
    """

    def __init__(self, file: Path, schema: str) -> None:
        self._file, self._schema = file, schema
        self._refused = False
        try:
            self._db = or_set_aside(file, self._open)
        except sqlite3.Error as error:
            if not refused(error):
                raise
            self._db = self._open_as_it_is(error)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        if self._refused:
            self._begin_anew()
        try:
            with transaction(self._db):
                yield
        except sqlite3.Error as error:
            # A connection that was opened on a read-only file system stays so, whatever becomes of the file system.
            self._refused = self._refused or _primary(error) == sqlite3.SQLITE_READONLY
            raise

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        db = open_durable(self._file)
        with closed_on_failure(db, self._file):
            check(db, self._file)
            db.executescript(self._schema)
        return db

    def _open_as_it_is(self, why: sqlite3.Error) -> sqlite3.Connection:
        """To read only, without SQLite's files beside it, which need room; there must be none that says more."""
        log = Path(f"{self._file}-wal")
        if not self._file.is_file() or not self._file.stat().st_size or (log.exists() and log.stat().st_size):
            raise why
        db = sqlite3.connect(f"{self._file.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)
        with closed_on_failure(db, self._file):
            check(db, self._file)
        self._refused = True
        _log.error("storage.refused", file=str(self._file), reason=str(why))
        return db

    def _begin_anew(self) -> None:
        """Raises sqlite3.Error while the disk still refuses."""
        db = self._open()
        self._db.close()
        self._db, self._refused = db, False
        _log.info("storage.recovered", file=str(self._file))
