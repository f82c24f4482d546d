"""From a snapshot to arrays: which readings are new, usable and not frozen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np
from numpy.typing import NDArray

from controller.domain import points
from controller.domain.masks import some
from controller.domain.measurement import Quality, missing
from controller.domain.site import Site
from controller.domain.snapshot import Snapshot
from controller.estimation.plausibility import FreezeWatch, initial_watch, watch

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

NOTHING_FRAC = 0.02  # of rated power: what a unit could have may be this far on the wrong side of zero, by noise
POSSIBLE_FACTOR = 5.0  # of the rating: beyond it a meter is wrong, not the network
U_POSSIBLE_PU = (0.3, 1.7)
NEVER = missing(-math.inf, "never received")
NOBODY = ""  # a point that nothing feeds, at the last place: what an element does not have is read there


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
    found = list(map(snapshot.points.get, names, repeat(NEVER)))
    value = np.array([m.value if m.quality is good else math.nan for m in found])
    at_s = np.array([m.measured_at_s for m in found])
    value[~np.isfinite(value)] = np.nan
    return Sample(value, at_s)


@dataclass(frozen=True, slots=True)
class Readings:
    """The new readings of one cycle by purpose; what units say they could give and contain is used again and again."""

    rows: Reading
    currents: Reading
    voltages: Reading
    available: Array
    contents: Array


class SitePoints:
    """All points that the estimator reads, one purpose after the other: rows, currents, voltages, available, contents.

    ``row_scale`` is the rating behind every row (W, var); ``i_max_a`` and ``u_rated_v`` the branches' and buses'. They
    bound what is physically possible: a reading outside is no reading, whatever its quality says.
    """

    def __init__(self, site: Site, row_points: list[str], row_scale: Array, i_max_a: Array, u_rated_v: Array) -> None:
        rated = np.array([u.p_rated_w for u in site.units])
        currents = [points.branch(b.id, "i_a") for b in site.topology.branches]
        voltages = [points.bus(b.id) for b in site.topology.buses]
        available = [points.unit(u.id, "p_avail_w") for u in site.units]
        contents = [points.unit(u.id, "soc_frac") for u in site.units]
        watched = [*row_points, *currents, *voltages]
        read = [*watched, *available, *contents]
        self.names = [*read, NOBODY]
        self.elements = elements = list(dict.fromkeys(map(element_of, read)))
        self._members = _members(watched, elements)
        self.of_network = np.array([not e.startswith("unit.") for e in elements], dtype=bool)
        place = {e: k for k, e in enumerate(elements)}
        self._element = np.array([place[element_of(n)] for n in read], dtype=np.intp)
        most = POSSIBLE_FACTOR * np.concatenate([row_scale, i_max_a])
        lowest, highest = (x * u_rated_v for x in U_POSSIBLE_PU)
        could, n, n_row = POSSIBLE_FACTOR * rated, len(rated), len(row_points)
        generates = np.array([u.kind.generates for u in site.units], dtype=bool)
        little = NOTHING_FRAC * rated
        could_low, could_high = np.where(generates, -could, -little), np.where(generates, little, could)
        self._low = np.concatenate([-most[:n_row], np.zeros(len(i_max_a)), lowest, could_low, np.full(n, -0.05)])
        self._high = np.concatenate([most, highest, could_high, np.full(n, 1.05)])
        ends = np.cumsum([n_row, len(currents), len(voltages), n, n]).tolist()
        self._at = [slice(*pair) for pair in pairwise([0, *ends])]
        self._always = np.full(2 * n, -np.inf)

    def never(self) -> tuple[Array, Array, Array]:
        """When rows, currents and voltages were last used, before the first reading."""
        rows, currents, voltages = (np.full(at.stop - at.start, -np.inf) for at in self._at[:3])
        return rows, currents, voltages

    def take(self, taken: Sample, frozen: BoolArray, used_at_s: tuple[Array, Array, Array]) -> Readings:
        """Readings of elements that are not frozen; rows, currents and voltages sampled after ``used_at_s``: no sample
        is used twice."""
        value, at_s, before_s = taken.value[:-1], taken.at_s[:-1], np.concatenate([*used_at_s, self._always])
        fit = (at_s > before_s) & (value >= self._low) & (value <= self._high)
        if some(frozen):
            fit &= ~frozen[self._element]
        value, used = np.where(fit, value, np.nan), np.where(fit, at_s, before_s)
        rows, currents, voltages, available, contents = self._at
        return Readings(
            Reading(value[rows], used[rows]),
            Reading(value[currents], used[currents]),
            Reading(value[voltages], used[voltages]),
            value[available],
            value[contents],
        )

    def initial_watch(self) -> FreezeWatch:
        """Nothing seen yet of any element."""
        return initial_watch(*self._members.shape)

    def watch(self, previous: FreezeWatch, taken: Sample) -> FreezeWatch:
        """Whether every element's readings still move."""
        return watch(previous, taken.value[self._members], taken.at_s[self._members])


def _members(names: Sequence[str], elements: Sequence[str]) -> IndexArray:
    """Places of every element's points, (element, quantity); −1, the place after the last one, fills the rows up."""
    of_element: dict[str, list[int]] = {e: [] for e in elements}
    for k, name in enumerate(names):
        of_element[element_of(name)].append(k)
    width = max((len(at) for at in of_element.values()), default=0)
    rows = [at + [-1] * (width - len(at)) for at in of_element.values()]
    return np.array(rows, dtype=np.intp).reshape(len(elements), width)
