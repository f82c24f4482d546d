"""Means of what the records of the control process say about units, for reports; bounded, whatever the records say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.balancing.openadr.reports import Period, UnitReading


class PeriodMeter:
    """Adds up published records until somebody takes the period."""

    def __init__(self, units: frozenset[str]) -> None:
        self._units = units
        self._sums: dict[str, tuple[int, float, float]] = {}
        self._last: dict[str, tuple[float, str]] = {}
        self._mode = ""
        self._began_utc_s = math.nan

    def add(self, record: Mapping[str, Any], utc_s: float) -> None:
        """One record as published; what is no number in it is passed over."""
        if math.isnan(self._began_utc_s):
            self._began_utc_s = utc_s
        self._mode = str(record.get("mode", ""))
        for unit in record.get("units", ()):
            name, p_w, curtailed_w = unit.get("id"), _number(unit.get("p_w")), _number(unit.get("curtailed_w"))
            if name in self._units and math.isfinite(p_w):
                n, total_w, given_up_w = self._sums.get(name, (0, 0.0, 0.0))
                more_w = curtailed_w if math.isfinite(curtailed_w) else 0.0
                self._sums[name] = (n + 1, total_w + p_w, given_up_w + more_w)
                self._last[name] = (_number(unit.get("soc_frac")), str(unit.get("status", "")))

    def take(self, utc_s: float) -> Period | None:
        """The period up to now, and begin the next; None when nothing was seen."""
        if not self._sums or not utc_s > self._began_utc_s:
            return None
        units = {
            name: UnitReading(total_w / n, given_up_w / n, *self._last[name])
            for name, (n, total_w, given_up_w) in self._sums.items()
        }
        period = Period(self._began_utc_s, utc_s - self._began_utc_s, units, self._mode)
        self._sums, self._last, self._began_utc_s = {}, {}, utc_s
        return period


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
