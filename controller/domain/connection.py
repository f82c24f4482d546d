"""What the connection agreement and the statutes ask for beyond fixed limits, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date

DAY_S = 86_400.0
ALL_DAYS = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class G100Settings:
    """Customer export or import limitation scheme of EREC G100 Issue 2.

    ``domestic`` decides who may reset a lock-out. ``installers`` are issuers that may always. A locked-out direction is
    limited to ``lockout_export_w`` / ``lockout_import_w`` as well, where given; its units are at their fail-safe set
    points in any case. ``meter_lost_s`` is how long the point of supply may go unmeasured before the units go there.
    """

    domestic: bool = False
    installers: frozenset[str] = frozenset()
    lockout_export_w: float | None = None
    lockout_import_w: float | None = None
    meter_lost_s: float = 5.0
    reset_after_s: float = 4.0 * 3600.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """When something holds, in local time of the site.

    ``days`` (0 = Monday) are those on which the time of day begins; ``from_min`` ≥ ``to_min`` goes past midnight, equal
    ones mean the whole day. A season is (month, day) to (month, day), both included, and may go past new year.
    """

    days: frozenset[int] = ALL_DAYS
    from_min: int = 0
    to_min: int = 0
    season: tuple[tuple[int, int], tuple[int, int]] | None = None
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class CalendarCap:
    """A cap that the contract sets while its calendar says so; ``high_w`` is a magnitude.

    ``subject`` is ``export``, ``import`` or a unit (of which it caps what the unit does; of a battery both ways).
    """

    id: str
    subject: str
    high_w: float
    when: Calendar


@dataclass(frozen=True, slots=True)
class MeanBand:
    """Band that the 10-minute means of a bus voltage must stay in, V line-to-line; ``limit`` is its fast limit's id."""

    limit: str
    low_v: float
    high_v: float


@dataclass(frozen=True, slots=True)
class MoveLimits:
    """How fast the controller itself may move things; safety is never slowed by it.

    Ramps are W/s of site export and, by unit, of a set point's relaxing moves; ``voltage_step_frac`` is the largest
    change of any limited bus voltage within a minute, of its rated voltage.
    """

    export_up_w_per_s: float = math.inf
    export_down_w_per_s: float = math.inf
    unit_w_per_s: tuple[tuple[str, float], ...] = ()
    voltage_step_frac: float = math.inf


@dataclass(frozen=True, slots=True)
class Connection:
    """All of it for one site; ``instruction_s_max`` bounds how long an operator may ask for something."""

    g100: G100Settings | None = None
    caps: tuple[CalendarCap, ...] = ()
    mean_bands: tuple[MeanBand, ...] = ()
    moves: MoveLimits = field(default_factory=MoveLimits)
    instruction_s_max: float = DAY_S
