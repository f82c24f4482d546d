"""From the outbox to whoever is to have it: what is new at once, what piled up while nobody answered in what is left.

When a link comes up, everything that waits by then is the backlog; everything that is put in later is live and goes
first. The backlog may use a share of the link, so that live data stays fresh however much piled up.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from controller.balancing.outbox import Message
from controller.ports import Clock

_log = structlog.get_logger()


class Link(Protocol):
    """A way to somebody who acknowledges."""

    name: str

    async def send(self, messages: Sequence[Message], historical: bool) -> None:
        """Deliver in this order; returns when the other side says that it has them all.

        ``historical`` marks what is late. Raises OSError when it may not have them: they will be sent again.
        """
        ...


class Waiting(Protocol):
    """The outbox as the drain sees it, from beside its thread."""

    async def newest_id(self) -> int:
        """Id of the newest message ever put in."""
        ...

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        """The oldest of those younger than ``last_id``."""
        ...

    async def up_to(self, last_id: int, bytes_max: int) -> list[Message]:
        """The first of those not younger than ``last_id``."""
        ...

    async def acknowledged(self, ids: Sequence[int]) -> None:
        """Others have these. Raises sqlite3.Error when the disk refuses to keep that."""
        ...

    async def more(self, timeout_s: float) -> None:
        """Return when something was put in, or after so long (machine seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """``backlog_bytes_per_s`` is what the backlog may use of the link, ``packet_bytes`` the most that is sent at once.

    A packet of backlog holds live data up by no more than the time that it takes.
    """

    backlog_bytes_per_s: float = 50_000.0
    packet_bytes: int = 20_000
    retry_s: float = 5.0


class Drain:
    """Sends until cancelled; one packet is under way at a time."""

    def __init__(self, waiting: Waiting, link: Link, clock: Clock, policy: DrainPolicy = DrainPolicy()) -> None:
        self._waiting = waiting
        self._link = link
        self._clock = clock
        self._policy = policy
        self._up = False

    async def run(self) -> None:
        """Go on for ever; a link that fails is tried again after a while, and what waits by then is backlog.

        So is a disk that does not keep what was acknowledged: that goes out again when it does.
        """
        while True:
            try:
                await self._serve(await self._waiting.newest_id())
            except (OSError, sqlite3.Error) as error:
                if self._up:
                    of_disk = "the outbox: " if isinstance(error, sqlite3.Error) else ""
                    _log.warning("link.lost", to=self._link.name, reason=f"{of_disk}{error}")
                self._up = False
                await asyncio.sleep(self._clock.real_s(self._policy.retry_s))

    async def _serve(self, boundary_id: int) -> None:
        """One time of the link being up: live is what is younger than ``boundary_id``."""
        budget_bytes, last_s = 0.0, self._clock.now_s()
        rate, packet = self._policy.backlog_bytes_per_s, self._policy.packet_bytes
        while True:
            live = await self._waiting.after(boundary_id, packet)
            if live:
                await self._deliver(live, historical=False)
                continue
            now_s = self._clock.now_s()
            budget_bytes, last_s = min(budget_bytes + rate * (now_s - last_s), float(packet)), now_s
            if budget_bytes < packet:
                await self._waiting.more(self._clock.real_s((packet - budget_bytes) / rate))
                continue
            late = await self._waiting.up_to(boundary_id, packet)
            if late:
                await self._deliver(late, historical=True)
                budget_bytes -= packet
            else:
                await self._waiting.more(self._clock.real_s(self._policy.retry_s))

    async def _deliver(self, messages: Sequence[Message], *, historical: bool) -> None:
        await self._link.send(messages, historical)
        if not self._up:
            _log.info("link.recovered", to=self._link.name)
        self._up = True
        await self._waiting.acknowledged([message.id for message in messages])
