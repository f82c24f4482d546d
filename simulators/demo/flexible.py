"""What the units of others can do otherwise now, from the controller's newest record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.domain.site import Site
from controller.planning.availability import Availability, availability
from simulators.demo.words import power

FOR_S = 3600.0
"""What counts can be kept up for so long."""


def flexible(site: Site, record: Mapping[str, Any]) -> dict[str, Availability]:
    """By unit, every battery and everything that consumes; a unit that the record says nothing of is not in it."""
    states = {state["id"]: state for state in record.get("units", ())}
    out = {}
    for unit in site.units:
        if unit.id in states and not unit.kind.generates:
            p_w, p_avail_w, soc_frac = (_number(states[unit.id].get(key)) for key in ("p_w", "p_avail_w", "soc_frac"))
            out[unit.id] = availability(unit, p_w, p_avail_w, soc_frac, FOR_S)
    return out


def flexible_words(found: Mapping[str, Availability]) -> str:
    """``3.1 MW up, 2.0 MW down``; empty where nothing is flexible."""
    if not found:
        return ""
    up_w, down_w = (math.fsum(values) for values in zip(*((x.up_w, x.down_w) for x in found.values()), strict=True))
    return f"{power(up_w)} up, {power(down_w)} down"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
