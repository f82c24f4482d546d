"""After a month without a link the platform gets everything, once, in order, and what is new without delay."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from structlog.testing import capture_logs
from virtual_time import LoopClock, in_virtual_time

from controller.balancing.drain import Drain, DrainPolicy
from controller.balancing.outbox import Message, Outbox

LINK_BYTES_PER_S = 100_000.0
POLICY = DrainPolicy(backlog_bytes_per_s=20_000.0, packet_bytes=10_000, retry_s=5.0)


class Box:
    """An outbox without a thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.outbox = Outbox(db)
        self._put = asyncio.Event()
        self.put_at_s: dict[str, float] = {}
        self.most_bytes = 0

    def put(self, number: int, size: int = 200) -> None:
        """Sample ``number``, now."""
        text = "".join(chr(32 + (number * 7919 + k * k * 31) % 90) for k in range(size))
        self.outbox.put(f"samples/{number}", "samples", text.encode(), 0.0)
        self.put_at_s[f"samples/{number}"] = asyncio.get_running_loop().time()
        self.most_bytes = max(self.most_bytes, self.outbox.used_bytes())
        self._put.set()

    async def newest_id(self) -> int:
        return self.outbox.newest_id()

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        return self.outbox.after(last_id, bytes_max)

    async def up_to(self, last_id: int, bytes_max: int) -> list[Message]:
        return self.outbox.up_to(last_id, bytes_max)

    async def acknowledged(self, ids: Sequence[int]) -> None:
        self.outbox.acknowledged(ids)

    async def more(self, timeout_s: float) -> None:
        self._put.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._put.wait()
        except TimeoutError:
            return


class Platform:
    """Takes messages at the speed of the link, keeps each once, and may be down or forget to acknowledge."""

    def __init__(self) -> None:
        self.name = "platform"
        self.down = False
        self.forgets = 0
        self.live: list[str] = []
        self.late: list[str] = []
        self.twice = 0
        self.got_at_s: dict[str, float] = {}

    async def send(self, messages: Sequence[Message], historical: bool) -> None:
        if self.down:
            await asyncio.sleep(1.0)
            raise ConnectionRefusedError("nobody answers")
        await asyncio.sleep(0.05 + sum(len(m.body) for m in messages) / LINK_BYTES_PER_S)
        for message in messages:
            if message.key in self.got_at_s:
                self.twice += 1
                continue
            (self.late if historical else self.live).append(message.key)
            self.got_at_s[message.key] = asyncio.get_running_loop().time()
        if self.forgets:
            self.forgets -= 1
            raise ConnectionResetError("gone before it said that it has them")


def numbers(keys: list[str]) -> list[int]:
    return [int(key.split("/")[1]) for key in keys]


async def month(box: Box, platform: Platform, waiting: int, live: int) -> None:
    """``waiting`` messages have piled up; then one comes every second while they are drained."""
    for k in range(waiting):
        box.put(k)
    drain = asyncio.create_task(Drain(box, platform, LoopClock(), POLICY).run())
    for k in range(live):
        await asyncio.sleep(1.0)
        box.put(waiting + k)
    for _ in range(10_000):
        if not box.outbox.count():
            break
        await asyncio.sleep(1.0)
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)


@pytest.fixture
def box() -> Iterator[Box]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield Box(db)


def test_live_data_is_fresh_while_a_month_is_drained(box: Box) -> None:
    platform = Platform()
    in_virtual_time(month(box, platform, 2000, 60))
    assert numbers(platform.late) == list(range(2000))
    assert numbers(platform.live) == list(range(2000, 2060))
    delays_s = [platform.got_at_s[key] - box.put_at_s[key] for key in platform.live]
    assert max(delays_s) < 2.0
    assert platform.twice == 0


def test_the_backlog_uses_its_share_of_the_link_and_no_more(box: Box) -> None:
    platform = Platform()
    in_virtual_time(month(box, platform, 2000, 0))
    first_s, last_s = (platform.got_at_s[platform.late[k]] for k in (0, -1))
    assert box.most_bytes / (last_s - first_s) == pytest.approx(POLICY.backlog_bytes_per_s, rel=0.1)
    assert box.outbox.count() == 0


def test_a_lost_acknowledgement_brings_messages_twice_and_the_platform_has_each_once(box: Box) -> None:
    platform = Platform()
    platform.forgets = 3
    in_virtual_time(month(box, platform, 300, 20))
    assert platform.twice > 0
    assert sorted(numbers(platform.live + platform.late)) == list(range(320))
    assert numbers(platform.late) == sorted(numbers(platform.late))


def test_what_comes_while_the_link_is_down_is_backlog_when_it_is_back(box: Box) -> None:
    platform = Platform()

    async def course() -> None:
        platform.down = True
        drain = asyncio.create_task(Drain(box, platform, LoopClock(), POLICY).run())
        for k in range(30):
            await asyncio.sleep(1.0)
            box.put(k)
        platform.down = False
        await asyncio.sleep(30.0)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)

    in_virtual_time(course())
    assert sorted(numbers(platform.live + platform.late)) == list(range(30))
    assert numbers(platform.late)[:20] == list(range(20))


def test_an_empty_outbox_costs_a_look_now_and_then(box: Box) -> None:
    async def course() -> None:
        drain = asyncio.create_task(Drain(box, Platform(), LoopClock(), POLICY).run())
        await asyncio.sleep(3600.0)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)

    in_virtual_time(course())
    assert box.outbox.newest_id() == 0


def test_an_acknowledgement_that_the_disk_does_not_keep_ends_nothing_and_brings_the_message_again(box: Box) -> None:
    """The keeper tells of the disk; the platform can tell by the key what it has already."""
    platform, refusals = Platform(), [sqlite3.OperationalError("database or disk is full")] * 3
    keeps = box.acknowledged

    async def acknowledged(ids: Sequence[int]) -> None:
        if refusals:
            raise refusals.pop()
        await keeps(ids)

    box.acknowledged = acknowledged  # type: ignore[method-assign]
    with capture_logs() as logs:
        in_virtual_time(month(box, platform, 5, 5))
    assert sorted(numbers(platform.late + platform.live)) == list(range(10))
    assert platform.twice >= 3
    assert box.outbox.count() == 0
    assert [log["event"] for log in logs] == ["link.recovered", "link.lost"] * 3 + ["link.recovered"]
    assert logs[1]["reason"] == "the outbox: database or disk is full"
