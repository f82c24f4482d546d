"""What the page of the morning says about a night that was written by hand, and that it claims nothing unrecorded."""

from __future__ import annotations

import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from controller.balancing.national.memory import Asked, Memory, Offered
from controller.balancing.national.sales import read_sales
from controller.balancing.national.settling import dump_plan
from controller.balancing.national.sharing import Plan
from controller.config.loader import load_site
from controller.domain.unit import Unit
from controller.durable import transaction
from controller.history.batch import Batch, Curtailment, Happening, Sample
from controller.history.store import FILE, Store, open_to_read
from controller.report.command import report
from controller.report.findings import Findings, find
from controller.report.lifo import lifo_trim
from controller.report.page import page
from controller.report.past import NothingStored, Past, read_past, span_stored
from controller.report.words import verdict

SITE = load_site(Path(__file__).parents[3] / "site_configs" / "a_day_in_the_life.yaml")
BEGAN_S = 1_775_862_000  # 2026-04-10 23:00 UTC
GENERATORS: list[Unit] = [unit for unit in SITE.units if unit.kind.generates]


def minute(k: int, export_w: float = 4.5e6, wind_w: float = 10e6, battery_w: float = 1e6, cut_w: float = 0.0) -> Batch:
    """One minute: the farm gives, the battery takes, the export is used so far."""
    points = {
        "limit.export.loading_frac": export_w / 4.6e6,
        "limit.export.value": export_w,
        "unit.WIND1.p_w": -wind_w,
        "unit.WIND1.curtailed_w": cut_w,
        "unit.BAT1.p_w": battery_w,
        **{f"unit.{name}.p_w": 0.0 for name in ("PVA", "PVB", "CES1", "CESB", "EVH1")},
    }
    samples = tuple(Sample(name, 60, value, value, value) for name, value in points.items())
    given = (Curtailment("WIND1", "export", "merit", 1, cut_w / 60.0, cut_w, 60.0, 0.99),) if cut_w else ()
    told = (Happening(BEGAN_S + 60.0 * k, "instruction.accepted", "order-1", "limit BAT1"),) if k == 0 else ()
    return Batch(BEGAN_S + 60 * k, 60, samples, told, given)


def night(folder: Path, batches: list[Batch]) -> tuple[Past, Findings]:
    with closing(Store(folder, SITE.name)) as store:
        for batch in batches:
            store.append(batch)
    with closing(open_to_read(folder)) as db:
        past = read_past(db, *span_stored(db))
    return past, find(SITE, past)


def test_a_limit_binds_from_the_first_to_the_last_minute_of_full_use(tmp_path: Path) -> None:
    used = [3e6, 4.5e6, 4.55e6, 3e6]
    _, found = night(tmp_path, [minute(k, export_w=w) for k, w in enumerate(used)])
    (binding,) = found.bindings
    assert (binding.limit, binding.from_utc_s, binding.to_utc_s) == ("export", BEGAN_S + 60.0, BEGAN_S + 180.0)
    assert binding.highest_frac == pytest.approx(4.55 / 4.6)
    assert binding.over_s == 0.0


def test_energies_and_costs_are_sums_over_the_periods(tmp_path: Path) -> None:
    _, found = night(tmp_path, [minute(k, cut_w=6e5) for k in range(60)])
    battery = next(use for use in found.uses if use.unit == "BAT1")
    assert battery.taken_wh == pytest.approx(1e6)
    assert battery.cost_eur == pytest.approx(8.0)
    assert found.curtailed_wh == pytest.approx(6e5)
    assert found.curtailed_eur == pytest.approx(0.6 * 52.0)
    (given,) = found.given_up
    assert (given.unit, given.cause, given.principle, given.rank) == ("WIND1", "export", "merit", 1)


def test_voltage_support_is_settled_by_the_quarter_of_an_hour_and_stands_on_the_page(tmp_path: Path) -> None:
    asked = {"asked_var": 2e6, "tolerance_var": 5e4, "before_var": 5e5, "reached_var": 2e6}
    batches = []
    for k in range(45):
        flows_var = 2e6 if k < 15 else 1.2e6
        told = asked | {"q_var": flows_var} if k < 30 else {}
        support = tuple(Sample(f"support.{name}", 60, value, value, value) for name, value in told.items())
        batches.append(replace(minute(k), samples=(*minute(k).samples, *support)))
    past, found = night(tmp_path, batches)
    assert [(s.start_utc_s - BEGAN_S, s.share_frac) for s in found.support] == [
        (0.0, 1.0),
        (900.0, pytest.approx(0.5)),
    ]
    text = page(SITE, "t", past, found)
    assert "<td>750 kvar of 1.50 Mvar</td><td>50 %</td>" in text
    calm = replace(found, support=())
    assert "Voltage support" not in page(SITE, "t", past, calm)


def test_lifo_would_have_trimmed_what_the_battery_took_and_the_margin(tmp_path: Path) -> None:
    _, found = night(tmp_path, [minute(k) for k in range(60)])
    assert found.what_if is not None
    # 4.5 MW and 1 MW of the battery, down to 95 % of 4.6 MW; no sun, so all of it from the farm.
    assert dict(found.what_if.by_unit_wh)["WIND1"] == pytest.approx(4.5e6 + 1e6 - 0.95 * 4.6e6)


def test_orders_of_one_issuer_are_one_line_however_often_they_were_renewed(tmp_path: Path) -> None:
    def given(k: int) -> tuple[Curtailment, ...]:
        return (Curtailment("EVH1", f"operator:order-{k}", "merit", 5, 100.0, 6e3, 60.0, math.nan),)

    _, found = night(tmp_path, [replace(minute(k), curtailments=given(k)) for k in range(3)])
    (line,) = found.given_up
    assert (line.cause, line.energy_wh) == ("orders (operator)", 300.0)
    assert found.curtailed_wh == 0.0


def test_lifo_takes_the_last_in_to_nothing_before_the_next() -> None:
    could = np.array([[4e6, 3e6, 1e6, 0.5e6]])
    assert [unit.id for unit in GENERATORS] == ["WIND1", "PVA", "PVB", "CES1"]
    trimmed = lifo_trim(GENERATORS, could, np.zeros(1), np.array([7e6]), 4e6, 60.0)
    assert trimmed[0].tolist() == pytest.approx([2.2e6, 0.0, 1e6, 0.0])


def test_lifo_claims_nothing_where_a_value_is_missing() -> None:
    could = np.array([[4e6, math.nan, 1e6, 0.5e6], [4e6, 3e6, 1e6, 0.5e6]])
    trimmed = lifo_trim(GENERATORS, could, np.zeros(2), np.array([7e6, math.nan]), 4e6, 60.0)
    assert trimmed.sum() == 0.0


def test_a_good_night_is_called_good_and_a_gap_never_is(tmp_path: Path) -> None:
    past, found = night(tmp_path, [minute(k) for k in (0, 1, 2, 10)])
    good, sentence = verdict(found, past)
    assert not good
    assert "Not on record: 7 minutes." in sentence
    assert verdict(found, past.__class__(**{name: getattr(past, name) for name in past.__slots__} | {"lost_s": 0.0}))[0]


def test_a_minute_above_a_limit_is_not_a_good_night(tmp_path: Path) -> None:
    past, found = night(tmp_path, [minute(0), minute(1, export_w=4.7e6)])
    good, sentence = verdict(found, past)
    assert not good
    assert "exceeded in 1 minute;" in sentence


def test_a_changed_entry_of_the_record_is_told_first(tmp_path: Path) -> None:
    night(tmp_path, [minute(k, cut_w=1e3) for k in range(3)])
    with closing(Store(tmp_path, SITE.name)) as store, transaction(store._db):
        store._db.execute("UPDATE curtailment SET energy_wh = '0.000' WHERE seq = 2")
    done = CliRunner().invoke(report, ["--data", str(tmp_path)])
    assert "The record of curtailments is broken." in done.output


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_people_wrote(tmp_path: Path) -> None:
    past, found = night(tmp_path, [minute(k) for k in range(3)])
    text = page(SITE, "Mill <Lane>", past, found)
    assert "Mill &lt;Lane&gt;" in text
    assert "<Lane>" not in text
    assert "http" not in text
    assert 'role="img"' in text
    assert text.count("<h2>") == 6


def test_a_span_without_anything_and_a_folder_without_a_store_are_said(tmp_path: Path) -> None:
    night(tmp_path, [minute(0)])
    with closing(open_to_read(tmp_path)) as db, pytest.raises(NothingStored, match="nothing is stored from 0 to 9"):
        read_past(db, 0.0, 9.0)
    (tmp_path / FILE).unlink()
    done = CliRunner().invoke(report, ["--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "no store" in done.output


def test_the_pdf_has_the_tables_and_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    night(tmp_path, [minute(k) for k in range(3)])
    sold(tmp_path, activated=True)
    done = CliRunner().invoke(
        report, ["--data", str(tmp_path), "--pdf", str(tmp_path / "night.pdf")], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert (tmp_path / "night.pdf").read_bytes().startswith(b"%PDF")


BID = {
    "id": "day-1",
    "from_utc_s": BEGAN_S + 900.0,
    "until_utc_s": BEGAN_S + 2700.0,
    "up_w": 5e5,
    "down_w": 3e5,
    "price_eur_per_mwh": 40.0,
    "units": ["BAT1"],
}


def sold(folder: Path, *, activated: bool) -> None:
    """A bid that was accepted, and perhaps half a megawatt hour of it delivered."""
    (folder / "national").mkdir()
    with closing(Memory(folder / "national")) as memory:
        memory.put(Offered("day-1", BEGAN_S + 1.0, BEGAN_S + 60.0, json.dumps(BID)))
        memory.settle("day-1", "accepted", "")
        if activated:
            period = {"from_utc_s": BEGAN_S + 900.0, "until_utc_s": BEGAN_S + 1800.0}
            about = {"id": "a1", "counter": 1, "issued_utc_s": BEGAN_S, "expires_utc_s": BEGAN_S + 900.0}
            words = json.dumps({**about, "direction": "up", "periods": [{**period, "w": 4e5}]})
            plan = dump_plan(Plan({"BAT1": 0.0}, {"BAT1": (-4e5,)}, (-4e5,), ""))
            memory.hear(Asked("a1", "day-1", BEGAN_S + 1.0, words, plan))
            memory.decide("a1", "taken", "")
            done = {**period, "delivered_w": -3e5, "deficiency_w": 1e5}
            memory.settled("a1", json.dumps({"id": "a1", "periods": [done], "paid_eur": 3.0, "penalty_eur": 1.0}))


def test_the_national_market_has_its_section_with_what_was_delivered_and_earned(tmp_path: Path) -> None:
    night(tmp_path, [minute(0)])
    sold(tmp_path, activated=True)
    written = tmp_path / "page.html"
    site = str(Path(__file__).parents[3] / "site_configs" / "a_day_in_the_life.yaml")
    asked = ["--data", str(tmp_path), "--site", site]
    done = CliRunner().invoke(report, [*asked, "--html", str(written), "--json"])
    assert done.exit_code == 0, done.output
    (sale,) = json.loads(done.stdout)["sales"]
    assert sale["activations"][0]["delivered_wh"] == 75e3
    text = written.read_text("utf-8")
    assert "<h2>National market</h2>" in text
    for words in ("offered, accepted; earned 2.00 EUR.", "<td>100 kWh</td>", "<td>75 kWh</td>", "<td>25 kWh</td>"):
        assert words in text


def test_a_bid_that_nobody_activated_is_one_sentence(tmp_path: Path) -> None:
    past, _ = night(tmp_path, [minute(0)])
    sold(tmp_path, activated=False)
    past = replace(past, sales=read_sales(tmp_path, 0.0, 4e9))
    text = page(SITE, "a night", past, find(SITE, past))
    assert "0.50 MW up" not in text
    assert "500 kW up and 300 kW down at 40.00 EUR/MWh offered, accepted. Nothing of it was activated." in text
