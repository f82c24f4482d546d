"""The national balancing market as the site file states it: where, what is for sale, and by when."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.budget import Allowance
from controller.domain.owner import Owner
from controller.domain.platform import Issuer

DESK = "national"
"""Name of the desk that the control process gets the market's activations from."""
DAY_S = 86_400.0
WRITES = Allowance(288.0, DAY_S)
AHEAD_S_MAX = 2.0 * DAY_S
"""A window begins within this of its gate."""


@dataclass(frozen=True, slots=True)
class Tender:
    """One product, offered every day. Clock times are seconds after local midnight of that day.

    From ``at_s`` on the bid is made, by ``gate_s`` it has to be accepted; the window runs from ``start_s`` to
    ``end_s``, past midnight where that is not later. The price is the dearest of ``units`` plus a margin. The
    credentials file holds name and password, a line each. Every ``poll_s`` the market is asked what it activates.
    ``penalty_factor`` is what a missing MWh costs over what a delivered one earns.

    ``w_max``, ``lasts_s_max`` and ``writes`` bound what an activation may do in the control process: the largest set
    point of a unit, how long one holds, and how often values change.
    """

    url: str
    at_s: float
    gate_s: float
    start_s: float
    end_s: float
    units: tuple[str, ...]
    margin_eur_per_mwh: float = 0.0
    ca_file: str | None = None
    credentials_file: str | None = None
    poll_s: float = 30.0
    penalty_factor: float = 1.0
    w_max: float = 0.0
    lasts_s_max: float = DAY_S
    writes: Allowance = WRITES

    @property
    def desk(self) -> Issuer:
        """Who speaks for the market in the control process: a service to the transmission operator."""
        spoken = Allowance(3600.0, 3600.0)
        units = frozenset(self.units)
        return Issuer(DESK, "", Owner.TSO, units, self.w_max, self.lasts_s_max, AHEAD_S_MAX, spoken, self.writes)

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Every desk of the market: the one."""
        return (self.desk,)

    def issuer(self, account: str) -> Issuer | None:
        """The desk whose instructions carry that name."""
        return self.desk if self.desk.account == account else None
