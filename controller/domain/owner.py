"""Who may decide over a set point, in order of priority. A lower layer only narrows inside a higher one."""

from __future__ import annotations

from enum import Enum


class Owner(Enum):
    """The layer that decided a set point; the value is what records call it."""

    GUARD = "guard"
    STOP = "stop"
    FAIL_SAFE = "fail_safe"
    LIMITS = "limits"
    G100 = "g100"
    OPERATOR = "operator"
    CONTRACT = "contract"
    FLEXIBILITY = "flexibility"
    TSO = "tso"
    PLATFORM = "platform"
    PLAN = "plan"
    DISPATCH = "dispatch"

    @property
    def priority(self) -> int:
        """0 is the highest."""
        return PRIORITY[self]


PRIORITY = {
    Owner.GUARD: 0,  # protection and safety
    Owner.STOP: 0,
    Owner.FAIL_SAFE: 0,
    Owner.LIMITS: 1,  # statutory and thermal limits, kept locally
    Owner.G100: 1,
    Owner.OPERATOR: 2,
    Owner.CONTRACT: 3,  # connection agreement
    Owner.FLEXIBILITY: 4,  # contracted by the distribution operator
    Owner.TSO: 5,  # service to the transmission operator
    Owner.PLATFORM: 6,  # optimisation by the platform
    Owner.PLAN: 6,  # optimisation by our own look-ahead
    Owner.DISPATCH: 6,  # optimisation: nobody restricts the unit
}
"""0 protection and safety, 1 statutory and thermal limits, 2 operator, 3 connection agreement, 4 contracted
flexibility, 5 service to the transmission operator, 6 optimisation, 7 the owner's preference."""

SERVICES = (Owner.FLEXIBILITY, Owner.TSO, Owner.PLATFORM)
"""Layers that a platform may speak for."""
