"""What was acknowledged is there, once, whole and in order; and nobody can change what was given up unseen."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from history_kit import BEGAN_S, EVENT, GAP, batch

from controller.balancing.outbox import OutboxPolicy
from controller.history.chain import COLUMNS, verify
from controller.history.export_command import ledger, verify_command
from controller.history.store import FILE, Retention, Store, StoreError, curtailments, open_to_read, samples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path, "demo")) as opened:
        yield opened


def test_the_disk_is_asked_for_every_promise(store: Store) -> None:
    """PRAGMA synchronous: 2 is FULL (SQLite documentation)."""
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_period_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    store.append(batch(0, happenings=(EVENT,), gaps=(GAP,)))
    store.append(batch(1))
    with closing(open_to_read(tmp_path)) as db:
        assert samples(db, "unit.U1.p_w", BEGAN_S, BEGAN_S + 120) == [
            (BEGAN_S, 60, 0.125, -1.0, 1.0),
            (BEGAN_S + 60, 60, 1.125, 0.0, 2.0),
        ]
        assert db.execute("SELECT utc_s, name FROM event").fetchall() == [(EVENT.utc_s, EVENT.name)]
        assert db.execute("SELECT lost FROM gap").fetchall() == [(7,)]
        assert samples(db, "unit.U9.p_w", 0, 1e12) == []
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM sample")


def test_a_second_period_of_the_same_minute_is_kept_beside_the_first(store: Store) -> None:
    assert [store.append(batch(0)), store.append(batch(0)), store.append(batch(1))] == [0, 1, 0]


def test_a_period_that_cannot_be_stored_whole_is_not_stored_at_all(store: Store) -> None:
    """And may be tried again: the numbers of its points are not used up either."""
    bad = batch(0, points=1, samples=(*batch(0).samples, batch(0).samples[0]))
    with pytest.raises(sqlite3.IntegrityError):
        store.append(bad)
    for table in ("sample", "period", "point", "curtailment", "outbox"):
        assert store._db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert store.outbox.used_bytes() == 0
    store.append(batch(0))
    assert store._db.execute("SELECT count(*) FROM sample").fetchone() == (2,)


def test_a_store_opened_again_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    store.append(batch(0))
    store.close()
    with closing(Store(tmp_path, "demo")) as again, closing(open_to_read(tmp_path)) as db:
        assert again.known_until_s() == BEGAN_S + 60
        again.append(batch(1))
        assert verify(curtailments(db)).entries == 2


def test_the_store_of_another_site_is_refused(store: Store, tmp_path: Path) -> None:
    store.close()
    with pytest.raises(StoreError, match="of site demo; expected 2 of other"):
        Store(tmp_path, "other")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE).write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Store(tmp_path / "text", "demo")
    with pytest.raises(StoreError, match="no store"):
        open_to_read(tmp_path / "nowhere")


def test_old_samples_are_forgotten_and_what_was_given_up_never(tmp_path: Path) -> None:
    with closing(Store(tmp_path, "demo", retention=Retention(samples_s=600.0))) as store:
        for k in range(30):
            store.append(batch(k))
        assert store._db.execute("SELECT count(DISTINCT start_utc_s) FROM sample").fetchone() == (10,)
        assert store._db.execute("SELECT count(*) FROM curtailment").fetchone() == (30,)


def test_every_period_leaves_its_messages_with_keys_that_say_what_they_are(store: Store) -> None:
    store.append(batch(0, happenings=(EVENT,)))
    store.append(batch(0))
    waiting = store.outbox.after(0, 1 << 20)
    assert [m.key for m in waiting] == [
        *(f"demo/{BEGAN_S}/0/{topic}" for topic in ("curtailments", "events", "samples")),
        *(f"demo/{BEGAN_S}/1/{topic}" for topic in ("curtailments", "samples")),
    ]
    told = json.loads(waiting[2].body)
    assert told["samples"]["unit.U0.p_w"] == [60, 0.0, -1.0, 1.0]
    entry = json.loads(waiting[0].body)["curtailments"][0]
    assert (entry["unit"], entry["rank"], entry["energy_wh"]) == ("PVA", "2", "12.500")


def exported(folder: Path, *options: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(ledger, ["--data", str(folder), *options])
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.output)))


def verified(rows: list[dict[str, str]], *options: str) -> str:
    text = io.StringIO()
    lines = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    result = CliRunner().invoke(verify_command, ["-", *options], input=text.getvalue())
    assert (result.exit_code == 0) == ("unbroken" in result.output)
    return result.output


@pytest.fixture
def year(store: Store, tmp_path: Path) -> Path:
    """Forty minutes in which two units gave something up, in turn."""
    for k in range(40):
        given = batch(k).curtailments[0]
        other = type(given)("WIND, 1\nof 2", "N3.voltage", "merit", 1, 3.0, 1e5, 60.0, float("nan"))
        store.append(batch(k, curtailments=(given, other) if k % 2 else (given,)))
    return tmp_path


def test_an_export_proves_itself(year: Path) -> None:
    rows = exported(year)
    assert len(rows) == 60
    assert "60 entries, 60 shown in full, unbroken" in verified(rows)
    assert rows[0]["from_utc"] == "2026-06-01T12:00:00Z"
    assert {row["cause"] for row in rows} == {"T1.thermal", "N3.voltage"}


@pytest.mark.parametrize(
    ("name", "change"),
    [("energy_wh", "0.001"), ("unit", "PVB"), ("rank", "9"), ("salt", "0" * 16), ("cause", "")],
)
def test_a_changed_entry_is_found(year: Path, name: str, change: str) -> None:
    rows = exported(year)
    rows[7][name] = change
    assert "entry 8" in verified(rows)
    assert "was changed" in verified(rows)


def test_a_changed_entry_with_new_fingerprints_is_found_by_the_next_one(year: Path) -> None:
    from controller.history.chain import FIELDS, chain_of, content_of

    rows = exported(year)
    rows[7]["energy_wh"] = "0.001"
    rows[7]["content"] = content_of([rows[7][name] for name in FIELDS])
    rows[7]["chain"] = chain_of(rows[6]["chain"], 8, rows[7]["content"])
    assert "entry 9 does not follow the one before it" in verified(rows)


def test_an_entry_that_is_left_out_put_in_or_swapped_is_found(year: Path) -> None:
    rows = exported(year)
    assert "one was left out or put in" in verified(rows[:7] + rows[8:])
    assert "one was left out or put in" in verified([*rows[:7], rows[3], *rows[7:]])
    assert "one was left out or put in" in verified([*rows[:7], rows[8], rows[7], *rows[9:]])
    assert "one was left out or put in" in verified(rows[1:])


def test_a_cut_off_end_shows_by_the_head_that_somebody_kept(year: Path) -> None:
    rows = exported(year)
    head = rows[-1]["chain"]
    assert "unbroken" in verified(rows[:-1])
    assert "was cut off or rewritten" in verified(rows[:-1], "--head", head)
    assert "unbroken" in verified(rows, "--head", head)
    assert "unbroken" in verified(rows, "--head", rows[30]["chain"])


def test_every_byte_of_an_export_counts(year: Path, tmp_path: Path) -> None:
    """A comma in place of a line's end once hid the entry after it."""
    file, exports = tmp_path / "export.csv", CliRunner().invoke(ledger, ["--data", str(year)]).output.encode()
    ends = [i for i, byte in enumerate(exports) if byte == ord("\n")]
    changes = [(i, byte) for i in ends[-4:-1] for byte in b',\r" x'] + [(i, exports[i] ^ 1) for i in range(0, 3000, 11)]
    for i, byte in changes:
        file.write_bytes(exports[:i] + bytes([byte]) + exports[i + 1 :])
        result = CliRunner().invoke(verify_command, [str(file)])
        assert (result.exit_code, type(result.exception)) == (1, SystemExit), (i, byte, result.output)


@pytest.mark.parametrize(
    ("added", "expected"),
    [(b"61,x\n", "line 82 has 2 fields; expected 15"), (b'"' + b"x" * 200_000, "field larger than field limit")],
)
def test_what_is_added_to_an_export_is_refused_in_one_line(
    year: Path, tmp_path: Path, added: bytes, expected: str
) -> None:
    file, exports = tmp_path / "export.csv", CliRunner().invoke(ledger, ["--data", str(year)]).output.encode()
    file.write_bytes(exports + added)
    assert expected in CliRunner().invoke(verify_command, [str(file)]).output


def test_an_owner_sees_his_own_entries_and_still_proves_the_whole(year: Path) -> None:
    rows = exported(year, "--unit", "PVA")
    assert {row["unit"] for row in rows} == {"PVA", ""}
    assert not any("WIND" in value or "N3" in value for row in rows for value in row.values())
    assert "60 entries, 40 shown in full, unbroken" in verified(rows)
    rows[1]["content"], rows[3]["content"] = rows[3]["content"], rows[1]["content"]
    assert "does not" in verified(rows)


def test_a_file_that_is_no_export_is_refused() -> None:
    result = CliRunner().invoke(verify_command, ["-"], input="a,b\n1,2\n")
    assert result.exit_code == 1
    assert "has the columns ['a', 'b']; expected seq, from_utc" in result.output


def test_the_outbox_is_part_of_the_promise_and_bounded(tmp_path: Path) -> None:
    with closing(Store(tmp_path, "demo", OutboxPolicy(bytes_max=20_000))) as store:
        for k in range(200):
            store.append(batch(k, points=20))
        assert store.outbox.used_bytes() <= 20_000
        assert store._db.execute("SELECT count(*) FROM period").fetchone() == (200,)
