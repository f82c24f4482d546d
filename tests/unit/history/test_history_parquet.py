"""The record of curtailments as Parquet: the same proof as of the CSV, read by pyarrow itself as anybody would."""

from __future__ import annotations

import csv
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from controller.history.batch import Batch, Curtailment
from controller.history.chain import COLUMNS, FIELDS, verify
from controller.history.export_command import ledger, verify_command
from controller.history.store import Store, curtailments, open_to_read

NOT_HERE = "the extra 'parquet' is not installed"
pa = pytest.importorskip("pyarrow", reason=NOT_HERE)
pq = pytest.importorskip("pyarrow.parquet", reason=NOT_HERE)
parquet = pytest.importorskip("controller.history.parquet", reason=NOT_HERE)

BEGAN_S = 1_700_000_040


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Forty minutes in which two units gave something up, one of them for a reason that nobody measured."""
    with closing(Store(tmp_path, "demo")) as store:
        for k in range(40):
            cut = Curtailment("PVA", "export", "merit", 2, 12.5 + k / 3.0, 1e6, 60.0, 0.99871)
            other = Curtailment("WIND, 1\nof 2", "N3.voltage", "", 1, 3.0, 1e5, 59.94, float("nan"), "estimated")
            store.append(Batch(BEGAN_S + 60 * k, 60, curtailments=(cut, other)[: 1 + k % 2]))
    return tmp_path


def exported(folder: Path, *options: str) -> Path:
    file = folder / "record.parquet"
    result = CliRunner().invoke(ledger, ["--data", str(folder), "--parquet", str(file), *options])
    assert result.exit_code == 0, result.output
    return file


def verified(file: Path, *options: str) -> Result:
    return CliRunner().invoke(verify_command, [str(file), *options])


def rewritten(file: Path, **columns: Any) -> Path:
    """The same file with other columns, as somebody might leave it."""
    table = pq.read_table(file)
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, file)
    return file


def test_pyarrow_reads_the_same_columns_with_types_units_and_values(record: Path) -> None:
    table = pq.read_table(exported(record))
    assert tuple(table.column_names) == COLUMNS
    units = {f.name: f.metadata[b"unit"].decode() for f in table.schema}
    assert {n: units[n] for n in ("from_utc", "energy_wh", "most_w", "lasted_s", "loading_frac")} == {
        "from_utc": "UTC", "energy_wh": "Wh", "most_w": "W", "lasted_s": "s", "loading_frac": "1",
    }  # fmt: skip
    assert str(table.schema.field("from_utc").type) == "timestamp[ms, tz=UTC]"
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["seq"], first["rank"], first["unit"], first["energy_wh"]) == (1, 2, "PVA", Decimal("12.500"))
    assert first["from_utc"].timestamp() == BEGAN_S
    with closing(open_to_read(record)) as db:
        kept = list(curtailments(db))
    assert table.column("chain").to_pylist() == [row["chain"] for row in kept]
    assert sum(table.column("energy_wh").to_pylist()) == sum(Decimal(row["energy_wh"]) for row in kept)
    assert table.column("loading_frac").to_pylist()[2] is None


def test_the_parquet_file_proves_what_the_csv_proves(record: Path) -> None:
    file = exported(record)
    lines = CliRunner().invoke(ledger, ["--data", str(record)]).output
    by_csv = CliRunner().invoke(verify_command, ["-"], input=lines)
    by_parquet = verified(file)
    assert by_parquet.exit_code == by_csv.exit_code == 0
    assert by_parquet.output == by_csv.output
    assert list(parquet.read(file)) == list(csv.DictReader(lines.splitlines(keepends=True)))
    head = by_parquet.output.split()[-1]
    assert verified(file, "--head", head).exit_code == 0
    assert verified(file, "--head", "0" * 64).exit_code == 1


def test_an_owner_s_view_hides_the_others_and_proves_the_whole(record: Path) -> None:
    file = exported(record, "--unit", "PVA")
    assert "60 entries, 40 shown in full, unbroken" in verified(file).output
    assert not any("WIND" in str(row) or "N3" in str(row) for row in pq.read_table(file).to_pylist())
    hidden = [row for row in pq.read_table(file).to_pylist() if row["unit"] is None]
    assert len(hidden) == 20
    assert all(row[name] is None for row in hidden for name in FIELDS)


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "loading_frac"])
def test_a_value_that_was_changed_in_the_file_is_found(record: Path, name: str) -> None:
    file = exported(record)
    column = pq.read_table(file).column(name)
    values = column.to_pylist()
    values[4], values[5] = values[5], values[4]
    if values[4] == values[5]:
        values[4] = None
    result = verified(rewritten(file, **{name: pa.array(values, type=column.type)}))
    assert result.exit_code == 1
    assert "entry" in result.output


def test_an_entry_that_was_cut_out_is_missed_and_a_cut_off_end_by_its_head(record: Path) -> None:
    file = exported(record)
    head = verified(file).output.split()[-1]
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table.slice(0, 7), table.slice(8)]), file)
    assert "comes where 8 is expected" in verified(file).output
    pq.write_table(table.slice(0, 50), file)
    assert verified(file).exit_code == 0
    assert "cut off" in verified(file, "--head", head).output


def test_all_text_is_as_good_and_floating_point_numbers_prove_nothing(record: Path) -> None:
    """Other tools make Parquet of the CSV: DuckDB's `all_varchar` keeps the digits, its guesses do not."""
    file = exported(record)
    rows = list(parquet.read(file))
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in COLUMNS}), file)
    assert verified(file).exit_code == 0
    numbers = pa.array([float(row["energy_wh"]) for row in rows])
    result = verified(rewritten(file, energy_wh=numbers))
    assert result.exit_code == 1
    assert "column energy_wh is double; expected decimals or text" in result.output


def test_more_entries_than_one_batch_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH", 7)
    with closing(Store(tmp_path, "demo")) as store:
        for k in range(30):
            store.append(
                Batch(BEGAN_S + 60 * k, 60, curtailments=(Curtailment("A", "x", "merit", 1, 1.0, 1.0, 1.0, 1.0),))
            )
    file = exported(tmp_path)
    assert pq.ParquetFile(file).num_row_groups == 5
    assert verify(parquet.read(file)).entries == 30


def test_what_would_not_come_back_digit_by_digit_is_refused_and_leaves_no_file(record: Path) -> None:
    with closing(open_to_read(record)) as db:
        row = next(iter(curtailments(db)))
    file = record / "other.parquet"
    for change, words in (({"energy_wh": "12.50"}, "digit by digit"), ({"rank": "two"}, "rank is 'two'")):
        with pytest.raises(ValueError, match=words):
            parquet.write(file, [row | change])
    assert list(record.glob("other*")) == []


def test_a_file_that_only_begins_like_one_and_other_columns_are_refused(record: Path) -> None:
    broken = record / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing more")
    assert verified(broken).exit_code == 1
    other = record / "prices.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    assert "has the columns ['a']; expected seq, from_utc" in verified(other).output
    assert verified(record / "nowhere.parquet").exit_code == 1


def test_without_pyarrow_the_error_names_the_extra_and_csv_goes_on(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(record)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "controller.history.parquet")
    monkeypatch.delattr("controller.history.parquet")
    for result in (
        verified(file),
        CliRunner().invoke(ledger, ["--data", str(record), "--parquet", str(file)]),
    ):
        assert result.exit_code == 1
        assert "gridedge[parquet]" in result.output
    assert CliRunner().invoke(ledger, ["--data", str(record)]).exit_code == 0
