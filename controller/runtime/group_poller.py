"""One task for many devices of one poll period: they are read together, and each answer is taken as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from controller.domain.measurement import Measurement
from controller.domain.site import Device
from controller.ports import Clock, FieldDevice, FieldGroup
from controller.runtime.poller import Poller
from controller.runtime.ticks import Ticks, on_grid

Take = Callable[[Mapping[str, Mapping[str, Measurement]]], None]
MakeGroup = Callable[[Sequence[FieldDevice], Clock, Take], FieldGroup]
"""From devices that :data:`CanGroup` accepts to what reads them together."""

CanGroup = Callable[[FieldDevice], bool]


class GroupPoller:
    """Polls its devices for ever; each one keeps its own :class:`Poller` for what it brings and how often.

    A device that is still busy with its last poll skips the tick; the others do not wait for it.
    """

    def __init__(
        self, pollers: Mapping[str, Poller], links: Sequence[FieldDevice], poll_s: float, clock: Clock, make: MakeGroup
    ) -> None:
        self._pollers = pollers
        self._poll_s = poll_s
        self._clock = clock
        self._group = make(links, clock, self._take)

    async def run(self) -> None:
        """Poll by the clock until cancelled."""
        ticks = Ticks(on_grid(self._clock.now_s(), self._poll_s), self._poll_s)
        async with asyncio.TaskGroup() as group:
            while True:
                for device_id in self._group.tick(group):
                    self._pollers[device_id].skipped += 1
                passed = ticks.done(self._clock.now_s())
                if passed:
                    for poller in self._pollers.values():
                        poller.skipped += passed
                await asyncio.sleep(self._clock.real_s(ticks.due_s - self._clock.now_s()))

    def _take(self, readings: Mapping[str, Mapping[str, Measurement]]) -> None:
        for device_id, reading in readings.items():
            self._pollers[device_id].take(reading)


def groups_of(
    devices: Iterable[Device], links: Mapping[str, FieldDevice], can_group: CanGroup
) -> dict[float, list[str]]:
    """Ids of the devices that are read together, by poll period; a device alone in its period polls by itself."""
    found: dict[float, list[str]] = {}
    for device in devices:
        if can_group(links[device.id]):
            found.setdefault(device.poll_s, []).append(device.id)
    return {poll_s: ids for poll_s, ids in found.items() if len(ids) > 1}
