"""The edge node at its broker: connects, is born when the primary host is there, tells what is new, answers rebirths.

Live values go by themselves; what is stored is sent by a drain through :meth:`SparkplugLink.send`. One packet at a
time is numbered and handed over, so that numbers leave in order.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import structlog

from controller.balancing.mqtt.connection import Connection, Heard, connect
from controller.balancing.mqtt.link_lost import LinkLost, end_if_cancelled
from controller.balancing.mqtt.packet import Packet
from controller.balancing.outbox import Message
from controller.balancing.sparkplug.commands import judge
from controller.balancing.sparkplug.host import HostWatch
from controller.balancing.sparkplug.node import EdgeNode
from controller.balancing.sparkplug.session_number import next_number
from controller.balancing.sparkplug.topics import Topics
from controller.clock import utc_s
from controller.domain.site import Site
from controller.domain.telemetry import Broker, Sparkplug
from controller.ports import Clock

_log = structlog.get_logger()

SILENT_S = 5.0
"""The control process counts as silent after this long without a record, or after three of its cycles."""
BACKOFF_S, BACKOFF_S_MAX = 1.0, 60.0
ECHO_S = 10.0
REBIRTH_S = 1.0
"""Requests for a rebirth that come faster than this are answered together."""
REFUSAL_S = 10.0
"""Refusals are logged no more often than this; ``unsaid`` counts the others."""
LEAVE_S = 2.0

Connect = Callable[[Broker, str, Packet], AbstractAsyncContextManager[Connection]]


class _Session:
    """One connection: whether the host was heard on it, what is wanted of it, and how far it came.

    ``born`` from the first packet of a birth on, ``echo`` when the broker passed one on, ``left`` from the death on.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.host_there = asyncio.Event()
        self.rebirth = asyncio.Event()
        self.echo = asyncio.Event()
        self.broken = asyncio.Event()
        self.born = self.left = False
        self.reason = ""


class SparkplugLink:
    """One site as an edge node; also the link of a drain. ``folder`` keeps the number of the session."""

    def __init__(
        self, site: Site, settings: Sparkplug, clock: Clock, folder: Path, open_connection: Connect = connect
    ) -> None:
        broker = settings.broker
        self.name = f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
        self._settings = settings
        self._clock = clock
        self._folder = folder
        self._open_connection = open_connection
        self._topics = Topics(settings.group, settings.node, settings.primary_host)
        self._node = EdgeNode(site, self._topics)
        self._host = HostWatch()
        self._silent_s = max(SILENT_S, 3.0 * site.cycle.cycle_s)
        self._seen_s = -math.inf
        self._session: _Session | None = None
        self._one_packet = asyncio.Lock()
        self._missed = False
        self._trouble = "not connected yet"
        self._told_trouble = ""
        self._refused_s, self._unsaid = -math.inf, 0

    def take(self, record: Mapping[str, Any]) -> None:
        """A record of the control process; never waits."""
        self._node.observe(record)
        self._seen_s = self._clock.now_s()

    async def run(self) -> None:
        """Be there for ever; more rarely while the broker is not, and not all boxes at once."""
        failures = 0
        while True:
            # A task of its own: in Python 3.11 a task group leaves its task looking cancelled for ever.
            was_born = await asyncio.create_task(self._attempt(), name="telemetry session")
            end_if_cancelled()
            failures = 0 if was_born else failures + 1
            share = 0.5 + zlib.crc32(f"{self._settings.node}/{failures}".encode()) % 997 / 997
            await asyncio.sleep(self._clock.real_s(min(BACKOFF_S * 2.0 ** min(failures, 10), BACKOFF_S_MAX) * share))

    async def send(self, messages: Sequence[Message], historical: bool) -> None:
        """Hand over in this order; returns when the broker has read them all. Raises LinkLost."""
        session = self._session
        if session is None:
            raise LinkLost(self._trouble)
        if self._missed:
            self._missed = False
            raise LinkLost("the host asked for a rebirth: what it may have missed is sent again")
        for message in messages:
            async with self._one_packet:
                if self._session is not session:
                    raise LinkLost("the session ended")
                await self._publish(session, self._node.stored(message, historical, self._now_ms()))
        # QoS 0 is never acknowledged. A broker reads a connection in order, so its answer to what comes after
        # (hearing our own commands, once more) says that it has read what came before.
        await self._kept(session, session.connection.subscribe([self._topics.of("NCMD")]))

    async def _attempt(self) -> bool:
        """One connection from its beginning to its end; whether it came to a birth that was passed on."""
        session: _Session | None = None
        try:
            now_ms = self._now_ms()
            will = self._node.session(await asyncio.to_thread(next_number, self._folder), now_ms)
            client_id = f"{self._settings.group}-{self._settings.node}"
            async with self._open_connection(self._settings.broker, client_id, will) as connection:
                session = _Session(connection)
                try:
                    await connection.subscribe(self._topics.subscriptions)
                    end_if_cancelled()
                    async with asyncio.TaskGroup() as group:
                        for work in (self._hear, self._tell, self._watch):
                            group.create_task(work(session))
                finally:
                    await self._leave(session)
        except* OSError as several:
            self._lost(_first(several))
        return session is not None and session.echo.is_set()

    async def _hear(self, session: _Session) -> None:
        async for heard in session.connection.heard():
            if heard.topic == self._topics.state and self._settings.primary_host:
                self._hear_host(session, heard)
            elif heard.topic == self._topics.of("NBIRTH"):
                if not heard.retained:
                    session.echo.set()
            else:
                self._hear_command(session, heard)

    def _hear_host(self, session: _Session, heard: Heard) -> None:
        """[message-flow-edge-node-birth-publish-phid-wait-…, …-phid-offline]"""
        doubt = self._host.hear(heard.body, self._now_ms())
        if doubt:
            self._refuse(heard.topic, [doubt])
        elif self._host.online:
            session.host_there.set()
        elif session.host_there.is_set():
            raise LinkLost(f"the primary host {self._settings.primary_host} is gone")
        else:
            self._lost(f"the primary host {self._settings.primary_host} is not there")

    def _hear_command(self, session: _Session, heard: Heard) -> None:
        rebirth, refused = judge(self._topics, heard.topic, heard.body, heard.retained, self._node.rebirth_alias)
        if rebirth:
            session.rebirth.set()
        self._refuse(heard.topic, refused)

    async def _tell(self, session: _Session) -> None:
        if self._settings.primary_host:
            await session.host_there.wait()
        session.rebirth.clear()
        session.born = True
        await self._give_birth(session)
        await self._hear_itself(session)
        self._session, self._missed, self._told_trouble = session, False, ""
        _log.info("sparkplug.born", to=self.name)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._clock.real_s(self._settings.live_s)):
                    await session.rebirth.wait()
            if session.rebirth.is_set():
                session.rebirth.clear()
                self._missed = True
                _log.info("sparkplug.rebirth", to=self.name)
                await self._give_birth(session)
                await asyncio.sleep(self._clock.real_s(REBIRTH_S))
                continue
            async with self._one_packet:
                now_ms = self._look()
                await self._publish(session, self._node.live(now_ms))

    async def _hear_itself(self, session: _Session) -> None:
        """A broker that may not take what we say drops it without a word: our own birth must come back."""
        try:
            async with asyncio.timeout(self._clock.real_s(ECHO_S)):
                await session.echo.wait()
        except TimeoutError:
            raise LinkLost(
                f"our birth did not come back within {ECHO_S:g} s; expected an access list that lets us write below"
                f" {self._topics.group}/+/{self._topics.node} and read {self._topics.of('NBIRTH')}"
            ) from None

    async def _give_birth(self, session: _Session) -> None:
        async with self._one_packet:
            now_ms = self._look()
            await self._publish(session, self._node.birth(now_ms))

    async def _watch(self, session: _Session) -> None:
        await session.broken.wait()
        raise LinkLost(session.reason)

    async def _leave(self, session: _Session) -> None:
        """The node dies by its own word: the disconnection that follows makes the broker forget the will.

        Nothing is waited for before it, and nothing may follow it, whoever else is about to send.
        """
        self._session, session.left = None, True
        if session.born:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await session.connection.publish(self._node.death(self._now_ms()))

    async def _publish(self, session: _Session, packets: Iterable[Packet]) -> None:
        for packet in packets:
            if session.left:
                raise LinkLost("the session ended")
            await self._kept(session, session.connection.publish(packet))

    async def _kept(self, session: _Session, work: Any) -> None:
        """A packet that did not leave is a hole in the numbers: it ends the session."""
        try:
            await work
        except LinkLost as error:
            session.reason = str(error)
            session.broken.set()
            raise
        end_if_cancelled()

    def _look(self) -> int:
        """The instant, with the node knowing whether the control process is heard."""
        now_ms = self._now_ms()
        if self._clock.now_s() - self._seen_s > self._silent_s:
            self._node.silent(now_ms)
        return now_ms

    def _now_ms(self) -> int:
        now_s = utc_s(self._clock)
        if not math.isfinite(now_s):
            raise LinkLost("this machine was not told the time yet; what it says would carry wrong instants")
        return round(now_s * 1e3)

    def _lost(self, reason: str) -> None:
        self._trouble = reason
        if reason != self._told_trouble:
            _log.warning("sparkplug.lost", to=self.name, reason=reason)
        self._told_trouble = reason

    def _refuse(self, topic: str, reasons: Sequence[str]) -> None:
        for reason in reasons:
            if self._clock.now_s() - self._refused_s < REFUSAL_S:
                self._unsaid += 1
                continue
            _log.warning("sparkplug.refused", subject=topic, text=reason, unsaid=self._unsaid)
            self._refused_s, self._unsaid = self._clock.now_s(), 0


def _first(several: BaseExceptionGroup[OSError]) -> str:
    """The words of the first error, however deep."""
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
