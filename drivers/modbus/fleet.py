"""Polls many devices at one tick for little more than the system calls.

A device whose connection stands and whose last request was answered is asked without a task, a future or a timer of
its own; what has come is decoded together. Between two rounds a few of them prove again what they are. Everything else
(connecting, the first proof of the identity, back-off, RTU) is left to the device's own
:meth:`~drivers.modbus.device.ModbusDevice.poll`, in a task of the caller's group.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import cast

from controller.domain.measurement import Measurement
from controller.ports import Clock
from drivers.modbus.device import ModbusDevice
from drivers.modbus.quick_poll import QuickPoll
from drivers.modbus.reading import Batch, PolledReading, ReadingPlan
from drivers.modbus.sockets import Hub

GATHER_S = 0.003
"""Answers that come within this time of the first are decoded together; machine seconds."""
SLOW_AFTER_S, SLOW_WAITS_MAX, SLOW_APART_S = 0.01, 5, 0.001
"""Devices that need their own poll begin it so long after the tick, or so many times that long while answers of the
others still come in, and so long after each other: neither their connecting nor, later, their time-outs come in a heap.
Machine seconds."""
SWEEP_MAX = 32
"""Polls that are given up before the loop gets its turn: about a millisecond and a half."""
PROOFS_PART = 8
"""One device in so many, and one more, proves its identity again between two rounds: started together, all of them are
through after as many rounds."""

Take = Callable[[Mapping[str, Mapping[str, Measurement]]], None]
"""Takes what came together: poll results by device id."""


class _Kind:
    """Devices that are decoded together, and which of them have been answered whole."""

    def __init__(self, device: ModbusDevice, came: Callable[[_Kind, QuickPoll], None]) -> None:
        self.plan = ReadingPlan(device.profile, [reader for _, reader in device.reads])
        self.come: list[QuickPoll] = []
        self.came = partial(came, self)

    def readings(self, received_s: float) -> dict[str, PolledReading]:
        """Decode what has come."""
        come, self.come = self.come, []
        payloads = list(cast(Iterable[bytes], chain.from_iterable([poll.answers for poll in come])))  # whole: all data
        batch = Batch(self.plan, payloads, received_s)
        out: dict[str, PolledReading] = {}
        for row, poll in enumerate(come):
            out[poll.id] = reading = PolledReading(batch, row, poll.sent_s, poll.checked_s)
            poll.device.remember(reading, poll.generation)
        return out


class _Sweep:
    """One timer for all polls with the same time-out, and only while some of them run.

    It rings a little after the time-out, which is often a multiple of the period: giving up the silent is no work for
    the moment in which everybody else is asked.
    """

    def __init__(self, timeout_s: float) -> None:
        self.polls: list[QuickPoll] = []
        self._timeout_s = timeout_s
        self._armed = False

    def begun(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """Polls have begun at ``now`` (loop time)."""
        if not self._armed:
            self._armed = True
            loop.call_at(now + self._timeout_s + SLOW_AFTER_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        over = loop.time() - self._timeout_s
        late = [poll for poll in self.polls if poll.running and poll.started <= over]
        for poll in late[:SWEEP_MAX]:
            poll.expire()
        if len(late) > SWEEP_MAX:
            loop.call_soon(self._sweep, loop)
            return
        left = [poll.started for poll in self.polls if poll.running]
        self._armed = bool(left)
        if left:
            loop.call_at(min(left) + self._timeout_s + SLOW_AFTER_S, self._sweep, loop)


class Fleet:
    """The devices of one poll period."""

    def __init__(self, devices: Iterable[ModbusDevice], clock: Clock, take: Take) -> None:
        """To be made in the event loop that polls."""
        self._clock = clock
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._kinds: dict[object, _Kind] = {}
        self._sweeps: dict[float, _Sweep] = {}
        self._well = [self._prepared(device) for device in devices]
        self._unwell: list[QuickPoll] = []
        self._slow: set[str] = set()
        self._running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._hub: Hub | None = None
        self._lingering = False
        self._ticked = 0.0
        self._prove_from_s = -math.inf

    def tick(self, group: asyncio.TaskGroup) -> list[str]:
        """Begin a poll of every device; ids of those that are still busy with the last one, which are left alone."""
        if self._timer is not None:
            self._tell()  # a late loop may tick before it: what has come must be told before its polls begin anew
        now, now_s = self._loop.time(), self._clock.now_s()
        self._ticked = now
        self._hub = Hub.present(self._loop)
        self._running += 1 + len(self._well)  # one more: an answer that comes at once is not taken for the last one
        sent_s = (now_s,)
        busy: list[str] = []
        unwell: list[QuickPoll] = []
        for poll in self._well:
            if poll.running:
                busy.append(poll.id)
            elif not poll.start(now, now_s, sent_s):
                unwell.append(poll)
        self._running -= 1 + len(busy) + len(unwell)
        if unwell:
            self._set_aside(unwell)
        if self._unwell:
            busy += self._poll_unwell(group)
        for sweep in self._sweeps.values():
            sweep.begun(self._loop, now)
        return busy

    def _set_aside(self, unwell: list[QuickPoll]) -> None:
        """The next tick does not even look at these before their own poll has brought them back."""
        self._unwell += unwell
        aside = {poll.id for poll in unwell}
        self._well = [poll for poll in self._well if poll.id not in aside]

    def _poll_unwell(self, group: asyncio.TaskGroup) -> list[str]:
        """Have the unwell polled when the others are through; ids of those that are still at their last poll."""
        busy = [poll.id for poll in self._unwell if poll.id in self._slow]
        due = [poll for poll in self._unwell if poll.id not in self._slow]
        if due:
            due.sort(key=attrgetter("healthy"), reverse=True)  # who has only lost its connection waits for no sick one
            self._slow.update(poll.id for poll in due)
            group.create_task(self._begin_slowly(due, group))
        return busy

    def _prepared(self, device: ModbusDevice) -> QuickPoll:
        key = (device.profile.id, device.profile.byte_order, tuple(reader.block for _, reader in device.reads))
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(device, self._came)
        poll = QuickPoll(device, kind.came)
        self._sweeps.setdefault(device.timeout_s, _Sweep(device.timeout_s)).polls.append(poll)
        return poll

    def _came(self, kind: _Kind, poll: QuickPoll) -> None:
        """A quick poll has ended; with a fault it is told at once, else with the others."""
        self._running -= 1
        if poll.fault is None and not poll.refused:
            kind.come.append(poll)
        else:
            self._take({poll.id: poll.device.explain(poll.answers, poll.sent_s, poll.fault, poll.generation)})
        if not self._running:
            self._flush()
        elif self._timer is None and not self._lingering:
            self._lingering = True
            if self._hub is None or not self._hub.afterwards(self._linger):
                self._linger()

    def _linger(self) -> None:
        """Wait a little for the others, unless all of them have come in one go: a timer costs as much as an answer."""
        self._lingering = False
        if self._running:
            self._timer = self._loop.call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._tell() >= self._prove_from_s:
            self._prove_from_s = math.inf
            self._loop.call_at(self._ticked + SLOW_AFTER_S, self._prove)

    def _tell(self) -> float:
        """Decode and tell what has come; the time (site seconds)."""
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
        return received_s

    def _prove(self) -> None:
        """Have some of those that are due prove what they are; the loop is theirs as it is that of the unwell."""
        now_s = self._clock.now_s()
        due = [poll for poll in self._well if poll.prove_from_s <= now_s and not poll.running]
        for poll in due[: 1 + len(self._well) // PROOFS_PART]:
            poll.prove(now_s)
        self._prove_from_s = min((poll.prove_from_s for poll in self._well), default=math.inf)

    async def _begin_slowly(self, polls: Sequence[QuickPoll], group: asyncio.TaskGroup) -> None:
        """While answers of the others come in the loop is theirs."""
        for waits in range(SLOW_WAITS_MAX):
            if self._timer is None and (waits or not self._running):
                break
            await asyncio.sleep(SLOW_AFTER_S)
        for poll in polls:
            group.create_task(self._poll_slowly(poll))
            await asyncio.sleep(SLOW_APART_S)

    async def _poll_slowly(self, poll: QuickPoll) -> None:
        try:
            reading = await poll.device.poll()
        finally:
            self._slow.discard(poll.id)
        if poll.ready(self._clock.now_s()):
            self._unwell.remove(poll)
            self._well.append(poll)
            self._prove_from_s = min(self._prove_from_s, poll.prove_from_s)
        self._take({poll.id: reading})
