"""What can go wrong with the simulated hardware, on schedule or on demand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from simulators.clock_time import ClockTime, parse_clock


class FaultKind(Enum):
    """The ways to fail.

    ``silent``: no answer, connections stay open. ``killed``: the same for good, and its port closes. ``frozen``: the
    last values repeat. ``deaf``: writes are acknowledged and read back, the unit keeps doing what it did. ``bias``:
    a measured point is off by a fraction of its full scale. ``spike``: the same for one plant step. ``open``: the
    breaker of a branch opens (``device`` is the branch).
    """

    SILENT = "silent"
    FROZEN = "frozen"
    DEAF = "deaf"
    KILLED = "killed"
    BIAS = "bias"
    SPIKE = "spike"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one device.

    ``at_clock_s`` is seconds after midnight (NaN: at once); ``point`` and ``frac`` belong to ``bias`` and ``spike``.
    """

    kind: FaultKind
    device: str
    at_clock_s: ClockTime = math.nan
    for_s: float = math.inf
    point: str = ""
    frac: float = 0.0


_TEXT = re.compile(
    r"(?P<kind>[a-z]+):(?P<device>\w+)(?:\.(?P<point>\w+)=(?P<frac>[-+.\d]+))?"
    r"(?:@(?P<at>[\d:]+))?(?:\+(?P<for_s>[.\d]+))?"
)


def parse_fault(text: str) -> Fault:
    """A fault written as ``KIND:DEVICE[.POINT=FRAC][@HH:MM][+SECONDS]``, such as ``silent:MT1@12:20+600``.

    Raises ValueError, which says what was expected.
    """
    found = _TEXT.fullmatch(text.strip())
    kinds = [kind.value for kind in FaultKind]
    if found is None or found["kind"] not in kinds:
        form = "KIND:DEVICE[.POINT=FRAC][@HH:MM][+SECONDS]"
        raise ValueError(f"fault is {text!r}; expected {form} with KIND one of {', '.join(kinds)}")
    return Fault(
        kind=FaultKind(found["kind"]),
        device=found["device"],
        at_clock_s=math.nan if found["at"] is None else parse_clock(found["at"]),
        for_s=math.inf if found["for_s"] is None else float(found["for_s"]),
        point=found["point"] or "",
        frac=float(found["frac"] or 0.0),
    )


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault is on, in world seconds; ``end_s`` may be infinite."""

    fault: Fault
    start_s: float
    end_s: float


class FaultBoard:
    """Which faults are on, by world second. Faults of a scenario come once, at their clock time of the first day."""

    def __init__(self, faults: Iterable[Fault], clock_start_s: float) -> None:
        begins = [(fault, fault.at_clock_s - clock_start_s) for fault in faults]
        windows = [_window(fault, 0.0 if math.isnan(start_s) else start_s) for fault, start_s in begins]
        self._windows = [window for window in windows if window.end_s > 0.0]
        self._next_change_s = -math.inf
        self.active: tuple[Fault, ...] = ()
        self._now_s = 0.0

    def inject(self, fault: Fault) -> None:
        """Begin a fault now."""
        if fault.kind is FaultKind.KILLED:
            fault = replace(fault, for_s=math.inf)
        self._windows.append(_window(fault, self._now_s))
        self._next_change_s = -math.inf

    def mend(self, device: str) -> bool:
        """End what is wrong with ``device`` now, but for its death; False when there is nothing to end."""
        mended = [window for window in self._windows if self._ends(window, device)]
        self._windows = [replace(w, end_s=self._now_s) if w in mended else w for w in self._windows]
        self._next_change_s = -math.inf
        return bool(mended)

    def _ends(self, window: Window, device: str) -> bool:
        fault = window.fault
        on = window.start_s <= self._now_s < window.end_s
        return on and fault.device == device and fault.kind is not FaultKind.KILLED

    def since(self, then_s: float) -> list[Window]:
        """What has been wrong at some time after ``then_s`` up to now."""
        return [w for w in self._windows if w.start_s <= self._now_s and w.end_s > then_s]

    def advance(self, now_s: float) -> bool:
        """Go to ``now_s``; True when the set of active faults may have changed."""
        self._now_s = now_s
        if now_s < self._next_change_s:
            return False
        edges = [edge for window in self._windows for edge in (window.start_s, window.end_s) if edge > now_s]
        self._next_change_s = min(edges, default=math.inf)
        self.active = tuple(window.fault for window in self._windows if window.start_s <= now_s < window.end_s)
        return True

    def devices(self, *kinds: FaultKind) -> frozenset[str]:
        """Ids of the devices that have one of these faults now."""
        return frozenset(fault.device for fault in self.active if fault.kind in kinds)


def _window(fault: Fault, start_s: float) -> Window:
    length_s = 1e-3 if fault.kind is FaultKind.SPIKE else fault.for_s
    return Window(fault, start_s, start_s + length_s)
