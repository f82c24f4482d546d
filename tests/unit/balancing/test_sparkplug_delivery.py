"""What QoS 0 may lose behind the broker is sent again; the number of the session survives; nothing waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sparkplug_kit import SITE
from virtual_time import LoopClock, in_virtual_time

from controller.balancing.drain import Drain, DrainPolicy
from controller.balancing.mqtt.link_lost import LinkLost
from controller.balancing.outbox import Message, Outbox
from controller.balancing.sparkplug.session_number import FILE, next_number
from controller.balancing.sparkplug.telemetry import Telemetry
from controller.balancing.sparkplug.unsettled import Unsettled
from controller.clock import ManualClock
from controller.domain.telemetry import Broker, Sparkplug

SETTLE_S = 30.0
POLICY = DrainPolicy(backlog_bytes_per_s=2_000.0, packet_bytes=400, retry_s=5.0)


class Box:
    """An outbox without a thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.outbox = Outbox(db)
        self.put_so_far = 0

    def put(self, topic: str = "samples") -> str:
        self.put_so_far += 1
        key = f"{topic}/{self.put_so_far}"
        self.outbox.put(key, topic, b"x", 60.0 * self.put_so_far)
        return key

    async def newest_id(self) -> int:
        return self.outbox.newest_id()

    async def after(self, last_id: int, bytes_max: int) -> list[Message]:
        return self.outbox.after(last_id, bytes_max)

    async def up_to(self, last_id: int, bytes_max: int, beyond: Message | None = None) -> list[Message]:
        return self.outbox.up_to(last_id, bytes_max, beyond)

    async def acknowledged(self, ids: Sequence[int]) -> None:
        self.outbox.acknowledged(ids)

    async def more(self, timeout_s: float) -> None:
        await asyncio.sleep(min(max(timeout_s, 0.01), 1.0))


@contextmanager
def a_box() -> Iterator[Box]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield Box(db)


@pytest.fixture
def box() -> Iterator[Box]:
    with a_box() as made:
        yield made


async def keys(waiting: Unsettled, boundary_id: int) -> list[str]:
    """What a drain would send now, and does."""
    live = await waiting.after(boundary_id, 1 << 20)
    if live:
        await waiting.acknowledged([m.id for m in live])
    late = await waiting.up_to(boundary_id, 1 << 20)
    if late:
        await waiting.acknowledged([m.id for m in late])
    return [m.key for m in live + late]


async def test_a_message_is_given_once_and_kept_until_it_is_settled(box: Box) -> None:
    clock = ManualClock()
    waiting = Unsettled(box, clock, SETTLE_S)
    late = [box.put(), box.put("events")]
    boundary = await waiting.newest_id()
    live = box.put()
    assert await keys(waiting, boundary) == [live, late[1], late[0]]
    assert await keys(waiting, boundary) == []
    assert box.outbox.count() == 3
    clock.advance(SETTLE_S)
    assert await keys(waiting, boundary) == []
    assert box.outbox.count() == 0


async def test_a_new_session_gives_again_what_was_not_settled(box: Box) -> None:
    clock = ManualClock()
    waiting = Unsettled(box, clock, SETTLE_S)
    boundary = await waiting.newest_id()
    old = box.put()
    assert await keys(waiting, boundary) == [old]
    clock.advance(SETTLE_S - 1.0)
    young = box.put()
    assert await keys(waiting, boundary) == [young]
    clock.advance(1.0)
    boundary = await waiting.newest_id()
    assert await keys(waiting, boundary) == [young]


async def test_without_a_primary_host_the_broker_s_word_is_enough(box: Box) -> None:
    waiting = Unsettled(box, ManualClock(), 0.0)
    boundary = await waiting.newest_id()
    box.put()
    await keys(waiting, boundary)
    assert box.outbox.count() == 0


class LosingHost:
    """A broker that takes everything and a host that at times gets nothing of it; it notices within ``SETTLE_S``."""

    def __init__(self, losses: Sequence[tuple[float, float]]) -> None:
        self.name = "host"
        self.got: list[tuple[bool, str]] = []
        self._losses = losses
        self._missed = False

    async def send(self, messages: Sequence[Message], historical: bool) -> None:
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        if any(begin_s <= now_s < begin_s + lasts_s for begin_s, lasts_s in self._losses):
            self._missed = True
            return
        if self._missed:
            self._missed = False
            raise LinkLost("a rebirth: numbers are missing")
        self.got += [(historical, message.key) for message in messages]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.floats(15.0, 30.0), st.floats(0.1, SETTLE_S - 10.0)), max_size=3))
def test_whatever_a_host_loses_for_less_than_the_settling_time_it_gets_in_the_end(
    losses: list[tuple[float, float]],
) -> None:
    """Each loss comes some time after the last one and lasts some time; there is always something after it."""
    ends_s = [sum(sum(loss) for loss in losses[: k + 1]) for k in range(len(losses))]
    host = LosingHost([(end_s - lasts_s, lasts_s) for end_s, (_, lasts_s) in zip(ends_s, losses, strict=True)])

    async def course(box: Box) -> list[str]:
        put = [box.put() for _ in range(20)]
        drain = asyncio.create_task(Drain(Unsettled(box, LoopClock(), SETTLE_S), host, LoopClock(), POLICY).run())
        for _ in range(80):
            await asyncio.sleep(2.0)
            put.append(box.put())
        await asyncio.sleep(200.0)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
        return put

    with a_box() as box:
        put = in_virtual_time(course(box))
        assert box.outbox.count() == 0
    assert {key for _, key in host.got} == set(put)
    first = list(dict.fromkeys(key for late, key in host.got if not late))
    assert first == sorted(first, key=put.index)


def test_the_number_of_the_session_rises_over_restarts_and_begins_anew_after_255(tmp_path: Path) -> None:
    """message-flow-edge-node-birth-publish-will-message-payload-bdSeq"""
    assert [next_number(tmp_path) for _ in range(3)] == [0, 1, 2]
    (tmp_path / FILE).write_bytes(b"254\n")
    assert [next_number(tmp_path) for _ in range(3)] == [255, 0, 1]


@pytest.mark.parametrize("torn", [b"", b"x", b"256\n", b"-1\n", b"\xff\n"])
def test_a_number_that_cannot_be_read_begins_at_0(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / FILE).write_bytes(torn)
    assert next_number(tmp_path) == 0


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sparkplug.link", "mqtt.connection"):
        monkeypatch.delitem(sys.modules, f"controller.balancing.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    settings_ = Sparkplug(Broker("h", 1, tls=True), "g", "n", "", 1.0, 1.0, 1.0)
    site = type(SITE)(**{name: getattr(SITE, name) for name in SITE.__slots__} | {"sparkplug": settings_})
    with pytest.raises(ValueError, match=r"gridedge\[mqtt\]"):
        Telemetry(site, ManualClock(), tmp_path)
