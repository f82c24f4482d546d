"""Site file: G100, 10-minute means, calendar and ramps; every mistake with its reason, and what right ones become."""

from __future__ import annotations

from datetime import date

import pytest
from config_samples import SMALL, FakeCatalogue, changed

from controller.config.finding import SiteError
from controller.config.loader import parse, parse_site
from controller.domain.connection import Calendar, CalendarCap, Connection, G100Settings, MeanBand

LIMITS = "  export_kw: 3000\n"


def with_limits(text: str) -> str:
    return changed(LIMITS, LIMITS + text)


def calendar(entry: str) -> str:
    return with_limits("  calendar:\n    - {" + entry + "}\n")


BAD = [
    (with_limits("  g100: {premises: home}\n"), "limits.g100.premises", "one of commercial, domestic"),
    (with_limits("  g100: {installers: [ina]}\n"), "limits.g100.premises", "nothing"),
    (
        with_limits("  g100: {premises: domestic, lockout_export_kw: 3001}\n"),
        "limits.g100.lockout_export_kw",
        "narrows",
    ),
    (with_limits("  g100: {premises: domestic, lockout_import_kw: 1}\n"), "limits.g100.lockout_import_kw", "narrows"),
    (changed(LIMITS, "  g100: {premises: domestic}\n"), "limits.g100", "nothing to limit"),
    (changed("above_percent: 6}", "above_percent: 6, mean_above_percent: 5}"), "limits.voltage[0]", "two edges"),
    (
        changed("above_percent: 6}", "above_percent: 6, mean_above_percent: 7, mean_below_percent: 5}"),
        "limits.voltage[0].mean_above_percent",
        "at most above_percent 6",
    ),
    (calendar("id: a"), "limits.calendar[0]", "one cap to an entry"),
    (calendar("id: a, export_kw: 1, unit: PV1, unit_kw: 1"), "limits.calendar[0]", "one cap to an entry"),
    (calendar("id: a, unit: PV1, export_kw: 1"), "limits.calendar[0]", "one cap to an entry"),
    (calendar("id: a, unit: PV9, unit_kw: 1"), "limits.calendar[0].unit", "PV9"),
    (calendar("id: a, export_kw: 3001"), "limits.calendar[0].export_kw", "a calendar only narrows"),
    (calendar("id: a, import_kw: 100"), "limits.calendar[0].import_kw", "what holds at any other time"),
    (calendar("id: a, export_kw: 1, from_time: '16:00'"), "limits.calendar[0]", "from_time with to_time"),
    (calendar("id: a, export_kw: 1, from_time: 16:00, to_time: '20:00'"), "limits.calendar[0].from_time", "base 60"),
    (
        calendar("id: a, export_kw: 1, from_time: '24:00', to_time: '20:00'"),
        "limits.calendar[0].from_time",
        "in quotes",
    ),
    (calendar("id: a, export_kw: 1, from_time: '16:00', to_time: '16:00'"), "limits.calendar[0].to_time", "all day"),
    (calendar("id: a, export_kw: 1, season_from: '11-01'"), "limits.calendar[0]", "season_from with season_to"),
    (
        calendar("id: a, export_kw: 1, season_from: '02-30', season_to: '03-01'"),
        "limits.calendar[0].season_from",
        "day of the calendar",
    ),
    (calendar("id: a, export_kw: 1, first_date: 2026-02-29"), "limits.calendar[0].first_date", "day of the calendar"),
    (
        calendar("id: a, export_kw: 1, first_date: 2026-05-02, last_date: 2026-05-01"),
        "limits.calendar[0].last_date",
        "never hold",
    ),
    (calendar("id: a, export_kw: 1, days: [monday]"), "limits.calendar[0].days[0]", "mon, tue"),
    (
        calendar("id: a, export_kw: 1}\n    - {id: a, export_kw: 2"),
        "limits.calendar[1].id",
        "another entry has it already",
    ),
    (with_limits("  moves: {voltage_step_percent: 0}\n"), "limits.moves.voltage_step_percent", "percent 0.1…10"),
]


@pytest.mark.parametrize(("text", "path", "reason"), BAD)
def test_a_mistake_is_named_with_its_place_and_reason(text: str, path: str, reason: str) -> None:
    with pytest.raises(SiteError) as caught:
        parse(text.encode(), "site.yaml", FakeCatalogue())
    found = [f for f in caught.value.findings if f.path == path]
    assert found, [f.path for f in caught.value.findings]
    assert reason in f"{found[0].value} {found[0].expected} {found[0].message}"


def test_without_these_keys_nothing_is_asked_for() -> None:
    assert parse_site(SMALL, "site.yaml").connection == Connection()


def test_the_keys_become_watts_volts_and_seconds() -> None:
    text = with_limits(
        "  g100: {premises: domestic, installers: [ina], lockout_export_kw: 100, meter_lost_s: 4, reset_after_h: 5}\n"
        "  calendar:\n"
        "    - {id: peak, export_kw: 2000, days: [sat, sun], from_time: '16:00', to_time: '00:30'}\n"
        "    - {id: pv, unit: PV1, unit_kw: 500, season_from: '11-01', season_to: '02-29', last_date: 2027-01-31}\n"
        "  moves: {export_up_kw_per_min: 600, voltage_step_percent: 3}\n"
    )
    text = changed("above_percent: 6}", "above_percent: 6, mean_below_percent: 4, mean_above_percent: 5}", text)
    text = changed("    q_max_kvar: 1000\n", "    q_max_kvar: 1000\n    release_kw_per_min: 1200\n", text)
    found = parse_site(text, "site.yaml").connection
    assert found.g100 == G100Settings(True, frozenset({"ina"}), 100e3, None, 4.0, 5 * 3600.0)
    assert found.caps == (
        CalendarCap("peak", "export", 2e6, Calendar(frozenset({5, 6}), 960, 30)),
        CalendarCap("pv", "PV1", 500e3, Calendar(season=((11, 1), (2, 29)), last=date(2027, 1, 31))),
    )
    assert found.mean_bands[1] == MeanBand("END.voltage", pytest.approx(10.56e3), pytest.approx(11.55e3))
    assert found.moves.export_up_w_per_s == 10e3
    assert found.moves.voltage_step_frac == 0.03
    assert found.moves.unit_w_per_s == (("PV1", 20e3),)
