"""The balancing platform as the site file states it: who may ask for what, and what holds while it is silent."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.budget import Allowance
from controller.domain.owner import Owner

DIRECTIONS = ("export", "import")
REACTIVE_PAYLOAD = "GRIDEDGE_REACTIVE_SETPOINT"
"""Payload type of reactive requests unless the site file names another: OpenADR 3.1 has none."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One desk behind the platform and the limits of its authority.

    ``programme`` is the name of its OpenADR program, ``service`` the layer that its commands belong to. ``subjects``
    are the unit ids, ``export``, ``import`` and ``interface`` (its reactive power) that it may command. ``w_max``
    bounds a set point's magnitude, ``var_max`` that of reactive power, ``lasts_s_max`` how long one command holds,
    ``ahead_s_max`` how far ahead it may begin. ``commands`` limits how often it may speak, ``writes`` how often values
    may change because of it.
    """

    name: str
    programme: str
    service: Owner
    subjects: frozenset[str]
    w_max: float
    lasts_s_max: float
    ahead_s_max: float
    commands: Allowance
    writes: Allowance
    var_max: float = 0.0

    @property
    def account(self) -> str:
        """Name of the issuer of its instructions: ``flexibility:dso``; no operator's account holds a colon."""
        return f"{self.service.value}:{self.name}"


@dataclass(frozen=True, slots=True)
class Link:
    """Where the platform is and how this site proves who it is; the files are read when a connection is made.

    ``notified``: its notifications by MQTT make the next poll come at once.
    """

    url: str
    ven_name: str
    poll_s: float
    report_s: float
    credentials_file: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    notified: bool = False


@dataclass(frozen=True, slots=True)
class Platform:
    """The whole block. ``default_w`` (by direction, magnitudes) holds in the control process while nobody commands.

    ``reactive_payload`` is the type of payload that asks for reactive power at the interface; ``reactive_sign`` is 1
    where the platform counts what flows into the site as positive, as the house does, and -1 where it is the opposite.
    ``rest`` are units of others (ids) that stand still while the platform has nothing in force about them.
    """

    link: Link
    issuers: tuple[Issuer, ...]
    default_w: tuple[tuple[str, float], ...] = ()
    reactive_payload: str = REACTIVE_PAYLOAD
    reactive_sign: float = 1.0
    rest: tuple[str, ...] = ()

    def issuer(self, account: str) -> Issuer | None:
        """The issuer whose instructions carry that name."""
        return next((x for x in self.issuers if x.account == account), None)
