"""Activation at the national market → plan → verdict → order to the control process, and the answer back.

The market (its desk over HTTPS) and the control side are in this process and are the judges. Time runs so fast that a
half hour lasts six seconds; in each the market activates another power, once. The clock is everybody's and is not set
meanwhile: an activation that a wrong clock has missed is gone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from controller.balancing.national.activation import PERIOD_S
from controller.balancing.national.link import NationalLink
from controller.balancing.national.memory import ACCEPTED, FOLDER, Memory, Offered
from controller.balancing.order_port import OrderPort
from controller.config.find import find_site
from controller.config.loader import parse_site
from controller.domain.instruction import Action
from controller.domain.national import Tender
from orders.control_side import ControlSide
from orders.mortal import Reaper, Skew, hush, until
from simulators.platform.http_server import Request, Response
from simulators.platform.national import NationalMarket

SPEED = 300.0
LIFE_S = (0.0, 0.8)  # a third of a second of it is for beginning
BEGINS = datetime(2026, 6, 15, 2, 5, tzinfo=UTC)
WINDOW_S = 70.0 * 3600.0
UNIT = "BAT1"
STEP_W = 1e3
LASTS_S = 2.0 * PERIOD_S
SLACK_S = 300.0
"""A second of the machine: so late this process may look."""
SITE = parse_site(
    find_site("demo_primary").read_text("utf-8")
    + f"""
national:
  url: https://127.0.0.1/bids
  at: "01:00"
  gate: "01:15"
  start: "02:00"
  end: "03:00"
  units: [{UNIT}]
  poll_s: 60
  writes_per_day: 86400
""",
    "demo_primary with a national market",
)


@dataclass(frozen=True, slots=True)
class FastClock:
    """The same for every process: real time since ``began_s``, so many times as fast."""

    began_s: float
    speed: float = SPEED

    def now_s(self) -> float:
        """Monotonic site seconds."""
        return time.monotonic() * self.speed

    def utc(self) -> datetime:
        """Time of day of the day that is played."""
        return BEGINS + timedelta(seconds=(time.time() - self.began_s) * self.speed)

    def real_s(self, site_s: float) -> float:
        """Machine seconds."""
        return site_s / self.speed


def record() -> dict[str, Any]:
    """What the control process says of a quiet substation with a battery half full."""
    state = {"status": "free", "p_w": 0.0, "q_var": 0.0, "p_avail_w": 0.0}
    units = [{**state, "id": u.id, "soc_frac": None if u.storage is None else 0.5} for u in SITE.units]
    return {
        "units": units,
        "buses": [{"id": b.id, "p_w": 0.0, "q_var": 0.0} for b in SITE.topology.buses],
        "limits": [],
    }


def station(folder: Path, tender: Tender, clock: FastClock) -> None:
    """The part of ``gridedge station`` that is killed."""
    hush(entirely=True)
    asyncio.run(_live(folder, tender, clock))


async def _live(folder: Path, tender: Tender, clock: FastClock) -> None:
    link = NationalLink(SITE, tender, clock, folder, OrderPort(folder / "orders"))
    await link.open()
    async with asyncio.TaskGroup() as tasks:
        for work in link.tasks().values():
            tasks.create_task(work())
        while True:
            link.take(record())
            await asyncio.sleep(0.02)


def sold(folder: Path, desk: NationalMarket) -> None:
    """A bid of the days to come that was accepted in an earlier life."""
    begins_utc_s = BEGINS.timestamp() // PERIOD_S * PERIOD_S
    bid = {"id": "b1", "from_utc_s": begins_utc_s, "until_utc_s": begins_utc_s + WINDOW_S, "units": [UNIT]}
    bid |= {"up_w": 1e6, "down_w": 1e6, "price_eur_per_mwh": 20.0}
    desk.bids["b1"] = bid
    (folder / FOLDER).mkdir()
    with closing(Memory(folder / FOLDER)) as memory:
        memory.put(Offered("b1", begins_utc_s, begins_utc_s, json.dumps(bid)))
        memory.settle("b1", ACCEPTED, "")


class Desk(NationalMarket):
    """Notes when the site says something else than before about an activation."""

    def __init__(self, folder: Path, clock: FastClock) -> None:
        super().__init__(folder, lambda: clock.utc().timestamp())
        self.repeated = 0
        self.faults: list[str] = []

    def _handle(self, request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        if request.method == "POST" and name in self.taken:
            self.repeated += 1
            if request.json() != self.taken[name]:
                self.faults.append(f"{name} was answered twice, in other words")
        return super()._handle(request)


@dataclass
class Market:
    """Activates another power in every half hour of a bid."""

    desk: Desk
    clock: FastClock
    asked_w: dict[str, float] = field(default_factory=dict)
    begins_s: dict[float, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def watch(self, control: ControlSide) -> None:
        """Until cancelled: is anything in force outside its half hour?"""
        while True:
            now_utc_s, w = self.clock.utc().timestamp(), -(control.in_force or 0.0)
            begins_s = self.begins_s.get(w)
            if w and (begins_s is None or not -SLACK_S <= now_utc_s - begins_s <= LASTS_S + SLACK_S):
                self.faults.append(f"{w:.0f} W is in force at {now_utc_s:.0f} s; its half hour begins at {begins_s}")
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now_utc_s = self.clock.utc().timestamp()
            next_utc_s = (now_utc_s // LASTS_S + 1.0) * LASTS_S
            for bid in self.desk.bids.values():
                if bid["from_utc_s"] <= next_utc_s and next_utc_s + LASTS_S <= bid["until_utc_s"]:
                    w = STEP_W * (len(self.asked_w) + 1)
                    name = self.desk.activate(bid["id"], "up", [(next_utc_s, next_utc_s + LASTS_S, w)])
                    self.asked_w[name], self.begins_s[w] = w, next_utc_s
                    self.desk.listed[bid["id"]] = self.desk.listed[bid["id"]][-4:]
            await asyncio.sleep(self.clock.real_s(next_utc_s + 1.0 - self.clock.utc().timestamp()))

    def taken_w(self, *, taken: bool) -> list[float]:
        """What the site says to have taken, or to have refused."""
        return [w for name, w in self.asked_w.items() if name in self.desk.taken and self._is_taken(name) is taken]

    def _is_taken(self, name: str) -> bool:
        said: Mapping[str, Any] = self.desk.taken[name]
        return said["taken"] is True


async def kill_national(folder: Path, kills: int, seed: int) -> tuple[str, list[str]]:
    """Kill that often; what happened in a line, and what was wrong."""
    clock = FastClock(time.time())
    desk = Desk(folder / "desk", clock)
    await desk.open()
    assert SITE.tender is not None
    tender = replace(SITE.tender, url=f"https://127.0.0.1:{desk.port}/bids", ca_file=str(desk.ca_file))
    control = ControlSide(SITE, folder / "orders", clock, UNIT, action=Action.OVERRIDE)
    sold(folder, desk)
    market, reaper = Market(desk, clock), Reaper(Skew(folder / "skew"), seed)
    tasks = [asyncio.create_task(work) for work in (control.run(), market.run(), market.watch(control))]
    while reaper.deaths.kills < kills:
        await reaper.take(station, (folder, tender, clock), LIFE_S)
    enough = len(market.taken_w(taken=True)) + 2
    last = asyncio.create_task(until(lambda: len(market.taken_w(taken=True)) >= enough))
    await reaper.let_live(station, (folder, tender, clock), last)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await desk.aclose()
    faults = desk.faults + market.faults + reaper.deaths.by_itself + _faults(market, control)
    return _summary(market, control, reaper), faults + ([] if await last else ["it did not go on after the last kill"])


def _faults(market: Market, control: ControlSide) -> list[str]:
    """What the control side has seen and should not have; the last two may not have begun.

    A lease that ends a moment before its half hour and is renewed once more is in force once.
    """
    course = [-w for w, _ in groupby(w for w in control.course if w is not None and w != 0.0)]
    found = [f"{w:.0f} W was in force twice" for w in sorted({w for w in course if course.count(w) > 1})]
    found += [f"{w:.0f} W was refused and came into force" for w in market.taken_w(taken=False) if w in course]
    found += [f"{b:.0f} W came after {a:.0f} W: out of order" for a, b in pairwise(course) if b < a]
    lost = [w for w in market.taken_w(taken=True)[:-2] if w not in course]
    return found + [f"{w:.0f} W was taken and never in force" for w in lost]


def _summary(market: Market, control: ControlSide, reaper: Reaper) -> str:
    deaths, desk = reaper.deaths, market.desk
    unanswered = len(market.asked_w) - len(desk.taken)
    return (
        f"National market: {deaths.kills} kills ({deaths.full} with a full disk): "
        f"{len(market.taken_w(taken=True))} activations taken and in force, {len(market.taken_w(taken=False))} refused "
        f"and never in force, {unanswered} not heard in time; {desk.repeated} answers said twice in the same "
        f"words; the control side accepted {control.accepted} instructions and refused {control.refused or 'none'}"
    )
