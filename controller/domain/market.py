"""The flexibility market as the site file states it: who takes part, by which rules, and when what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.budget import Allowance
from controller.domain.owner import Owner
from controller.domain.platform import Issuer

ROLES = ("AGR", "CRO")
DESK = "market"
"""Name of the desk that the control process gets the market's orders from."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Who may talk to us. ``key`` is its public signing key (base64), ``power_w_max`` the most it may ever offer.

    ``units`` are the site's units that it stands for (their bus gives the location), ``meters`` the EANs that it may
    report of. ``barred`` participants are refused whatever they say. What it delivers is done by this controller with
    its units, unless it ``delivers_itself``; ``as_needed``: of an order the fast loop takes what limits need.
    """

    domain: str
    role: str
    endpoint: str
    key: str
    power_w_max: float = 0.0
    units: tuple[str, ...] = ()
    meters: frozenset[str] = frozenset()
    barred: bool = False
    delivers_itself: bool = False
    as_needed: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """Flexibility that a participant keeps ready for us by a bilateral contract (USEF: FlexOption).

    ``change_w`` (load convention, against its baseline) from ``from_s`` to ``to_s`` of local days, seconds since
    midnight; on the day before, until ``release_s``, what is not needed is released.
    """

    id: str
    participant: str
    change_w: float
    from_s: float
    to_s: float
    release_s: float
    working_days: bool = True
    weekends: bool = True


@dataclass(frozen=True, slots=True)
class Market:
    """The rules. Times in seconds; ``stale_s`` is how old a message may be, ``ahead_s`` how far its clock may be fast.

    With ``by_portfolio`` an aggregator takes part only while the common reference operator lists it at the congestion
    point; otherwise being known is enough. ``price_max`` bounds the price of one option. ``connections`` are what the
    reference operators are told to be behind the congestion point, and that ``redispatch_by`` balances what is ordered.
    """

    domain: str
    congestion_point: str
    isp_s: int = 900
    time_zone: str = "Europe/Amsterdam"
    currency: str = "EUR"
    stale_s: float = 300.0
    ahead_s: float = 60.0
    days_ahead: int = 2
    price_max: float = 1e6
    messages_per_hour: int = 600
    by_portfolio: bool = False
    penalty_factor: float = 1.5
    participants: Mapping[str, Participant] = field(default_factory=dict)
    contracts: tuple[Contract, ...] = ()
    connections: tuple[str, ...] = ()
    redispatch_by: str = "AGR"


@dataclass(frozen=True, slots=True)
class Wire:
    """Where messages come in, and the files that prove who we are.

    The signing key is read when the station starts, certificates whenever they are renewed.
    """

    host: str
    port: int
    signing_key_file: str
    cert_file: str | None = None
    key_file: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the planner does what, seconds.

    Every ``plan_s`` it looks ``horizon_s`` ahead. Offers are taken ``offer_s`` after they were asked for; only periods
    that begin ``lead_s`` later are asked about, and nothing is asked again within ``again_s``.
    """

    plan_s: float = 300.0
    horizon_s: float = 12 * 3600.0
    offer_s: float = 900.0
    lead_s: float = 900.0
    again_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Marketplace:
    """The whole block. What nobody relieves counts ``shortfall_eur_per_mwh``: nothing dearer is bought.

    ``desk`` commands the participants' units; the control process holds it to its authority.
    """

    rules: Market
    wire: Wire
    timetable: Timetable
    shortfall_eur_per_mwh: float
    desk: Issuer

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Every desk of the market: the one."""
        return (self.desk,)

    def issuer(self, account: str) -> Issuer | None:
        """The desk whose instructions carry that name."""
        return self.desk if self.desk.account == account else None


def desk_for(units: frozenset[str], w_max: float, lasts_s_max: float, writes: Allowance) -> Issuer:
    """The market's desk: set points of these units, as contracted flexibility."""
    spoken = Allowance(3600.0, 3600.0)
    return Issuer(DESK, "", Owner.FLEXIBILITY, units, w_max, lasts_s_max, 0.0, spoken, writes)
