"""The desk of a national balancing market: bids over HTTPS, each accepted or refused with its reason, and activated.

A protocol of its own, for want of a public one that is the same in two countries (docs/national.md): POST /bids with
the document of :class:`controller.planning.service_bid.ServiceBid`; the answer is ``{"id", "accepted", "reason"}``. A
bid that comes again as it was, because its answer was lost, gets the first answer again. Activations are
listed at /bids/ID/activations and answered there; what was delivered comes to /bids/ID/settlements.
"""

from __future__ import annotations

import base64
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulators.platform.certificates import Authority, server_context
from simulators.platform.http_server import HttpServer, Request, Response, json_response

VOLUME_W_MIN = 500e3
PRICE_EUR_PER_MWH_MAX = 500.0
Took = Callable[[Mapping[str, Any], Mapping[str, Any]], None]
_NUMBERS = ("from_utc_s", "until_utc_s", "up_w", "down_w", "price_eur_per_mwh")


class NationalMarket:
    """Serves on loopback with a certificate made in ``folder``; ``utc_s`` is its clock.

    ``bids`` are all that came in, by id, and ``answers`` what was said to them; ``took`` is told of every bid, once,
    with its answer. ``listed`` are the activations by bid, as they go out (whoever wants to misbehave puts other things
    there), ``taken`` what the bidder said to each of them and ``settled`` what it says to have delivered, by the
    activation's id. With ``login`` (``name:password``) nobody else is heard.
    """

    def __init__(self, folder: Path, utc_s: Callable[[], float], login: str = "", took: Took | None = None) -> None:
        self.bids: dict[str, Mapping[str, Any]] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.listed: dict[str, list[Any]] = {}
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.settled: dict[str, Mapping[str, Any]] = {}
        self._counter = itertools.count(1)
        self._authority = Authority(folder, "national market")
        self._utc_s, self._took = utc_s, took
        self._login = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        identity = self._authority.issue("127.0.0.1")
        self._server = HttpServer(self._handle, server_context(identity))

    @property
    def ca_file(self) -> Path:
        """What bidders have to trust."""
        return self._authority.ca_file

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, once open."""
        return self._server.port

    async def open(self) -> None:
        """Listen on a free port."""
        await self._server.open()

    async def aclose(self) -> None:
        """Hang up on everybody."""
        await self._server.aclose()

    def activate(
        self, bid_id: str, direction: str, periods: Sequence[tuple[float, float, float]], expires_s: float = 900.0
    ) -> str:
        """Activate an accepted bid ``up`` or ``down``: periods as (from, until, W), UTC seconds since 1970; its id.

        It has to be taken within ``expires_s``.
        """
        number, now_utc_s = next(self._counter), self._utc_s()
        name = f"a{number}-{int(now_utc_s)}"
        one = {"id": name, "counter": int(now_utc_s) * 1000 + number, "issued_utc_s": now_utc_s}
        one |= {"expires_utc_s": now_utc_s + expires_s, "direction": direction}
        one["periods"] = [dict(zip(("from_utc_s", "until_utc_s", "w"), period, strict=True)) for period in periods]
        self.listed.setdefault(bid_id, []).append(one)
        return name

    def _handle(self, request: Request) -> Response:
        if self._login and request.headers.get("authorization") != self._login:
            return json_response(401, {"status": 401})
        parts = request.path.strip("/").split("/")
        try:
            if (request.method, parts) == ("POST", ["bids"]):
                return self._offered(request.json())
            if len(parts) in (3, 4) and parts[0] == "bids" and parts[1] in self.bids:
                return self._about(request, parts[1], parts[2:])
        except ValueError as error:
            return json_response(400, {"status": 400, "detail": str(error)})
        return json_response(404, {"status": 404})

    def _about(self, request: Request, bid_id: str, rest: list[str]) -> Response:
        if (request.method, rest) == ("GET", ["activations"]):
            return json_response(200, {"id": bid_id, "activations": self.listed.get(bid_id, [])})
        kept = {"activations": self.taken, "settlements": self.settled}.get(rest[0])
        if request.method != "POST" or len(rest) != 2 or kept is None:
            return json_response(404, {"status": 404})
        said = request.json()
        if not isinstance(said, dict) or said.get("id") != rest[1]:
            return json_response(400, {"status": 400, "detail": f"expected an object about {rest[1]}"})
        kept.setdefault(rest[1], said)
        return json_response(200, {"id": rest[1]})

    def _offered(self, bid: Any) -> Response:
        reason = self.judge(bid)
        name = str(bid.get("id", "")) if isinstance(bid, dict) else ""
        answer = {"id": name, "accepted": not reason, "reason": reason}
        if name in self.bids and bid == self.bids[name]:
            return json_response(200, self.answers[name])
        if isinstance(bid, dict) and name not in self.bids:
            self.bids[name], self.answers[name] = bid, answer
            if self._took is not None:
                self._took(bid, answer)
        return json_response(200, answer)

    def judge(self, bid: object) -> str:
        """Why a bid is refused; empty when it is accepted."""
        if not isinstance(bid, dict) or not bid.get("id"):
            return "malformed: expected an object with an id"
        if bid["id"] in self.bids:
            return f"replayed: {bid['id']} was offered before"
        unknown = [key for key in _NUMBERS if not _is_number(bid.get(key))]
        if unknown:
            return f"not a number: {', '.join(unknown)}"
        if not self._utc_s() < bid["from_utc_s"] < bid["until_utc_s"]:
            return "its window does not lie ahead"
        if max(bid["up_w"], bid["down_w"]) < VOLUME_W_MIN or min(bid["up_w"], bid["down_w"]) < 0.0:
            return f"too small: {bid['up_w']:.0f} W up, {bid['down_w']:.0f} W down; expected {VOLUME_W_MIN:.0f} or more"
        if not 0.0 <= bid["price_eur_per_mwh"] <= PRICE_EUR_PER_MWH_MAX:
            return f"price {bid['price_eur_per_mwh']:g} EUR/MWh; expected 0…{PRICE_EUR_PER_MWH_MAX:g}"
        return "" if _inside(bid) else "its volume does not lie inside its area"


def _inside(bid: Mapping[str, Any]) -> bool:
    """Whether both ends of the volume lie in the polygon (counter-clockwise) that came with it, to 1 kW."""
    corners, now = bid.get("area"), bid.get("now")
    points = [*corners, now] if isinstance(corners, list) and len(corners) > 2 else []
    if not points or not all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in points):
        return False
    p_w, q_var = points.pop()
    sides = list(zip(points, points[1:] + points[:1], strict=True))
    return all(_left_of(a, b, end_w, q_var) for end_w in (p_w - bid["up_w"], p_w + bid["down_w"]) for a, b in sides)


def _left_of(a: list[float], b: list[float], p_w: float, q_var: float) -> bool:
    turn = (b[0] - a[0]) * (q_var - a[1]) - (b[1] - a[1]) * (p_w - a[0])
    return turn >= -1e3 * math.hypot(b[0] - a[0], b[1] - a[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
