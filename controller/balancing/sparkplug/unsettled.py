"""Between outbox and link: what a broker has taken at QoS 0 its readers may still lose, so it is not forgotten yet.

The broker's word that it has read a message says nothing about the host behind it. Until that host has been there for
another while without asking for a rebirth, the message stays in the outbox; when the link says that anything went
wrong, all of that is sent again, as historical.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from controller.balancing.outbox import Message
from controller.ports import Clock


class Waiting(Protocol):
    """The outbox from beside its thread, as the keeper gives it."""

    async def newest_id(self) -> int:
        """Id of the newest message ever put in."""
        ...

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        """The oldest of those younger than ``last_id``."""
        ...

    async def up_to(self, last_id: int, bytes_max: int, beyond: Message | None = None) -> list[Message]:
        """The first of those not younger than ``last_id`` that come after ``beyond``."""
        ...

    async def acknowledged(self, ids: Sequence[int]) -> None:
        """Others have these."""
        ...

    async def more(self, timeout_s: float) -> None:
        """Return when something was put in, or after so long (machine seconds)."""
        ...


class Unsettled:
    """The outbox for one drain: a message is given once in a session, and forgotten ``settle_s`` after it was sent."""

    def __init__(self, waiting: Waiting, clock: Clock, settle_s: float) -> None:
        self._waiting = waiting
        self._clock = clock
        self._settle_s = settle_s
        self._sent: deque[tuple[float, list[int]]] = deque()
        self._given: list[Message] = []
        self._live_id = 0
        self._late: Message | None = None
        self._gives_live = True

    async def newest_id(self) -> int:
        """Asked when a session begins: nothing that is not settled by now was received for certain."""
        await self._settle()
        self._sent.clear()
        self._live_id, self._late = 0, None
        return await self._waiting.newest_id()

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        """The oldest of those younger than ``last_id`` that were not sent in this session."""
        await self._settle()
        self._gives_live = True
        self._given = await self._waiting.after(max(last_id, self._live_id), bytes_max)
        return self._given

    async def up_to(self, last_id: int, bytes_max: int) -> list[Message]:
        """The first of those not younger than ``last_id`` that were not sent in this session."""
        self._gives_live = False
        self._given = await self._waiting.up_to(last_id, bytes_max, self._late)
        return self._given

    async def acknowledged(self, ids: Sequence[int]) -> None:
        """The broker has what was given last."""
        if self._gives_live:
            self._live_id = self._given[-1].id
        else:
            self._late = self._given[-1]
        self._sent.append((self._clock.now_s(), list(ids)))
        await self._settle()

    async def more(self, timeout_s: float) -> None:
        """Return when something was put in, or after so long (machine seconds)."""
        await self._waiting.more(timeout_s)

    async def _settle(self) -> None:
        settled: list[int] = []
        while self._sent and self._clock.now_s() - self._sent[0][0] >= self._settle_s:
            settled += self._sent.popleft()[1]
        if settled:
            await self._waiting.acknowledged(settled)
