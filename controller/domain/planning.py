"""Look-ahead of the site's storage as the site file states it: how often, how far, and how long its word holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from controller.domain.budget import Allowance
from controller.domain.owner import Owner
from controller.domain.platform import Issuer

DESK = "station"
PLANS_AT_ONCE = 4.0
"""Plans that the control process takes at once; one more comes back with every period."""


@dataclass(frozen=True, slots=True)
class Planning:
    """Times in seconds. Every ``plan_s`` the station looks ``horizon_s`` ahead; what it says holds for ``lasts_s``.

    ``desk`` speaks for the storages; the control process holds it to its authority.
    """

    plan_s: float
    horizon_s: float
    lasts_s: float
    desk: Issuer

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Every desk of the look-ahead: the one."""
        return (self.desk,)


def planning_for(storages: Iterable[str], plan_s: float, horizon_s: float, lasts_s: float) -> Planning:
    """The block, with a desk that may say what energy in these units (ids) is worth, and nothing else."""
    units = frozenset(storages)
    said = Allowance(PLANS_AT_ONCE * len(units), PLANS_AT_ONCE * plan_s)
    return Planning(plan_s, horizon_s, lasts_s, Issuer(DESK, "", Owner.PLAN, units, 0.0, lasts_s, 0.0, said, said))
