"""A station at a national market's desk over real HTTPS, by a clock that the test moves."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "planning"))

import core_planning_kit as kit

from controller.balancing.national.delivery import Claims
from controller.balancing.national.link import NationalLink, nobody
from controller.balancing.national.memory import Memory, Offered
from controller.balancing.order_port import OrderPort
from controller.clock import ManualClock, utc_s
from controller.domain.instruction import Action, Instruction
from controller.domain.national import Tender
from controller.domain.site import Site
from simulators.platform.http_server import Request, Response
from simulators.platform.national import NationalMarket

AT = datetime(2026, 4, 10, 14, 25, tzinfo=UTC)  # 15:25 in London
HOUR_S = 3600.0
SITE = replace(kit.seller(), timezone="Europe/London")
TENDER = Tender("", 15 * HOUR_S + 1500.0, 15 * HOUR_S + 2700.0, 18 * HOUR_S, 18.5 * HOUR_S, ("BAT",), 4.0, w_max=1e6)


class Port(OrderPort):
    """The control process as the station sees it: what holds of every unit, W, and all that was said."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.heard: list[Instruction] = []
        self.holds: dict[str, float] = {}
        self.silent = False

    async def say(self, asked: Instruction) -> tuple[bool, str]:
        if self.silent:
            raise OSError("no such file")
        self.heard.append(asked)
        if asked.action is Action.RELEASE:
            self.holds.pop(asked.subject, None)
        else:
            self.holds[asked.subject] = asked.value
        return True, ""

    @property
    def course(self) -> list[tuple[str, float]]:
        """Set points that were said, each run of the same one once."""
        said = [(x.subject, x.value) for x in self.heard if x.action is Action.OVERRIDE]
        return [one for k, one in enumerate(said) if k == 0 or said[k - 1] != one]


class Desk(NationalMarket):
    """The market's desk; some answers never arrive."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__(folder, lambda: utc_s(clock), "site:secret")
        self.asked = 0
        self.loses = 0
        self.away = False

    def forget(self, clock: ManualClock) -> None:
        """Nothing was activated yet; it goes by this clock from now on."""
        self._utc_s = lambda: utc_s(clock)
        for kept in (self.listed, self.taken, self.settled):
            kept.clear()

    def _handle(self, request: Request) -> Response:
        self.asked += 1
        if self.away:
            return Response(503)
        answer = super()._handle(request)
        if self.loses:
            self.loses -= 1
            return replace(answer, send_frac=0.5)
        return answer


@dataclass
class Place:
    """A desk, and whoever is the station now."""

    desk: Desk
    tender: Tender
    clock: ManualClock
    folder: Path
    site: Site = SITE
    port: Port = field(default_factory=Port)
    claims: Claims = nobody

    @asynccontextmanager
    async def station(self, record: Mapping[str, Any] | None = None) -> AsyncIterator[NationalLink]:
        """One life of it, with a record of now."""
        link = NationalLink(self.site, self.tender, self.clock, self.folder, self.port, self.claims, request_s=5.0)
        await link.open()
        link.take(kit.seller_record() if record is None else record)
        try:
            yield link
        finally:
            await link.aclose()

    def fates(self) -> list[tuple[str, str, int]]:
        """Fate, reason and attempts of every bid."""
        with closing(Memory(self.folder / "national")) as memory:
            bids: list[Offered] = memory._where("id <> ?", "")
        return [(bid.fate, bid.reason, bid.attempts) for bid in bids]


def local_place(folder: Path, desk: Desk | None = None) -> Place:
    """The station has never lived; the desk, a new one unless it is given, is not listening yet."""
    clock = ManualClock(0.0, AT)
    secret, data = folder / "secret", folder / "data"
    secret.write_text("site\nsecret\n", "utf-8")
    data.mkdir()
    desk = desk or Desk(folder / "desk", clock)
    tender = replace(TENDER, url="https://desk/bids", ca_file=str(desk.ca_file), credentials_file=str(secret))
    return Place(desk, tender, clock, data)


@asynccontextmanager
async def place_in(folder: Path) -> AsyncIterator[Place]:
    """The same with a desk that listens."""
    one = local_place(folder)
    await one.desk.open()
    one.tender = replace(one.tender, url=f"https://127.0.0.1:{one.desk.port}/bids")
    try:
        yield one
    finally:
        await one.desk.aclose()
