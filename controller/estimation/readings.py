"""From a snapshot to arrays: which readings are new, usable and not frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.measurement import Quality
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import FreezeWatch, initial_watch, watch

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

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


@dataclass(frozen=True, slots=True)
class Sample:
    """The usable readings of a list of points in one snapshot (NaN = none), and when each was sampled."""

    value: Array
    at_s: Array


def sample(names: Sequence[str], snapshot: Snapshot) -> Sample:
    """Look every point up, once per cycle; only GOOD finite values are usable."""
    good = Quality.GOOD
    found = list(map(snapshot.points.get, names))
    value = np.array([m.value if m is not None and m.quality is good else math.nan for m in found])
    at_s = np.array([m.measured_at_s if m is not None else -math.inf for m in found])
    value[~np.isfinite(value)] = np.nan
    return Sample(value, at_s)


class PointList:
    """Points that are read together: their places in the sample, and the watched element of each.

    ``low``/``high`` bound what is physically possible; a reading outside is no reading, whatever its quality says.
    """

    def __init__(self, places: IndexArray, elements: IndexArray, low: Array, high: Array) -> None:
        self._places, self._elements = places, elements
        self._low, self._high = low, high

    def never(self) -> Array:
        """``used_at_s`` before the first reading."""
        return np.full(len(self._places), -np.inf)

    def take(self, taken: Sample, frozen: BoolArray, used_at_s: Array) -> Reading:
        """Readings sampled after ``used_at_s``, of elements that are not frozen; no sample is used twice."""
        value, at_s = taken.value[self._places], taken.at_s[self._places]
        fit = (at_s > used_at_s) & ~frozen[self._elements] & (value >= self._low) & (value <= self._high)
        return Reading(np.where(fit, value, np.nan), np.where(fit, at_s, used_at_s))


class SitePoints:
    """All points that the estimator reads, by purpose.

    ``row_scale`` is the rating behind every row (W, var); ``i_max_a`` and ``u_rated_v`` the branches' and buses'.
    """

    def __init__(self, site: Site, row_points: list[str], row_scale: Array, i_max_a: Array, u_rated_v: Array) -> None:
        rated = np.array([u.p_rated_w for u in site.units])
        currents = [points.branch(b.id, "i_a") for b in site.topology.branches]
        voltages = [points.bus(b.id) for b in site.topology.buses]
        available = [points.unit(u.id, "p_avail_w") for u in site.units]
        contents = [points.unit(u.id, "soc_frac") for u in site.units]
        watched = [*row_points, *currents, *voltages]
        self.names = [*watched, *available, *contents]
        self.elements = elements = list(dict.fromkeys(map(element_of, self.names)))
        self._members = _members(watched, elements)
        place, element = {n: k for k, n in enumerate(self.names)}, {e: k for k, e in enumerate(elements)}

        def listed(names: list[str], low: Array, high: Array) -> PointList:
            at = np.array([place[n] for n in names], dtype=np.intp)
            return PointList(at, np.array([element[element_of(n)] for n in names], dtype=np.intp), low, high)

        self.rows = listed(row_points, -POSSIBLE_FACTOR * row_scale, POSSIBLE_FACTOR * row_scale)
        self.currents = listed(currents, np.zeros(len(i_max_a)), POSSIBLE_FACTOR * i_max_a)
        self.voltages = listed(voltages, U_POSSIBLE_PU[0] * u_rated_v, U_POSSIBLE_PU[1] * u_rated_v)
        self.available = listed(available, -POSSIBLE_FACTOR * rated, POSSIBLE_FACTOR * rated)
        self.contents = listed(contents, np.full(len(rated), -0.05), np.full(len(rated), 1.05))

    def initial_watch(self) -> FreezeWatch:
        """Nothing seen yet of any element."""
        return initial_watch(*self._members.shape)

    def watch(self, previous: FreezeWatch, taken: Sample) -> FreezeWatch:
        """Whether every element's readings still move."""
        value, at_s = np.append(taken.value, np.nan), np.append(taken.at_s, -np.inf)
        return watch(previous, value[self._members], at_s[self._members])


def _members(names: Sequence[str], elements: Sequence[str]) -> IndexArray:
    """Places of every element's points, (element, quantity); −1, the place after the last one, fills the rows up."""
    of_element: dict[str, list[int]] = {e: [] for e in elements}
    for k, name in enumerate(names):
        of_element[element_of(name)].append(k)
    width = max((len(at) for at in of_element.values()), default=0)
    rows = [at + [-1] * (width - len(at)) for at in of_element.values()]
    return np.array(rows, dtype=np.intp).reshape(len(elements), width)
