"""What a weather service foretold, and foretells, of the synthetic days of a demo and of the day that is shown.

The days before are those of :mod:`simulators.demo.past`; what was foretold of them has the errors of
:mod:`simulators.foreteller`, as what is foretold of the day itself has.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from controller.balancing.weather.memory import FOLDER, Memory
from controller.balancing.weather.reading import read_forecast
from controller.domain.weather import WeatherService
from simulators.demo import past
from simulators.foreteller import LATE_S, RUN_S, Foreteller
from simulators.platform.weather_desk import forecast_document, named
from simulators.scenario import Scenario
from simulators.weather_of_days import place_of, weather_of_days

OTHER_SEED = 3_000_017
DAYS_AHEAD = 5
"""From the first midnight of the day that is shown on: as long as a forecast made during two days may reach."""
BLOCK = "hourly"


def foreteller_of(scenario: Scenario, seed: int, zone: str, began_utc: datetime) -> Foreteller:
    """The service's forecasts before and during a day that begins at ``began_utc``."""
    days = [past.another(scenario, seed, back) for back in range(past.DAYS, 0, -1)] + DAYS_AHEAD * [scenario]
    return Foreteller(weather_of_days(days, _first_midnight_utc_s(zone, began_utc)), seed + OTHER_SEED)


def foretell_past(folder: Path, scenario: Scenario, seed: int, zone: str, began_utc: datetime) -> int:
    """Write every run's forecast of the days before into the station's memory, as if it had asked; how many."""
    place = place_of(scenario, zone, began_utc)
    service = WeatherService("", *place)
    sky = foreteller_of(scenario, seed, zone, began_utc)
    out_utc_s = _first_midnight_utc_s(zone, began_utc) // RUN_S * RUN_S + RUN_S + LATE_S
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    written = 0
    with closing(Memory(folder / FOLDER)) as memory:
        while out_utc_s <= began_utc.timestamp():
            document = named(forecast_document(sky, place, out_utc_s, BLOCK), BLOCK)
            memory.keep(read_forecast(json.dumps(document).encode(), service, out_utc_s))
            out_utc_s, written = out_utc_s + RUN_S, written + 1
    return written


def _first_midnight_utc_s(zone: str, began_utc: datetime) -> float:
    local = began_utc.astimezone(ZoneInfo(zone)).date() - timedelta(days=past.DAYS)
    return datetime.combine(local, time(), ZoneInfo(zone)).astimezone(UTC).timestamp()
