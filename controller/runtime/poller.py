"""One task per device: read it at its own period and put the answer into the process image."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from controller.domain.measurement import Measurement
from controller.domain.site import Device
from controller.ports import Clock, FieldDevice
from controller.runtime.device_log import DeviceLog
from controller.runtime.process_image import ProcessImage
from controller.runtime.ticks import Ticks, on_grid


class Poller:
    """Polls one device for ever.

    Field faults arrive as quality and end here; any exception of the driver is a bug and ends the process. Ticks that
    pass while a poll is under way are skipped and counted in ``skipped``. ``on_back`` is called when the device
    answers again after it was lost; ``beat`` after every poll, whatever it brought.
    """

    def __init__(
        self,
        device: Device,
        link: FieldDevice,
        image: ProcessImage,
        clock: Clock,
        *,
        on_back: Callable[[str], None],
        beat: Callable[[], None],
    ) -> None:
        self.ok = 0
        self.failed = 0
        self.skipped = 0
        self._device = device
        self._link = link
        self._image = image
        self._clock = clock
        self._on_back = on_back
        self._beat = beat
        self._lost = False
        self._log = DeviceLog(device, clock)

    async def run(self) -> None:
        """Poll by the clock until cancelled."""
        ticks = Ticks(on_grid(self._clock.now_s(), self._device.poll_s), self._device.poll_s)
        while True:
            self.take(await self._link.poll())
            self.skipped += ticks.done(self._clock.now_s())
            await asyncio.sleep(self._clock.real_s(ticks.due_s - self._clock.now_s()))

    def take(self, reading: Mapping[str, Measurement]) -> None:
        """One poll has ended and brought this."""
        self._beat()
        if self._image.update(self._device.id, reading):
            self.ok += 1
            self._found()
        else:
            self.failed += 1
            self._missed(reading)

    def _found(self) -> None:
        was_lost, self._lost = self._lost, False
        if was_lost:
            self._log.changed()
            self._on_back(self._device.id)
        if self._log.told is not False:
            self._log.tell(lost=False)

    def _missed(self, reading: Mapping[str, Measurement]) -> None:
        """Lost is who has no good value left that is young enough; a single bad poll is not worth a line."""
        if not self._lost:
            if self._image.is_heard(self._device.id, self._clock.now_s()):
                return
            self._lost = True
            self._log.changed()
        if not self._log.told:
            self._log.tell(lost=True, reason=_reason(reading))


def _reason(reading: Mapping[str, Measurement]) -> str:
    """Why there is no good value: what most points say, for one that the device never had says something else."""
    said = Counter(answer.reason for answer in reading.values() if answer.reason)
    return said.most_common(1)[0][0] if said else "no answer"
