"""Means of what the records of the control process say about units, for reports; bounded, whatever the records say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller.balancing.openadr.reports import Period, SupportReading, UnitReading


class PeriodMeter:
    """Adds up published records until somebody takes the period."""

    def __init__(self, units: frozenset[str]) -> None:
        self._units = units
        self._sums: dict[str, tuple[int, float, float]] = {}
        self._last: dict[str, tuple[float, str, float]] = {}
        self._support = (0, 0.0, 0.0)
        self._mode = ""
        self._began_utc_s = math.nan

    def add(self, record: Mapping[str, Any], utc_s: float) -> None:
        """One record as published; what is no number in it is passed over."""
        if math.isnan(self._began_utc_s):
            self._began_utc_s = utc_s
        self._mode = str(record.get("mode", ""))
        self._add_support(record.get("support"))
        for unit in record.get("units", ()):
            name, p_w, curtailed_w = unit.get("id"), _number(unit.get("p_w")), _number(unit.get("curtailed_w"))
            if name in self._units and math.isfinite(p_w):
                n, total_w, given_up_w = self._sums.get(name, (0, 0.0, 0.0))
                more_w = curtailed_w if math.isfinite(curtailed_w) else 0.0
                self._sums[name] = (n + 1, total_w + p_w, given_up_w + more_w)
                soc_frac, p_avail_w = _number(unit.get("soc_frac")), _number(unit.get("p_avail_w"))
                self._last[name] = (soc_frac, str(unit.get("status", "")), p_avail_w)

    def _add_support(self, support: Any) -> None:
        """What flows and what could be, while somebody asks for reactive power."""
        if not isinstance(support, Mapping):
            return
        q_var, reached_var = _number(support.get("q_var")), _number(support.get("reached_var"))
        if math.isfinite(q_var) and math.isfinite(reached_var):
            n, total_var, reachable_var = self._support
            self._support = (n + 1, total_var + q_var, reachable_var + reached_var)

    def take(self, utc_s: float) -> Period | None:
        """The period up to now, and begin the next; None when nothing was seen."""
        if not self._sums or not utc_s > self._began_utc_s:
            return None
        units = {
            name: UnitReading(total_w / n, given_up_w / n, *self._last[name])
            for name, (n, total_w, given_up_w) in self._sums.items()
        }
        n, total_var, reachable_var = self._support
        support = SupportReading(total_var / n, reachable_var / n) if n else None
        period = Period(self._began_utc_s, utc_s - self._began_utc_s, units, self._mode, support)
        self._sums, self._last, self._support, self._began_utc_s = {}, {}, (0, 0.0, 0.0), utc_s
        return period


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
