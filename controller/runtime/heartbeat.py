"""Signs of life of the critical tasks, and the service manager's watchdog that is fed only on all of them."""

from __future__ import annotations

import asyncio
import os
import socket

import structlog

from controller.ports import Clock

_log = structlog.get_logger()

_CHECK_S = 1.0
_LATE_AFTER_S_MIN = 2.0
_LATE_AFTER_PERIODS = 3.0


def notify(message: str) -> bool:
    """Send one ``sd_notify(3)`` message; False when there is no service manager or it does not listen. Never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError:
            return False
    return True


def watchdog_s() -> float | None:
    """The service manager's watchdog limit in machine seconds; None when it watches nobody or another process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 else None


class Heartbeats:
    """Last sign of life of every watched task, in seconds of the machine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s: dict[str, float] = {}
        self._limit_s: dict[str, float] = {}

    def watch(self, name: str, period_s: float) -> None:
        """Expect a beat every ``period_s`` (site seconds); late after three periods, and never before 2 s."""
        self._limit_s[name] = max(_LATE_AFTER_S_MIN, _LATE_AFTER_PERIODS * self._clock.real_s(period_s))
        self.beat(name)

    def beat(self, name: str) -> None:
        """The task is alive."""
        self._last_s[name] = self._machine_s()

    def late(self) -> list[str]:
        """Names of the tasks that have not been heard of for too long."""
        now_s = self._machine_s()
        return [name for name, limit_s in self._limit_s.items() if now_s - self._last_s[name] > limit_s]

    def _machine_s(self) -> float:
        return self._clock.real_s(self._clock.now_s())


async def feed_watchdog(beats: Heartbeats) -> None:
    """Tell the service manager that the process lives, as long as every heartbeat is fresh; for ever."""
    limit_s = watchdog_s()
    period_s = _CHECK_S if limit_s is None else min(_CHECK_S, limit_s / 3.0)
    withheld = False
    while True:
        late = beats.late()
        if late and not withheld:
            _log.error("watchdog.withheld", late=late)
        withheld = bool(late)
        if not late:
            notify("WATCHDOG=1")
        await asyncio.sleep(period_s)
