"""What really happened: true limit keeping and what it cost the units, counted at every plant step.

Fractions: current or power over its limit; a voltage's distance from the middle of its band over half the band. A
limit is exceeded above 1.0. A transformer with thermal characteristics is judged by its true temperatures, as rises
over the ambient air that its limits leave, and by its short-time cap; other moving limits by their cap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.limit import Limit, LimitKind
from controller.domain.site import Site
from controller.domain.unit import Unit, UnitKind
from simulators.signals import AMBIENT, Signals
from simulators.units.course import Array

Places = NDArray[np.intp]


class Score:
    """Accumulators per limit and per unit, in the order of the site."""

    def __init__(self, site: Site, signals: Signals) -> None:
        self._limits = site.limits
        self._units = site.units
        self._signals = signals
        self._place = np.array([signals.index[_signal(limit)] for limit in site.limits], dtype=np.intp)
        self._middle = np.array([_middle(limit) for limit in site.limits])
        self._half = np.array([_half(limit) for limit in site.limits])
        self._one_sided = np.array(
            [limit.kind in (LimitKind.EXPORT, LimitKind.IMPORT) for limit in site.limits], dtype=bool
        )
        self._direction = np.array([-1.0 if limit.kind is LimitKind.EXPORT else 1.0 for limit in site.limits])
        count = len(site.limits)
        self.highest_frac: Array = np.zeros(count)
        self.over_s: Array = np.zeros(count)
        self.longest_over_s: Array = np.zeros(count)
        self._running_s: Array = np.zeros(count)
        self._hot = _Hot.of(site, signals)
        self._battery = np.array([unit.kind is UnitKind.BATTERY for unit in site.units], dtype=bool)
        self._generates = np.array([unit.kind.generates for unit in site.units], dtype=bool)
        self.curtailed_wh: Array = np.zeros(len(site.units))
        self.flexed_wh: Array = np.zeros(len(site.units))
        self.energy_wh: Array = np.zeros(len(site.units))
        self.duration_s = 0.0

    def count(self, row: Array, dt_s: float) -> None:
        """One plant step of ``dt_s`` that ended in the state ``row``."""
        fractions = self.fractions(row)
        np.maximum(self.highest_frac, fractions, out=self.highest_frac)
        over = fractions > 1.0
        self._running_s = np.where(over, self._running_s + dt_s, 0.0)
        if over.any():
            self.over_s += over * dt_s
            np.maximum(self.longest_over_s, self._running_s, out=self.longest_over_s)
        self._count_units(row, dt_s / 3600.0)
        self.duration_s += dt_s

    def fractions(self, row: Array) -> Array:
        """Every limit's use in that state; 1.0 is the limit."""
        deviation = (row[self._place] - self._middle) * self._direction
        magnitude = np.where(self._one_sided, np.maximum(deviation, 0.0), np.abs(deviation))
        out: Array = magnitude / self._half
        return self._hot.judged(out, row)

    def _count_units(self, row: Array, hours: float) -> None:
        p_w = row[self._signals.unit_p]
        available_w = np.abs(row[self._signals.unit_avail])
        missed_wh = np.where(self._battery, np.abs(p_w), np.maximum(available_w - np.abs(p_w), 0.0)) * hours
        self.curtailed_wh += np.where(self._generates, missed_wh, 0.0)
        self.flexed_wh += np.where(self._generates, 0.0, missed_wh)
        self.energy_wh += p_w * hours

    def limits(self) -> list[dict[str, Any]]:
        """Per limit: ``id, kind, highest_frac, over_s, longest_over_s``."""
        columns = zip(
            self._limits, self.highest_frac.tolist(), self.over_s.tolist(), self.longest_over_s.tolist(), strict=True
        )
        return [
            {"id": limit.id, "kind": limit.kind.value, "highest_frac": high, "over_s": over, "longest_over_s": longest}
            for limit, high, over, longest in columns
        ]

    def units(self) -> list[dict[str, Any]]:
        """Per unit: ``id, kind, curtailed_wh, flexed_wh, energy_wh`` (energy in load convention)."""
        columns = zip(
            self._units, self.curtailed_wh.tolist(), self.flexed_wh.tolist(), self.energy_wh.tolist(), strict=True
        )
        return [
            {"id": unit.id, "kind": unit.kind.value, "curtailed_wh": cut, "flexed_wh": flexed, "energy_wh": energy}
            for unit, cut, flexed, energy in columns
        ]

    def to_dict(self) -> dict[str, Any]:
        """Both, with the time scored."""
        return {"duration_s": self.duration_s, "limits": self.limits(), "units": self.units()}


@dataclass(frozen=True, slots=True)
class _Hot:
    """Places and limits of what transformers with thermal characteristics are judged by; one row per limit."""

    limit: Places
    top_oil: Places
    hot_spot: Places
    top_oil_c_max: Array
    hot_spot_c_max: Array
    ambient: int

    @staticmethod
    def of(site: Site, signals: Signals) -> _Hot:
        heats = {item.id: item.thermal for item in site.topology.transformers if item.thermal is not None}
        chosen = [(k, x.element) for k, x in enumerate(site.limits) if x.element in heats]
        found = [heats[name] for _, name in chosen]

        def places(quantity: str) -> Places:
            return np.array([signals.index[points.branch(name, quantity)] for _, name in chosen], dtype=np.intp)

        return _Hot(
            limit=np.array([k for k, _ in chosen], dtype=np.intp),
            top_oil=places("top_oil_c"),
            hot_spot=places("hot_spot_c"),
            top_oil_c_max=np.array([x.top_oil_c_max for x in found]),
            hot_spot_c_max=np.array([x.hot_spot_c_max for x in found]),
            ambient=signals.index[AMBIENT],
        )

    def judged(self, fractions: Array, row: Array) -> Array:
        """The fractions, with the worst of current, top oil and hot spot where temperatures count."""
        ambient_c = row[self.ambient]
        oil = (row[self.top_oil] - ambient_c) / (self.top_oil_c_max - ambient_c)
        hot = (row[self.hot_spot] - ambient_c) / (self.hot_spot_c_max - ambient_c)
        fractions[self.limit] = np.maximum(fractions[self.limit], np.maximum(oil, hot))
        return fractions


def curtailed_total_wh(score: Score, units: Sequence[Unit]) -> float:
    """Energy that generators could have given and did not, all together."""
    return float(sum(value for value, unit in zip(score.curtailed_wh, units, strict=True) if unit.kind.generates))


def _signal(limit: Limit) -> str:
    if limit.kind is LimitKind.THERMAL:
        return points.branch(limit.element, "i_a")
    if limit.kind is LimitKind.VOLTAGE:
        return points.bus(limit.element)
    return points.interface("p_w")


def _middle(limit: Limit) -> float:
    return 0.5 * (limit.high + limit.low) if limit.kind is LimitKind.VOLTAGE and limit.low is not None else 0.0


def _half(limit: Limit) -> float:
    return 0.5 * (limit.high - limit.low) if limit.kind is LimitKind.VOLTAGE and limit.low is not None else limit.high
