"""Latest-value table: what the field said last, and how far it may still be believed.

Device readings go in as they arrive; :meth:`ProcessImage.freeze` hands out the picture that one cycle thinks about.
Synchronous and without a clock: the virtual-time loop and the asyncio shell use the same object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.domain.measurement import Measurement, Quality
from controller.domain.reading import newest_good_s
from controller.domain.site import Device
from controller.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """``ok`` while a good value is younger than the device's stale limit; ``age_s`` since that value, inf if never."""

    ok: bool
    age_s: float


@dataclass(frozen=True, slots=True)
class _Route:
    """Where one value of a device goes; ``flipped`` when the device counts the other way round than the house."""

    name: str
    point: str
    flipped: bool


class _Slot:
    """One controller point: the last answer that carried a value, and the complaint that came after it, if any."""

    __slots__ = ("answered_at_s", "complaint", "shown", "stale_s")

    def __init__(self, stale_s: float) -> None:
        self.shown: Measurement | None = None
        self.complaint: Measurement | None = None
        self.stale_s = stale_s
        self.answered_at_s = -math.inf

    def take(self, answer: Measurement, stale_s: float) -> None:
        """Newest wins, by the instant of sampling; a complaint never overwrites the value before it."""
        if not answer.measured_at_s >= self.answered_at_s:
            return
        self.answered_at_s = answer.measured_at_s
        if answer.quality is Quality.GOOD or answer.quality is Quality.UNCERTAIN:
            self.shown, self.complaint, self.stale_s = answer, None, stale_s
        else:
            self.complaint = answer

    def at(self, now_s: float) -> Measurement | None:
        """What may be said about the point at ``now_s``; None when nothing was ever received."""
        shown = self.shown
        if shown is None:
            return self.complaint
        if now_s - shown.measured_at_s <= self.stale_s:
            return shown
        return self._outlived(shown, now_s)

    def _outlived(self, shown: Measurement, now_s: float) -> Measurement:
        """The value is too old: BAD without a value when the device complained since, STALE when it fell silent."""
        at_s, received_s = shown.measured_at_s, shown.received_at_s
        complaint = self.complaint
        if complaint is not None:
            return Measurement(math.nan, complaint.quality, at_s, received_s, complaint.reason)
        reason = f"last answer {now_s - at_s:.1f} s old, limit {self.stale_s:g} s"
        return Measurement(shown.value, Quality.STALE, at_s, received_s, reason)


class ProcessImage:
    """Latest value of every fed point of the site.

    A GOOD or UNCERTAIN value older than the stale limit of its device becomes STALE (value kept, for display). A BAD
    or MISSING answer leaves the last value standing until it is stale, then the point is BAD or MISSING without a
    value. A GOOD value that is not finite counts as BAD.
    """

    def __init__(self, devices: Iterable[Device]) -> None:
        self._devices = {device.id: device for device in devices}
        self._routes = {device.id: _routes(device) for device in self._devices.values()}
        self._slots = {
            route.point: _Slot(self._devices[device_id].stale_s)
            for device_id, routes in self._routes.items()
            for route in routes
        }
        self._good_at_s = dict.fromkeys(self._devices, -math.inf)

    def update(self, device_id: str, reading: Mapping[str, Measurement]) -> bool:
        """Take one poll result (keys are the profile's point names); True when it held a newer good value.

        A point that the reading does not mention is left as it is and ages. Raises KeyError for an unknown device.
        """
        stale_s = self._devices[device_id].stale_s
        for route in self._routes[device_id]:
            answer = reading.get(route.name)
            if answer is None:
                continue
            if answer.quality is Quality.GOOD and not math.isfinite(answer.value):
                answer = _not_finite(answer)
            self._slots[route.point].take(_flip(answer) if route.flipped else answer, stale_s)
        newest_s = newest_good_s(reading)
        if not newest_s > self._good_at_s[device_id]:
            return False
        self._good_at_s[device_id] = newest_s
        return True

    def freeze(self, now_s: float, utc_s: float = math.nan) -> Snapshot:
        """The picture at ``now_s`` (``utc_s``: NaN when the time of day is unknown); later updates do not change it.

        Points never heard of are absent.
        """
        points: dict[str, Measurement] = {}
        for point, slot in self._slots.items():
            found = slot.at(now_s)
            if found is not None:
                points[point] = found
        return Snapshot(now_s, points, utc_s)

    def read(self, points: Iterable[str], now_s: float) -> dict[str, float]:
        """Values of those points that have a usable one at ``now_s``."""
        found = {point: self._slots[point].at(now_s) for point in points if point in self._slots}
        return {point: shown.value for point, shown in found.items() if shown is not None and shown.usable}

    def health(self, now_s: float) -> dict[str, DeviceHealth]:
        """State of every device, by id."""
        return {
            device_id: DeviceHealth(self.is_heard(device_id, now_s), now_s - good_at_s)
            for device_id, good_at_s in self._good_at_s.items()
        }

    def is_heard(self, device_id: str, now_s: float) -> bool:
        """True while the newest good value of the device is young enough."""
        return now_s - self._good_at_s[device_id] <= self._devices[device_id].stale_s


def _routes(device: Device) -> tuple[_Route, ...]:
    return tuple(
        _Route(name, target.removeprefix("-"), target.startswith("-")) for name, target in device.feeds.items()
    )


def _flip(answer: Measurement) -> Measurement:
    return Measurement(-answer.value, answer.quality, answer.measured_at_s, answer.received_at_s, answer.reason)


def _not_finite(answer: Measurement) -> Measurement:
    reason = f"answered {answer.value} with good quality; expected a finite number"
    return Measurement(math.nan, Quality.BAD, answer.measured_at_s, answer.received_at_s, reason)
