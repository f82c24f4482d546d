"""What a platform asks for, in SI and the house's sign, whatever protocol it came by. Nothing in it is judged yet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FOREVER = float("inf")


class Kind(Enum):
    """What a part of a command is about."""

    LIMIT = "limit"  # most export or import at the connection point
    SUBSCRIPTION = "subscription"  # what holds there when no limit does
    RESERVATION = "reservation"  # granted on top of the subscription
    SET_POINT = "set_point"  # active power of a unit
    REACTIVE = "reactive"  # reactive power at the interface


@dataclass(frozen=True, slots=True)
class Step:
    """``w`` from one instant to another (UTC, seconds since 1970; the end may be infinite for a subscription).

    In a part about reactive power it is var.
    """

    start_utc_s: float
    end_utc_s: float
    w: float


@dataclass(frozen=True, slots=True)
class Part:
    """One schedule, in order: magnitudes of ``export`` or ``import``, or set points (load convention).

    Set points are of a unit's active power or of the reactive power at the interface.
    """

    kind: Kind
    subject: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A leased command: it is one whole, and it ends with the last of its steps.

    ``issuer`` is the account of a desk (:attr:`controller.domain.platform.Issuer.account`), ``counter`` grows with all
    that it says. ``priority`` orders commands of one issuer, 0 is the highest.
    """

    id: str
    issuer: str
    counter: int
    issued_utc_s: float
    priority: int
    parts: tuple[Part, ...]

    @property
    def begins_utc_s(self) -> float:
        """Start of the first step."""
        return min((step.start_utc_s for part in self.parts for step in part.steps), default=FOREVER)

    @property
    def expires_utc_s(self) -> float:
        """End of the last step."""
        return max((step.end_utc_s for part in self.parts for step in part.steps), default=-FOREVER)
