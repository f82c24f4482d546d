"""What was agreed with the market and with each participant, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = ("AGR", "CRO")


@dataclass(frozen=True, slots=True)
class Participant:
    """Who may talk to us. ``key`` is its public signing key (base64), ``power_w_max`` the most it may ever offer.

    ``units`` are the site's units that it stands for (their bus gives the location), ``meters`` the EANs that it may
    report of. ``barred`` participants are refused whatever they say.
    """

    domain: str
    role: str
    endpoint: str
    key: str
    power_w_max: float = 0.0
    units: tuple[str, ...] = ()
    meters: frozenset[str] = frozenset()
    barred: bool = False


@dataclass(frozen=True, slots=True)
class Market:
    """The rules. Times in seconds; ``stale_s`` is how old a message may be, ``ahead_s`` how far its clock may be fast.

    With ``by_portfolio`` an aggregator takes part only while the common reference operator lists it at the congestion
    point; otherwise being known is enough. ``price_max`` bounds the price of one option.
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
