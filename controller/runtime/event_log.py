"""The core's transitions as log lines, each kind about each subject at most every ten seconds."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from controller.domain.record import Event
from controller.ports import Clock

_log = structlog.get_logger()

WORRYING = frozenset(
    {
        "branch.out_of_service",
        "escalation.trim",
        "escalation.trip",
        "escalation.trip_all",
        "g100.blind",
        "g100.excursion",
        "g100.locked",
        "grid.no_solution",
        "guard.clamped",
        "instruction.refused",
        "limit.unseen",
        "memory.refused",
        "meter.contradiction",
        "meter.frozen",
        "meter.above_estimate",
        "meter.inconsistent",
        "meter.late",
        "meter.voltage_off",
        "meter.wired_backwards",
        "meter.wrong_scale",
        "oil.refused",
        "site.infeasible",
        "support.short",
        "unit.behind",
        "unit.contested",
        "unit.deaf",
        "unit.deaf_to_q",
        "unit.isolated",
        "unit.lost",
        "voltage.mean_left",
    }
)
"""Events that somebody should look into: logged as warnings."""

QUIET_S = 10.0
_KINDS_MAX = 1000


class EventLog:
    """Writes events; one that flaps is not written more often than every ``QUIET_S`` seconds of the machine.

    The next line of its kind says how many were left out (``unsaid``); the published records have them all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_s: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    def write(self, events: Iterable[Event]) -> None:
        """One line per event that is due."""
        for event in events:
            kind, now_s = (event.name, event.subject), self._clock.real_s(self._clock.now_s())
            if now_s - self._said_s.get(kind, -QUIET_S) < QUIET_S:
                self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
                continue
            if len(self._said_s) >= _KINDS_MAX:
                self._said_s.clear()
            self._said_s[kind] = now_s
            _say(event, self._unsaid.pop(kind, 0))


def _say(event: Event, unsaid: int) -> None:
    tell = _log.warning if event.name in WORRYING else _log.info
    more = {"unsaid": unsaid} if unsaid else {}
    tell(event.name, subject=event.subject, text=event.text, **more)
