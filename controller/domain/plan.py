"""What the slow loop tells the fast one: the worth of stored energy, with an expiry."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredEnergyPrice:
    """Worth of one more MWh in one unit's storage, EUR, by content (ascending); linear between, flat beyond the ends.

    Positive: energy is wanted. Negative: room is wanted. It never rises with the content.
    """

    unit: str
    soc_frac: tuple[float, ...]
    eur_per_mwh: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.soc_frac, *self.eur_per_mwh)
        ascending = all(a < b for a, b in zip(self.soc_frac, self.soc_frac[1:], strict=False))
        if not self.soc_frac or len(self.soc_frac) != len(self.eur_per_mwh) or not ascending:
            raise ValueError(
                f"price of energy stored in {self.unit}: contents {self.soc_frac} and worths {self.eur_per_mwh}; "
                "expected as many worths as contents, at least one, contents ascending"
            )
        if not all(math.isfinite(x) for x in numbers):
            raise ValueError(f"price of energy stored in {self.unit}: {numbers}; expected finite numbers only")

    def at(self, soc_frac: float) -> float:
        """Worth at this content, EUR/MWh."""
        k = bisect_right(self.soc_frac, soc_frac)
        if k in (0, len(self.soc_frac)):
            return self.eur_per_mwh[min(k, len(self.soc_frac) - 1)]
        share = (soc_frac - self.soc_frac[k - 1]) / (self.soc_frac[k] - self.soc_frac[k - 1])
        return self.eur_per_mwh[k - 1] + share * (self.eur_per_mwh[k] - self.eur_per_mwh[k - 1])


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """Prices of stored energy, valid from ``issued_at_s`` until ``expires_at_s`` (site seconds)."""

    issued_at_s: float
    expires_at_s: float
    prices: tuple[StoredEnergyPrice, ...]

    def price_of(self, unit_id: str, now_s: float) -> StoredEnergyPrice | None:
        """The price for this unit, or None when the plan is not in force or does not know it."""
        return next((p for p in self.in_force(now_s) if p.unit == unit_id), None)

    def in_force(self, now_s: float) -> tuple[StoredEnergyPrice, ...]:
        """All prices while the plan holds, none otherwise."""
        return self.prices if self.issued_at_s <= now_s < self.expires_at_s else ()
