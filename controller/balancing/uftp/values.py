"""What is said on the market, as the house's frozen values: watts in load convention, UTC seconds, one entry per ISP.

The protocol's sign is the house's: positive is consumption, seen from the participant (UFTP 3.1, "Power").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


class Refused(Exception):
    """A message that is not acted on; the text is the RejectionReason that its sender gets."""


@dataclass(frozen=True, slots=True)
class Head:
    """Metadata of every message; ``issued_utc_s`` is what its sender says (seconds since 1970)."""

    message_id: str
    conversation_id: str
    sender: str
    recipient: str
    issued_utc_s: float
    version: str


@dataclass(frozen=True, slots=True)
class Day:
    """The settlement periods (ISPs) of one local day at one congestion point; they are numbered from 1."""

    period: date
    isp_s: int
    time_zone: str
    congestion_point: str

    @property
    def start_utc_s(self) -> float:
        """The local midnight that the day begins with."""
        return midnight_utc_s(self.period, self.time_zone)

    @property
    def isps(self) -> int:
        """How many the day has: 96 quarter hours, 92 or 100 when the clocks change."""
        return round((midnight_utc_s(self.period + timedelta(days=1), self.time_zone) - self.start_utc_s) / self.isp_s)

    def isp_start_utc_s(self, isp: int) -> float:
        """When an ISP begins."""
        return self.start_utc_s + (isp - 1) * self.isp_s

    def isp_at(self, utc_s: float) -> int:
        """Number of the ISP that an instant lies in; below 1 or above ``isps`` outside the day."""
        return int((utc_s - self.start_utc_s) // self.isp_s) + 1


def midnight_utc_s(day: date, time_zone: str) -> float:
    """Local midnight at the beginning of a day, seconds since 1970."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC).timestamp()


def day_of(utc_s: float, isp_s: int, time_zone: str, congestion_point: str) -> Day:
    """The day that an instant lies in."""
    return Day(datetime.fromtimestamp(utc_s, ZoneInfo(time_zone)).date(), isp_s, time_zone, congestion_point)


Powers = Mapping[int, float]
"""W by number of the ISP."""

Runs = tuple[tuple[int, int, int], ...]
"""(start, duration, W) as a participant wrote it: an order has to repeat an offer's ISPs in these very words."""


@dataclass(frozen=True, slots=True)
class Prognosis:
    """D-Prognosis: what a participant expects to take at the congestion point; the baseline of its orders."""

    head: Head
    day: Day
    revision: int
    power_w: Powers


@dataclass(frozen=True, slots=True)
class Option:
    """One way to take an offer: ``price`` for all of it, ``activation_min_frac`` the least share that may be taken."""

    reference: str
    price: float
    activation_min_frac: float
    power_w: Powers
    runs: Runs = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """FlexOffer: options of which at most one may be ordered, each the change against the baseline."""

    head: Head
    day: Day
    expires_utc_s: float
    request_id: str | None
    prognosis_id: str | None
    contract: str | None
    currency: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Revocation:
    """FlexOfferRevocation."""

    head: Head
    offer_id: str


@dataclass(frozen=True, slots=True)
class MeterDay:
    """Metering: mean power of one meter per ISP."""

    head: Head
    day: Day
    revision: int
    ean: str
    power_w: Powers


@dataclass(frozen=True, slots=True)
class Answer:
    """A …Response: whether the other side took the message ``reference_id`` of the kind ``about``."""

    head: Head
    about: str
    reference_id: str
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Portfolio:
    """DSOPortfolioQueryResponse of the common reference operator: who is active at the congestion point."""

    head: Head
    congestion_point: str
    participants: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hello:
    """TestMessage."""

    head: Head


Incoming = Prognosis | Offer | Revocation | MeterDay | Answer | Portfolio | Hello


@dataclass(frozen=True, slots=True)
class Wanted:
    """Room or need of one ISP: the change against the baseline may be from ``low_w`` to ``high_w``."""

    isp: int
    requested: bool
    low_w: int
    high_w: int


@dataclass(frozen=True, slots=True)
class Request:
    """FlexRequest."""

    day: Day
    revision: int
    expires_utc_s: float
    isps: tuple[Wanted, ...]
    service: str | None = None
    contract: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """FlexOrder of one option of an offer; ``power_w`` and ``runs`` are the offer's own, unscaled, as is demanded."""

    day: Day
    reference: str
    offer_id: str
    option: str | None
    price: float
    currency: str
    activation_frac: float
    power_w: Powers
    runs: Runs = ()
    prognosis_id: str | None = None
    contract: str | None = None

    @property
    def ordered_w(self) -> dict[int, float]:
        """What is really to change, by ISP."""
        return {isp: w * self.activation_frac for isp, w in self.power_w.items()}


@dataclass(frozen=True, slots=True)
class Reservation:
    """FlexReservationUpdate: what stays reserved of a contract."""

    day: Day
    contract: str
    reference: str
    power_w: Powers
