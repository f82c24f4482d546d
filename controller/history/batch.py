"""What one period leaves behind: frozen values between the collector and the store."""

from __future__ import annotations

from dataclasses import dataclass

REPORTED = "reported"
"""The unit said what it could give."""
ESTIMATED = "estimated"
"""It did not: the energy is how much further the controller would have let it go, which nobody knows that it could."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One point over one period, in the unit of its name: ``n`` values, their mean, lowest and highest."""

    point: str
    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the control process at ``utc_s`` (seconds since 1970)."""

    utc_s: float
    name: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Curtailment:
    """What one unit gave up in one period because of one cause.

    ``rank`` is its turn under ``principle`` (1 first, 0 outside the order), ``energy_wh`` ≥ 0 what it could have given
    beyond what it gave, ``most_w`` the largest of it at a time, for ``lasted_s`` seconds; ``loading_frac`` is how far
    the limit that was the cause was used at most (NaN when the cause is no limit). ``basis`` is where the energy comes
    from: :data:`REPORTED` or :data:`ESTIMATED`.
    """

    unit: str
    cause: str
    principle: str
    rank: int
    energy_wh: float
    most_w: float
    lasted_s: float
    loading_frac: float
    basis: str = REPORTED


@dataclass(frozen=True, slots=True)
class Gap:
    """Cycles that are missing between two instants; ``lost`` is 0 when their number is not known."""

    from_utc_s: float
    to_utc_s: float
    lost: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One period, stored whole or not at all. ``start_utc_s`` is a multiple of ``period_s`` since 1970."""

    start_utc_s: int
    period_s: int
    samples: tuple[Sample, ...] = ()
    happenings: tuple[Happening, ...] = ()
    curtailments: tuple[Curtailment, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def end_utc_s(self) -> int:
        """Where the period ends."""
        return self.start_utc_s + self.period_s
