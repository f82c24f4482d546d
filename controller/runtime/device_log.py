"""When a device is found, lost and back, as log lines: each kind at most every ten seconds of the machine."""

from __future__ import annotations

import math

import structlog

from controller.domain.site import Device
from controller.ports import Clock

_log = structlog.get_logger()

QUIET_S = 10.0


class DeviceLog:
    """Writes the transitions of one device.

    One that flaps is not told every time: ``unsaid`` counts what was left out, and how it ended is told as soon as the
    ten seconds are over. 150 devices that come and go every other second wrote 150 lines a second.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        self.told: bool | None = None
        """What the log says: True for lost, False for there, None for nothing yet; read only."""
        self._device = device
        self._clock = clock
        self._said_s = {True: -math.inf, False: -math.inf}
        self._unsaid = 0

    def changed(self) -> None:
        """A transition, told or not."""
        self._unsaid += 1

    def tell(self, *, lost: bool, reason: str = "") -> None:
        """Say how it is, unless that was said just now."""
        now_s = self._clock.real_s(self._clock.now_s())
        if now_s - self._said_s[lost] < QUIET_S:
            return
        more: dict[str, object] = {"unsaid": self._unsaid - 1} if self._unsaid > 1 else {}
        where = {"device": self._device.id, "endpoint": self._device.endpoint}
        if lost:
            _log.warning("device.lost", **where, reason=reason, **more)
        elif self.told is None:
            _log.info("device.found", **where)
        else:
            _log.info("device.recovered", **where, **more)
        if lost or self.told is not None:
            self._said_s[lost] = now_s
        self.told, self._unsaid = lost, 0
