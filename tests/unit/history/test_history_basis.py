"""What the record of curtailments claims, and what it only estimates; and files from before it said so."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from history_kit import batch, record

from controller.history.batch import ESTIMATED, REPORTED
from controller.history.chain import COLUMNS, FIRST_COLUMNS, verify
from controller.history.collect import Collector
from controller.history.export_command import ledger, verify_command
from controller.history.store import FILE, Store, curtailments, open_to_read

OLD = Path(__file__).resolve().parents[2] / "data" / "history" / "format_1.sql"


def test_a_unit_that_does_not_say_what_it_has_gives_up_an_estimate() -> None:
    collector = Collector()
    for seq in range(61):
        told = record(seq)
        told["units"][0]["p_avail_w"] = 1.5e6 + seq if seq < 20 else None  # its link to the weather mast breaks
        closed = collector.take(told) or None
    assert closed is not None
    energy_wh = {c.basis: (round(c.energy_wh, 3), c.lasted_s) for c in closed.curtailments}
    assert energy_wh == {REPORTED: (round(5e5 * 19 / 3600, 3), 19.0), ESTIMATED: (round(5e5 * 40 / 3600, 3), 40.0)}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a store of the first format."""
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(OLD.read_text(encoding="utf-8"))
    return tmp_path


def exported(folder: Path) -> str:
    result = CliRunner().invoke(ledger, ["--data", str(folder)])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_store_of_the_first_format_is_read_as_it_is_and_proves_itself(old: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(exported(old))))
    assert [(row["energy_wh"], row["basis"]) for row in rows] == [("12.500", ""), ("13.500", ""), ("14.500", "")]
    assert verify(rows).fault == ""


def test_a_store_of_the_first_format_goes_on_and_its_chain_with_it(old: Path) -> None:
    with closing(Store(old, "demo")) as store:
        store.append(batch(3))
    with closing(Store(old, "demo")) as store:
        store.append(batch(4))
    with closing(open_to_read(old)) as db:
        rows = list(curtailments(db))
    assert [row["basis"] for row in rows] == ["", "", "", REPORTED, REPORTED]
    assert verify(rows).entries == 5
    assert verify(rows).fault == ""


def test_an_export_of_the_first_format_is_verified_and_a_change_in_it_found(old: Path) -> None:
    rows = [{name: row[name] for name in FIRST_COLUMNS} for row in csv.DictReader(io.StringIO(exported(old)))]
    text = io.StringIO()
    lines = csv.DictWriter(text, FIRST_COLUMNS, lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    good = CliRunner().invoke(verify_command, ["-"], input=text.getvalue())
    assert "3 entries, 3 shown in full, unbroken" in good.output
    bad = CliRunner().invoke(verify_command, ["-"], input=text.getvalue().replace("13.500", "10.500"))
    assert bad.exit_code == 1
    assert "entry 2" in bad.output


@pytest.mark.parametrize("forged", ["", ESTIMATED])
def test_an_entry_cannot_be_given_another_basis_nor_lose_its_own(tmp_path: Path, forged: str) -> None:
    with closing(Store(tmp_path, "demo")) as store:
        store.append(batch(0))
    with closing(open_to_read(tmp_path)) as db:
        (row,) = curtailments(db)
    assert verify([row]).fault == ""
    assert "was changed" in verify([row | {"basis": forged}]).fault
    for separator in ("\n", "\x1f"):
        hidden = row | {"basis": "", "loading_frac": row["loading_frac"] + separator + row["basis"]}
        assert set(hidden) == set(COLUMNS)
        assert "was changed" in verify([hidden]).fault
