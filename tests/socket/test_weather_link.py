"""The weather forecast arrives, is judged whole, is kept over restarts, and what is wrong with it is said once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from controller.balancing.weather.link import WeatherLink
from controller.balancing.weather.memory import heard_since
from controller.clock import ManualClock, utc_s
from controller.domain.weather import AIR, SUN, WIND, WeatherService
from controller.physics.sun_above import extraterrestrial_w_per_m2
from controller.planning.foretold import Foretold, Heard
from simulators.platform.certificates import Authority
from simulators.platform.weather_desk import SPOILT, Array, WeatherDesk

pytestmark = pytest.mark.socket

AT = datetime(2026, 4, 10, 9, 10, tzinfo=UTC)
PLACE = (52.0, 0.0)
HOUR_S = 3600.0


WHY = {
    "nan": "NaN is not a finite number",
    "infinite": "Infinity is not a finite number",
    "null in the middle": "whole rows only until 2026-04-10T17:00Z; expected 2026-04-11T13:10Z or later",
    "text": "hourly.temperature_2m holds what is no number",
    "one value short": "hourly.wind_speed_80m has 60 values; expected 61",
    "storm": "hourly.wind_speed_80m is 300 in SI; expected 0…75",
    "negative sun": "hourly.shortwave_radiation is -5",
    "sun at night": "the times are those of another place or zone",
    "six hours off": "the times are those of another place or zone",
    "dead sun": "no irradiance for a whole day",
    "stuck wind": "wind 7 for a whole day",
    "old": "whole rows only until 2026-04-10T01:00Z",
    "not yet": "begins with 2026-04-11T13:00Z",
    "times that jump": "does not go in steps of 3600 s",
    "times that stand still": "does not go in steps of 3600 s",
    "odd minutes": "expected a full quarter hour",
    "times in words": "time 'noon'; expected such as 2026-04-10T12:00",
    "fahrenheit": "hourly.temperature_2m is in '°F'; expected temperature in °C",
    "no units": "hourly_units: Input should be a valid dictionary",
    "no table": "hourly: Input should be a valid dictionary",
    "elsewhere": "latitude -33.9; expected 52 ± 0.5",
    "nowhere": "longitude: Field required",
    "half a day": "whole rows only until 2026-04-10T22:00Z",
    "list": "list; expected an object",
    "twice": "a key stands twice",
    "garbage": "not JSON",
}


class HalfCloudy:
    """Half of what shines above the air; wind and air rise through the day; every three hours a new run."""

    def foretell(self, issued_utc_s: float, starts_utc_s: Array, lasts_s: float) -> Array:
        run = issued_utc_s // (3.0 * HOUR_S) % 7.0
        within = starts_utc_s[:, None] + lasts_s * (np.arange(60) + 0.5) / 60.0
        sun = 0.5 * extraterrestrial_w_per_m2(within, *PLACE).mean(axis=1)
        hour = (starts_utc_s + lasts_s / 2.0) / HOUR_S % 24.0
        return np.stack([sun, 5.0 + 0.2 * hour + run, 4.0 + 0.4 * hour], axis=1)


@dataclass
class Place:
    """A desk, and whoever is the station now."""

    desk: WeatherDesk
    service: WeatherService
    clock: ManualClock
    folder: Path

    @asynccontextmanager
    async def station(self) -> AsyncIterator[WeatherLink]:
        """One life of it."""
        link = WeatherLink(self.service, self.clock, self.folder, request_s=5.0)
        await link.open()
        try:
            yield link
        finally:
            await link.aclose()

    def counts(self) -> Foretold | None:
        """What the forecast would go by now."""
        now_s = utc_s(self.clock)
        return Heard(tuple(heard_since(self.folder, now_s)), self.service.stale_s).in_force(now_s)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    clock = ManualClock(0.0, AT)
    desk = WeatherDesk(tmp_path / "desk", HalfCloudy(), lambda: utc_s(clock), PLACE)
    await desk.open()
    data = tmp_path / "data"
    data.mkdir()
    service = WeatherService(desk.url, *PLACE, ca_file=str(desk.authority.ca_file))
    try:
        yield Place(desk, service, clock, data)
    finally:
        await desk.aclose()


@pytest.mark.parametrize("quarters", [False, True])
async def test_what_the_service_foretells_is_what_counts(place: Place, quarters: bool) -> None:
    place.service = replace(place.service, quarters=quarters)
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
    assert [entry["event"] for entry in told] == ["weather.foretold"]
    found = place.counts()
    assert found is not None
    starts_s = AT.timestamp() // HOUR_S * HOUR_S + 900.0 * np.arange(4 * 48)
    truth = HalfCloudy().foretell(AT.timestamp(), starts_s, 900.0)
    seen = found.at(starts_s)
    assert seen[:, SUN] == pytest.approx(truth[:, SUN], abs=6.0)
    inside = starts_s % 86_400.0 < 82_000.0  # between the last hour of a day and the first, the made-up wind jumps
    assert seen[inside, WIND] == pytest.approx(truth[inside, WIND], abs=0.05)
    assert seen[inside, AIR] == pytest.approx(truth[inside, AIR], abs=0.1)
    (query,) = place.desk.asked
    assert query["latitude"] == ["52.0000"]
    assert query["timeformat"] == ["unixtime"]


def test_every_way_to_spoil_a_forecast_is_tried() -> None:
    assert set(SPOILT) <= set(WHY)


@pytest.mark.parametrize(("fault", "why"), WHY.items())
async def test_a_forecast_that_is_wrong_anywhere_is_refused_whole_and_the_last_good_one_stays(
    place: Place, fault: str, why: str
) -> None:
    async with place.station() as link:
        await link.look()
        before = place.counts()
        place.clock.advance(4.0 * HOUR_S)
        place.desk.misbehave = fault
        with capture_logs() as told:
            await link.look()
            await link.look()
    assert [entry["event"] for entry in told] == ["weather.refused"]
    assert why in told[0]["reason"]
    assert repr(place.counts()) == repr(before)


@pytest.mark.parametrize("fault", ["half", "error", "huge", "redirect", "compressed", "late"])
async def test_an_answer_that_is_none_is_no_forecast_and_it_is_asked_again(place: Place, fault: str) -> None:
    place.desk.misbehave, place.desk.late_s = fault, 3.0
    async with place.station() as link:
        link._request_s = 1.0 if fault == "late" else 5.0
        with capture_logs() as told:
            await link.look()
        assert [entry["event"] for entry in told] == ["weather.stuck"]
        assert place.counts() is None
        place.desk.misbehave = ""
        with capture_logs() as told:
            await link.look()
    assert [entry["event"] for entry in told] == ["weather.foretold", "weather.unstuck"]
    assert place.counts() is not None


async def test_a_service_that_does_not_prove_who_it_is_is_not_believed(place: Place, tmp_path: Path) -> None:
    place.service = replace(place.service, ca_file=str(Authority(tmp_path / "other").ca_file))
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
    assert [entry["event"] for entry in told] == ["weather.stuck"]
    assert place.counts() is None


async def test_the_reason_never_names_the_key_in_the_address(place: Place) -> None:
    await place.desk.aclose()
    place.service = replace(place.service, url=place.service.url + "?apikey=hush")
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
    assert "hush" not in str(told)


async def test_the_last_good_one_outlives_a_restart_and_an_outage_until_it_is_too_old(place: Place) -> None:
    async with place.station() as link:
        await link.look()
    await place.desk.aclose()
    place.clock.advance(11.0 * HOUR_S)
    with capture_logs() as told:
        async with place.station() as link:
            await link.look()
            assert place.counts() is not None
            place.clock.advance(2.0 * HOUR_S)
            await link.look()
    assert place.counts() is None
    assert [entry["event"] for entry in told] == ["weather.stuck", "weather.stale"]


async def test_a_service_whose_model_has_stopped_gets_old_although_it_answers(place: Place) -> None:
    class Stopped(HalfCloudy):
        def foretell(self, issued_utc_s: float, starts_utc_s: Array, lasts_s: float) -> Array:
            return super().foretell(AT.timestamp(), starts_utc_s, lasts_s)

    place.desk.sky = Stopped()
    with capture_logs() as told:
        async with place.station() as link:
            for _ in range(14):
                await link.look()
                place.clock.advance(HOUR_S)
    assert [entry["event"] for entry in told] == ["weather.foretold", "weather.stale"]
    assert place.counts() is None


async def test_every_new_run_is_kept_for_learning_and_what_says_the_same_is_not(place: Place) -> None:
    async with place.station() as link:
        for _ in range(18):
            await link.look()
            place.clock.advance(0.5 * HOUR_S)
    heard = heard_since(place.folder, 0.0)
    assert len({one.issued_utc_s for one in heard}) == 3  # runs begin at 9, 12 and 15 o'clock, UTC
    assert len(heard) <= 9  # an hour further each


async def test_a_clock_that_was_set_back_does_not_keep_the_future(place: Place) -> None:
    async with place.station() as link:
        place.clock.advance(6.0 * HOUR_S)
        await link.look()
        place.clock = ManualClock(0.0, AT)
        link._clock = place.clock
        place.desk.utc_s = lambda: utc_s(place.clock)
        await link.look()
    assert [one.heard_utc_s for one in heard_since(place.folder, 0.0)] == [AT.timestamp()]
