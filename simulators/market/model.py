"""The market of a simulated day as the scenario states it. Powers in W, load convention; clock times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.instruction import Action
from simulators.clock_time import ClockTime

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Lease:
    """What an order tells the controller about one unit from ``start`` to ``end``: ``limit``, ``override`` or
    ``reserve``.

    ``w`` is what the whole offer means and ``none_w`` what none of it would; a share lies between.
    """

    unit: str
    action: Action
    start: ClockTime
    end: ClockTime
    w: float
    none_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A bid of one participant: ``power_w`` of relief at the connection point from ``start`` to ``end``.

    An offer whose participant joins at ``joins`` is in no auction before that. ``leases`` are what taking it means;
    an offer of reactive power has none: what it means is said of the interface as a whole.
    """

    id: str
    participant: str
    asset: str
    start: ClockTime
    end: ClockTime
    power_w: float
    price_eur_per_mwh: float
    leases: tuple[Lease, ...] = ()
    activation_eur: float = 0.0
    divisible: bool = True
    joins: ClockTime | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """An auction at ``at`` for everything that begins between ``start`` and ``end``."""

    at: ClockTime
    start: ClockTime
    end: ClockTime


@dataclass(frozen=True, slots=True)
class ReactiveRequest:
    """The transmission operator asks for ``q_var`` more (positive absorbs) than flows at ``at``, for ``lasts_s``.

    By its own meter at the boundary it counts as delivered within ± ``tolerance_var``. ``offers`` are what participants
    ask for it: ``power_w`` is reactive power in var, the price per Mvarh.
    """

    at: ClockTime
    q_var: float
    lasts_s: float
    offers: tuple[Offer, ...]
    tolerance_var: float = 150e3


@dataclass(frozen=True, slots=True)
class Call:
    """At ``at`` the national market activates ``share_frac`` of a bid from ``start`` to ``end`` (quarter hours)."""

    at: ClockTime
    start: ClockTime
    end: ClockTime
    share_frac: float = 1.0


@dataclass(frozen=True, slots=True)
class Sale:
    """At ``at`` what is left of ``units`` from ``start`` to ``end`` is offered to the national market.

    At the highest price that was accepted of them plus ``margin_eur_per_mwh``; a unit without one is not offered.
    ``call`` is what the market makes of an accepted bid, if anything.
    """

    at: ClockTime
    start: ClockTime
    end: ClockTime
    units: tuple[str, ...]
    margin_eur_per_mwh: float = 5.0
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """Everything of one day, counted from ``opens``.

    ``margin_w`` is bought beyond the forecast's 90th percentile. While the platform is there it grants ``export_w``
    (0: nothing is granted) for the next ``export_s``, again and again. ``outages`` are hours (start, end) in which it
    says nothing.
    """

    opens: ClockTime = 0.0
    period_s: float = 1800.0
    margin_w: float = 300e3
    shortfall_eur_per_mwh: float = 200.0
    export_w: float = 0.0
    export_s: float = 7200.0
    gates: tuple[Gate, ...] = ()
    offers: tuple[Offer, ...] = ()
    reactive: tuple[ReactiveRequest, ...] = ()
    outages: tuple[tuple[ClockTime, ClockTime], ...] = ()
    sale: Sale | None = None

    def at(self, clock_s: float) -> float:
        """Seconds from the opening to a clock time, 0 … 24 h."""
        return (clock_s - self.opens) % DAY_S

    def until(self, clock_s: float) -> float:
        """The same for an end: the opening itself is 24 h later."""
        return self.at(clock_s) or DAY_S
