"""One site: everything that the site file says, in SI and the house's sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.domain.connection import Connection
from controller.domain.escalation import Rungs
from controller.domain.limit import Limit
from controller.domain.market import Marketplace
from controller.domain.national import Tender
from controller.domain.planning import Planning
from controller.domain.platform import Issuer, Platform
from controller.domain.telemetry import Sparkplug
from controller.domain.thermal import DesignWeather
from controller.domain.topology import Topology
from controller.domain.unit import Unit
from controller.domain.weather import WeatherService

LAST_DIGIT_REL = 2e-4  # of full scale: the quantisation of a good meter


@dataclass(frozen=True, slots=True)
class Device:
    """One piece of field hardware and where its values go.

    ``endpoint`` is ``host:port`` (Modbus TCP), another form of :mod:`drivers.modbus.endpoint`, or ``opc.tcp://…`` (OPC
    UA); ``unit_address`` the Modbus unit id; ``options`` how the connection is secured, by the keys of the site file.
    ``feeds`` maps a point name of the profile to a controller point (``{"p_w": "branch.T1.p_w"}``); the value may be
    prefixed with ``-`` when the device counts the other way round than the house does (wired backwards included).
    ``unit`` names the controllable unit that the device commands, or is None for a meter. ``delivery`` is how an OPC UA
    server's values come: ``auto``, ``read`` or ``subscription``. ``serial_number`` is what the device must show;
    empty when any will do.
    """

    id: str
    protocol: str
    endpoint: str
    unit_address: int
    profile: str
    feeds: Mapping[str, str]
    unit: str | None
    poll_s: float
    stale_s: float
    timeout_s: float
    options: Mapping[str, str] = field(default_factory=dict)
    delivery: str = "auto"
    serial_number: str = ""


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """Times of the fast loop, all in site seconds.

    ``fail_safe_s`` is the latest time from losing a limit-relevant meter or a unit to every dependent output being at
    (or on its ramp to) its worst-case-safe value. ``recovery_hold_s`` is how long all must be well before the site's
    mode is normal again; a lost unit is in use again after ``recovery_reads`` good readings and
    ``unit_recovery_hold_s``.
    """

    cycle_s: float = 1.0
    fail_safe_s: float = 5.0
    recovery_hold_s: float = 30.0
    recovery_reads: int = 3
    unit_recovery_hold_s: float = 30.0


@dataclass(frozen=True, slots=True)
class MeasurementChain:
    """What the meters are known to be worth, relative to the quantity's full scale; one sigma and bound of bias."""

    latency_s: float = 0.5
    sigma_u_rel: float = 0.001
    sigma_i_rel: float = 0.003
    sigma_pq_rel: float = 0.003
    sigma_unit_rel: float = 0.004
    bias_u_rel: float = 0.001
    bias_i_rel: float = 0.003

    @property
    def credible(self) -> MeasurementChain:
        """The same with every sigma at least ``LAST_DIGIT_REL``: what an estimator may rely on.

        Believing a reading to be exact leaves no room for the next one, or for a second meter of the same quantity.
        """
        return replace(
            self,
            sigma_u_rel=max(self.sigma_u_rel, LAST_DIGIT_REL),
            sigma_i_rel=max(self.sigma_i_rel, LAST_DIGIT_REL),
            sigma_pq_rel=max(self.sigma_pq_rel, LAST_DIGIT_REL),
            sigma_unit_rel=max(self.sigma_unit_rel, LAST_DIGIT_REL),
        )


@dataclass(frozen=True, slots=True)
class ReactiveRequest:
    """The transmission operator wants ``q_var`` ± ``tolerance_var`` at the interface between two site instants."""

    t0_s: float
    t1_s: float
    q_var: float
    tolerance_var: float
    penalty_eur_per_mvarh: float


@dataclass(frozen=True, slots=True)
class Site:
    """The whole configuration, checked.

    ``horizon_s`` is how long a co-simulated course lasts; None in the field. ``soc_deficit_eur_per_mwh`` is what each
    MWh below the storage's initial content costs at that end.
    """

    name: str
    topology: Topology
    units: tuple[Unit, ...]
    limits: tuple[Limit, ...]
    devices: tuple[Device, ...] = ()
    cycle: CycleSettings = field(default_factory=CycleSettings)
    chain: MeasurementChain = field(default_factory=MeasurementChain)
    principle: str = "merit"
    reactive_requests: tuple[ReactiveRequest, ...] = ()
    horizon_s: float | None = None
    timezone: str = "UTC"
    weather: DesignWeather = field(default_factory=DesignWeather)
    soc_deficit_eur_per_mwh: float = 0.0
    connection: Connection = field(default_factory=Connection)
    escalation: Rungs = field(default_factory=Rungs)
    platform: Platform | None = None
    sparkplug: Sparkplug | None = None
    market: Marketplace | None = None
    planning: Planning | None = None
    tender: Tender | None = None
    weather_service: WeatherService | None = None

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Every desk whose words may come over the platform socket."""
        blocks = (self.platform, self.market, self.planning, self.tender)
        return tuple(issuer for block in blocks if block is not None for issuer in block.issuers)

    def issuer(self, account: str) -> Issuer | None:
        """The desk whose instructions carry that name."""
        return next((x for x in self.issuers if x.account == account), None)
