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

POSSIBLE_FACTOR = 5.0  # of the rating: beyond it a meter is wrong, not the network
U_POSSIBLE_PU = (0.3, 1.7)


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
    """A fixed list of points that are read together.

    ``low``/``high`` bound what is physically possible; a reading outside is no reading, whatever its quality says.
    """

    def __init__(self, names: list[str], low: Array, high: Array) -> None:
        self.names = names
        self._elements = [element_of(name) for name in names]
        self._low, self._high = low.tolist(), high.tolist()

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
            if self._low[k] <= m.value <= self._high[k]:
                value[k], at_s[k] = m.value, m.measured_at_s
        return Reading(value, at_s)


class SitePoints:
    """All points that the estimator reads, by purpose.

    ``row_scale`` is the rating behind every row (W, var); ``i_max_a`` and ``u_rated_v`` the branches' and buses'.
    """

    def __init__(self, site: Site, row_points: list[str], row_scale: Array, i_max_a: Array, u_rated_v: Array) -> None:
        rated = np.array([u.p_rated_w for u in site.units])
        self.rows = PointList(row_points, -POSSIBLE_FACTOR * row_scale, POSSIBLE_FACTOR * row_scale)
        currents = [points.branch(b.id, "i_a") for b in site.topology.branches]
        self.currents = PointList(currents, np.zeros(len(i_max_a)), POSSIBLE_FACTOR * i_max_a)
        voltages = [points.bus(b.id) for b in site.topology.buses]
        self.voltages = PointList(voltages, U_POSSIBLE_PU[0] * u_rated_v, U_POSSIBLE_PU[1] * u_rated_v)
        available = [points.unit(u.id, "p_avail_w") for u in site.units]
        self.available = PointList(available, -POSSIBLE_FACTOR * rated, POSSIBLE_FACTOR * rated)
        contents = [points.unit(u.id, "soc_frac") for u in site.units]
        self.contents = PointList(contents, np.full(len(rated), -0.05), np.full(len(rated), 1.05))
        self.groups: dict[str, list[str]] = {}
        for name in self.rows.names + self.currents.names + self.voltages.names:
            self.groups.setdefault(element_of(name), []).append(name)
