"""What every device of a site says now: polled at each device's own period, never written."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.domain.measurement import Measurement, Quality
from controller.domain.site import Device
from controller.ports import Clock, FieldDevice, Inspectable

_UNITS = {
    "w": "W",
    "var": "var",
    "va": "VA",
    "wh": "Wh",
    "a": "A",
    "v": "V",
    "hz": "Hz",
    "c": "°C",
    "s": "s",
    "k": "K",
}


PATIENCE_S_MIN, PATIENCE_TIMEOUTS = 3.0, 3.0
"""A new connection may take more than one poll: an RTU line is listened to for a time-out before it is used, SunSpec
models are walked over, a secured session is made. Machine seconds, and time-outs of the device."""
AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class PointLine:
    """One point as an engineer wants to see it.

    ``value`` is SI in ``unit`` and in the house's sign, NaN when there is none; ``raw`` is what stood on the wire;
    ``target`` the controller point that it feeds, with a ``-`` when it counts the other way, or empty.
    """

    point: str
    value: float
    unit: str
    quality: Quality
    reason: str
    age_s: float
    raw: str
    target: str


@dataclass(frozen=True, slots=True)
class DeviceLines:
    """One device: its points and what was counted on its connection since the start."""

    device: Device
    points: tuple[PointLine, ...]
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """True when at least one point is good."""
        return any(line.quality is Quality.GOOD for line in self.points)


@dataclass(slots=True)
class _Watched:
    device: Device
    link: FieldDevice
    answers: Mapping[str, Measurement] = field(default_factory=dict)


class Watch:
    """Polls ``links`` (by id, one for every device) and says what they answered; it has no way to write."""

    def __init__(self, devices: tuple[Device, ...], links: Mapping[str, FieldDevice], clock: Clock) -> None:
        self._watched = [_Watched(device, links[device.id]) for device in devices]
        self._clock = clock

    async def poll_once(self, *, patiently: bool = False) -> None:
        """Ask every device once, all at the same time; bounded by the longest time-out among them.

        ``patiently``: who has nothing good to say is asked again, for three of its time-outs and 3 s at least.
        """
        async with asyncio.TaskGroup() as group:
            for watched in self._watched:
                group.create_task(self._poll_patiently(watched) if patiently else self._poll(watched))

    async def run(self) -> None:
        """Poll every device at its own period until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watched in self._watched:
                group.create_task(self._poll_for_ever(watched))

    def lines(self) -> tuple[DeviceLines, ...]:
        """What is known now, in the order of the site file."""
        now_s = self._clock.now_s()
        return tuple(_device_lines(watched, now_s) for watched in self._watched)

    async def aclose(self) -> None:
        """Close every connection, all at the same time: a server that does not let go holds up no other."""
        async with asyncio.TaskGroup() as group:
            for watched in self._watched:
                group.create_task(watched.link.aclose())

    async def _poll(self, watched: _Watched) -> None:
        watched.answers = await watched.link.poll()

    async def _poll_patiently(self, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + max(PATIENCE_S_MIN, PATIENCE_TIMEOUTS * self._clock.real_s(watched.device.timeout_s))
        while True:
            await self._poll(watched)
            if any(answer.quality is Quality.GOOD for answer in watched.answers.values()) or loop.time() > until_s:
                return
            await asyncio.sleep(AGAIN_S)

    async def _poll_for_ever(self, watched: _Watched) -> None:
        while True:
            due_s = self._clock.now_s() + watched.device.poll_s
            await self._poll(watched)
            await asyncio.sleep(self._clock.real_s(max(0.0, due_s - self._clock.now_s())))


def unit_of(point: str) -> str:
    """Unit of a point, which is in its name (``u_1_v_ln`` is a voltage); empty for a bare number."""
    last = point.removesuffix("_ln").rsplit("_", 1)[-1]
    return _UNITS.get(last, "")


def _device_lines(watched: _Watched, now_s: float) -> DeviceLines:
    device, link = watched.device, watched.link
    inspected = link if isinstance(link, Inspectable) else None
    raw = inspected.raw() if inspected is not None else {}
    points = tuple(
        _line(name, _aged(answer, now_s, device.stale_s), now_s, raw.get(name, ""), device.feeds.get(name, ""))
        for name, answer in sorted(watched.answers.items())
    )
    return DeviceLines(device, points, inspected.counts() if inspected is not None else {})


def _line(name: str, answer: Measurement, now_s: float, raw: str, target: str) -> PointLine:
    age_s = now_s - answer.measured_at_s
    return PointLine(name, answer.value, unit_of(name), answer.quality, answer.reason, age_s, raw, target)


def _aged(answer: Measurement, now_s: float, stale_s: float) -> Measurement:
    """A value older than the stale limit is stale, and a good one that is no number is bad, as in the controller."""
    if answer.quality is Quality.GOOD and not math.isfinite(answer.value):
        return replace(answer, quality=Quality.BAD, reason=f"answered {answer.value} with good quality")
    age_s = now_s - answer.measured_at_s
    if answer.quality <= Quality.UNCERTAIN and age_s > stale_s:
        return replace(answer, quality=Quality.STALE, reason=f"older than stale_s, {stale_s:g} s")
    return answer
