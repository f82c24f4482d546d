"""Polls many devices at one tick for little more than the system calls.

A device whose connection stands and whose last request was answered is asked without a task, a future or a timer of
its own; what has come is decoded together. Everything else (connecting, proving the identity, back-off, RTU) is left to
the device's own :meth:`~drivers.modbus.device.ModbusDevice.poll`, in a task of the caller's group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import cast

from controller.domain.measurement import Measurement
from controller.ports import Clock
from drivers.modbus.bulk import BulkPlan
from drivers.modbus.device import ModbusDevice
from drivers.modbus.quick_poll import QuickPoll
from drivers.modbus.reading import Batch, BulkReading, ReadingPlan

GATHER_S = 0.002
"""Answers that come within this time of the first are decoded together; machine seconds."""

Take = Callable[[Mapping[str, Mapping[str, Measurement]]], None]
"""Takes what came together: poll results by device id."""


class _Kind:
    """Devices that are decoded together, and what has come of them."""

    def __init__(self, device: ModbusDevice) -> None:
        self.bulk = BulkPlan([reader.block for _, reader in device.reads], device.profile.byte_order)
        self.plan = ReadingPlan(device.profile, [reader for _, reader in device.reads], self.bulk.names)
        self.come: list[QuickPoll] = []

    def readings(self, received_s: float) -> dict[str, BulkReading]:
        """Decode what has come."""
        come, self.come = self.come, []
        payloads = cast(Iterable[bytes], chain.from_iterable(poll.answers for poll in come))  # a whole poll is all data
        batch = Batch(self.plan, self.bulk, payloads, received_s)
        out = {}
        for row, poll in enumerate(come):
            out[poll.id] = reading = BulkReading(batch, row, poll.answers, poll.sent_s, poll.checked_s)
            poll.device.remember(reading, poll.generation)
        return out


class Fleet:
    """The devices of one poll period."""

    def __init__(self, devices: Iterable[ModbusDevice], clock: Clock, take: Take) -> None:
        self._clock = clock
        self._take = take
        self._kinds: dict[object, _Kind] = {}
        self._polls = [self._prepared(device) for device in devices]
        self._by_timeout: dict[float, list[QuickPoll]] = {}
        for poll in self._polls:
            self._by_timeout.setdefault(poll.device.timeout_s, []).append(poll)
        self._slow: set[str] = set()
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None

    def tick(self, group: asyncio.TaskGroup) -> list[str]:
        """Begin a poll of every device; ids of those that are still busy with the last one, which are left alone."""
        loop = asyncio.get_running_loop()
        now, now_s = loop.time(), self._clock.now_s()
        busy: list[str] = []
        for poll in self._polls:
            if poll.running or poll.id in self._slow:
                busy.append(poll.id)
                continue
            self._running += 1
            if not poll.start(now, now_s):
                self._running -= 1
                self._slow.add(poll.id)
                group.create_task(self._poll_slowly(poll.device))
        for timeout_s, polls in self._by_timeout.items():
            loop.call_at(now + timeout_s, _expire, [(poll, poll.number) for poll in polls if poll.running])
        return busy

    def _prepared(self, device: ModbusDevice) -> QuickPoll:
        key = (id(device.profile), tuple(reader.block for _, reader in device.reads))
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(device)
        return QuickPoll(device, partial(self._came, kind))

    def _came(self, kind: _Kind, poll: QuickPoll) -> None:
        """A quick poll has ended; with a fault it is told at once, else with the others."""
        self._running -= 1
        if poll.fault is None and not poll.refused:
            kind.come.append(poll)
        else:
            self._take({poll.device.id: poll.device.explain(poll.answers, poll.sent_s, poll.fault, poll.generation)})
        if not self._running:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        received_s = self._clock.now_s()
        out: dict[str, Mapping[str, Measurement]] = {}
        for kind in self._kinds.values():
            if kind.come:
                out |= kind.readings(received_s)
        if out:
            self._take(out)

    async def _poll_slowly(self, device: ModbusDevice) -> None:
        try:
            reading = await device.poll()
        finally:
            self._slow.discard(device.id)
        self._take({device.id: reading})


def _expire(begun: Sequence[tuple[QuickPoll, int]]) -> None:
    for poll, number in begun:
        poll.expire(number)
