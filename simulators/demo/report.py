"""The day in numbers: ``report.json``. What is true comes from the simulator; causes and times from the controller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulators.demo.day import Day
from simulators.demo.words import clock


def report_of(day: Day, completed: bool, market: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """JSON-ready. Energies in Wh (``energy_wh`` in load convention), times in site s, cycles in ms of the machine.

    ``market`` is what was bought and told to the controller, or None where there is no market. ``uncontrolled`` is the
    same world up to the same instant with nobody in control, or None.
    """
    setting, score = day.setting, day.course.score
    uncontrolled = day.uncontrolled.score_at(day.course.t_s)
    return {
        "site": setting.site.name,
        "title": setting.title,
        "seed": setting.seed,
        "speed": setting.speed,
        "controlled": setting.controlled,
        "completed": completed,
        "start": clock(setting.start_s),
        "hours": round(float(score.get("duration_s", 0.0)) / 3600.0, 6),
        "stretch": setting.stretch if setting.controlled else 1.0,
        "cycle_s": setting.site.cycle.cycle_s * setting.stretch if setting.controlled else None,
        "limits": list(score.get("limits", [])),
        "units": [{**unit, "causes": day.causes.of(unit["id"])} for unit in score.get("units", [])],
        "cycle_ms": day.cycles.to_dict(),
        "polls": {"ok": int(day.cycles.polls["ok"]), "failed": int(day.cycles.polls["failed"])},
        "events": {"counts": dict(sorted(day.journal.counts.items())), "told": _told(day)},
        "market": None if market is None else dict(market),
        "uncontrolled": {"limits": uncontrolled["limits"], "units": uncontrolled["units"]} if uncontrolled else None,
    }


def write_report(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.json`` into the folder; its path."""
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _told(day: Day) -> list[dict[str, Any]]:
    return [
        {
            "t_s": round(entry.t_s, 1),
            "clock": day.clock(entry.t_s),
            "source": entry.source,
            "name": entry.name,
            "text": day.journal.sentence(entry),
        }
        for entry in day.journal.entries
    ]
