"""The outbox of a day's history on its way to a platform that comes and goes, on the event loop's virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from day_kit import STEP_S, DayLoop
from virtual_time import LoopClock

from controller.balancing.drain import Drain, DrainPolicy
from controller.balancing.outbox import Message
from controller.history.store import Store

LOOK_S = 5.0
POLICY = DrainPolicy(retry_s=LOOK_S)


class Waiting:
    """The store's outbox as a drain sees it; looked at often enough for a minute's periods."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest_id(self) -> int:
        return self._store.outbox.newest_id()

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        return self._store.outbox.after(last_id, bytes_max)

    async def up_to(self, last_id: int, bytes_max: int) -> list[Message]:
        return self._store.outbox.up_to(last_id, bytes_max)

    async def acknowledged(self, ids: Sequence[int]) -> None:
        self._store.acknowledged(ids)

    async def more(self, timeout_s: float) -> None:
        await asyncio.sleep(min(max(timeout_s, 0.1), LOOK_S))


class Ear:
    """The platform's side: keeps what it has not got yet; when it vanishes, it does so before it has acknowledged."""

    name = "platform"

    def __init__(self, day: DayLoop) -> None:
        self.got: dict[str, Message] = {}
        self.twice: list[str] = []
        self._late: set[str] = set()
        self.turned_away = 0
        self._day = day
        self._owes_answer = False

    async def send(self, messages: Sequence[Message], historical: bool) -> None:
        if self._day.desk.silent(self._day.world.now_s):
            self.turned_away += 1
            if self._owes_answer:
                self._take(messages, historical)
                self._owes_answer = False
            raise ConnectionResetError("gone before it said that it has them")
        self._owes_answer = True
        self._take(messages, historical)

    def arrived(self, historical: bool) -> list[str]:
        """Keys of the samples that came live, or marked as late, in the order of arrival."""
        return [m.key for m in self.got.values() if m.topic == "samples" and (m.key in self._late) == historical]

    def _take(self, messages: Sequence[Message], historical: bool) -> None:
        for message in messages:
            if message.key in self.got:
                self.twice.append(message.key)
            else:
                self.got[message.key] = message
                if historical:
                    self._late.add(message.key)

    def starts(self, topic: str) -> list[int]:
        """Beginnings of the periods that were told under a topic, in the order of arrival."""
        return [json.loads(m.body)["start_utc_s"] for m in self.got.values() if m.topic == topic]

    def events(self, name: str) -> list[str]:
        """Texts of the events of that name, in the order of arrival."""
        told = [event for m in self.got.values() if m.topic == "events" for event in json.loads(m.body)["events"]]
        return [text for _, event, _, text in told if event == name]


async def connected(day: DayLoop, store: Store, ear: Ear, minutes: float) -> None:
    """Play the day for so long beside the drain, then let what still waits be fetched."""
    drain = asyncio.create_task(Drain(Waiting(store), ear, LoopClock(), POLICY).run())
    for _ in range(round(minutes * 60.0 / STEP_S)):
        day.step()
        await asyncio.sleep(STEP_S)
    await asyncio.sleep(60.0)
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
