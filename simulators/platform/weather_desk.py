"""The weather desk: forecasts in the form of Open-Meteo's API over HTTPS, and every way to get them wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.platform.certificates import Authority, Identity, server_context
from simulators.platform.http_server import HttpServer, Request, Response, json_response

Array = NDArray[np.float64]

PATH = "/v1/forecast"
STEP_S = {"hourly": 3600, "minutely_15": 900}
NAMES = ("shortwave_radiation", "wind_speed_80m", "temperature_2m")
UNITS = {"time": "unixtime", NAMES[0]: "W/m²", NAMES[1]: "m/s", NAMES[2]: "°C"}
FORECAST_S = 60 * 3600
POLL_MIN = 20.0
_HUGE_BYTES = 2 << 20

Document = dict[str, Any]


class Sky(Protocol):
    """Whoever knows the weather that is forecast: sun (W/m²), wind (m/s) and air (°C), a column each."""

    def foretell(self, issued_utc_s: float, starts_utc_s: Array, lasts_s: float) -> Array:
        """Means of periods as the forecast that is out at that instant has them."""
        ...


@dataclass
class WeatherDesk:
    """Serves on loopback with a certificate made in ``folder``; ``utc_s`` is its clock.

    ``asked`` are the queries so far. With ``misbehave`` its answers are wrong in that way: a name of ``SPOILT``, or of
    what :meth:`_sent` does to the bytes.
    """

    folder: Path
    sky: Sky
    utc_s: Callable[[], float]
    place: tuple[float, float] = (52.0, 0.0)
    misbehave: str = ""
    late_s: float = 1.0
    mutual: bool = False
    certificate: Identity | None = None
    authority: Authority = field(init=False)
    asked: list[Mapping[str, list[str]]] = field(default_factory=list)
    _server: HttpServer | None = None
    _port: int = 0

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder, "weather service")

    @property
    def url(self) -> str:
        """Where it answers, once open."""
        return f"https://127.0.0.1:{self._port}{PATH}"

    def keys(self) -> Document:
        """What the site file says of it, once it is open."""
        latitude, longitude = self.place
        ca_file = str(self.authority.ca_file)
        return {"url": self.url, "ca_file": ca_file, "latitude": latitude, "longitude": longitude, "poll_min": POLL_MIN}

    async def open(self) -> None:
        """Listen, at the same port as before if there was one."""
        identity = self.certificate or self.authority.issue("127.0.0.1")
        context = server_context(identity, self.authority.ca_file if self.mutual else None)
        self._server = HttpServer(self._handle, context)
        await self._server.open(self._port)
        self._port = self._server.port

    async def aclose(self) -> None:
        """Vanish."""
        if self._server is not None:
            await self._server.aclose()
        self._server = None

    def _handle(self, request: Request) -> Response:
        if (request.method, request.path) != ("GET", PATH):
            return json_response(404, {"error": True, "reason": "Not Found"})
        self.asked.append(request.query)
        block = next((name for name in STEP_S if name in request.query), "")
        if not block:
            return json_response(400, {"error": True, "reason": "no variable is asked for"})
        document = forecast_document(self.sky, self.place, self.utc_s(), block)
        spoil = SPOILT.get(self.misbehave)
        return self._sent(named(document if spoil is None else spoil(document), block))

    def _sent(self, document: Document) -> Response:
        answer = json_response(200, document)
        match self.misbehave:
            case "late":
                return Response(200, answer.body, answer.headers, delay_s=self.late_s)
            case "half":
                return Response(200, answer.body, answer.headers, send_frac=0.5)
            case "error":
                return json_response(503, {"error": True, "reason": "overloaded"})
            case "garbage":
                return Response(200, b"<html>Bad gateway</html>")
            case "huge":
                return Response(200, b"[" + b" " * _HUGE_BYTES + b"]")
            case "redirect":
                return Response(302, headers={"Location": "http://127.0.0.1:1/"})
            case "compressed":
                return Response(200, answer.body, {**answer.headers, "Content-Encoding": "gzip"})
            case "list":
                return json_response(200, [document])
            case "twice":
                return Response(200, answer.body.replace(b'"latitude"', b'"latitude": 0.0, "latitude"', 1))
        return answer


def forecast_document(sky: Sky, place: tuple[float, float], now_utc_s: float, block: str) -> Document:
    """What the service answers now, from the last full hour on; irradiance is the mean of the step before its time.

    ``table`` and ``units`` are yet to be named after the block.
    """
    step_s = STEP_S[block]
    times_s = now_utc_s // 3600 * 3600 + step_s * np.arange(FORECAST_S // step_s + 1, dtype=np.float64)
    sun = sky.foretell(now_utc_s, times_s - step_s, step_s)[:, 0]
    _, wind, air = sky.foretell(now_utc_s, times_s - 30.0, 60.0).T
    columns = (np.round(sun, 1), np.round(wind, 2), np.round(air, 1))
    table = {name: column.tolist() for name, column in zip(NAMES, columns, strict=True)}
    return {
        "latitude": place[0],
        "longitude": place[1],
        "generationtime_ms": 0.3,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "elevation": 60.0,
        "units": UNITS,
        "table": {"time": [int(t) for t in times_s], **table},
    }


Spoil = Callable[[Document], Document]


def named(document: Document, block: str) -> Document:
    """A document with the keys of the form."""
    keys = {"table": block, "units": f"{block}_units"}
    return {keys.get(key, key): value for key, value in document.items()}


def _column(name: str, change: Callable[[list[float]], Sequence[Any]]) -> Spoil:
    return lambda document: {**document, "table": document["table"] | {name: list(change(document["table"][name]))}}


def _unit(name: str, unit: str) -> Spoil:
    return lambda document: {**document, "units": {**document["units"], name: unit}}


def _key(key: str, value: Any) -> Spoil:
    return lambda document: {**document, key: value}


def _without(missing: str) -> Spoil:
    return lambda document: {key: value for key, value in document.items() if key != missing}


def _rows(count: int) -> Spoil:
    return lambda document: {**document, "table": {name: x[:count] for name, x in document["table"].items()}}


SPOILT: Mapping[str, Spoil] = {
    "nan": _column(NAMES[1], lambda x: [*x[:5], math.nan, *x[6:]]),
    "infinite": _column(NAMES[0], lambda x: [*x[:5], math.inf, *x[6:]]),
    "null in the middle": _column(NAMES[1], lambda x: [*x[:5], None, *x[6:]]),
    "text": _column(NAMES[2], lambda x: [str(v) for v in x]),
    "one value short": _column(NAMES[1], lambda x: x[:-1]),
    "storm": _column(NAMES[1], lambda x: [*x[:5], 300.0, *x[6:]]),
    "negative sun": _column(NAMES[0], lambda x: [v - 5.0 for v in x]),
    "sun at night": _column(NAMES[0], lambda x: [v + 200.0 for v in x]),
    "six hours off": _column(NAMES[0], lambda x: [*x[6:], *x[:6]]),
    "dead sun": _column(NAMES[0], lambda x: [0.0 for _ in x]),
    "stuck wind": _column(NAMES[1], lambda x: [7.0 for _ in x]),
    "old": _column("time", lambda x: [v - 3 * 86_400 for v in x]),
    "not yet": _column("time", lambda x: [v + 86_400 for v in x]),
    "times that jump": _column("time", lambda x: [*x[:5], *(v + 3600 for v in x[5:])]),
    "times that stand still": _column("time", lambda x: [x[0] for _ in x]),
    "odd minutes": _column("time", lambda x: [v + 61 for v in x]),
    "times in words": _column("time", lambda x: ["noon" for _ in x]),
    "fahrenheit": _unit(NAMES[2], "°F"),
    "no units": _without("units"),
    "no table": _without("table"),
    "elsewhere": _key("latitude", -33.9),
    "nowhere": _without("longitude"),
    "half a day": _rows(10),
}
"""Contents that must be refused, by name."""
