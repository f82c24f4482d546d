"""EREC G100 Issue 2: one direction of a customer limitation scheme, as a state machine over excursions.

State 1: at or inside the limit. State 2: an excursion is under way; one of 15 s or more counts. State 3: locked out,
after an excursion of 60 s, a second counted one within 10 minutes, or more than three within 24 hours. The times and
counts are those of the open implementation that cites section 4.5.1.3, and of National Grid's connection pages.

Pure and without a calendar: every time is monotonic site seconds. What happened while nobody measured is no excursion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

COUNTS_S = 15.0
LOCKS_S = 60.0
SHORT_WINDOW_S, SHORT_WINDOW_COUNT = 600.0, 2
LONG_WINDOW_S, LONG_WINDOW_COUNT = 86_400.0, 4
RESET_WINDOW_S, RESETS_MAX = 30.0 * 86_400.0, 3


class Stage(Enum):
    """The states of the scheme."""

    NORMAL = 1
    EXCURSION = 2
    LOCKED = 3


@dataclass(frozen=True, slots=True)
class Course:
    """What one direction remembers; instants in monotonic site seconds.

    ``over_since_s`` of the excursion under way (None: there is none), ``counted`` whether it is in ``counted_at_s``
    already, ``locked_at_s`` of the lock-out (None: not locked), ``why`` it came, ``resets_at_s`` by the user.
    """

    over_since_s: float | None = None
    counted: bool = False
    counted_at_s: tuple[float, ...] = ()
    locked_at_s: float | None = None
    why: str = ""
    resets_at_s: tuple[float, ...] = ()

    @property
    def stage(self) -> Stage:
        """The state now."""
        if self.locked_at_s is not None:
            return Stage.LOCKED
        return Stage.NORMAL if self.over_since_s is None else Stage.EXCURSION


def observe(course: Course, over: bool | None, now_s: float) -> Course:
    """The course after one look: whether the limit is exceeded now; None when nothing measures it."""
    recent = tuple(t for t in course.counted_at_s if now_s - t < LONG_WINDOW_S)
    course = replace(course, counted_at_s=recent)
    if over is None or not over:
        return replace(course, over_since_s=None, counted=False)
    since_s = now_s if course.over_since_s is None else course.over_since_s
    course = replace(course, over_since_s=since_s)
    if not course.counted and now_s - since_s >= COUNTS_S:
        course = replace(course, counted=True, counted_at_s=(*recent, now_s))
    why = _lock_reason(course, now_s)
    if course.locked_at_s is None and why:
        return replace(course, locked_at_s=now_s, why=why)
    return course


def _lock_reason(course: Course, now_s: float) -> str:
    """Why the scheme locks out now; empty when it does not."""
    if course.over_since_s is not None and now_s - course.over_since_s >= LOCKS_S:
        return f"one excursion of {now_s - course.over_since_s:.0f} s"
    soon = sum(now_s - t < SHORT_WINDOW_S for t in course.counted_at_s)
    if course.counted and soon >= SHORT_WINDOW_COUNT:
        return f"{soon} excursions of {COUNTS_S:.0f} s within {SHORT_WINDOW_S / 60.0:.0f} min"
    if course.counted and len(course.counted_at_s) >= LONG_WINDOW_COUNT:
        return f"{len(course.counted_at_s)} excursions of {COUNTS_S:.0f} s within 24 h"
    return ""


def reset(course: Course, now_s: float, *, installer: bool, domestic: bool, after_s: float) -> tuple[Course, str]:
    """The course after a reset, and why it was refused (empty: it was not).

    An installer may always. In domestic premises the user may, three times in 30 days; in others only after
    ``after_s`` of lock-out. A reset forgets the excursions that led to the lock-out.
    """
    if course.locked_at_s is None:
        return course, "it is not locked out"
    recent = tuple(t for t in course.resets_at_s if now_s - t < RESET_WINDOW_S)
    if not installer and domestic and len(recent) >= RESETS_MAX:
        return course, f"the user has reset it {len(recent)} times within 30 days; an installer has to"
    left_s = after_s - (now_s - course.locked_at_s)
    if not installer and not domestic and left_s > 0.0:
        return course, f"{left_s / 60.0:.0f} min of lock-out are left; an installer may end it before"
    resets = (*recent, now_s) if domestic and not installer else recent
    return Course(resets_at_s=resets), ""


def until_reset_s(course: Course, now_s: float, *, domestic: bool, after_s: float) -> float:
    """Seconds until somebody who is no installer may reset; 0 when now, or when nothing is locked."""
    if course.locked_at_s is None:
        return 0.0
    if domestic:
        recent = sorted(t for t in course.resets_at_s if now_s - t < RESET_WINDOW_S)
        return 0.0 if len(recent) < RESETS_MAX else RESET_WINDOW_S - (now_s - recent[-RESETS_MAX])
    return max(after_s - (now_s - course.locked_at_s), 0.0)
