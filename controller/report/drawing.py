"""Which courses the page draws."""

from __future__ import annotations

import numpy as np

from controller.domain.site import Site
from controller.domain.unit import UnitKind
from controller.report.chart import Line, chart
from controller.report.findings import BINDS_FRAC
from controller.report.past import Array, Past
from controller.report.words import clock

LINES_MAX = 6
LABEL_H = 2.0


def figures(site: Site, past: Past) -> list[str]:
    """Use of the limits that bound, what flexible units took, what generators gave and could have given."""
    hours = (past.start_utc_s - past.start_utc_s[0]) / 3600.0
    labels = _labels(site, past)
    return [chart(title, unit, hours, lines, labels) for title, unit, lines in courses(site, past)]


def courses(site: Site, past: Past) -> list[tuple[str, str, list[Line]]]:
    """Title, unit and lines of every figure; none without a line."""
    found = [
        ("Use of the limits that bound", "%", _limits(site, past)),
        ("Batteries and flexible demand; above zero they take in", "MW", _flexible(site, past)),
        ("Generation, and what was held back", "MW", _generation(site, past)),
    ]
    return [item for item in found if item[2]]


def _limits(site: Site, past: Past) -> list[Line]:
    used = [(limit.id, past.most(f"limit.{limit.id}.loading_frac")) for limit in site.limits]
    ranked = sorted(((np.nanmax(y, initial=0.0), name, y) for name, y in used), key=lambda x: -x[0])
    chosen = [x for k, x in enumerate(ranked[:LINES_MAX]) if k == 0 or x[0] >= BINDS_FRAC]
    return [Line(name, 100.0 * y) for _, name, y in chosen]


def _flexible(site: Site, past: Past) -> list[Line]:
    units = [unit for unit in site.units if not unit.kind.generates][:LINES_MAX]
    lines = [Line(unit.id, past.of(f"unit.{unit.id}.p_w") / 1e6) for unit in units]
    stores = [unit for unit in units if unit.kind is UnitKind.BATTERY][: LINES_MAX - len(lines)]
    return [*lines, *(Line(f"{u.id} content, tenths", 10.0 * past.of(f"unit.{u.id}.soc_frac")) for u in stores)]


def _generation(site: Site, past: Past) -> list[Line]:
    units = [unit for unit in site.units if unit.kind.generates]
    if not units:
        return []
    given: Array = np.nansum([-past.of(f"unit.{u.id}.p_w") for u in units], axis=0) / 1e6
    held: Array = np.nansum([past.of(f"unit.{u.id}.curtailed_w") for u in units], axis=0) / 1e6
    return [Line("given", given), Line("held back", held)]


def _labels(site: Site, past: Past) -> list[tuple[float, str]]:
    last_h = float(past.start_utc_s[-1] - past.start_utc_s[0]) / 3600.0
    step_h = LABEL_H if last_h > LABEL_H * 2.0 else 0.5
    hours = np.arange(0.0, last_h + 1e-9, step_h).tolist()
    return [(hour, clock(past.start_utc_s[0] + 3600.0 * hour, site)) for hour in hours]
