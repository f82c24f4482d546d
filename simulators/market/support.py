"""One request for voltage support as the transmission operator sees it: asked, metered at the boundary, settled."""

from __future__ import annotations

import math
from typing import Any

from controller.planning.support_settlement import Asked, SupportSettlement, settle_support
from simulators.market.auction import Outcome
from simulators.market.model import ReactiveRequest

RISE_S = 60.0
"""Time for the change to be made; what flows before that is not metered, s."""
_VAR_H_PER_MVARH = 1e6


class Support:
    """``asked_var`` is wanted at the boundary from ``begins_s`` to ``ends_s`` (seconds since the opening).

    ``before_var`` is what the meter showed when it was asked for.
    """

    def __init__(self, request: ReactiveRequest, outcome: Outcome, before_var: float) -> None:
        self.begins_s = outcome.at_s
        self.ends_s = outcome.at_s + request.lasts_s
        self.before_var = before_var
        self.asked_var = before_var + request.q_var
        self.answer = ""
        self._tolerance_var = request.tolerance_var
        self._eur_per_varh = _eur_per_varh(outcome)
        self._metered: list[Asked] = []

    def meter(self, now_s: float, q_var: float) -> None:
        """One reading of the operator's own meter; outside the time of the request it is nothing."""
        if self.begins_s + RISE_S <= now_s < self.ends_s and math.isfinite(q_var):
            self._metered.append(Asked(now_s, self.asked_var, self._tolerance_var, self.before_var, q_var))

    def settled(self) -> tuple[SupportSettlement, ...]:
        """Every quarter of an hour that was metered so far; its start in seconds since the opening."""
        return settle_support(self._metered)

    def paid_eur(self) -> float:
        """For what was delivered in the mean of all readings, at the mean price of the accepted bids."""
        counted = self._counted()
        readings = sum(n for _, n in counted)
        if not readings:
            return 0.0
        mean_var = math.fsum(abs(p.delivered_var) * n for p, n in counted) / readings
        return mean_var * (self.ends_s - self.begins_s) / 3600.0 * self._eur_per_varh

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; var, import positive."""
        return {
            "at_s": self.begins_s,
            "before_var": round(self.before_var),
            "asked_var": round(self.asked_var),
            "answer": self.answer,
            "periods": [
                {
                    "asked_var": round(p.asked_var),
                    "metered_var": round(p.q_var),
                    "delivered_var": round(p.delivered_var),
                    "share_frac": round(p.share_frac, 4),
                }
                for p in self.settled()
            ],
            "paid_eur": round(self.paid_eur(), 2),
        }

    def _counted(self) -> list[tuple[SupportSettlement, int]]:
        """Settlement periods with the number of their readings."""
        periods = self.settled()
        ends = [*(p.start_utc_s for p in periods[1:]), math.inf][: len(periods)]
        return [
            (p, sum(p.start_utc_s <= m.start_utc_s < end for m in self._metered))
            for p, end in zip(periods, ends, strict=True)
        ]


def _eur_per_varh(outcome: Outcome) -> float:
    """Mean price of the accepted bids."""
    total_var = math.fsum(offer.power_w * frac for offer, frac in outcome.taken)
    cost_eur = math.fsum(offer.power_w * frac * offer.price_eur_per_mwh for offer, frac in outcome.taken)
    return cost_eur / total_var / _VAR_H_PER_MVARH if total_var > 0.0 else 0.0
