"""From an answer in the form of Open-Meteo's forecast API to quarter hours, or to the reason why it is refused whole.

Form (open-meteo.com/en/docs; ``Public/docs/openapi.yml`` and the abbreviations of units in the service's sources):
``latitude``, ``longitude``, ``utc_offset_seconds``, and under ``hourly`` or ``minutely_15`` a list ``time`` and one
list per variable, whose units are under ``…_units``. Irradiance is the mean of the step before its time, the rest
holds at its time. It says nothing of when a forecast was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller.balancing.openadr.strict_json import Malformed, read_json
from controller.balancing.weather.sense import contradiction
from controller.domain.weather import AIR, SUN, WIND, WeatherService
from controller.physics.sun_above import extraterrestrial_w_per_m2
from controller.planning.calendar import QUARTER_S
from controller.planning.foretold import Foretold

Array = NDArray[np.float64]

BODY_BYTES_MAX = 1 << 20
ROWS_MAX = 2000
NEAR_DEG = 0.5
"""The answer is about a cell of the model's grid; that of the coarsest global ones is a quarter of a degree wide."""
UNITS = {
    SUN: {"W/m²": 1.0},
    WIND: {"m/s": 1.0, "km/h": 1.0 / 3.6, "mp/h": 0.44704, "kn": 1852.0 / 3600.0},
    AIR: {"°C": 1.0},
}
POSSIBLE = {SUN: (0.0, 1500.0), WIND: (0.0, 75.0), AIR: (-60.0, 60.0)}
_WHAT = {SUN: "irradiance", WIND: "wind", AIR: "temperature"}
_LOOKS_PER_STEP = 4  # of the sun's height within a step


class Refused(ValueError):
    """A forecast that is not used, not even in part; the text is why."""


Column = Annotated[list[int | float | str | None], Field(max_length=ROWS_MAX)]


class _Document(BaseModel):
    """What is read of an answer; what else there is does not matter."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    latitude: int | float
    longitude: int | float
    utc_offset_seconds: int = 0
    table: dict[str, Column]
    units: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Table:
    """Times (UTC seconds since 1970), one step apart, and SI values (row, quantity); NaN only behind the last row."""

    time_s: Array
    value: Array


def read_forecast(body: bytes, service: WeatherService, now_utc_s: float) -> Foretold:
    """The forecast by quarter hour. Raises Refused, with place, value and expectation."""
    document = _document(body, service)
    for key, said, ours in (
        ("latitude", document.latitude, service.latitude_deg),
        ("longitude", document.longitude, service.longitude_deg),
    ):
        if not abs(said - ours) <= NEAR_DEG:
            raise Refused(f"{key} {said:g}; expected {ours:g} ± {NEAR_DEG:g}: the weather of another place")
    table = _table(document, service, now_utc_s)
    above = _above(table.time_s, service)
    doubt = contradiction(table.value, above, service.step_s)
    if doubt:
        raise Refused(doubt)
    return Foretold(now_utc_s, now_utc_s, int(table.time_s[0]), _by_quarter(table, above, service))


def _document(body: bytes, service: WeatherService) -> _Document:
    try:
        found = _object(read_json(body, BODY_BYTES_MAX))
        renamed = {"table": found.get(service.block), "units": found.get(f"{service.block}_units")}
        return _Document.model_validate({**found, **renamed})
    except Malformed as error:
        raise Refused(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        place = place.replace("table", service.block, 1).replace("units", f"{service.block}_units", 1)
        raise Refused(f"{place}: {first['msg']}") from error


def _object(found: object) -> dict[str, object]:
    if not isinstance(found, dict):
        raise Malformed(f"{type(found).__name__}; expected an object")
    return found


def _table(document: _Document, service: WeatherService, now_utc_s: float) -> _Table:
    time_s = _times(document, service)
    columns = [_column(document, service, quantity, len(time_s)) for quantity in (SUN, WIND, AIR)]
    value = np.stack(columns, axis=1)
    broken = np.flatnonzero(~np.isfinite(value).all(axis=1))
    rows = int(broken[0]) if len(broken) else len(value)
    if rows < 2 or time_s[0] > now_utc_s:
        begins = "nothing" if rows < 2 else _clock(time_s[0])
        raise Refused(f"begins with {begins}; expected a whole row for now, {_clock(now_utc_s)}")
    if time_s[rows - 1] < now_utc_s + service.horizon_s:
        expected = _clock(now_utc_s + service.horizon_s)
        raise Refused(f"whole rows only until {_clock(time_s[rows - 1])}; expected {expected} or later")
    return _Table(time_s[:rows], value[:rows])


def _times(document: _Document, service: WeatherService) -> Array:
    """UTC seconds since 1970, in order and one step apart."""
    key = f"{service.block}.time"
    try:
        said = document.table["time"]
        seconds = np.array([_instant(x, document.utc_offset_seconds) for x in said], dtype=np.float64)
    except KeyError as error:
        raise Refused(f"{key} is missing; expected a list of times") from error
    if len(seconds) < 2 or not (np.diff(seconds) == service.step_s).all():
        raise Refused(f"{key} does not go in steps of {service.step_s} s; expected that of {service.block}")
    if seconds[0] % QUARTER_S != 0.0:
        raise Refused(f"{key} begins at {_clock(seconds[0])}; expected a full quarter hour")
    return seconds


def _instant(said: object, offset_s: int) -> float:
    """``unixtime`` is UTC whatever the offset, ``iso8601`` is local time at that offset."""
    if isinstance(said, int):
        return float(said)
    if not isinstance(said, str):
        raise Refused(f"time {said!r}; expected UNIX seconds or such as 2026-04-10T12:00")
    try:
        return datetime.strptime(said, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC).timestamp() - offset_s
    except (ValueError, OverflowError) as error:
        raise Refused(f"time {said[:30]!r}; expected such as 2026-04-10T12:00") from error


def _column(document: _Document, service: WeatherService, quantity: int, rows: int) -> Array:
    """SI values of one quantity; null is NaN."""
    name = service.names[quantity]
    key = f"{service.block}.{name}"
    said = document.table.get(name)
    if said is None or len(said) != rows:
        raise Refused(f"{key} has {0 if said is None else len(said)} values; expected {rows}, one for every time")
    scale = UNITS[quantity].get(document.units.get(name, ""))
    if scale is None:
        unit = document.units.get(name)
        raise Refused(f"{key} is in {unit!r}; expected {_WHAT[quantity]} in {' or '.join(UNITS[quantity])}")
    if any(isinstance(x, str) for x in said):
        raise Refused(f"{key} holds what is no number; expected numbers or null")
    value = scale * np.array([np.nan if x is None else x for x in said], dtype=np.float64)
    low, high = POSSIBLE[quantity]
    wrong = value[np.isfinite(value) & ~((value >= low) & (value <= high))]
    if len(wrong):
        raise Refused(f"{key} is {wrong[0]:g} in SI; expected {low:g}…{high:g}")
    return value


def _above(time_s: Array, service: WeatherService) -> Array:
    """Sun above the air (row, look) within the step before every time."""
    looks = (np.arange(_LOOKS_PER_STEP) + 0.5) / _LOOKS_PER_STEP
    within = time_s[:, None] - service.step_s * (1.0 - looks)
    return extraterrestrial_w_per_m2(within, service.latitude_deg, service.longitude_deg)


def _by_quarter(table: _Table, above: Array, service: WeatherService) -> Array:
    """Means of quarter hours from the first time to the last; within an hour the sun follows its height."""
    starts_s = np.arange(table.time_s[0], table.time_s[-1], QUARTER_S)
    middle_s = starts_s + QUARTER_S / 2.0
    wind, air = (np.interp(middle_s, table.time_s, table.value[:, k]) for k in (WIND, AIR))
    row = 1 + ((starts_s - table.time_s[0]) // service.step_s).astype(np.int64)
    here = extraterrestrial_w_per_m2(middle_s, service.latitude_deg, service.longitude_deg)
    mean = above.mean(axis=1)[row]
    share = np.where(mean > 1.0, here / np.maximum(mean, 1.0), 1.0)
    return np.stack([table.value[row, SUN] * share, wind, air], axis=1)


def _clock(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%MZ")
