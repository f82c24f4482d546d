"""The desk of a national balancing market: bids over HTTPS, each accepted or refused with its reason.

A protocol of its own, for want of a public one that is the same in two countries: POST /bids with the document of
:class:`controller.planning.service_bid.ServiceBid`; the answer is ``{"id", "accepted", "reason"}``. A bid that comes
again as it was, because its answer was lost, gets the first answer again.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
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

    ``bids`` are all that came in, by id, and ``answers`` what was said to them. With ``login`` (``name:password``)
    nobody else is heard. ``took`` is told of every bid, once, with its answer.
    """

    def __init__(self, folder: Path, utc_s: Callable[[], float], login: str = "", took: Took | None = None) -> None:
        self.bids: dict[str, Mapping[str, Any]] = {}
        self.answers: dict[str, dict[str, Any]] = {}
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

    def _handle(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", "/bids"):
            return json_response(404, {"status": 404})
        if self._login and request.headers.get("authorization") != self._login:
            return json_response(401, {"status": 401})
        try:
            bid = request.json()
        except ValueError as error:
            return json_response(400, {"status": 400, "detail": str(error)})
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
