"""What must never be exceeded, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from controller.domain.thermal import Season


class LimitKind(Enum):
    """The reasons to restrict that exist so far."""

    THERMAL = "thermal"  # branch current, either direction, A
    VOLTAGE = "voltage"  # bus voltage, V line-to-line
    EXPORT = "export"  # power out of the site at the interface, W
    IMPORT = "import"  # power into the site at the interface, W


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of one element.

    ``element`` is a branch id (thermal), a bus id (voltage) or ``interface``. ``low``/``high`` are in the unit of the
    kind; thermal and export/import use ``high`` only (a magnitude ≥ 0), voltage uses both. ``rated`` is the continuous
    rating of an element that may carry more for a while; ``high`` is then its absolute short-time cap. ``seasons`` are
    ratings by time of year; ``rated`` is then no more than the lowest of them.
    """

    id: str
    kind: LimitKind
    element: str
    high: float
    low: float | None = None
    rated: float | None = None
    seasons: tuple[Season, ...] = ()

    @property
    def rated_high(self) -> float:
        """What is allowed without knowing anything more: the continuous rating."""
        return self.high if self.rated is None else min(self.rated, self.high)
