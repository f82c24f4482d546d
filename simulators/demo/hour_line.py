"""One line per hour: what a script's log should show of the day."""

from __future__ import annotations

from simulators.demo.day import Day
from simulators.demo.flexible import flexible_words
from simulators.demo.words import clock, energy, interface, percent_fine


def hour_line(day: Day) -> str:
    """``12:00:04  normal  most used: T1.thermal 97.1 %  export 9.8 MW  …``; empty before the first status line."""
    newest = day.course.newest
    if newest is None:
        return ""
    limits = day.setting.site.limits
    place = max(range(len(limits)), key=lambda k: newest.frac[k])
    over_s = sum(item["over_s"] for item in day.course.score["limits"])
    curtailed_wh = sum(item["curtailed_wh"] for item in day.course.score["units"])
    parts = [
        clock(day.setting.start_s + newest.t_s),
        day.mode,
        f"most used: {limits[place].id} {percent_fine(newest.frac[place])}",
        interface(newest.interface_p_w),
        f"curtailed so far {energy(curtailed_wh)}",
        f"over limits so far {over_s:.0f} s",
    ]
    if day.flexible:
        parts.append(f"flexible {flexible_words(day.flexible)}")
    if day.record:
        parts.append(f"cycles missed {day.cycles.missed}")
        parts.append(f"polls failed {int(day.cycles.polls['failed'])}")
    return "  ".join(parts)
