"""The day as it is known so far, from three streams: the simulator's truth, the controller's records, the other world.

No clock and no socket: lines come in with the instant of the machine at which they arrived.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.planning.availability import Availability
from simulators.demo.causes import CauseLedger
from simulators.demo.course import Course
from simulators.demo.cycle_stats import CycleStats
from simulators.demo.flexible import flexible
from simulators.demo.journal import FaultWatch, Journal
from simulators.demo.orders import OrderNames
from simulators.demo.setting import Setting
from simulators.demo.story import Story
from simulators.demo.words import clock

_AHEAD_S = 1.0  # machine time that the site clock is carried on without a word from the simulator
BOX_OFF = "the box is off"
NOBODY = "nobody in control"
_PACE_LINES = 20  # status lines, two a second


class Day:
    """Folded lines. ``record`` is the controller's newest; ``uncontrolled`` the same world with nobody in control.

    ``flexible`` is what batteries and consumers can do otherwise by the newest record, where there is a market; ``off``
    are the processes of the box that have died and not begun again.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.course = Course(setting.site)
        self.uncontrolled = Course(setting.site)
        self.journal = Journal(setting.site.limits)
        self.orders = OrderNames(setting.scenario.market.offers)
        self.causes = CauseLedger(self.orders.of)
        self.cycles = CycleStats()
        self.record: Mapping[str, Any] = {}
        self.flexible: Mapping[str, Availability] = {}
        self.off: set[str] = set()
        self._faults = FaultWatch()
        self._story = Story(setting.site) if setting.has_market else None
        self._heard_s = math.nan
        self._pace: deque[tuple[float, float]] = deque(maxlen=_PACE_LINES)

    def take_status(self, line: Mapping[str, Any], heard_s: float) -> None:
        """A line of the simulator, heard at second ``heard_s`` of the machine."""
        before = self.course.score
        self.course.take(line)
        self._tell_broken(before)
        self._heard_s = heard_s
        self._pace.append((heard_s, self.course.t_s))
        for at_s, fault, begins in self._faults.take(line.get("faults", ()), self.course.t_s):
            self.journal.simulator(at_s, fault, begins)
        if self._story is not None and self.course.newest is not None:
            for name, text in self._story.told(self.course.newest, self.site_clock_s, self.flexible):
                self.journal.market(self.course.t_s, name, text)

    def take_record(self, record: Mapping[str, Any], heard_s: float) -> None:
        """A cycle record of the controller."""
        self.record = record
        if self._story is not None:
            self.flexible = flexible(self.setting.site, record)
        self.orders.take(record["events"])
        self.causes.take(record)
        self.cycles.take(record)
        self.journal.controller(self._decided_s(record, heard_s), record["events"])

    @property
    def mode(self) -> str:
        """How far down its fail-safe ladder the controller is, or why it is on none."""
        if "controller" in self.off:
            return BOX_OFF
        return str(self.record.get("mode", "starting" if self.setting.controlled else NOBODY))

    def process_ends(self, name: str, text: str) -> None:
        """The controller or the station has died."""
        self.off.add(name)
        if name == "controller":
            self.record, self.flexible = {}, {}
        self.journal.box(self.course.t_s, f"{name}.off", text)

    def process_begins(self, name: str, text: str) -> None:
        """It is started again."""
        self.off.discard(name)
        self.journal.box(self.course.t_s, f"{name}.on", text)

    def _tell_broken(self, before: Mapping[str, Any]) -> None:
        """Put every limit that has really been exceeded since ``before`` into the journal."""
        for now, then in zip(self.course.score.get("limits", ()), before.get("limits", ()), strict=False):
            if now["over_s"] > then["over_s"]:
                self.journal.broken(self.course.t_s, now["id"])

    def _decided_s(self, record: Mapping[str, Any], heard_s: float) -> float:
        """Site second of a record by its own label; one without is as old as when it was heard."""
        if "utc" not in record:
            return self.site_s(heard_s)
        began_utc = self.setting.began_utc
        return max((datetime.fromisoformat(record["utc"]) - began_utc).total_seconds(), 0.0)

    @property
    def site_clock_s(self) -> float:
        """Seconds after midnight of the newest status line."""
        return (self.setting.start_s + self.course.t_s) % 86_400.0

    def site_s(self, heard_s: float) -> float:
        """Site second at an instant of the machine: the simulator's last word, carried on at the speed asked for."""
        since_s = heard_s - self._heard_s if math.isfinite(self._heard_s) else 0.0
        ahead_s = min(max(since_s, 0.0), _AHEAD_S) * self.setting.speed
        return min(self.course.t_s + ahead_s, self.setting.duration_s)

    @property
    def speed(self) -> float:
        """Site seconds per second of the machine over the last ten seconds or so; NaN at the beginning."""
        if len(self._pace) < _PACE_LINES:
            return math.nan
        (from_s, from_t_s), (to_s, to_t_s) = self._pace[0], self._pace[-1]
        return (to_t_s - from_t_s) / (to_s - from_s) if to_s > from_s else math.nan

    def clock(self, t_s: float) -> str:
        """Time of day at the site, ``HH:MM:SS``."""
        return clock(self.setting.start_s + t_s)
