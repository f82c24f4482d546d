"""Files whose every promise is on the disk before it is given."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_durable(file: Path) -> sqlite3.Connection:
    """A connection for one thread, write-ahead log, every commit synced. Raises sqlite3.Error when the disk refuses.

    Transactions are begun by :func:`transaction` only.
    """
    with naming(file):
        db = sqlite3.connect(file, isolation_level=None, timeout=30.0)
    with closed_on_failure(db, file):
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
    return db


def open_read_only(file: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside the writer's. Raises sqlite3.Error when there is no file."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)


@contextmanager
def closed_on_failure(db: sqlite3.Connection, file: Path) -> Iterator[None]:
    """A file that cannot be made ready is let go of, and named: the next try finds it free."""
    try:
        with naming(file):
            yield
    except BaseException:
        db.close()
        raise


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """SQLite says what is wrong (the disk is full, no database, damaged); this adds of which file."""
    try:
        yield
    except sqlite3.Error as error:
        named = type(error)(f"{file}: {error}")
        named.sqlite_errorcode = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        raise named from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing.

    A full disk may have ended the transaction already; rolling back once more would hide why.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def replace_file(path: Path, raw: bytes) -> None:
    """Put ``raw`` in the place of the file, all or nothing, and on the disk before returning. Raises OSError."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
