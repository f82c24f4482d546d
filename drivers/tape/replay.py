"""Plays a field recording: bytes through the codec, answers through the drivers, values against what was published."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from drivers.modbus.codec import ExceptionAnswer
from drivers.modbus.endpoint import Endpoint
from drivers.profile import PointSpec
from drivers.tape.records import DamagedError, Kind, Record, unpack_values
from drivers.tape.told import Difference, RecordedClock, Told, ToldDevice, ToldLines, ToldServer
from drivers.tape.told_opcua import Channel
from drivers.tape.wire import Exchange, Wire


@dataclass(slots=True)
class Played:
    """What a recording held and what came of it; ``keep_max`` bounds what is kept of faults and differences."""

    keep_max: int = 1000
    utc: datetime | None = None
    utc_at_s: float = 0.0
    speed: float = 1.0
    first_s: float = 0.0
    last_s: float = 0.0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    lost: int = 0
    differing: int = 0
    faults: list[Exchange] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    wires: dict[int, Wire] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    devices: dict[int, Told] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """True when this version makes of every byte what was made of it."""
        of_wires = (wire.remarks for wire in self.wires.values())
        of_channels = (channel.remarks for channel in self.channels.values())
        return not self.differing and not self.remarks and not any((*of_wires, *of_channels))

    def points_on(self, exchange: Exchange) -> Iterator[PointSpec]:
        """The points of the devices that the exchange was for."""
        where = self.wires[exchange.line].endpoint
        for told in self.devices.values():
            if not isinstance(told, ToldDevice) or told.session.endpoint != where:
                continue
            if told.link.unit_address == exchange.request.unit:
                yield from told.link.profile.points


def play(records: Iterable[Record], played: Played, each: Callable[[Exchange], None] | None = None) -> Played:
    """Play ``records`` to the end; ``each`` is called with every exchange when it is over. Raises nothing of theirs:
    what cannot be played is in the remarks."""
    loop = _RecordedLoop()
    try:
        loop.run_until_complete(_play(records, played, loop, each))
    finally:
        loop.close()
    return played


class _RecordedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of the recording."""

    recorded_s = 0.0

    def time(self) -> float:
        """Machine seconds of the record that is played."""
        return self.recorded_s


_NOT_OURS = (DamagedError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error)
"""What a record may raise that is whole and that no version of ours has written."""


async def _play(
    records: Iterable[Record], played: Played, loop: _RecordedLoop, each: Callable[[Exchange], None] | None
) -> None:
    player = _Player(played, each)
    for record in records:
        loop.recorded_s = record.at_s / played.speed
        try:
            await player.take(record)
        except _NOT_OURS as fault:
            played.remarks.append(f"{record.at_s:.3f} s: a {record.kind.name} record cannot be played: {fault}")


class _Player:
    def __init__(self, played: Played, each: Callable[[Exchange], None] | None) -> None:
        self._played = played
        self._each = each
        self._clock = RecordedClock()
        self._lines = ToldLines(self._clock)
        self._part: int | None = None

    async def take(self, record: Record) -> None:
        """Play one record."""
        played = self._played
        if record.kind in (Kind.SENT, Kind.GOT, Kind.PUBLISHED, Kind.ASKED, Kind.ANSWERED):
            self._clock.at_s = record.at_s
            played.first_s = played.first_s or record.at_s
            played.last_s = record.at_s
        if record.kind is Kind.HEADER:
            self._header(record)
        elif record.kind is Kind.LOST:
            played.lost += int(struct.unpack(">I", record.content)[0])
        elif record.kind is Kind.LINE:
            self._line(record)
        elif record.kind is Kind.DEVICE:
            self._device(record)
        elif record.kind is Kind.PUBLISHED:
            await self._published(record)
        elif record.who in played.wires:
            wire = played.wires[record.who]
            wire.take(record)
            self._lines.session(wire.endpoint).standing = wire.standing
        elif record.who in played.channels:
            channel = played.channels[record.who]
            channel.take(record, begun_before=bool(self._part) and not played.first_s)

    def _header(self, record: Record) -> None:
        found = record.document
        self._part = found["part"] if self._part is None else self._part
        speed = float(found["speed"])
        if not (math.isfinite(speed) and speed > 0.0):
            raise DamagedError(f"speed is {speed}; expected a positive number")
        self._played.speed = self._clock.speed = speed
        self._played.utc = None if found["utc"] is None else datetime.fromisoformat(found["utc"])
        self._played.utc_at_s = float(found["utc_at_s"])

    def _line(self, record: Record) -> None:
        found = record.document
        if record.who in self._played.wires or record.who in self._played.channels:
            return
        if found["endpoint"].startswith("opc.tcp"):
            self._played.channels[record.who] = Channel(record.who, found["endpoint"], found["device"])
        else:
            wire = Wire(record.who, Endpoint.parse(found["endpoint"]), found["gap_s"], self._over)
            self._played.wires[record.who] = wire

    def _device(self, record: Record) -> None:
        document = record.document
        known = self._played.devices.get(record.who)
        if known is not None:
            known.call(document["names"])
        elif document["protocol"] == "opcua":
            lines = (found for found in self._played.channels.values() if found.device == document["id"])
            channel = next(lines, None)
            if channel is None:
                raise DamagedError(f"device {document['id']} has no line")
            self._played.devices[record.who] = ToldServer(document, self._clock, channel)
        else:
            self._played.devices[record.who] = ToldDevice(document, self._clock, self._lines)

    async def _published(self, record: Record) -> None:
        told = self._played.devices.get(record.who)
        if told is None:
            return
        differences = await told.compare(record.at_s, *unpack_values(record.content))
        self._played.differing += len(differences)
        self._played.differences += differences[: self._played.keep_max - len(self._played.differences)]

    def _over(self, exchange: Exchange) -> None:
        played, outcome = self._played, exchange.outcome
        if isinstance(outcome, bytes):
            played.answered += 1
        elif isinstance(outcome, ExceptionAnswer):
            played.refused += 1
        else:
            played.failed += 1
            if len(played.faults) < played.keep_max:
                played.faults.append(exchange)
        where = played.wires[exchange.line].endpoint
        self._lines.session(where).hear(exchange)
        if self._each is not None:
            self._each(exchange)
