"""Quarter hours: which slot of the day and which kind of day an instant belongs to."""

from __future__ import annotations

from dataclasses import dataclass

QUARTER_S = 900.0
SLOTS = 96
DAYS = 7
FIRST_WEEKEND_DAY = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local civil time as a function of site seconds.

    ``midnight_s`` is an instant of local midnight in site seconds; ``weekday`` the day that begins there (0 = Monday),
    None when nobody knows it: then all days are alike.
    """

    midnight_s: float = 0.0
    weekday: int | None = None

    def quarter(self, now_s: float) -> int:
        """Number of the quarter hour that ``now_s`` lies in; quarter 0 begins at ``midnight_s``."""
        return int((now_s - self.midnight_s) // QUARTER_S)

    def start_s(self, quarter: int) -> float:
        """Site seconds at which a quarter hour begins."""
        return self.midnight_s + quarter * QUARTER_S

    def day_type(self, quarter: int) -> int:
        """0 for a working day, 1 for a day of the weekend."""
        if self.weekday is None:
            return 0
        return int((self.weekday + quarter // SLOTS) % DAYS >= FIRST_WEEKEND_DAY)
