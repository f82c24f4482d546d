"""How a site climbs from trimming to tripping when a limit stays exceeded, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung: it acts on a loading above ``over_frac`` that has lasted ``after_s`` without falling."""

    name: str
    over_frac: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Rungs:
    """The rungs of a site, lowest first, and how it comes down again.

    ``answer_s`` is how long a healthy unit may take to show a new set point; no rung acts sooner, nor twice within it.
    ``calm_s`` must pass below ``CALM_FRAC`` before the first release, ``step_s`` between two. A trip of all is ended
    by hand, or after ``reset_s`` of calm where nobody is there to do it (infinite: only by hand).
    """

    trim: Rung = Rung("trim", 1.03, 6.0)
    slow_trip: Rung = Rung("trip", 1.05, 30.0)
    fast_trip: Rung = Rung("trip", 1.10, 10.0)
    trip_all: Rung = Rung("trip_all", 1.20, 6.0)
    answer_s: float = 3.0
    calm_s: float = 60.0
    step_s: float = 30.0
    reset_s: float = float("inf")

    @property
    def rising(self) -> tuple[Rung, ...]:
        """All rungs, lowest first."""
        return (self.trim, self.slow_trip, self.fast_trip, self.trip_all)

    def not_before(self, healthy_s: float) -> Rungs:
        """The same rungs, none of them sooner than twice the answer of a healthy fleet."""
        trim, slow, fast, everybody = (replace(r, after_s=max(r.after_s, 2.0 * healthy_s)) for r in self.rising)
        answer_s = max(self.answer_s, healthy_s)
        return replace(self, trim=trim, slow_trip=slow, fast_trip=fast, trip_all=everybody, answer_s=answer_s)
