"""The station tells the control process what stored energy is worth, and goes on when it cannot."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import market_kit as made
import pytest
import uftp_kit as kit
from structlog.testing import capture_logs

from controller.balancing.order_port import OrderPort
from controller.balancing.plan_link import PlanLink
from controller.clock import ManualClock
from controller.domain.instruction import Action, Instruction, replayed
from controller.domain.owner import Owner
from controller.domain.planning import planning_for
from controller.domain.site import Site
from controller.history.batch import Batch, Sample
from controller.history.store import Store

SITE = made.site_with("\nplanning: {horizon_h: 4}\n")
PERIOD_S = 300
SLOW_S = 120.0


class Port(OrderPort):
    """The control process as the station sees it; every word takes it ``slow_s``."""

    def __init__(self, clock: ManualClock, slow_s: float = 0.0) -> None:
        super().__init__(Path("/nowhere"))
        self.clock, self.slow_s = clock, slow_s
        self.heard: list[Instruction] = []
        self.refuses = self.silent = False
        self.used = 0

    async def say(self, asked: Instruction) -> tuple[bool, str]:
        if self.silent:
            raise OSError("no such file")
        if asked.counter <= self.used:
            return False, replayed(asked, self.used)
        self.used = asked.counter
        self.heard.append(asked)
        self.clock.advance(self.slow_s)
        return (False, "too often") if self.refuses else (True, "")


def history(folder: Path, until_s: float, site: Site = SITE) -> None:
    """An hour and a half of the same: demand everywhere, wind and sun at half, batteries half full."""
    buses = [
        Sample(f"bus.{b.id}.{q}", 1, w, w, w) for b in site.topology.buses for q, w in (("p_w", 1e6), ("q_var", 0.0))
    ]
    given = [(u.id, 0.0 if u.storage is not None else 0.5 * u.p_rated_w) for u in site.units]
    units = [Sample(f"unit.{name}.{q}", 1, w, w, w) for name, x in given for q, w in (("p_avail_w", x), ("p_w", -x))]
    contents = [Sample(f"unit.{u.id}.soc_frac", 1, 0.5, 0.5, 0.5) for u in site.units if u.storage is not None]
    with closing(Store(folder, site.name)) as store:
        for back in range(18, 0, -1):
            store.append(Batch(int(until_s) - back * PERIOD_S, PERIOD_S, (*buses, *units, *contents)))


def link(folder: Path, slow_s: float = 0.0, site: Site = SITE) -> tuple[PlanLink, Port, ManualClock]:
    clock = ManualClock(0.0, datetime.fromtimestamp(kit.NOON_S, UTC))
    port = Port(clock, slow_s)
    assert site.planning is not None
    return PlanLink(site, site.planning, clock, folder, port), port, clock


async def test_every_storage_s_price_is_said_with_counter_and_end(tmp_path: Path) -> None:
    history(tmp_path, kit.NOON_S)
    ours, port, clock = link(tmp_path)
    assert await ours.plan()
    assert await ours.plan()
    await ours.aclose()
    first, second = port.heard
    assert (first.action, first.subject, first.owner, first.issuer) == (
        Action.WORTH,
        "BAT1",
        Owner.PLAN,
        "plan:station",
    )
    assert first.lasts_s == 2700.0
    assert first.worth is not None
    assert len(first.worth.soc_frac) == 5
    assert second.counter > first.counter
    assert second.id != first.id
    assert clock.now_s() == 0.0


async def test_a_plan_ends_when_it_was_made_for_however_long_it_takes_to_say(tmp_path: Path) -> None:
    """Two storages, two minutes each: the second one's price has two minutes less to hold."""
    twin = replace(next(u for u in SITE.units if u.id == "BAT1"), id="BAT2")
    both = replace(SITE, units=(*SITE.units, twin), planning=planning_for(["BAT1", "BAT2"], 900.0, 14_400.0, 2700.0))
    history(tmp_path, kit.NOON_S, both)
    ours, port, _ = link(tmp_path, SLOW_S, both)
    assert await ours.plan()
    await ours.aclose()
    assert [(said.subject, said.lasts_s) for said in port.heard] == [("BAT1", 2700.0), ("BAT2", 2700.0 - SLOW_S)]


async def test_what_hinders_it_is_told_once_and_that_it_goes_on_too(tmp_path: Path) -> None:
    ours, port, _ = link(tmp_path)
    with capture_logs() as told:
        assert not await ours.plan()
        assert not await ours.plan()
        history(tmp_path, kit.NOON_S)
        port.silent = True
        assert not await ours.plan()
        port.silent, port.refuses = False, True
        assert not await ours.plan()
        port.refuses = False
        assert await ours.plan()
    await ours.aclose()
    assert [entry["event"] for entry in told] == ["plan.stuck", "plan.stuck", "plan.stuck", "plan.unstuck"]
    for entry, word in zip(told, ("no store", "no such file", "too often"), strict=False):
        assert word in entry["reason"]


class Sleeps:
    """Stands in for the event loop's sleep: moves the clock, and ends the task when ``until_s`` has come."""

    def __init__(self, clock: ManualClock, until_s: float) -> None:
        self.clock, self.until_s = clock, until_s

    async def __call__(self, real_s: float) -> None:
        self.clock.advance(real_s)
        if self.clock.now_s() >= self.until_s:
            raise asyncio.CancelledError


async def planned_at(
    ours: PlanLink, clock: ManualClock, until_s: float, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """When it looked ahead up to that second."""
    looked: list[float] = []
    plan = ours.plan

    async def looking() -> bool:
        looked.append(clock.now_s())
        return await plan()

    with monkeypatch.context() as patched:
        patched.setattr(ours, "plan", looking)
        patched.setattr(asyncio, "sleep", Sleeps(clock, until_s))
        with pytest.raises(asyncio.CancelledError):
            await ours.run()
    await ours.aclose()
    return looked


def record(cause: str) -> dict[str, object]:
    return {"units": [{"id": "PVA", "worth_cause": ""}, {"id": "BAT1", "worth_cause": cause}]}


async def test_after_a_plan_it_waits_for_the_period_and_after_a_failure_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, port, clock = link(tmp_path)
    port.silent = True
    history(tmp_path, kit.NOON_S)
    ours.take(record("plan:worth-1"))
    clock.advance(1.0)
    assert await planned_at(ours, clock, 130.0, monkeypatch) == [1.0, 61.0, 121.0]
    ours, _, clock = link(tmp_path)
    ours.take(record("plan:worth-1"))
    assert await planned_at(ours, clock, 910.0, monkeypatch) == [0.0, 900.0]


async def test_a_control_process_that_has_forgotten_its_plan_is_told_again_within_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(tmp_path, kit.NOON_S)
    ours, _, clock = link(tmp_path)
    ours.take(record("rule"))
    assert await planned_at(ours, clock, 70.0, monkeypatch) == [0.0, 30.0, 60.0]


async def test_a_clock_that_was_ahead_in_an_earlier_life_does_not_shut_the_plan_out(tmp_path: Path) -> None:
    """The control process remembers a counter that was made of the year 2036."""
    history(tmp_path, kit.NOON_S)
    ours, port, _ = link(tmp_path)
    port.used = ahead = 2_100_000_000_000_000
    assert await ours.plan()
    assert await ours.plan()
    await ours.aclose()
    assert [said.counter for said in port.heard] == [ahead + 1, ahead + 2]
