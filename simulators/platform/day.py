"""The other side of a day: the platform, the market's participants and the transmission operator, as one process.

``python -m simulators.platform.day SITE FOLDER SEED SPEED START_S BEGAN_UTC STATUS_SOCKET TIME_PAGE TRADES`` writes the
site file that the station and the controller need to FOLDER, says so on standard output, and then plays the scenario of
the site by the simulator's time. Everything it hears and does goes to standard output, a line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from controller.clock import SystemClock
from controller.config.loader import load_site
from controller.shared_time import BEAT_S, Follower, FollowingTime, WorkPool
from simulators.demo.feed import connect
from simulators.demo.past_weather import foreteller_of
from simulators.market.model import Market, Offer
from simulators.ordinary_day import ordinary_day
from simulators.platform.baseline import plan_of
from simulators.platform.dealer import Dealer, Ordered
from simulators.platform.national_desk import NationalDesk
from simulators.platform.operator_desk import OperatorDesk
from simulators.platform.overheard import told
from simulators.platform.reference_operator import ReferenceOperator
from simulators.platform.stand_in import StandIn
from simulators.platform.trading_site import Parties, parties, write_site
from simulators.platform.weather_desk import WeatherDesk
from simulators.scenario import Scenario, load_scenario
from simulators.status import encode
from simulators.weather_of_days import place_of

LOOK_S = 0.1
OTHER_SEED = 1_000_003
"""Participants know the weather map, not the gusts and clouds that will come."""

T = TypeVar("T")
Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Task:
    """The command line."""

    site: Path
    folder: Path
    seed: int
    speed: float
    start_s: float
    began_utc: datetime
    status: Path
    page: Path
    trades: bool

    @staticmethod
    def of(arguments: Sequence[str]) -> Task:
        """From strings."""
        site, folder, seed, speed, start_s, began, status, page, trades = arguments
        begins = datetime.fromisoformat(began).astimezone(UTC)
        numbers = (int(seed), float(speed), float(start_s))
        return Task(Path(site), Path(folder), *numbers, begins, Path(status), Path(page), trades == "trades")


class SiteClock:
    """The plant's time, as it is handed out to everybody; it has not begun before the simulator has."""

    def __init__(self, speed: float, began_utc: datetime) -> None:
        self._speed, self._began = speed, began_utc
        self._clock: SystemClock | None = None
        self._shared: FollowingTime | None = None

    def begin(self, page: Path) -> None:
        """The simulator hands out time on that page. Raises OSError or ValueError when it does not."""
        self._shared = FollowingTime(page, Follower.PLATFORM)
        self._clock = SystemClock(self._speed, self._began, self._shared)

    def now_s(self) -> float:
        """Seconds since the beginning of the day that is played."""
        return 0.0 if self._clock is None else self._clock.now_s()

    def work(self) -> Callable[[], None]:
        """Somebody begins to think of an answer, for which time waits; what ends it. From any thread."""
        return (lambda: None) if self._shared is None else self._shared.work()

    def utc(self) -> datetime:
        """Time of day."""
        return self._began if self._clock is None else self._clock.utc()


class PlayedDay:
    """Everybody who is not the site. ``say`` gets every line; from any thread."""

    def __init__(self, task: Task, say: Say) -> None:
        self._task, self._say = task, say
        site = load_site(task.site)
        self._scenario: Scenario = load_scenario(task.site.stem).starting_at(task.start_s)
        self.market: Market = self._scenario.market
        self.clock = SiteClock(task.speed, task.began_utc)
        self.stand_in = StandIn(task.folder, utc=self.clock.utc)
        self.parties: Parties = parties(self.market)
        self._offset_s = self.market.at(task.start_s)
        self._joined: set[str] = set()
        self._out = False
        self._pulled_until_s = -math.inf
        self._truth: dict[str, Any] = {}
        self._zone = site.timezone
        self._site = site
        self._expected = ordinary_day(site, self._scenario, task.seed + OTHER_SEED)
        self.operator = ReferenceOperator(
            self.parties.operator.domain, self.parties.operator.secret, dso_key=self.parties.dso.public,
            dso_endpoint=self.parties.dso.endpoint, port=self.parties.operator.port, utc=self.clock.utc,
            active=self._active,
        )  # fmt: skip
        self.dealers = {name: self._dealer(name) for name in self.parties.dealers} if task.trades else {}
        sale = self.market.sale if task.trades else None
        national = task.folder / "national"
        self.national = None if sale is None else NationalDesk(national, sale, self.clock.utc, self.tell)
        place = place_of(self._scenario, site.timezone, task.began_utc)
        sky = foreteller_of(self._scenario, task.seed, site.timezone, task.began_utc)
        self.weather = WeatherDesk(task.folder / "weather", sky, lambda: self.clock.utc().timestamp(), place)
        self.desk = OperatorDesk(self.stand_in, self.market, site.timezone, self.clock.utc, self.tell)

    def _everybody(self) -> list[Dealer | ReferenceOperator]:
        """All on the market but us."""
        return [self.operator, *self.dealers.values()]

    def tell(self, name: str, text: str, **facts: Any) -> None:
        """One thing that happened, for the journal (``text``) and for the report."""
        self._say({"t_s": round(self.clock.now_s(), 1), "name": name, "text": text, **facts})

    async def run(self) -> None:
        """Until cancelled."""
        await self.stand_in.open()
        await self.weather.open()
        if self.national is not None:
            await self.national.open()
        for party in self._everybody():
            party.inbound_executor = WorkPool(party.num_inbound_threads, self.clock.work)
            await asyncio.to_thread(party.run_in_thread)
        keys = {
            "url": self.stand_in.url,
            "credentials": str(self.stand_in.credentials_file),
            "ca_file": str(self.stand_in.authority.ca_file),
        }
        sold = None if self.national is None else self.national.keys()
        told = self.weather.keys()
        path = write_site(self._task.site, self._site, self.market, self.parties, keys, sold, self._task.folder, told)
        self._say({"name": "ready", "site": str(path)})
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._obey())
                group.create_task(self._play())
                group.create_task(self._beat())
        finally:
            await self.stand_in.aclose()
            await self.weather.aclose()
            if self.national is not None:
                await self.national.aclose()
            for party in self._everybody():
                await asyncio.to_thread(party.stop)

    async def _follow(self) -> None:
        """The plant's clock, and the meter of the transmission operator at the boundary."""
        feed = await connect(self._task.status, lambda: True)
        if feed is not None:
            self.clock.begin(self._task.page)
            await feed.pump(self._hear)
            feed.close()

    async def _obey(self) -> None:
        """Lines on standard input: ``{"out_until_s": S}``, how long somebody wants us away, seconds of the day."""
        reader = asyncio.StreamReader()
        make = partial(asyncio.StreamReaderProtocol, reader)
        await asyncio.get_running_loop().connect_read_pipe(make, sys.stdin)
        while line := await reader.readline():
            self._pulled_until_s = float(json.loads(line)["out_until_s"])

    def _hear(self, line: dict[str, Any]) -> None:
        if "t_s" in line:
            self._truth = line.get("truth") or self._truth
            self.desk.meter(self._now_s(), float(self._truth.get("interface_q_var") or 0.0))

    def _now_s(self) -> float:
        """Seconds since the market opened."""
        return self._offset_s + self.clock.now_s()

    async def _play(self) -> None:
        while True:
            now_s = self._now_s()
            out = any(self.market.at(a) < now_s < self.market.until(b) for a, b in self.market.outages)
            out = out or self.clock.now_s() < self._pulled_until_s
            if out != self._out:
                await self._change(out)
            if not out:
                self._tell_joined(now_s)
                self.desk.look(now_s, self._task.trades)
                if self.national is not None:
                    self.national.look()
            await asyncio.sleep(LOOK_S)

    async def _beat(self) -> None:
        """Look at the clock: nobody is to think that we have no processor."""
        while True:
            self.clock.now_s()
            await asyncio.sleep(BEAT_S)

    async def _change(self, out: bool) -> None:
        """Everybody of the other side vanishes, or is back."""
        self._out = out
        everybody = self._everybody()
        if out:
            await self.stand_in.aclose()
            await self.weather.aclose()
            for party in everybody:
                await asyncio.to_thread(party.stop)
        else:
            await self.stand_in.open()
            await self.weather.open()
            for party in everybody:
                await asyncio.to_thread(_listen_again, party)
        words = "vanishes; what is accepted goes on until it expires, then the contract" if out else "is back"
        self.tell("market.outage", f"the platform {words}")

    def _here(self, offer: Offer, now_s: float) -> bool:
        return offer.joins is None or self.market.at(offer.joins) <= now_s

    def _active(self) -> list[str]:
        """Domains of those who take part now."""
        now_s = self._now_s()
        there = [name for name in self.dealers if any(self._here(o, now_s) for o in self._offers_of(name))]
        return [self.parties.dealers[name].domain for name in there]

    def _tell_joined(self, now_s: float) -> None:
        for name in self.dealers:
            late = [offer for offer in self._offers_of(name) if offer.joins is not None]
            if late and name not in self._joined and all(self._here(offer, now_s) for offer in late):
                self._joined.add(name)
                self.tell("market.joined", f"{name} joins, with {late[0].asset}", participant=name)

    def _offers_of(self, name: str) -> list[Offer]:
        return [offer for offer in self.market.offers if offer.participant == name]

    def _dealer(self, name: str) -> Dealer:
        party, offers, overheard = self.parties.dealers[name], self._offers_of(name), self._soon(self._overheard)
        return Dealer(
            party.domain, party.secret, offers, dso_key=self.parties.dso.public,
            dso_endpoint=self.parties.dso.endpoint, port=party.port, utc=self.clock.utc,
            baseline_w=plan_of(self._site, offers, self._expected), took=self._soon(self._took),
            refused=self._soon(self._turned_down), here=lambda offer: self._here(offer, self._now_s()),
            overheard=lambda way, message: overheard((name, way, message)),
        )  # fmt: skip

    def _soon(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """The same in the loop's thread: participants have threads of their own."""
        loop = asyncio.get_running_loop()

        def later(what: T) -> None:
            loop.call_soon_threadsafe(act, what)

        return later

    def _took(self, ordered: Ordered) -> None:
        """A FlexOrder has arrived, and its participant has taken it."""
        most_w = max(ordered.power_w.values())
        span = sorted(ordered.power_w)
        self.tell(
            "market.ordered",
            f"{ordered.offer.participant} has an order (UFTP): {most_w / 1e6:.2f} MW, "
            f"{self._clock(span[0])}–{self._clock(span[-1] + 900.0)}, {ordered.price_eur:.0f} EUR",
            offer=ordered.offer.id,
            participant=ordered.offer.participant,
            unit=ordered.offer.asset,
            power_w={str(round(k)): round(w) for k, w in ordered.power_w.items()},
            price_eur=ordered.price_eur,
        )
        if ordered.first:
            self.desk.follow_up(ordered.offer, self.clock.utc())

    def _overheard(self, said: tuple[str, str, Any]) -> None:
        """A message that a participant has heard or said."""
        party, way, message = said
        self.tell("uftp.message", "", party=party, way=way, **told(message))

    def _turned_down(self, text: str) -> None:
        self.tell("market.refused", text)

    def _clock(self, utc_s: float) -> str:
        began = self._task.began_utc.timestamp()
        seconds = (self._task.start_s + utc_s - began) % 86_400.0
        return f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}"


def main(arguments: list[str]) -> None:
    """Until SIGINT or SIGTERM."""

    lines = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no line of ours

    def say(line: dict[str, Any]) -> None:
        lines.write(encode(line))
        lines.flush()

    async def run() -> None:
        loop, day = asyncio.get_running_loop(), PlayedDay(Task.of(arguments), say)
        playing = asyncio.ensure_future(day.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, playing.cancel)
        await asyncio.wait((playing,))
        if not playing.cancelled():
            playing.result()

    asyncio.run(run())


def _listen_again(party: Dealer | ReferenceOperator) -> None:
    """At the same port; what was promised stays. A server of that library listens once only."""
    party.server = uvicorn.Server(party.server.config)
    party.run_in_thread()


if __name__ == "__main__":
    main(sys.argv[1:])
