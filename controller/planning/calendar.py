"""Quarter hours: which slot of the day and which kind of day an instant belongs to."""

from __future__ import annotations

from dataclasses import dataclass

QUARTER_S = 900.0
SLOTS = 96
DAYS = 7
WORK_AND_REST = (0, 0, 0, 0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local civil time as a function of site seconds.

    ``midnight_s`` is an instant of local midnight in site seconds; ``weekday`` the day that begins there (0 = Monday),
    None when nobody knows it: then all days are alike. ``kinds`` says of which kind every day of the week is, from 0.
    """

    midnight_s: float = 0.0
    weekday: int | None = None
    kinds: tuple[int, ...] = WORK_AND_REST

    def quarter(self, now_s: float) -> int:
        """Number of the quarter hour that ``now_s`` lies in; quarter 0 begins at ``midnight_s``."""
        return int((now_s - self.midnight_s) // QUARTER_S)

    def start_s(self, quarter: int) -> float:
        """Site seconds at which a quarter hour begins."""
        return self.midnight_s + quarter * QUARTER_S

    def day_type(self, quarter: int) -> int:
        """The kind of day that a quarter hour lies in; of two kinds, 0 is a working day and 1 one of the weekend."""
        if self.weekday is None:
            return 0
        return self.kinds[(self.weekday + quarter // SLOTS) % DAYS]
