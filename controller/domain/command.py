"""What the controller tells a unit: a lease, with an owner, an expiry and a reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LEASE_S_MAX = 3600.0
"""No set point lives longer than this without being renewed, even where the device would hold it for ever."""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A leased set point of one unit (load convention).

    What ``p_w`` means depends on the unit's kind, see :class:`~controller.domain.unit.UnitKind`.
    ``owner`` is the layer that decided it, see :class:`~controller.domain.owner.Owner`; ``causes`` names the limits,
    instructions or modes that shaped it, strongest first; empty when the dispatch has left the unit free.
    """

    unit: str
    p_w: float
    q_var: float
    issued_at_s: float
    expires_at_s: float
    owner: str = "limits"
    causes: tuple[str, ...] = ()


class OutcomeState(Enum):
    """How a write ended, as far as the link can tell; proof of effect comes from measurement."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one write to one device."""

    state: OutcomeState
    reason: str = ""
