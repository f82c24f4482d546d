"""How long which limit shaped which unit's set point, from the controller's records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

GAP_S_MAX = 60.0
"""A silence between records longer than this is charged to nobody, s of the site."""


class CauseLedger:
    """Seconds of the site per unit and cause. A record holds until the next one.

    ``named`` turns a cause into the name under which it is counted.
    """

    def __init__(self, named: Callable[[str], str] = str) -> None:
        self._named = named
        self.seconds: dict[str, dict[str, float]] = {}
        self._since_s: float | None = None
        self._holding: dict[str, tuple[str, ...]] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """One cycle record; records arrive in order."""
        now_s = float(record["now_s"])
        gap_s = 0.0 if self._since_s is None else now_s - self._since_s
        if 0.0 < gap_s <= GAP_S_MAX:
            self._charge(gap_s)
        self._since_s = now_s
        self._holding = {
            unit["id"]: tuple(dict.fromkeys(self._named(cause) for cause in unit["causes"])) for unit in record["units"]
        }

    def of(self, unit_id: str) -> dict[str, float]:
        """Causes of one unit, longest first; several may hold at once, so the sum may exceed the time."""
        mine = self.seconds.get(unit_id, {})
        return {cause: round(mine[cause], 1) for cause in sorted(mine, key=lambda cause: (-mine[cause], cause))}

    def _charge(self, gap_s: float) -> None:
        for unit_id, causes in self._holding.items():
            mine = self.seconds.setdefault(unit_id, {})
            for cause in causes:
                mine[cause] = mine.get(cause, 0.0) + gap_s
