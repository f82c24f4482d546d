"""What was delivered of the reactive power that was asked for at the interface, settlement period by settlement period.

A period is 15 minutes long (the imbalance settlement period of Regulation (EU) 2017/2195, Art. 53) unless the caller
says otherwise; only the part of it in which something was asked for counts. Ordered is the change from what flowed
before anybody asked. Other than for active power (:mod:`controller.planning.settlement`, single sided) too much is a
miss like too little: support that overshoots moves the voltage as far from where it is wanted. No published rule is
behind that; the contract with the transmission operator decides.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

PERIOD_S = 900.0


@dataclass(frozen=True, slots=True)
class Asked:
    """Means at the interface over ``lasts_s`` from ``start_utc_s`` on in which support was asked for.

    All in var, import positive: what was asked for ± ``tolerance_var``, what flowed before anybody asked, what flowed.
    """

    start_utc_s: float
    asked_var: float
    tolerance_var: float
    before_var: float
    q_var: float
    lasts_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SupportSettlement:
    """What was asked for in one settlement period, for ``lasts_s`` in all, the first time at ``start_utc_s``.

    ``ordered_var`` and ``delivered_var`` are changes from ``before_var``, of one sign. ``share_frac`` is 0…1: 1 when
    the mean was within the tolerance of what was asked, less by how far it was outside over how far it had to move.
    """

    start_utc_s: float
    lasts_s: float
    asked_var: float
    before_var: float
    q_var: float
    share_frac: float

    @property
    def ordered_var(self) -> float:
        """The change that was asked for."""
        return self.asked_var - self.before_var

    @property
    def delivered_var(self) -> float:
        """The part of it that was delivered."""
        return self.share_frac * self.ordered_var


def settle_support(asked: Iterable[Asked], period_s: float = PERIOD_S) -> tuple[SupportSettlement, ...]:
    """Every settlement period in which something was asked for, oldest first; one entry for each value that was asked
    (to 1 var).

    Raises ValueError for a number that is not finite, a tolerance below 0 or a length that is not above 0: what nobody
    measured cannot be settled.
    """
    if not 0.0 < period_s < math.inf:
        raise ValueError(f"settlement period is {period_s} s; expected more than 0")
    alike: dict[tuple[int, int], list[Asked]] = defaultdict(list)
    for one in asked:
        _check(one)
        alike[int(one.start_utc_s // period_s), round(one.asked_var)].append(one)
    return tuple(sorted((_settled(parts) for parts in alike.values()), key=lambda s: s.start_utc_s))


def _settled(parts: list[Asked]) -> SupportSettlement:
    lasts_s = math.fsum(p.lasts_s for p in parts)
    asked_var = parts[0].asked_var
    tolerance_var, before_var, q_var = (
        math.fsum(p.lasts_s * value(p) for p in parts) / lasts_s for value in (_tolerance_var, _before_var, _q_var)
    )
    missed_var = max(abs(q_var - asked_var) - tolerance_var, 0.0)
    ordered_var = abs(asked_var - before_var)
    share = 1.0 if missed_var == 0.0 else max(1.0 - missed_var / ordered_var, 0.0) if ordered_var > 0.0 else 0.0
    return SupportSettlement(min(p.start_utc_s for p in parts), lasts_s, asked_var, before_var, q_var, share)


_tolerance_var, _before_var, _q_var = (attrgetter(name) for name in ("tolerance_var", "before_var", "q_var"))


def _check(one: Asked) -> None:
    numbers = (one.start_utc_s, one.lasts_s, one.asked_var, one.tolerance_var, one.before_var, one.q_var)
    if not all(map(math.isfinite, numbers)) or one.tolerance_var < 0.0 or not one.lasts_s > 0.0:
        raise ValueError(f"{one}; expected finite numbers, a tolerance of at least 0 and a length above it")
