"""Storage look-ahead in the station process: what stored energy will be worth, told to the control process for a while.

One instruction per storage, each with counter and end. What is not said runs out there into the fast loop's own rule.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from controller.balancing.lookout import Blind, Lookout
from controller.balancing.order_port import OrderPort
from controller.clock import utc_s
from controller.control.storage import RULE
from controller.domain.instruction import Action, Instruction, last_counter
from controller.domain.owner import Owner
from controller.domain.plan import StoredEnergyPrice
from controller.domain.planning import Planning
from controller.domain.site import Site
from controller.grid.model import PowerFlowError
from controller.planning.storage_ahead import planned_site
from controller.ports import Clock
from controller.runtime.supervisor import Work

_log = structlog.get_logger()

RETRY_S = 60.0
"""Site seconds until the next look when one came to nothing."""
LOOK_S = 30.0
"""Period of looking whether the control process still has what it was told."""
LEFT_S_MIN = 1.0
"""A plan that would end sooner is not said any more."""


def worth_of(
    price: StoredEnergyPrice, planning: Planning, counter: int, now_utc_s: float, lasts_s: float
) -> Instruction:
    """The price of one storage as the desk of the look-ahead says it."""
    return Instruction(
        id=f"worth-{counter}",
        issuer=planning.desk.account,
        counter=counter,
        issued_utc_s=now_utc_s,
        lasts_s=lasts_s,
        action=Action.WORTH,
        subject=price.unit,
        reason="look-ahead",
        owner=Owner.PLAN,
        worth=price,
    )


class PlanLink:
    """One site's storages."""

    def __init__(self, site: Site, planning: Planning, clock: Clock, data: Path, port: OrderPort) -> None:
        self._planning, self._clock, self._port = planning, clock, port
        self._lookout = Lookout(planned_site(site), data, site.timezone, planning.horizon_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="plan")
        self._counter = 0
        self._trouble = ""
        self._forgotten = False

    def tasks(self) -> dict[str, Work]:
        """What has to run, by name."""
        return {"plan": self.run}

    def take(self, record: Mapping[str, Any]) -> None:
        """A record of the control process: one that began anew has forgotten what it was told."""
        causes = {unit["id"]: unit.get("worth_cause") for unit in record.get("units", ())}
        self._forgotten = any(causes.get(unit) == RULE for unit in self._planning.desk.subjects)

    async def run(self) -> None:
        """Plan by the period until cancelled; sooner after a look that came to nothing, or was forgotten."""
        while True:
            told = await self.plan()
            await self._wait(self._planning.plan_s if told else min(RETRY_S, self._planning.plan_s))

    async def _wait(self, wait_s: float) -> None:
        ends_s = self._clock.now_s() + wait_s
        while (left_s := ends_s - self._clock.now_s()) > 0.0:
            await asyncio.sleep(self._clock.real_s(min(LOOK_S, left_s)))
            if self._forgotten and not self._trouble:
                return

    async def aclose(self) -> None:
        """Let go of the thread; what was said ends by itself."""
        await asyncio.to_thread(self._thread.shutdown)

    async def plan(self) -> bool:
        """One look, and what it says to the control process; whether all of it was taken."""
        began_s, now_utc_s = self._clock.now_s(), utc_s(self._clock)
        if not math.isfinite(now_utc_s):
            return self._tell("nobody knows the time of day")
        loop = asyncio.get_running_loop()
        try:
            prices = await loop.run_in_executor(self._thread, self._lookout.prices, now_utc_s)
            if not prices:
                return self._tell("no storage whose content is known, or no optimum was found in time")
            refused = [text for price in prices if (text := await self._say(price, began_s))]
        except (Blind, PowerFlowError, sqlite3.Error, OSError, ValueError) as error:
            return self._tell(f"{type(error).__name__}: {error}")
        return self._tell("; ".join(refused))

    async def _say(self, price: StoredEnergyPrice, began_s: float) -> str:
        """Why the control process did not take it; empty when it did. Raises OSError when it does not answer."""
        lasts_s = began_s + self._planning.lasts_s - self._clock.now_s()
        if lasts_s <= LEFT_S_MIN:
            return f"{price.unit}: the plan was too late"
        accepted, text = await self._port.say(self._said(price, lasts_s))
        if not accepted and (used := last_counter(text)) is not None:  # in an earlier life the clock was ahead
            self._counter = max(self._counter, used)
            accepted, text = await self._port.say(self._said(price, lasts_s))
        return "" if accepted else f"{price.unit}: {text}"

    def _said(self, price: StoredEnergyPrice, lasts_s: float) -> Instruction:
        """Under the next counter, issued now: both processes are on one machine, their clocks need not agree."""
        self._counter = max(self._counter + 1, int(utc_s(self._clock) * 1e6))
        return worth_of(price, self._planning, self._counter, utc_s(self._clock), lasts_s)

    def _tell(self, trouble: str) -> bool:
        """To the log, when it is something new; True without a trouble."""
        if trouble and trouble != self._trouble:
            _log.warning("plan.stuck", reason=trouble)
        elif self._trouble and not trouble:
            _log.info("plan.unstuck")
        self._trouble = trouble
        return not trouble
