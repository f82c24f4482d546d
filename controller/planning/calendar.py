"""Quarter hours: which slot of the day and which kind of day an instant belongs to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

QUARTER_S = 900.0
SLOTS = 96
DAYS = 7
WORK_AND_REST = (0, 0, 0, 0, 0, 1, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local civil time as a function of site seconds.

    ``midnight_s`` is an instant of midnight of standard time in site seconds; ``weekday`` the day that begins there
    (0 = Monday), None when nobody knows it: then all days are alike. ``kinds`` says of which kind every day of the week
    is, from 0. ``changes`` are the changes of the clocks: from a quarter hour on they are so many quarter hours ahead
    of standard time.
    """

    midnight_s: float = 0.0
    weekday: int | None = None
    kinds: tuple[int, ...] = WORK_AND_REST
    changes: tuple[tuple[int, int], ...] = ()

    def quarter(self, now_s: float) -> int:
        """Number of the quarter hour that ``now_s`` lies in; quarter 0 begins at ``midnight_s``."""
        return int((now_s - self.midnight_s) // QUARTER_S)

    def start_s(self, quarter: int) -> float:
        """Site seconds at which a quarter hour begins."""
        return self.midnight_s + quarter * QUARTER_S

    def by_clock(self, quarter: int) -> int:
        """What the clocks on the wall count it as: people live by it. Days of it have 96, however long they really are.

        In spring four numbers are left out, in autumn four come twice.
        """
        known = bisect_right(self.changes, quarter, key=lambda change: change[0])
        return quarter + (self.changes[known - 1][1] if known else 0)

    def day_type(self, quarter: int) -> int:
        """The kind of day that a quarter hour lies in; of two kinds, 0 is a working day and 1 one of the weekend."""
        if self.weekday is None:
            return 0
        return self.kinds[(self.weekday + self.by_clock(quarter) // SLOTS) % DAYS]
