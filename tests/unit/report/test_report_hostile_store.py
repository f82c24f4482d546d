"""A history that no station has written, or of which a part is gone: said with its place, never a traceback."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.balancing.national.memory import FILE as BIDS
from controller.balancing.national.memory import FOLDER, Offered
from controller.balancing.national.memory import Memory as National
from controller.config.find import find_site
from controller.config.loader import load_site
from controller.history.batch import Batch, Sample
from controller.history.export_command import ledger
from controller.history.store import FILE, Store
from controller.report.command import report

SITE = load_site(find_site("demo_primary"))
NOON_S = 1_781_521_200


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of one unit, and a bid."""
    folder = tmp_path_factory.mktemp("store")
    with closing(Store(folder, SITE.name)) as store:
        for k in range(3):
            store.append(Batch(NOON_S + 60 * k, 60, (Sample(f"unit.{SITE.units[0].id}.p_w", 60, -1e5, -1e5, -1e5),)))
    (folder / FOLDER).mkdir()
    with closing(National(folder / FOLDER)) as memory:
        memory.put(Offered("bid", float(NOON_S), NOON_S + 60.0, "{}"))
        memory.settle("bid", "accepted", "")
    return folder


ROWS = [
    ("UPDATE sample SET high = 'hot'", "sample of unit."),
    ("UPDATE sample SET n = 'many'", "expected three numbers"),
    ("DELETE FROM about", "the store does not say of which site it is"),
    ("DELETE FROM period", "the store is empty"),
    ("DROP TABLE sample", "no such table: sample"),
    ("UPDATE about SET value = '../../etc/passwd' WHERE key = 'site'", "a site '../../etc/passwd', which is no name"),
    ("UPDATE about SET value = '/etc/passwd' WHERE key = 'site'", "a site '/etc/passwd', which is no name"),
    ("UPDATE about SET value = 'nobody' WHERE key = 'site'", "no site file 'nobody'"),
    ("SELECT 1", f"{FOLDER}/{BIDS} holds what no station writes (KeyError: 'id')"),
]


@pytest.mark.parametrize(("change", "says"), ROWS)
def test_what_is_wrong_with_it_is_said(whole: Path, change: str, says: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(whole, folder)
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute(change)
        db.commit()
    found = CliRunner().invoke(report, ["--data", str(folder)])
    assert isinstance(found.exception, SystemExit), found.exception
    assert says in found.output, found.output


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _: b"no database" * 100, "file is not a database"),
        (lambda raw: raw[:100] + b"\xff" * 4096 + raw[4196:], "malformed"),
        (lambda raw: raw[:5000], "malformed"),
    ],
)
def test_a_damaged_file_is_named(whole: Path, damage: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(damage((whole / FILE).read_bytes()))
    for command in (report, ledger):
        found = CliRunner().invoke(command, ["--data", str(tmp_path)])
        assert isinstance(found.exception, SystemExit), found.exception
        assert says in found.output, found.output
        assert str(tmp_path) in found.output
    with pytest.raises(sqlite3.DatabaseError, match=str(tmp_path / FILE)):
        Store(tmp_path, SITE.name)
