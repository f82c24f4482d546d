"""A file of promises on a disk that refuses at the start: read where it can be, written as soon as it can be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from full_disk import full_disk
from structlog.testing import capture_logs

from controller.balancing.ledger import Entry, Ledger
from controller.durable_file import DurableFile, damaged, or_set_aside, refused, set_aside

SCHEMA = "CREATE TABLE IF NOT EXISTS said (word TEXT NOT NULL)"


class Words(DurableFile):
    """The smallest file of promises."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, SCHEMA)

    def say(self, word: str) -> None:
        with self.transaction():
            self._db.execute("INSERT INTO said VALUES (?)", (word,))

    def said(self) -> list[str]:
        return [word for (word,) in self._db.execute("SELECT word FROM said ORDER BY rowid")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(Words(tmp_path / "words.sqlite")) as words:
        words.say("before")
    return tmp_path / "words.sqlite"


def test_what_was_promised_is_read_on_a_full_disk_and_written_on_when_there_is_room(file: Path) -> None:
    with capture_logs() as told:
        with full_disk():
            words = Words(file)
            assert words.said() == ["before"]
            with pytest.raises(sqlite3.OperationalError, match=r"words\.sqlite"):
                words.say("refused")
            assert words.said() == ["before"]
        words.say("after")
    assert words.said() == ["before", "after"]
    words.close()
    with closing(Words(file)) as again:
        assert again.said() == ["before", "after"]
    assert [entry["event"] for entry in told] == ["storage.refused", "storage.recovered"]
    assert told[0]["file"] == str(file)


def test_a_connection_that_was_opened_read_only_writes_when_the_file_may_be_written_again(file: Path) -> None:
    words = Words(file)
    words._db.execute("PRAGMA query_only=ON")  # as on a file system that was mounted read-only at the start
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        words.say("refused")
    words.say("after")
    assert words.said() == ["before", "after"]
    words.close()


def test_where_nothing_was_ever_written_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(sqlite3.OperationalError) as refusal:
        Words(tmp_path / "new.sqlite")
    assert refused(refusal.value)
    with closing(Words(tmp_path / "new.sqlite")) as words:  # what the failed try has left is no obstacle
        words.say("after")
        assert words.said() == ["after"]


def test_what_only_the_log_of_a_killed_writer_knows_is_not_passed_over(file: Path) -> None:
    killed = Words(file)
    killed.say("in the log")
    copy = file.with_name("copy.sqlite")
    copy.write_bytes(file.read_bytes())
    Path(f"{copy}-wal").write_bytes(Path(f"{file}-wal").read_bytes())
    killed.close()
    with full_disk(), pytest.raises(sqlite3.OperationalError):
        Words(copy)
    with closing(Words(copy)) as words:
        assert words.said() == ["before", "in the log"]


@pytest.mark.parametrize("where", [0, 4096 + 4])
def test_a_damaged_file_is_kept_under_a_name_of_its_own_and_told(file: Path, where: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[where : where + 64] = b"\xa5" * 64
    file.write_bytes(raw)
    with capture_logs() as told, closing(Words(file)) as words:
        assert words.said() == []
        words.say("anew")
    (entry,) = told
    assert (entry["event"], entry["log_level"]) == ("storage.damaged", "error")
    assert Path(entry["kept_as"]).read_bytes() == raw
    assert Path(entry["kept_as"]).name == "words.sqlite.damaged-1"


def test_no_damaged_file_takes_the_place_of_another(file: Path) -> None:
    for number in (1, 2):
        file.write_bytes(b"no database at all, however much there is of it. " * number)
        with capture_logs() as told:
            Words(file).close()
        assert told[0]["kept_as"] == f"{file}.damaged-{number}"
    assert len(Path(f"{file}.damaged-1").read_bytes()) < len(Path(f"{file}.damaged-2").read_bytes())


def test_a_file_of_somebody_else_is_neither_damaged_nor_a_refusal_of_the_disk(tmp_path: Path) -> None:
    def foreign() -> None:
        raise sqlite3.OperationalError("no such column: chain")

    with pytest.raises(sqlite3.OperationalError) as found:
        or_set_aside(tmp_path / "foreign.sqlite", foreign)
    assert not refused(found.value)
    assert not damaged(found.value)
    assert not list(tmp_path.iterdir())


def test_what_belongs_to_a_damaged_file_goes_with_it(tmp_path: Path) -> None:
    file = tmp_path / "x.sqlite"
    for _ in range(2):
        file.write_bytes(b"x")
        Path(f"{file}-wal").write_bytes(b"its log")
        set_aside(file)
    names = sorted(found.name for found in tmp_path.iterdir())
    assert names == [f"x.sqlite.damaged-{number}{part}" for number in (1, 2) for part in ("", "-wal")]


def test_on_a_disk_that_was_full_at_the_start_the_record_of_commands_says_what_stands(tmp_path: Path) -> None:
    entry = Entry(1.8e9, "flexibility:dso", "e1", "1", "accepted", "", "a limit")
    with closing(Ledger(tmp_path)) as before:
        before.write([entry], "the book")
    with capture_logs(), full_disk():
        ledger = Ledger(tmp_path)
        assert ledger.book() == "the book"
        with pytest.raises(sqlite3.OperationalError):
            ledger.write([entry], "another book")
        assert ledger.book() == "the book"
    ledger.write([entry], "another book")
    assert ledger.book() == "another book"
    assert len(list(ledger.entries())) == 2
    ledger.close()
