"""Who delivered what they were paid for: the rule of the USEF Flex Trading Protocol (UFTP 3.1, "Settle phase").

Powers are means over a settlement period (ISP) in the protocol's own sign, which is the house's: positive is
consumption. Ordered flexibility is the change against the baseline; negative means less consumption or more generation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOUR_S = 3600.0
W_PER_MW = 1e6


@dataclass(frozen=True, slots=True)
class IspSettlement:
    """One order in one settlement period; all in W.

    ``delivered_w`` has the sign of ``ordered_w`` and is never more than it; ``deficiency_w`` ≥ 0 is how far the actual
    power stayed behind baseline plus order. It may exceed the order: then the power went the wrong way.
    """

    isp: int
    baseline_w: float
    ordered_w: float
    actual_w: float
    delivered_w: float
    deficiency_w: float


@dataclass(frozen=True, slots=True)
class Tariff:
    """What delivered flexibility is worth and what a deficiency costs, per W and settlement period, ≥ 0."""

    price_eur_per_w: float
    penalty_eur_per_w: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.price_eur_per_w < math.inf and 0.0 <= self.penalty_eur_per_w < math.inf):
            raise ValueError(
                f"tariff is {self.price_eur_per_w}, {self.penalty_eur_per_w} EUR/W; expected finite, at least 0"
            )


@dataclass(frozen=True, slots=True)
class Proof:
    """What a settlement goes by, of a unit between two instants (UTC seconds since 1970).

    ``curtailed_wh`` is what the controller itself kept it from giving, ``taken_wh`` what it gave up for orders that it
    had sold (both ≥ 0), ``measured_w`` its mean power, None where it was not measured all the time.
    """

    curtailed_wh: Callable[[str, float, float], float]
    taken_wh: Callable[[str, float, float], float]
    measured_w: Callable[[str, float, float], float | None]


@dataclass(frozen=True, slots=True)
class OrderSettlement:
    """An order after its day: the periods, what is paid, what is taken back, EUR."""

    order: str
    periods: tuple[IspSettlement, ...]
    paid_eur: float
    penalty_eur: float

    @property
    def net_eur(self) -> float:
        """What the participant gets; negative: owes."""
        return self.paid_eur - self.penalty_eur

    @property
    def delivered_frac(self) -> float:
        """Share of the ordered energy that was delivered, 0…1; 1 when nothing was ordered."""
        ordered = sum(abs(p.ordered_w) for p in self.periods)
        return sum(abs(p.delivered_w) for p in self.periods) / ordered if ordered else 1.0


def settle_period(isp: int, baseline_w: float, ordered_w: float, actual_w: float) -> IspSettlement:
    """One settlement period.

    UFTP 3.1, "Settlement example": delivered = what was realised, no less than 0 and no more than ordered; deficiency =
    what the actual power lies on the wrong side of baseline plus order (single sided). Raises ValueError for a number
    that is not finite: what nobody measured cannot be settled.
    """
    if not all(math.isfinite(x) for x in (baseline_w, ordered_w, actual_w)):
        raise ValueError(
            f"settlement period {isp}: baseline {baseline_w}, ordered {ordered_w}, actual {actual_w} W; expected"
            " finite numbers"
        )
    sign = math.copysign(1.0, ordered_w)
    realised_w = sign * (actual_w - baseline_w)
    delivered_w = sign * min(max(realised_w, 0.0), abs(ordered_w))
    deficiency_w = max(abs(ordered_w) - realised_w, 0.0) if ordered_w else 0.0
    return IspSettlement(isp, baseline_w, ordered_w, actual_w, delivered_w, deficiency_w)


def settle_ready(isp: int, baseline_w: float, ordered_w: float, taken_w: float) -> IspSettlement:
    """One settlement period of an order of which limits may take what they need; they took ``taken_w`` ≥ 0.

    What was taken is delivered, no more than ordered. Nothing is deficient: how much was taken was not the
    participant's choice. Raises ValueError for a number that is not finite.
    """
    if not (all(math.isfinite(x) for x in (baseline_w, ordered_w, taken_w)) and taken_w >= 0.0):
        raise ValueError(
            f"settlement period {isp}: baseline {baseline_w}, ordered {ordered_w}, taken {taken_w} W; expected finite"
            " numbers, and at least 0 taken"
        )
    delivered_w = math.copysign(min(taken_w, abs(ordered_w)), ordered_w)
    return IspSettlement(isp, baseline_w, ordered_w, baseline_w + delivered_w, delivered_w, 0.0)


def settle_readiness(order: str, periods: Sequence[IspSettlement], tariff: Tariff) -> OrderSettlement:
    """An order of which limits may take what they need: what was ordered is paid, used or not."""
    paid = math.fsum(abs(p.ordered_w) for p in periods) * tariff.price_eur_per_w
    return OrderSettlement(order, tuple(periods), paid, 0.0)


def settle_order(order: str, isps: Sequence[tuple[int, float, float, float]], tariff: Tariff) -> OrderSettlement:
    """An order over its periods, each (number, baseline, ordered, actual), W."""
    periods = tuple(settle_period(*isp) for isp in isps)
    paid = math.fsum(abs(p.delivered_w) for p in periods) * tariff.price_eur_per_w
    penalty = math.fsum(p.deficiency_w for p in periods) * tariff.penalty_eur_per_w
    return OrderSettlement(order, periods, paid, penalty)


def tariff_of(price_eur: float, ordered_w: Sequence[float], penalty_factor: float) -> Tariff:
    """The tariff behind an order's total price: UFTP prices a whole order, settlement needs a price per watt.

    ``penalty_factor`` is what a missing watt costs over what a delivered one earns (pay as bid). An order of nothing
    has no price.
    """
    total_w = math.fsum(abs(w) for w in ordered_w)
    if total_w <= 0.0:
        return Tariff(0.0, 0.0)
    per_w = max(price_eur, 0.0) / total_w
    return Tariff(per_w, per_w * penalty_factor)


def baseline_without_curtailment(baseline_w: float, curtailed_wh: float, isp_s: float) -> float:
    """The baseline that is fair when the controller itself held a generator back during the period.

    ``curtailed_wh`` ≥ 0 is the energy of the record of curtailments: power that the participant could have generated
    and was not let. Counted as a delivery it would be paid twice; so the baseline (negative: generation) is raised by
    it. Raises ValueError for a length that is not above 0 or an energy below it.
    """
    if not (isp_s > 0.0 and curtailed_wh >= 0.0):
        raise ValueError(f"curtailed {curtailed_wh} Wh in {isp_s} s; expected at least 0 Wh in more than 0 s")
    return baseline_w + curtailed_wh * HOUR_S / isp_s
