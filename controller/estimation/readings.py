"""From a snapshot to arrays: which readings are new, usable and not frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.measurement import Measurement
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import FreezeWatch

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def element_of(point: str) -> str:
    """``branch.T1`` of ``branch.T1.p_w``."""
    return point.rsplit(".", 1)[0]


@dataclass(frozen=True, slots=True)
class Reading:
    """Values of a list of points (NaN = not new or not usable) and when each was last sampled for us."""

    value: Array
    used_at_s: Array

    @property
    def fresh(self) -> BoolArray:
        """Where there is a new value."""
        out: BoolArray = np.isfinite(self.value)
        return out


class PointList:
    """A fixed list of points that are read together."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._elements = [element_of(name) for name in names]

    def never(self) -> Array:
        """``used_at_s`` before the first reading."""
        return np.full(len(self.names), -np.inf)

    def take(self, snapshot: Snapshot, frozen: FreezeWatch, used_at_s: Array) -> Reading:
        """Readings sampled after ``used_at_s``; the same sample is never used twice."""
        value, at_s = np.full(len(self.names), np.nan), used_at_s.copy()
        get = snapshot.points.get
        for k, name in enumerate(self.names):
            m: Measurement | None = get(name)
            if m is None or not m.usable or m.measured_at_s <= used_at_s[k] or frozen.frozen(self._elements[k]):
                continue
            value[k], at_s[k] = m.value, m.measured_at_s
        return Reading(value, at_s)


class SitePoints:
    """All points that the estimator reads, by purpose."""

    def __init__(self, site: Site, row_points: list[str]) -> None:
        self.rows = PointList(row_points)
        self.currents = PointList([points.branch(b.id, "i_a") for b in site.topology.branches])
        self.voltages = PointList([points.bus(b.id) for b in site.topology.buses])
        self.available = PointList([points.unit(u.id, "p_avail_w") for u in site.units])
        self.contents = PointList([points.unit(u.id, "soc_frac") for u in site.units])
        self.groups: dict[str, list[str]] = {}
        for name in self.rows.names + self.currents.names + self.voltages.names:
            self.groups.setdefault(element_of(name), []).append(name)
