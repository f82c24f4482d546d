"""Curtailed energy out of the proven record, and nothing out of one that was changed."""

from __future__ import annotations

import math
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.balancing.lookout import MARKET_ORDERS
from controller.history.batch import Batch, Curtailment
from controller.history.evidence import Evidence
from controller.history.store import Store, curtailments, open_to_read

START_S = int(datetime(2026, 6, 15, 12, 0, tzinfo=UTC).timestamp())


def entries(folder: Path) -> list[dict[str, str]]:
    """Two minutes of PVA and one of PVB, through the real store."""
    with closing(Store(folder, "s")) as store:
        for minute, units in enumerate((("PVA", "PVB"), ("PVA",))):
            given_up = tuple(Curtailment(u, "T1.thermal", "lifo", 1, 600.0, 4e4, 60.0, 0.99) for u in units)
            store.append(Batch(START_S + 60 * minute, 60, curtailments=given_up))
    with closing(open_to_read(folder)) as db:
        return list(curtailments(db))


def test_the_energy_of_a_window_is_the_share_of_the_entries_in_it(tmp_path: Path) -> None:
    evidence = Evidence(entries(tmp_path))
    assert evidence.curtailed_wh("PVA", START_S, START_S + 900.0) == pytest.approx(1200.0)
    assert evidence.curtailed_wh("PVA", START_S + 30.0, START_S + 75.0) == pytest.approx(300.0 + 150.0)
    assert evidence.curtailed_wh("PVB", START_S, START_S + 900.0) == pytest.approx(600.0)
    assert evidence.curtailed_wh("PVC", START_S, START_S + 900.0) == 0.0


def test_what_a_generator_gives_up_for_an_order_that_it_sold_is_not_taken_from_it(tmp_path: Path) -> None:
    """Else a sold reduction of 1 MW would lower the baseline by 1 MW, and nothing would have been delivered."""
    with closing(Store(tmp_path, "s")) as store:
        given_up = tuple(
            Curtailment("PVA", cause, "merit", 1, energy_wh, 4e4, 60.0, math.nan)
            for cause, energy_wh in (("T1.thermal", 600.0), ("flexibility:market-17", 9000.0))
        )
        store.append(Batch(START_S, 60, curtailments=given_up))
    with closing(open_to_read(tmp_path)) as db:
        rows = list(curtailments(db))
    assert Evidence(rows).curtailed_wh("PVA", START_S, START_S + 60.0) == pytest.approx(9600.0)
    sold = Evidence(rows, MARKET_ORDERS)
    assert sold.curtailed_wh("PVA", START_S, START_S + 60.0) == pytest.approx(600.0)
    assert sold.taken_wh("PVA", START_S, START_S + 30.0) == pytest.approx(4500.0)
    assert sold.taken_wh("PVB", START_S, START_S + 60.0) == 0.0


def test_what_is_settled_by_names_its_last_fingerprint(tmp_path: Path) -> None:
    rows = entries(tmp_path)
    assert Evidence(rows).head == rows[-1]["chain"]


def test_a_record_that_was_changed_or_cut_in_the_middle_settles_nothing(tmp_path: Path) -> None:
    rows = entries(tmp_path)
    changed = [rows[0] | {"energy_wh": "1.000"}, *rows[1:]]
    for broken in (changed, [rows[0], rows[2]]):
        with pytest.raises(ValueError, match="proves nothing"):
            Evidence(broken)


def test_entries_of_others_that_are_hidden_prove_the_chain_and_count_nothing(tmp_path: Path) -> None:
    folder = tmp_path
    entries(folder)
    with closing(open_to_read(folder)) as db:
        evidence = Evidence(curtailments(db, "PVA"))
    assert evidence.curtailed_wh("PVA", START_S, START_S + 900.0) == pytest.approx(1200.0)
    assert evidence.curtailed_wh("PVB", START_S, START_S + 900.0) == 0.0
