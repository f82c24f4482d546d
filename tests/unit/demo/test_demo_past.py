"""The past that a newly installed station is given, and what it sees coming by it."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from controller.balancing.lookout import Lookout
from controller.history.store import known_until_s, open_to_read, samples
from simulators.demo import past
from simulators.demo.setting import Setting, setting_of


@pytest.fixture(scope="module")
def setting() -> Setting:
    return setting_of(
        "a_day_in_the_life", speed=144.0, seed=1, hours=24.0, start=None, cycle_ms=40.0, controlled=True, compared=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, setting: Setting) -> Path:
    made = tmp_path_factory.mktemp("past")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "DAYS", 3)
        past.prepare(made, setting.site, setting.scenario, setting.seed, setting.began_utc)
    return made


def test_it_ends_when_the_day_begins_and_says_what_farms_and_buses_did(folder: Path, setting: Setting) -> None:
    began_s = setting.began_utc.timestamp()
    with closing(open_to_read(folder)) as db:
        assert known_until_s(db) == began_s
        wind = samples(db, "unit.WIND1.p_w", began_s - 2 * 86_400.0, began_s)
        town = samples(db, "bus.N4.p_w", began_s - 2 * 86_400.0, began_s)
    assert len(wind) == len(town) == 192
    assert all(-12e6 <= mean <= 0.0 for _, _, mean, _, _ in wind)
    assert all(1e6 < mean < 7e6 for _, _, mean, _, _ in town)


def test_no_night_of_it_is_the_night_to_come(folder: Path, setting: Setting) -> None:
    later_s = (setting.began_utc - timedelta(days=1)).timestamp()
    with closing(open_to_read(folder)) as db:
        nights = [
            samples(db, "unit.WIND1.p_w", later_s - k * 86_400.0, later_s + 8 * 3600.0 - k * 86_400.0) for k in (0, 1)
        ]
    first, second = ([mean for _, _, mean, _, _ in night] for night in nights)
    assert len(first) == len(second) == 32
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_a_station_with_it_sees_the_night_coming(folder: Path, setting: Setting) -> None:
    lookout = Lookout(setting.site, folder, setting.site.timezone, 9 * 3600.0)
    projected = lookout.look(setting.began_utc.timestamp() + 10.0)
    export = next(limit for limit in projected.limits if limit.limit == "export")
    assert export.probability[:4].max() == 0.0  # the evening has room
    assert export.probability[20:32].min() > 0.05  # from one in the morning on it is likely enough to ask
    assert 0.3e6 < export.excess_w[20:32].max() < 5e6


def test_where_there_is_nothing_to_trade_that_is_said() -> None:
    with pytest.raises(ValueError, match="the scenario of demo_primary has no offers"):
        setting_of(
            "demo_primary", speed=144.0, seed=1, hours=1.0, start=None, cycle_ms=40.0, controlled=True, compared=False,
            uftp=True,
        )  # fmt: skip


def test_a_history_that_is_there_is_left_as_it_is(folder: Path, setting: Setting) -> None:
    assert past.prepare(folder, setting.site, setting.scenario, setting.seed, setting.began_utc) == 0
