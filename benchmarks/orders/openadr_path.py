"""OpenADR event → admission → record → order to the control process, and the answer back to the platform.

The platform (the VTN stand-in over HTTPS) and the control side are in this process and are the judges; the station's
own record is not asked. The platform gives an order, waits until it was told ACCEPTED and the control side has it in
force, then changes it, withdraws it, or gives the next one.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from controller.balancing.openadr.times import instant_text
from controller.balancing.openadr_link import OpenAdrLink
from controller.balancing.order_port import OrderPort
from controller.config.loader import parse_site
from controller.domain.site import Site
from orders.control_side import ControlSide
from orders.mortal import Reaper, Skew, SkewedClock, hush, until
from simulators.platform.stand_in import StandIn

SPEED = 50.0
"""The station polls and repeats itself that much faster than in the field."""
_DEMO = Path(__file__).resolve().parents[2] / "site_configs" / "demo_primary.yaml"
_PLATFORM = """
platform:
  kind: openadr3
  url: {url}
  credentials: {folder}/platform/credentials
  ca_file: {folder}/platform/ca.pem
  poll_s: 1
  contract: {{export_kw: 15000}}
  issuers:
    - {{id: dso, program: "Flexible connection", service: flexibility, subjects: [export],
       commands_per_h: 3600, writes_per_day: 86400}}
"""
_FIRST_KW, _MOST_KW = 1000, 14_000


def site_of(url: str, folder: Path) -> Site:
    """The demo substation with this platform."""
    text = _DEMO.read_text(encoding="utf-8").replace("platform: {kind: none}", _PLATFORM.format(url=url, folder=folder))
    return parse_site(text.replace("\nlimits:\n", "\nlimits:\n  export_kw: 20000\n"), "with a platform")


def station(folder: Path, url: str) -> None:
    """The part of ``gridedge station`` that is killed."""
    hush(entirely=True)
    asyncio.run(_live(folder, url))


async def _live(folder: Path, url: str) -> None:
    site = site_of(url, folder)
    if site.platform is None:
        raise ValueError("the site has no platform; expected one")
    clock = SkewedClock(Skew(folder / "skew"), SPEED)
    link = OpenAdrLink(site, site.platform, clock, folder, OrderPort(folder / "orders"))
    await link.open()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(link.run_link())
        tasks.create_task(link.run_orders())


@dataclass
class Platform:
    """Gives orders one after the other and notes what does not come of them."""

    stand_in: StandIn
    control: ControlSide
    draw: random.Random
    accepted_w: list[float] = field(default_factory=list)
    refused_w: list[float] = field(default_factory=list)
    withdrawn: int = 0
    faults: list[str] = field(default_factory=list)
    done: bool = False

    async def run(self) -> None:
        """Until ``done``; ends after the order at hand."""
        program = self.stand_in.programme("Flexible connection")
        event: dict[str, Any] | None = None
        versions, kw = 0, _FIRST_KW
        while not self.done:
            kw = kw + 1 if kw < _MOST_KW else _FIRST_KW
            if event is None:
                event, versions = self.stand_in.post(program, "EXPORT_CAPACITY_LIMIT", [kw], **_soon()), 1
            else:
                payload = {"type": "EXPORT_CAPACITY_LIMIT", "values": [kw]}
                changes = {"intervals": [{"id": 0, "payloads": [payload]}]}
                self.stand_in.vtn.change("events", event["id"], **changes)
                versions += 1
            taken = await self._taken(event["id"], versions, kw * 1e3)
            if not taken or self.draw.random() < 0.5:
                event = await self._withdrawn(event["id"])

    async def _taken(self, event_id: str, versions: int, w: float) -> bool:
        """Whether this version was accepted; if so, the control side gets it."""
        if not await until(lambda: len(self._answers(event_id)) >= versions):
            self.faults.append(f"no answer about {w:.0f} W ({event_id}, version {versions})")
            return False
        values = self._answers(event_id)[versions - 1]
        if values[0] != "ACCEPTED":
            self.refused_w.append(w)
            return False
        self.accepted_w.append(w)
        if not await until(lambda: self.control.in_force == w):
            self.faults.append(f"lost: {w:.0f} W was acknowledged and never in force")
        return True

    async def _withdrawn(self, event_id: str) -> None:
        del self.stand_in.vtn.objects["events"][event_id]
        self.withdrawn += 1
        if not await until(lambda: self.control.in_force is None):
            self.faults.append(f"{event_id} was withdrawn and is still in force: {self.control.in_force} W")

    def _answers(self, event_id: str) -> list[list[str]]:
        """What was said about each version; a report that came twice has the same name and counts once."""
        found: dict[str, list[str]] = {}
        for report in self.stand_in.vtn.objects["reports"].values():
            if report["eventID"] == event_id:
                found.setdefault(report["reportName"], report["resources"][0]["intervals"][0]["payloads"][0]["values"])
        return list(found.values())

    def repeated(self) -> int:
        """Reports that came once more and were told by their name."""
        reports = [(r["eventID"], r["reportName"]) for r in self.stand_in.vtn.objects["reports"].values()]
        return len(reports) - len(set(reports))


def _soon() -> dict[str, Any]:
    start = instant_text((datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    return {"intervalPeriod": {"start": start, "duration": "PT3H"}}


async def kill_openadr(folder: Path, kills: int, seed: int) -> tuple[str, list[str]]:
    """Kill that often; what happened in a line, and what was wrong."""
    stand_in, skew = StandIn(folder / "platform"), Skew(folder / "skew")
    await stand_in.open()
    reaper = Reaper(skew, seed)
    control = ControlSide(site_of(stand_in.url, folder), folder / "orders", SkewedClock(skew), "export")
    platform = Platform(stand_in, control, random.Random(seed + 1))
    controlling = asyncio.create_task(control.run())
    script = asyncio.create_task(platform.run())
    life = (folder, stand_in.url)
    while reaper.deaths.kills < kills and not script.done():
        await reaper.take(station, life)
    platform.done = True
    await reaper.let_live(station, life, script)
    await script
    controlling.cancel()
    await asyncio.gather(controlling, return_exceptions=True)
    await stand_in.aclose()
    return _summary(platform, reaper), platform.faults + reaper.deaths.by_itself + _faults(platform)


def _faults(platform: Platform) -> list[str]:
    """What the control side has seen and should not have."""
    course = [w for w in platform.control.course if w is not None]
    found = [f"{w:.0f} W was in force twice" for w in sorted({w for w in course if course.count(w) > 1})]
    found += [f"{w:.0f} W was refused and came into force" for w in platform.refused_w if w in course]
    found += [f"{b:.0f} W came after {a:.0f} W: out of order" for a, b in pairwise(course) if b < a]
    lost = [w for w in platform.accepted_w if w not in course]
    return found + [f"{w:.0f} W was acknowledged and never in force" for w in lost]


def _summary(platform: Platform, reaper: Reaper) -> str:
    deaths, control = reaper.deaths, platform.control
    return (
        f"OpenADR: {deaths.kills} kills ({deaths.wrong} lives with a wrong clock, {deaths.stepped} with a clock step, "
        f"{deaths.full} with a full disk): {len(platform.accepted_w)} orders acknowledged and in force, "
        f"{len(platform.refused_w)} refused and never in force, {platform.withdrawn} withdrawn; "
        f"{platform.repeated()} answers said twice and told by their name; the control side accepted "
        f"{control.accepted} instructions and refused {control.refused or 'none'}"
    )
