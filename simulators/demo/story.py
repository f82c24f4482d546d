"""What the day is about, in plain words at the right time, from the true state of the plant alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from controller.domain.limit import LimitKind
from controller.domain.site import Site
from controller.domain.unit import UnitKind
from controller.planning.availability import Availability
from simulators.demo.course import Sample
from simulators.demo.flexible import flexible_words
from simulators.demo.words import power

BINDS_FRAC = 0.95
AGAIN_S = 5400.0
"""The same is told again no sooner than this, s of the site."""
COMMUTE_S = 1800.0
MOVING_W = 100e3
_QUIET_W = 20e3


class Story:
    """Watches the agreed export and the units that others have sold."""

    def __init__(self, site: Site) -> None:
        self._units = site.units
        self._export = next((k for k, limit in enumerate(site.limits) if limit.kind is LimitKind.EXPORT), None)
        self._told_s: dict[str, float] = {}

    def told(self, now: Sample, clock_s: float, flexible: Mapping[str, Availability]) -> Iterator[tuple[str, str]]:
        """Name and sentence of what is news at this instant."""
        if self._export is None:
            return
        if now.frac[self._export] >= BINDS_FRAC and self._is_news("binds", now.t_s):
            yield "market.export_binds", self._binding(now)
        hubs = [k for k, unit in enumerate(self._units) if unit.kind is UnitKind.EV_HUB]
        if hubs and 7.0 <= clock_s / 3600.0 < 10.0 and self._is_news("commute", now.t_s, COMMUTE_S):
            yield "market.vehicles", self._commute(now, hubs, flexible)

    def _commute(self, now: Sample, hubs: Sequence[int], flexible: Mapping[str, Availability]) -> str:
        wish_w = sum(now.available_w[k] for k in hubs)
        known = {self._units[k].id: flexible[self._units[k].id] for k in hubs if self._units[k].id in flexible}
        words = f"; flexible for an hour: vehicles {flexible_words(known)}, all {flexible_words(flexible)}"
        return f"vehicles leave, those plugged in ask for {power(wish_w)}{words if known else ''}"

    def _binding(self, now: Sample) -> str:
        taking = [
            f"{unit.id} +{power(now.p_w[k])}"
            for k, unit in enumerate(self._units)
            if not unit.kind.generates and now.p_w[k] > MOVING_W
        ]
        helped = f"{' and '.join(taking)} take it in" if taking else "nobody takes it in"
        return f"export limit binds ({power(now.interface_p_w)}); {helped}; {_amount(self.held_back_w(now))} curtailed"

    def held_back_w(self, now: Sample) -> float:
        """What the generators could give and do not, W."""
        missed = (now.available_w[k] - abs(now.p_w[k]) for k, unit in enumerate(self._units) if unit.kind.generates)
        return math.fsum(w for w in missed if w > 0.0)

    def _is_news(self, name: str, t_s: float, again_s: float = AGAIN_S) -> bool:
        if t_s - self._told_s.get(name, -math.inf) < again_s:
            return False
        self._told_s[name] = t_s
        return True


def _amount(w: float) -> str:
    """A measured magnitude; less than the plant's own ramps and noise is none."""
    return "0 W" if w < _QUIET_W else power(w)
