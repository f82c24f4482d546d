"""What each unit did in the last minutes, from the records of the control process; bounded, whatever they say."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, TypeGuard

BEFORE_S = 300.0
"""So much of the past is the mean of."""
RECORDS_MAX = 2000


class Before:
    """The last minutes of some units, by monotonic time; what a record does not say of a unit counts for nothing."""

    def __init__(self, units: frozenset[str]) -> None:
        self._units = units
        self._seen: deque[tuple[float, dict[str, float]]] = deque(maxlen=RECORDS_MAX)

    def add(self, record: Mapping[str, Any], now_s: float) -> None:
        """One record as published."""
        known = ((state.get("id"), state.get("p_w")) for state in record.get("units", ()))
        self._seen.append((now_s, {u: float(p_w) for u, p_w in known if u in self._units and _is_number(p_w)}))
        while self._seen[0][0] < now_s - BEFORE_S:
            self._seen.popleft()

    def means_w(self, now_s: float) -> dict[str, float]:
        """Mean power of every unit that was seen in the minutes before now, W."""
        seen = [powers for at_s, powers in self._seen if at_s >= now_s - BEFORE_S]
        known = {unit: [powers[unit] for powers in seen if unit in powers] for unit in self._units}
        return {unit: math.fsum(each) / len(each) for unit, each in known.items() if each}


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
