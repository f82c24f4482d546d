"""Runs a simulated substation on real ports, in step with a clock that may be faster than the world's.

The physics is never coarsened: when the machine cannot keep up, the site clock is held back, and that is said.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller.clock import SystemClock
from controller.shared_time import LeadingTime
from simulators.endpoints import Endpoints, Listening
from simulators.faults import Fault, FaultKind, Window
from simulators.status import StatusSocket
from simulators.world import STEP_S_MAX, World

PUBLISH_S = 0.5  # machine time
_PASS_S = 0.05  # machine time between passes of the loop
_BUSY_S = 0.03  # machine time that one pass may spend on physics before the servers get their turn
_LAG_S = 0.5  # machine time behind which the site clock is held back
_STEP_S_MIN = 0.05
_ROUNDING_S = 0.002  # machine time that a timer may be late


@dataclass(frozen=True, slots=True)
class HostSettings:
    """``duration_s`` in world seconds; ``status_path`` of a Unix socket, ``certificates`` a folder, or None.

    ``shared`` is the time that the host hands out, where others follow it. With ``linger`` the ports stay open when
    the duration is over, until somebody stops the host: so that a controller can leave its units safe.
    """

    speed: float = 1.0
    duration_s: float = math.inf
    port_offset: int = 0
    status_path: str | None = None
    certificates: Path | None = None
    shared: LeadingTime | None = None
    linger: bool = False


class Host:
    """One world on its ports. ``say`` gets a line for people whenever something changes."""

    def __init__(self, world: World, settings: HostSettings, say: Callable[[str], None]) -> None:
        self.world = world
        self.endpoints = Endpoints(world, settings.port_offset, settings.certificates)
        self._settings = settings
        self._say = say
        self._status = None if settings.status_path is None else StatusSocket(settings.status_path, self.command)
        self._stopping = asyncio.Event()
        self._step_s = min(max(settings.speed * _PASS_S, _STEP_S_MIN), STEP_S_MAX)
        self._held_back_s = 0.0
        self._slipping = False
        self._told_s = -math.inf

    def stop(self) -> None:
        """Ask for a clean end."""
        self._stopping.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Serve until the duration is over or somebody stops it; the final score. Leaves no port and no file."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self.stop)
        try:
            await self.endpoints.start()
            clock = SystemClock(self._settings.speed, shared=self._settings.shared)
            if self._status is not None:
                await self._status.start()
            on_ready()
            await self._live(clock)
            self._say_how_long_it_stood()
            final = {"final": True, "t_s": self.world.now_s, "score": self.world.score.to_dict()}
            if self._status is not None:
                self._status.publish(final)
            if self._settings.linger:
                await self._stopping.wait()
        finally:
            if self._status is not None:
                await self._status.stop()
            await self.endpoints.stop()
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(name)
        return final

    def command(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take one command of the status socket; ValueError or KeyError says what is wrong with it."""
        if "devices" in message:
            return {"devices": [asdict(row) for row in (*self.endpoints.table(), *self._breakers())]}
        if "mend" in message:
            return {"device": self._mend(self._broken(message["mend"]))}
        if "kill" in message:
            fault = Fault(FaultKind.KILLED, self._device(message["kill"]))
        elif "fault" in message:
            fault = self._fault(message)
        else:
            expected = "expected 'fault' with 'device', 'kill', 'mend' or 'devices'"
            raise ValueError(f"command has keys {sorted(message)}; {expected}")
        self.world.inject(fault)
        self._say(f"{fault.kind.value}: {fault.device} at {_clock(self._site_clock_s())}")
        return {"device": fault.device}

    def _mend(self, device: str) -> str:
        if not self.world.mend(device):
            raise ValueError(f"nothing is wrong with {device} that could be mended")
        self._say(f"mended: {device} at {_clock(self._site_clock_s())}")
        return device

    def _fault(self, message: dict[str, Any]) -> Fault:
        kinds, breaker = [kind.value for kind in FaultKind], message["fault"] == FaultKind.OPEN.value
        if message["fault"] not in kinds:
            raise ValueError(f"fault is {message['fault']!r}; expected one of {', '.join(kinds)}")
        for_s, frac = message.get("for_s", math.inf), message.get("frac", 0.0)
        for key, value in (("for_s", for_s), ("frac", frac)):
            if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
                raise ValueError(f"{key} is {value!r}; expected a number")
        return Fault(
            kind=FaultKind(message["fault"]),
            device=str(message.get("device")) if breaker else self._device(message.get("device")),
            for_s=float(for_s),
            point=str(message.get("point", "")),
            frac=float(frac),
        )

    def _breakers(self) -> list[Listening]:
        return [Listening(branch, "", "breaker", "", 0, "--how open") for branch in self.world.breakers()]

    def _broken(self, name: object) -> str:
        """The open branch called so, or else the device."""
        return str(name) if name in self.world.opened else self._device(name)

    def _device(self, name: object) -> str:
        """Id of the device called so, or of the one that commands the unit called so."""
        for device in self.world.site.devices:
            if name in (device.id, device.unit):
                return device.id
        raise KeyError(f"no device or unit is called {name!r}; expected one of {', '.join(self.world.devices)}")

    async def _live(self, clock: SystemClock) -> None:
        published_s = time.monotonic()
        while not self._stopping.is_set() and self.world.now_s < self._settings.duration_s:
            self._catch_up(min(clock.now_s() - self._held_back_s, self._settings.duration_s))
            await self.endpoints.refresh()
            self._hold_back(clock)
            self._hand_out(clock)
            if time.monotonic() - published_s >= PUBLISH_S:
                published_s = time.monotonic()
                self._publish()
            await self._wait(self._pause_s(clock))
        if self._settings.shared is not None:
            self._settings.shared.until_s = math.inf

    def _pause_s(self, clock: SystemClock) -> float:
        """Machine time from one pass to the next."""
        return max(clock.real_s(self._step_s), _PASS_S / 5.0)

    def _hand_out(self, clock: SystemClock) -> None:
        """Time for those who share it: no more than the physics has lived through, and what the next pass needs."""
        shared = self._settings.shared
        if shared is not None:
            lived_s = self.world.now_s + self._held_back_s + self._step_s
            ahead_s = clock.real_s(lived_s - clock.now_s()) + self._pause_s(clock) + _ROUNDING_S
            shared.until_s = shared() + ahead_s

    def _catch_up(self, target_s: float) -> None:
        """Step towards ``target_s``, as far as one pass may."""
        until_s = time.monotonic() + _BUSY_S
        last = target_s >= self._settings.duration_s
        while self.world.now_s < target_s and time.monotonic() < until_s:
            left_s = target_s - self.world.now_s
            if left_s < self._step_s and not last:
                return
            self.world.step(min(self._step_s, left_s))

    def _hold_back(self, clock: SystemClock) -> None:
        behind_s = clock.now_s() - self._held_back_s - self.world.now_s
        allowed_s = _LAG_S * self._settings.speed + self._step_s
        slipping = behind_s > allowed_s
        if slipping:
            self._held_back_s += behind_s - allowed_s
        if slipping and not self._slipping:
            self._say(f"this machine cannot keep up with speed {self._settings.speed:g}: the site clock is held back")
        self._slipping = slipping

    def _say_how_long_it_stood(self) -> None:
        shared = self._settings.shared
        if shared is not None and shared.stood_s >= 1.0:
            self._say(f"time stood still for {shared.stood_s:.0f} s in all: processes had no processor, or work")

    def _publish(self) -> None:
        if self._status is not None:
            truth, faults = asdict(self.world.truth()), self.world.faults_since(self._told_s)
            self._told_s = self.world.now_s
            self._status.publish(
                {
                    "t_s": self.world.now_s,
                    "truth": truth,
                    "score": self.world.score.to_dict(),
                    "faults": [_window(window) for window in faults],
                }
            )

    async def _wait(self, seconds: float) -> None:
        """Until the next pass is due; a shared time stands still before that, where the last one was late."""
        shared, due_s = self._settings.shared, asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(due_s if shared is None else min(due_s, shared.until_s - _ROUNDING_S / 2.0)):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _site_clock_s(self) -> float:
        return self.world.scenario.start_s + self.world.now_s


def _window(window: Window) -> dict[str, Any]:
    fault = window.fault
    return {"kind": fault.kind.value, "device": fault.device, "start_s": window.start_s, "end_s": window.end_s}


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour % 24:02d}:{minute:02d}:{second:02d}"
