"""The edge node at a broker that this test plays: what it does when something goes wrong half-way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sparkplug_kit import SITE, Host, message, record
from structlog.testing import capture_logs

from controller.balancing.mqtt.connection import Heard
from controller.balancing.mqtt.link_lost import LinkLost
from controller.balancing.mqtt.packet import Packet
from controller.balancing.sparkplug.link import BACKOFF_S_MAX, SparkplugLink
from controller.clock import ManualClock, SystemClock
from controller.domain.telemetry import Broker, Sparkplug

SPEED = 50.0
SETTINGS = Sparkplug(Broker("broker", 1883, tls=False), "fleet", "demo", "", 1.0, 10.0, 1e5)
STATE = "spBv1.0/STATE/scada"


@dataclass
class PlayedBroker:
    """Takes packets to the host, unless it is told to fail; says what the test gives it to say."""

    host: Host = field(default_factory=Host)
    wills: list[Packet] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    refuses: bool = False
    fails_at: str = "nothing"
    echoes: bool = True
    closes_badly: bool = False
    says: asyncio.Queue[Heard] = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def connect(self, broker: Broker, client_id: str, will: Packet) -> AsyncIterator[PlayedBroker]:
        self.wills.append(will)
        if self.refuses:
            raise LinkLost("refused")
        self.host.seq = -1
        try:
            yield self
        finally:
            if self.closes_badly:
                raise LinkLost("reset while it was closed")

    async def publish(self, packet: Packet) -> None:
        await asyncio.sleep(0)
        if self.fails_at in packet.topic:
            raise LinkLost("the socket is full")
        self.host.hear(packet.topic, packet.payload)
        if self.echoes and "/NBIRTH/" in packet.topic:
            self.says.put_nowait(Heard(packet.topic, packet.payload, retained=False))

    async def subscribe(self, topics: Sequence[str]) -> None:
        self.topics += topics

    async def heard(self) -> AsyncIterator[Heard]:
        while True:
            yield await self.says.get()

    def state(self, *, online: bool, told_ms: int = 0) -> None:
        body = json.dumps({"online": online, "timestamp": told_ms}).encode()
        self.says.put_nowait(Heard(STATE, body, retained=True))

    def count(self, kind: str) -> int:
        return sum(said.split("/")[0] == kind for said in self.host.kinds)


@asynccontextmanager
async def running(folder: Path, broker: PlayedBroker, settings: Sparkplug = SETTINGS) -> AsyncIterator[SparkplugLink]:
    link = SparkplugLink(SITE, settings, SystemClock(SPEED), folder, broker.connect)  # type: ignore[arg-type]
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(good: Callable[[], bool]) -> None:
    for _ in range(1000):
        if good():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come to that")


async def test_it_hears_its_commands_before_it_is_born(tmp_path: Path) -> None:
    """message-flow-edge-node-ncmd-subscribe"""
    broker = PlayedBroker()
    async with running(tmp_path, broker):
        await until(lambda: broker.count("NBIRTH") == 1)
    assert broker.topics == ["spBv1.0/fleet/NCMD/demo", "spBv1.0/fleet/DCMD/demo/+", "spBv1.0/fleet/NBIRTH/demo"]


async def test_it_dies_by_its_own_word_before_it_leaves(tmp_path: Path) -> None:
    """operational-behavior-edge-node-intentional-disconnect-ndeath"""
    broker = PlayedBroker()
    async with running(tmp_path, broker) as link:
        link.take(record(0))
        await until(lambda: broker.count("NBIRTH") == 1)
    assert broker.host.kinds[-1] == "NDEATH"


async def test_it_ends_when_it_is_told_to_even_if_the_connection_closes_badly(tmp_path: Path) -> None:
    broker = PlayedBroker(closes_badly=True)
    link = SparkplugLink(SITE, SETTINGS, SystemClock(SPEED), tmp_path, broker.connect)  # type: ignore[arg-type]
    task = asyncio.create_task(link.run())
    await until(lambda: link._session is not None)
    task.cancel()
    await asyncio.wait([task], timeout=2.0)
    assert task.cancelled()


async def test_a_packet_that_did_not_leave_ends_the_session_so_that_no_number_is_missing(tmp_path: Path) -> None:
    broker = PlayedBroker()
    async with running(tmp_path, broker) as link:
        await until(lambda: link._session is not None)
        broker.fails_at = "/NDATA/"
        with pytest.raises(LinkLost, match="socket is full"):
            await link.send([message(1)], historical=True)
        broker.fails_at = "nothing"
        await until(lambda: broker.count("NBIRTH") == 2 and link._session is not None)
        await link.send([message(1)], historical=True)
        assert broker.host.now["", "bdSeq"] == 1
    assert [name for name, *_ in broker.host.late].count("Stored/key") == 1


async def test_nothing_stored_is_taken_while_nobody_is_there(tmp_path: Path) -> None:
    broker = PlayedBroker(refuses=True)
    async with running(tmp_path, broker) as link:
        await until(lambda: len(broker.wills) > 1)
        with pytest.raises(LinkLost, match="refused"):
            await link.send([message(1)], historical=True)


async def test_a_broker_that_drops_what_it_says_yes_to_gets_nothing_that_is_stored(tmp_path: Path) -> None:
    broker = PlayedBroker(echoes=False)
    async with running(tmp_path, broker) as link:
        await until(lambda: len(broker.wills) > 1)
        with pytest.raises(LinkLost, match="did not come back"):
            await link.send([message(1)], historical=True)
    assert "NDATA" not in broker.host.kinds


async def test_a_broker_that_is_not_there_is_asked_more_and_more_rarely_and_complained_of_once(tmp_path: Path) -> None:
    broker = PlayedBroker(refuses=True)
    with capture_logs() as logs:
        async with running(tmp_path, broker):
            await asyncio.sleep(10.0 * BACKOFF_S_MAX / SPEED / 10.0)
    assert 3 <= len(broker.wills) <= 8
    assert [log["event"] for log in logs] == ["sparkplug.lost"]


async def test_a_machine_that_does_not_know_the_time_tells_nobody(tmp_path: Path) -> None:
    broker = PlayedBroker()
    clock = ManualClock(started_utc=datetime(1970, 1, 1, tzinfo=UTC))
    link = SparkplugLink(SITE, SETTINGS, clock, tmp_path, broker.connect)  # type: ignore[arg-type]
    task = asyncio.create_task(link.run())
    await asyncio.sleep(0.05)
    with pytest.raises(LinkLost, match="not told the time"):
        await link.send([message(1)], historical=True)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert broker.wills == []


async def test_units_are_dead_while_the_control_process_is_silent(tmp_path: Path) -> None:
    broker = PlayedBroker()
    async with running(tmp_path, broker) as link:
        link.take(record(0))
        await until(lambda: len(broker.host.alive) == len(SITE.units))
        await until(lambda: not broker.host.alive)
        assert (broker.host.now["", "Site/mode"], broker.host.quality["", "Site/mode"]) == (None, 500)
        link.take(record(1))
        await until(lambda: len(broker.host.alive) == len(SITE.units))


async def test_it_waits_for_its_primary_host_and_leaves_when_that_goes(tmp_path: Path) -> None:
    """message-flow-edge-node-birth-publish-phid-wait, -phid-offline"""
    broker = PlayedBroker()
    async with running(tmp_path, broker, replace(SETTINGS, primary_host="scada")):
        broker.state(online=False, told_ms=1)
        await asyncio.sleep(0.1)
        assert broker.host.kinds == []
        broker.state(online=True, told_ms=2)
        await until(lambda: broker.count("NBIRTH") == 1)
        broker.state(online=False, told_ms=1)  # an old word, late
        await asyncio.sleep(0.1)
        assert broker.count("NDEATH") == 0
        broker.state(online=False, told_ms=3)
        await until(lambda: broker.count("NDEATH") == 1)
        await until(lambda: len(broker.wills) == 2)
        broker.state(online=True, told_ms=4)
        await until(lambda: broker.count("NBIRTH") == 2)
        assert broker.host.now["", "bdSeq"] == 1


async def test_refusals_are_counted_and_not_all_logged(tmp_path: Path) -> None:
    broker = PlayedBroker()
    with capture_logs() as logs:
        async with running(tmp_path, broker):
            await until(lambda: broker.count("NBIRTH") == 1)
            for _ in range(50):
                broker.says.put_nowait(Heard("spBv1.0/fleet/NCMD/demo", b"\xff", retained=False))
            await until(broker.says.empty)
    assert len([log for log in logs if log["event"] == "sparkplug.refused"]) <= 2
