"""The planner sees the site through what the station has stored, and says so when it sees nothing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import market_kit as made
import numpy as np
import pytest
import uftp_kit as kit
from structlog.testing import capture_logs

from controller.balancing.lookout import Blind, Lookout
from controller.balancing.weather.memory import FILE, FOLDER, Memory
from controller.domain.weather import WIND, WeatherService
from controller.history.batch import Batch, Sample
from controller.history.store import Store, means, open_to_read
from controller.planning.foretold import Foretold

SITE = made.site_with(made.market_text())
PERIOD_S = 300


def stored(folder: Path, until_s: float, periods: int, p_w: float = 1e6) -> None:
    """So many periods up to an instant: the same demand everywhere, wind and sun at half, batteries at rest."""
    demand = [Sample(f"bus.{bus.id}.p_w", 1, p_w, p_w, p_w) for bus in SITE.topology.buses]
    reactive = [Sample(f"bus.{bus.id}.q_var", 1, 0.0, 0.0, 0.0) for bus in SITE.topology.buses]
    given = [(u.id, 0.0 if u.storage is not None else 0.5 * u.p_rated_w) for u in SITE.units]
    units = [Sample(f"unit.{name}.p_avail_w", 1, w, w, w) for name, w in given]
    output = [Sample(f"unit.{name}.p_w", 1, -w, -w, -w) for name, w in given]
    with closing(Store(folder, SITE.name)) as store:
        for back in range(periods, 0, -1):
            start_s = int(until_s) - back * PERIOD_S
            store.append(Batch(start_s, PERIOD_S, (*demand, *reactive, *units, *output)))


def lookout(folder: Path) -> Lookout:
    return Lookout(SITE, folder, kit.ZONE, 2 * 3600.0)


def test_a_history_that_ends_long_ago_or_never_began_says_nothing_about_now(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no store"):
        lookout(tmp_path).look(kit.NOON_S)
    stored(tmp_path, kit.NOON_S - 1000.0, 3)
    with pytest.raises(Blind, match=r"the history ends 10\d\d s ago"):
        lookout(tmp_path).look(kit.NOON_S)


def test_a_station_whose_clock_is_behind_the_records_says_so(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S + 400.0, 3)
    with pytest.raises(Blind, match=r"ahead of this process's clock; .* different clocks"):
        lookout(tmp_path).look(kit.NOON_S)


def test_every_limit_is_projected_from_the_present_quarter_hour_on(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S, 24)
    seen = lookout(tmp_path).look(kit.NOON_S)
    assert {limit.limit for limit in seen.limits} == {limit.id for limit in SITE.limits}
    assert all(len(limit.excess_w) == 8 for limit in seen.limits)


def test_looking_again_learns_only_what_is_new_and_comes_to_the_same(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S, 24)
    ours = lookout(tmp_path)
    ours.look(kit.NOON_S)
    stored(tmp_path, kit.NOON_S + 1800.0, 6, 1.5e6)
    again, afresh = ours.look(kit.NOON_S + 1800.0), lookout(tmp_path).look(kit.NOON_S + 1800.0)
    assert repr(again) == repr(afresh)


def test_days_follow_the_clocks_when_they_change_and_nothing_is_learned_anew(tmp_path: Path) -> None:
    summer_s = datetime(2026, 10, 24, 11, 0, tzinfo=UTC).timestamp()
    stored(tmp_path, summer_s, 6)
    ours = lookout(tmp_path)
    ours.look(summer_s)
    known = ours.calendar
    assert known.by_clock(known.quarter(summer_s)) % 96 == 48  # noon of summer time
    winter_s = summer_s + 86_400.0
    stored(tmp_path, winter_s, 6)
    ours.look(winter_s)
    assert ours.calendar is known
    assert known.by_clock(known.quarter(winter_s)) % 96 == 44  # eleven o'clock


def test_what_was_not_measured_most_of_the_time_has_no_mean(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S, 3)
    proof = lookout(tmp_path).proof()
    unit = next(u for u in SITE.units if u.storage is None)
    assert proof.measured_w(unit.id, kit.NOON_S - 900.0, kit.NOON_S) == pytest.approx(-0.5 * unit.p_rated_w)
    assert proof.measured_w(unit.id, kit.NOON_S - 1800.0, kit.NOON_S) is None
    assert proof.curtailed_wh(unit.id, kit.NOON_S - 900.0, kit.NOON_S) == 0.0
    assert proof.taken_wh(unit.id, kit.NOON_S - 900.0, kit.NOON_S) == 0.0


def test_means_are_weighted_by_how_many_values_there_were(tmp_path: Path) -> None:
    with closing(Store(tmp_path, SITE.name)) as store:
        store.append(Batch(0, 60, (Sample("unit.A.p_w", 1, 10.0, 10.0, 10.0),)))
        store.append(Batch(60, 60, (Sample("unit.A.p_w", 3, 50.0, 50.0, 50.0),)))
        store.append(Batch(1800, 60, (Sample("unit.A.p_w", 1, 7.0, 7.0, 7.0), Sample("unit.B.p_w", 1, 1.0, 1.0, 1.0))))
    with closing(open_to_read(tmp_path)) as db:
        assert means(db, ["unit.A.p_w"], 0.0, 2700.0, 900.0) == {0: {"unit.A.p_w": 40.0}, 2: {"unit.A.p_w": 7.0}}


def windy_service(folder: Path, heard_utc_s: float, wind_m_per_s: float) -> WeatherService:
    """A forecast that is on the disk since then, of the days around it."""
    (folder / FOLDER).mkdir(exist_ok=True)
    value = np.tile([100.0, 0.0, 10.0], (384, 1))
    value[:, WIND] = wind_m_per_s + np.linspace(-3.0, 3.0, len(value))
    with closing(Memory(folder / FOLDER)) as memory:
        memory.keep(Foretold(heard_utc_s, heard_utc_s, int(heard_utc_s // 86_400 * 86_400), value))
    return WeatherService("https://weather.example", 52.0, 0.0)


def test_the_forecast_of_the_weather_is_learned_beside_the_history_and_used(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S, 480)
    service = windy_service(tmp_path, kit.NOON_S - 40 * 3600.0, 7.0)
    site = replace(SITE, weather_service=replace(service, stale_s=2 * 86_400.0))
    ours = Lookout(site, tmp_path, kit.ZONE, 2 * 3600.0)
    seen, alone = ours.look(kit.NOON_S), lookout(tmp_path).look(kit.NOON_S)
    assert ours._learned is not None
    assert np.isfinite(ours._learned.weather.foretold[:, 0]).all(axis=1).mean() > 0.9
    assert repr(seen) != repr(alone)


def test_a_forecast_that_is_too_old_or_cannot_be_read_leaves_the_history_alone(tmp_path: Path) -> None:
    stored(tmp_path, kit.NOON_S, 24)
    alone = lookout(tmp_path).look(kit.NOON_S)
    service = windy_service(tmp_path, kit.NOON_S - 20 * 3600.0, 12.0)
    ours = Lookout(replace(SITE, weather_service=service), tmp_path, kit.ZONE, 2 * 3600.0)
    assert repr(ours.look(kit.NOON_S)) == repr(alone)
    (tmp_path / FOLDER / FILE).write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    for aside in ("-wal", "-shm"):
        (tmp_path / FOLDER / (FILE + aside)).unlink(missing_ok=True)
    with capture_logs() as told:
        blind = Lookout(replace(SITE, weather_service=service), tmp_path, kit.ZONE, 2 * 3600.0).look(kit.NOON_S)
    assert repr(blind) == repr(alone)
    assert [entry["event"] for entry in told] == ["weather.stuck"]
