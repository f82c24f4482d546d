"""All courses by name."""

from __future__ import annotations

from collections.abc import Callable

from .course import Course
from .days import import_export, mv_day, rural_week
from .ev_evening import ev_evening
from .lv_clouds import lv_clouds, lv_taps
from .ring import ring
from .step_courses import step_faults, step_wrong
from .tso_voltage import tso_voltage
from .varied import varied

CATALOGUE: dict[str, Callable[[str], Course]] = {
    "step-faults-1": lambda n: step_faults(n, 11, "deaf"),
    "step-faults-2": lambda n: step_faults(n, 12, "born_deaf"),
    "step-faults-3": lambda n: step_faults(n, 13, "silent"),
    "step-wrong-1": lambda n: step_wrong(n, 21),
    "step-wrong-2": lambda n: step_wrong(n, 22),
    "step-wrong-3": lambda n: step_wrong(n, 23),
    "lv-clouds-1": lambda n: lv_clouds(n, 31),
    "lv-clouds-2": lambda n: lv_clouds(n, 32, mv_v=11e3, minutes=20.0, metered=False),
    "lv-taps-1": lambda n: lv_taps(n, 31),
    "ev-evening-1": lambda n: ev_evening(n, 41),
    "ev-evening-2": lambda n: ev_evening(n, 42, hours=2.0, metered=False),
    "ring-1": lambda n: ring(n, 91),
    "ring-2": lambda n: ring(n, 92, deaf=True),
    "tso-voltage-1": lambda n: tso_voltage(n, 51),
    "tso-voltage-2": lambda n: tso_voltage(n, 52, hv_v=33e3, mv_v=11e3, minutes=20.0),
    "mv-day-1": lambda n: mv_day(n, 61),
    "mv-day-2": lambda n: mv_day(n, 62, sky="windy"),
    "mv-day-3": lambda n: mv_day(n, 63, sky="clear"),
    "import-export": lambda n: import_export(n, 71),
    "rural-week": lambda n: rural_week(n, 81),
}


VARIED = "varied-"


def known(name: str) -> bool:
    """Whether :func:`build` has a course of this name: one of the catalogue, or ``varied-`` and any seed."""
    return name in CATALOGUE or (name.startswith(VARIED) and name.removeprefix(VARIED).isdecimal())


def build(name: str) -> Course:
    """The course of this name. Raises KeyError naming the known ones."""
    if not known(name):
        raise KeyError(f"no course {name!r}; known are {', '.join(CATALOGUE)}, and {VARIED}SEED")
    if name in CATALOGUE:
        return CATALOGUE[name](name)
    return varied(name, int(name.removeprefix(VARIED)))
