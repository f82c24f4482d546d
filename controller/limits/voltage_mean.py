"""Ten-minute means of bus voltages: the fast band narrows so that no window's mean ends outside (EN 50160, ESQCR).

Windows are aligned to the clock. In each, the highest voltage that may be held to its end without the mean leaving the
band is what the time left allows; it becomes the fast limit where it is the tighter one. A window that can no longer
be saved narrows its edge by a quarter of the band and no further: it must not cost more than it is worth. A voltage
that nobody measures counts as its worst, time that nobody saw as spent at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain.record import Event
from controller.domain.site import Site
from controller.limits.in_force import Proposal, Situation

Array = NDArray[np.float64]

WINDOW_S = 600.0  # EN 50160: 10-minute means
GUARD_PU = 0.001  # of the rated voltage: kept between a mean and its edge
MEASURED_S = 30.0
LEFT_MIN_S = 1.0
CLOCK_STEP_S = 1.0  # the time of day and our own clock may differ by this much from look to look
WORST_SIGMAS = 3.0
ROUNDING_V = 1e-3
NARROWEST_FRAC = 0.25  # of the width of a mean band: how far one edge may be narrowed


@dataclass(frozen=True, slots=True)
class Window:
    """The window under way: its number, when it was last added to, and ∫ V dt of both edges' worst case (V s)."""

    number: int
    now_s: float
    done_s: float
    high_vs: Array
    low_vs: Array


class VoltageMeanReason:
    """Mean bands of one site, in the order of ``site.connection.mean_bands``."""

    key = "voltage_mean"
    memory_type = Window

    def __init__(self, site: Site) -> None:
        bands = site.connection.mean_bands
        limits = {x.id: k for k, x in enumerate(site.limits)}
        buses = [b.id for b in site.topology.buses]
        self.index = [limits[b.limit] for b in bands]
        self.ids = [b.limit for b in bands]
        self.bus = np.array([buses.index(site.limits[k].element) for k in self.index], dtype=np.intp)
        rated_v = np.array([site.topology.buses[b].u_rated_v for b in self.bus])
        self.high_v = np.array([b.high_v for b in bands])
        self.low_v = np.array([b.low_v for b in bands])
        self.fast_v = [(site.limits[k].low or 0.0, site.limits[k].high) for k in self.index]
        self.guard_v = GUARD_PU * rated_v
        self.stale_s = max(MEASURED_S, 3.0 * site.cycle.cycle_s)

    def initial(self, now_s: float) -> Window:
        """No window yet; the first look begins one."""
        none = np.zeros(len(self.index))
        return Window(-1, now_s, 0.0, none, none)

    def propose(self, memory: Window, situation: Situation) -> tuple[Window, Sequence[Proposal], Sequence[Event]]:
        """Add the time since the last look, close the window when it is over, and say what the rest of it allows."""
        number, done_s = _phase(situation.utc_s, situation.now_s)
        dt_s = max(situation.now_s - memory.now_s, 0.0)
        steady = number == memory.number and abs(done_s - memory.done_s - dt_s) <= CLOCK_STEP_S
        if steady:
            upper, lower = self._worst(situation)
            high_vs, low_vs = memory.high_vs + dt_s * upper, memory.low_vs + dt_s * lower
        else:
            high_vs, low_vs = done_s * self.high_v, done_s * self.low_v
        window = Window(number, situation.now_s, done_s, high_vs, low_vs)
        return window, self._proposals(window), [] if number == memory.number else self._closed(memory)

    def _worst(self, situation: Situation) -> tuple[Array, Array]:
        """Highest and lowest voltage that the data allow, V; a fresh reading is taken as it is."""
        e = situation.estimate
        unseen = np.where(e.bus_age_s[self.bus] <= self.stale_s, 0.0, WORST_SIGMAS * e.bus_sigma_v[self.bus])
        u = e.bus_u_v[self.bus]
        return u + unseen, u - unseen

    def _proposals(self, window: Window) -> list[Proposal]:
        """The voltages that may be held to the end of the window, less a guard, as edges of the fast limits."""
        left_s = max(WINDOW_S - window.done_s, LEFT_MIN_S)
        most_v = NARROWEST_FRAC * (self.high_v - self.low_v)
        high = np.maximum((WINDOW_S * self.high_v - window.high_vs) / left_s - self.guard_v, self.high_v - most_v)
        low = np.minimum((WINDOW_S * self.low_v - window.low_vs) / left_s + self.guard_v, self.low_v + most_v)
        return [self._proposal(i, float(high[i]), float(low[i]), left_s) for i in range(len(self.index))]

    def _proposal(self, i: int, high_v: float, low_v: float, left_s: float) -> Proposal:
        narrows = high_v < self.fast_v[i][1] or low_v > self.fast_v[i][0]
        note = f"10-minute mean to stay in {self.low_v[i]:.0f}…{self.high_v[i]:.0f} V" if narrows else ""
        return Proposal(self.index[i], high_v, low_v, cause="voltage_mean", note=note, left_s=left_s)

    def _closed(self, window: Window) -> list[Event]:
        """Means of a window that ended outside its band."""
        if window.number < 0 or not window.done_s > 0.0:
            return []
        high, low = window.high_vs / window.done_s, window.low_vs / window.done_s
        outside = np.flatnonzero((high > self.high_v + ROUNDING_V) | (low < self.low_v - ROUNDING_V))
        return [Event("voltage.mean_left", self.ids[i], f"10-minute mean {high[i]:.1f} V") for i in outside]

    def dump(self, memory: Window) -> Mapping[str, Any]:
        """Nothing: what a restart did not see counts as spent at the edge."""
        return {}

    def load(self, document: Mapping[str, Any], gap_s: float, now_s: float) -> Window:
        """A new window."""
        return self.initial(now_s)


def _phase(utc_s: float, now_s: float) -> tuple[int, float]:
    """Number of the window and how much of it has passed, s; by the time of day, else by our own clock."""
    at_s = utc_s if math.isfinite(utc_s) else now_s
    number = math.floor(at_s / WINDOW_S)
    return number, at_s - number * WINDOW_S
