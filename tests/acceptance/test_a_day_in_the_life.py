"""The day of the demo, row by row, seen from outside: by the plant's own count and by what the platform was told."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from day_kit import NAME, DayLoop

from controller.history.store import Store
from controller.report.command import report

NOTHING_WH = 5e3  # of some 5 MWh in half an hour: ramps and gusts
EXPORT_OVER_FRAC = 1.005  # a gust between two control cycles, which the demo stretches to 5.8 s
NOON_OVER_FRAC = 1.02  # three farms and a cloud's edge between two such cycles
OVER_S = 10.0


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[DayLoop, DayLoop, Path]:
    """The same half hour of the night with and without a market, and the history of the first.

    The platform is away meanwhile (02:40 to 06:10): what it had accepted goes on.
    """
    folder = tmp_path_factory.mktemp("store")
    with closing(Store(folder, NAME)) as store:
        bought = DayLoop("03:05", store=store).settled().run(31.0)
    return bought, DayLoop("03:05", market=False).settled().run(31.0), folder


def test_at_night_bought_demand_takes_in_what_may_not_be_exported(nights: tuple[DayLoop, DayLoop, Path]) -> None:
    bought, left, _ = nights
    assert bought.highest_frac("export") > 0.95
    assert bought.highest_frac("export") < EXPORT_OVER_FRAC
    assert bought.over_s("export") < OVER_S
    assert bought.curtailed_wh() < NOTHING_WH
    assert left.curtailed_wh() > bought.curtailed_wh() + 50e3
    assert bought.world.truth().unit_soc_frac["BAT1"] > left.world.truth().unit_soc_frac["BAT1"]
    assert not bought.refused
    assert bought.desk.silent(bought.world.now_s)


def test_the_morning_s_page_proves_that_nothing_was_curtailed(nights: tuple[DayLoop, DayLoop, Path]) -> None:
    folder = nights[2]
    page = folder / "night.html"
    asked = ["--data", str(folder), "--from", "2026-04-10T03:08", "--html", str(page), "--json"]
    done = CliRunner().invoke(report, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["good"], said["verdict"]
    assert said["proof"]["fault"] == ""
    assert said["curtailed_wh"] < 1e-2 * said["generated_wh"]
    assert said["what_if"]["by_unit_wh"]
    assert sum(wh for _, wh in said["what_if"]["by_unit_wh"]) > 50e3
    assert {b["limit"] for b in said["bindings"]} == {"export"}
    assert next(u["taken_wh"] for u in said["uses"] if u["unit"] == "BAT1") > 50e3
    assert said["proof"]["head"] in page.read_text("utf-8")


def test_at_noon_the_scheme_that_joined_in_the_morning_helps_to_keep_the_export() -> None:
    day = DayLoop("12:40").run(20.0)
    assert {offer.id for offer, _ in day.outcomes[-1].taken} == {"BAT1-noon", "CESB-noon"}
    assert day.highest_frac("export") < NOON_OVER_FRAC
    assert day.over_s("export") < OVER_S


def test_voltage_support_asked_for_is_delivered_at_the_boundary_and_settled_by_the_operator_s_meter() -> None:
    day = DayLoop("16:47").run(4.5)
    before_var = day.world.truth().interface_q_var
    asked = day.watched(31.0)
    (bids,) = [outcome for outcome in day.outcomes if outcome.reactive]
    assert {offer.id for offer, _ in bids.taken} == {"BAT1-q", "PVA-q"}
    ((accepted, text),) = day.answers
    assert accepted
    assert "in full" in text
    for truth in asked[24:-24]:  # two minutes to rise, two minutes to go
        assert truth.interface_q_var - before_var == pytest.approx(3e6, rel=0.1)
    (support,) = day.desk.supports
    assert len(support.settled()) == 3
    assert all(period.share_frac > 0.97 for period in support.settled())
    assert support.paid_eur() == pytest.approx(3.0 * 0.5 * 4.13, rel=0.05)
    day.run(10.0)
    assert abs(day.world.truth().interface_q_var - before_var) < 0.6e6
    assert all(limit["over_s"] == 0.0 for limit in day.world.score.limits())


def test_more_voltage_support_than_can_be_had_is_answered_in_part_and_delivered_as_answered() -> None:
    day = DayLoop("16:50", q_var=8e6).run(3.0)
    ((accepted, text),) = day.answers
    assert accepted
    said = re.search(r"in part: (\S+) instead of (\S+) kvar can be had now, (\S+) in the way", text)
    assert said, text
    assert float(said[1]) < 0.9 * float(said[2])
    assert 0.9e3 * float(said[1]) < day.world.truth().interface_q_var < 1e3 * float(said[2])
    assert all(limit["over_s"] == 0.0 for limit in day.world.score.limits())


def test_voltage_support_beyond_the_operator_s_authority_is_refused_and_nothing_moves() -> None:
    day = DayLoop("16:50", q_var=2e7).run(1.5)
    before_var = day.world.truth().interface_q_var
    day.run(5.0)
    ((accepted, text),) = day.answers
    assert not accepted
    assert "out of range" in text
    assert abs(day.world.truth().interface_q_var - before_var) < 0.5e6
    assert day.desk.supports[0].settled()[-1].share_frac < 0.05
    assert day.desk.supports[0].paid_eur() < 0.5
