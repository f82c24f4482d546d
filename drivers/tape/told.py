"""The devices of a recording, polled again: the real drivers, with the recorded answers in place of a connection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.ports import Clock
from drivers.modbus.codec import Request
from drivers.modbus.device import ModbusDevice
from drivers.modbus.endpoint import Endpoint
from drivers.modbus.lines import Lines
from drivers.modbus.link import LinkError
from drivers.modbus.session import Reply, Session
from drivers.modbus.unit_health import is_proof
from drivers.opcua.device import OpcUaDevice
from drivers.registry import open_device
from drivers.tape.records import DamagedError
from drivers.tape.told_opcua import Channel, told_device
from drivers.tape.wire import Exchange

_ALMOST_FOR_EVER_S = 1e9


class RecordedClock:
    """The site's time as the recording tells it, at ``at_s``."""

    speed = 1.0
    """Site seconds in one of the machine that recorded."""
    at_s = 0.0

    def now_s(self) -> float:
        """Site seconds."""
        return self.at_s

    def utc(self) -> datetime:
        """Nothing that is decoded depends on the day."""
        return datetime.min.replace(tzinfo=UTC)

    def real_s(self, site_s: float) -> float:
        """Machine seconds; nobody waits for them."""
        return site_s / self.speed


class ToldSession(Session):
    """A session that knows what came of every request, instead of asking.

    What a poll reads must have been asked for since the last poll of the same device; what is asked for once per
    connection (identity, the chain of SunSpec models) may have come at any time on that connection.
    """

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        super().__init__(endpoint, clock.now_s)
        self.device: ModbusDevice | None = None
        self.since = 0
        self.heard = 0
        self.standing = False
        self._told: dict[tuple[int, bytes], tuple[int, Exchange]] = {}
        self._doubtful: Exchange | None = None

    @property
    def up(self) -> bool:
        """True when there is a connection, or was one since the last poll: what came over it tells the rest."""
        return self.standing or self.heard > self.since

    def hear(self, exchange: Exchange) -> None:
        """The next exchange of the recording."""
        self.heard += 1
        self.generation = exchange.generation
        self._told[_key(exchange)] = self.heard, exchange
        if self.endpoint.rtu:
            self._judge(exchange)

    def _judge(self, exchange: Exchange) -> None:
        """An RTU answer that was as the last one counted only if the probe after it was answered."""
        doubtful, self._doubtful = self._doubtful, None
        outcome = exchange.outcome
        if doubtful is not None and isinstance(outcome, Exception) and not is_proof(outcome):
            self._told[_key(doubtful)] = self.heard - 1, replace(doubtful, outcome=outcome)
        if isinstance(outcome, bytes) and self.health(exchange.request.unit).repeats(exchange.request, outcome):
            self._doubtful = exchange

    async def connected(self, deadline: float, *, unit: int | None = None, urgent: bool = False) -> int:
        """The number of the connection that was last used; LinkError when there was none."""
        if not self.up:
            raise LinkError("there was no connection", "refused")
        return self.generation

    async def request(
        self,
        request: Request,
        deadline: float,
        *,
        generation: int | None = None,
        urgent: bool = False,
        answer_s: float = math.inf,
    ) -> Reply:
        """What came of ``request``; LinkError when it was not asked."""
        when, exchange = self._told.get((request.unit, request.pdu), (-1, None))
        in_poll = self.device is not None and any(request.pdu == read.pdu for read, _ in self.device.reads)
        if exchange is None or (when <= self.since if in_poll else exchange.generation != self.generation):
            raise LinkError("was not asked for in this poll", "skipped")
        if isinstance(exchange.outcome, Exception):
            raise exchange.outcome
        return Reply(exchange.outcome, exchange.sent_s, exchange.done_s)

    def drop(self, reason: str, unit: int | None = None) -> None:
        """The recording tells by itself when a connection ends."""

    def refute(self, reason: str, unit: int, *, renew: bool) -> None:
        """As :meth:`drop`, and what is asked when."""


def _key(exchange: Exchange) -> tuple[int, bytes]:
    return exchange.request.unit, exchange.request.pdu


class ToldLines(Lines):
    """Hands out told sessions, which may have heard of things before a device joins."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._told_clock = clock
        self._sessions: dict[Endpoint, ToldSession] = {}

    def session(self, endpoint: Endpoint) -> ToldSession:
        """The one session to ``endpoint``."""
        return self._sessions.setdefault(endpoint, ToldSession(endpoint, self._told_clock))

    def _open(self, endpoint: Endpoint, options: Mapping[str, str], timeout_s: float) -> Session:
        return self.session(endpoint)


@dataclass(frozen=True, slots=True)
class Difference:
    """A point that was published otherwise than the recorded bytes say."""

    device: str
    point: str
    at_s: float
    published: float
    published_quality: Quality
    now: Measurement
    registers: str


class Told:
    """One device of the recording; ``link`` is its real driver."""

    link: ModbusDevice | OpcUaDevice

    def __init__(self, document: Mapping[str, Any], device: Device) -> None:
        self.names: list[str] = []
        self.device = device
        self.points: Mapping[str, Measurement] = {}
        self.published: list[tuple[str, float, Quality]] = []
        """Points as they were published last."""
        self.polls = self.values = 0
        self.call(document["names"])

    def call(self, names: Iterable[object]) -> None:
        """The points, in the order of what is published from now on."""
        self.names = [str(name) for name in names]

    async def compare(self, at_s: float, values: tuple[float, ...], qualities: tuple[int, ...]) -> list[Difference]:
        """Poll again and compare with what the poll that ended at ``at_s`` published."""
        if len(values) != len(self.names):
            raise DamagedError(f"{len(values)} values for the {len(self.names)} points of {self.device.id}")
        told = zip(self.names, values, map(Quality, qualities), strict=True)
        self.published = list(told)
        self.points = await self._poll()
        self.polls += 1
        self.values += len(self.names)
        return [
            self._difference(name, at_s, value, quality)
            for name, value, quality in self.published
            if not _same(value, quality, self.points.get(name)) and not self._beside_the_point(name, value)
        ]

    async def _poll(self) -> Mapping[str, Measurement]:
        return await self.link.poll()

    def _beside_the_point(self, name: str, value: float) -> bool:
        return False

    def _difference(self, name: str, at_s: float, value: float, quality: Quality) -> Difference:
        now = self.points.get(
            name, Measurement(math.nan, Quality.MISSING, at_s, at_s, "this version has no such point")
        )
        return Difference(self.device.id, name, at_s, value, quality, now, self.link.raw().get(name, ""))


class ToldDevice(Told):
    """A Modbus device of the recording."""

    def __init__(self, document: Mapping[str, Any], clock: Clock, lines: ToldLines) -> None:
        """Raises ValueError (also ProfileError) when this version has no table for it."""
        super().__init__(document, _device(document, _ALMOST_FOR_EVER_S))
        link = open_device(self.device, clock, lines)
        if not isinstance(link, ModbusDevice):
            raise TypeError(f"device {self.device.id}: protocol {self.device.protocol}; expected modbus")
        self.link: ModbusDevice = link
        self.session = lines.session(link.session.endpoint)
        self._since = 0

    async def _poll(self) -> Mapping[str, Measurement]:
        session = self.session
        session.device, session.since = self.link, self._since
        points = await self.link.poll()
        self._since = session.heard
        return points

    def _beside_the_point(self, name: str, value: float) -> bool:
        """What proves the identity is the same number for ever; whether a poll showed it in the moment in which the
        connection was lost is not worth a word."""
        return value == self.link.profile.identity.get(name)


class ToldServer(Told):
    """An OPC UA device of the recording."""

    def __init__(self, document: Mapping[str, Any], clock: Clock, channel: Channel) -> None:
        """Raises ValueError (also ProfileError) when this version has no table for it."""
        super().__init__(document, _device(document, 0.0))
        self.link: OpcUaDevice = told_device(self.device, clock, channel)
        self._channel = channel

    async def compare(self, at_s: float, values: tuple[float, ...], qualities: tuple[int, ...]) -> list[Difference]:
        """Poll again and compare; nothing before the first connection that is in the recording from its beginning."""
        differences = await super().compare(at_s, values, qualities)
        if self._channel.midway:
            self._channel.uncompared += 1
            self.values -= len(self.names)
            return []
        return differences


def _same(value: float, quality: Quality, now: Measurement | None) -> bool:
    """Bit for bit where there is a value; without one, why there is none may be told in other words."""
    if now is None:
        return quality is not Quality.GOOD
    if quality is Quality.GOOD and now.quality is Quality.GOOD:
        return value == now.value and math.copysign(1.0, value) == math.copysign(1.0, now.value)
    return quality is not Quality.GOOD and now.quality is not Quality.GOOD


def _device(document: Mapping[str, Any], durations_s: float) -> Device:
    """The device of the site file; nothing is fed and nobody is commanded. ``durations_s`` replaces its own."""
    poll_s, stale_s, timeout_s = (durations_s or float(document[key]) for key in ("poll_s", "stale_s", "timeout_s"))
    return Device(
        id=str(document["id"]),
        protocol=str(document["protocol"]),
        endpoint=str(document["endpoint"]),
        unit_address=int(document["unit_address"]),
        profile=str(document["profile"]),
        feeds={},
        unit=None,
        poll_s=poll_s,
        stale_s=stale_s,
        timeout_s=timeout_s,
        delivery=str(document.get("delivery", "auto")),
        serial_number=str(document.get("serial_number", "")),
    )
