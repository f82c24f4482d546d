"""What was foretold of the days that a new station is given as its past, and what it makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from controller.balancing.weather.memory import heard_since
from controller.balancing.weather.reading import read_forecast
from controller.domain.weather import WIND, WeatherService
from controller.estimation.layout import Layout
from controller.grid.model import GridModel
from controller.planning.foretold import Heard
from controller.planning.lookback import calendar_at, foresee, learn, nothing_learned
from simulators.demo import past
from simulators.demo.past_weather import foretell_past, foreteller_of
from simulators.demo.setting import Setting, setting_of
from simulators.exogenous import Exogenous
from simulators.platform.weather_desk import forecast_document, named
from simulators.weather_of_days import place_of

SEED = 1


@pytest.fixture(scope="module")
def setting() -> Setting:
    return setting_of(
        "a_day_in_the_life", speed=144.0, seed=SEED, hours=24.0, start=None, cycle_ms=40.0, controlled=True,
        compared=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def heard(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    folder = tmp_path_factory.mktemp("foretold")
    written = foretell_past(folder, setting.scenario, SEED, setting.site.timezone, setting.began_utc)
    known = heard_since(folder, 0.0)
    assert len(known) == written == 8 * past.DAYS + 7  # every three hours, up to eight in the evening
    return Heard(tuple(known), 43_200.0)


def test_what_was_foretold_passes_every_check_and_ends_behind_the_day(heard: Heard, setting: Setting) -> None:
    began_s = setting.began_utc.timestamp()
    now = heard.in_force(began_s)
    assert now is not None
    assert began_s - now.heard_utc_s <= 3 * 3600.0
    assert now.end_utc_s > began_s + 48 * 3600.0


def test_forecasts_of_the_day_itself_pass_every_check_at_every_hour_of_it(setting: Setting) -> None:
    zone, began = setting.site.timezone, setting.began_utc
    sky, place = foreteller_of(setting.scenario, SEED, zone, began), place_of(setting.scenario, zone, began)
    for hour in range(0, 25, 3):
        now_s = began.timestamp() + 3600.0 * hour
        for block, quarters in (("hourly", False), ("minutely_15", True)):
            body = json.dumps(named(forecast_document(sky, place, now_s, block), block)).encode()
            read_forecast(body, WeatherService("", *place, quarters=quarters), now_s)


def test_a_new_station_knows_the_wind_of_the_night_better_with_it(heard: Heard, setting: Setting) -> None:
    site, began_s = setting.site, setting.began_utc.timestamp()
    layout, calendar = Layout(site, GridModel(site.topology)), calendar_at(began_s, site.timezone)
    batches = past.batches(site, setting.scenario, SEED, setting.began_utc)
    quarters = {calendar.quarter(b.start_utc_s + 1.0): {x.point: x.mean for x in b.samples} for b in batches}
    learned = learn(layout, nothing_learned(layout, calendar), quarters, heard)
    now = quarters[max(quarters)]
    outside = Exogenous(site, setting.scenario, SEED)
    series = [unit.id for unit in site.units].index("WIND1")
    came = np.array([outside.at(900.0 * k + 450.0)[outside.available][series] for k in range(48)])
    missed = [
        np.abs(foresee(layout, learned, now, began_s + 1.0, 48, known).value[2, :, 2 * layout.n_w + series] - came)
        for known in (heard, replace(heard, known=()))
    ]
    print(f"seed {SEED}: {missed[0].mean() / 1e6:.2f} MW missed of WIND1, {missed[1].mean() / 1e6:.2f} without")
    assert missed[0].mean() < 0.8 * missed[1].mean()


def test_what_is_foretold_differs_from_what_comes(heard: Heard, setting: Setting) -> None:
    """The station is not told the truth: between runs the wind of the same hour moves."""
    night_s = setting.began_utc.timestamp() + 6 * 3600.0
    told = [one.at(np.array([night_s]))[0, WIND] for one in heard.known[-8:]]
    assert np.ptp(told) > 0.3
