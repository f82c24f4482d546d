"""How far buses lie apart electrically: the spanning tree of least impedance from the source.

A bus without a meter of its own is known through the nearest bus that has one; what can be wrong between the two is
the voltage drop on the way.
"""

from __future__ import annotations

import heapq
import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.domain.topology import Branch, Line, Topology

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Step = tuple[float, int, int, int]


class BusTree:
    """Paths between buses along the branches of the tree; constants of one topology."""

    def __init__(self, topology: Topology) -> None:
        self._buses = [b.id for b in topology.buses]
        self._rated_v = {b.id: b.u_rated_v for b in topology.buses}
        self._branches = topology.branches
        self.ends = np.array([[self._buses.index(b) for b in _ends(x)] for x in self._branches], dtype=np.intp)
        self.ends = self.ends.reshape(-1, 2)
        self.z_ohm = np.array([abs(_impedance(x)) for x in self._branches])
        self.from_root = self._walk(self._buses.index(topology.source.bus))

    @cached_property
    def z_frac(self) -> Array:
        """Impedance of every branch on one common power base, so that lines of different voltage compare."""
        ends = (self._rated_v[_ends(x)[1]] for x in self._branches)
        return np.array([z / u**2 for z, u in zip(self.z_ohm, ends, strict=True)])

    @cached_property
    def apart(self) -> Array:
        """(n_bus, n_bus): impedance between any two buses along the tree, per VA."""
        weighted = self.from_root * self.z_frac
        down = weighted.sum(axis=1)
        out: Array = down[:, None] + down[None, :] - 2.0 * (weighted @ self.from_root.T)
        return out

    def nearest(self, candidates: BoolArray) -> NDArray[np.intp]:
        """For every bus the candidate that is nearest to it; itself where it is one. Needs one candidate at least."""
        out: NDArray[np.intp] = np.argmin(np.where(candidates[None, :], self.apart, np.inf), axis=1)
        return out

    def between(self, nearest: NDArray[np.intp]) -> Array:
        """(n_bus, n_branch): 1 for every branch between a bus and the one that ``nearest`` names for it."""
        return np.abs(self.from_root - self.from_root[nearest])

    def _walk(self, root: int) -> Array:
        """(n_bus, n_branch): 1 for every branch between the source and a bus (Dijkstra by impedance)."""
        paths = np.zeros((len(self._buses), len(self._branches)))
        neighbours: list[list[tuple[int, int]]] = [[] for _ in self._buses]
        for k, (a, b) in enumerate(self.ends.tolist()):
            neighbours[a].append((b, k))
            neighbours[b].append((a, k))
        done: set[int] = set()
        queue: list[Step] = [(0.0, root, root, -1)]
        while queue:
            far, bus, before, branch = heapq.heappop(queue)
            if bus in done:
                continue
            done.add(bus)
            if branch >= 0:
                paths[bus] = paths[before]
                paths[bus, branch] = 1.0
            for to, k in neighbours[bus]:
                if to not in done:
                    heapq.heappush(queue, (far + float(self.z_frac[k]), to, bus, k))
        return paths


def _ends(branch: Branch) -> tuple[str, str]:
    return (branch.from_bus, branch.to_bus) if isinstance(branch, Line) else (branch.hv_bus, branch.lv_bus)


def _impedance(branch: Branch) -> complex:
    """Series impedance, ohm; a transformer's on its lower-voltage side."""
    if isinstance(branch, Line):
        return complex(branch.r_ohm, branch.x_ohm)
    base_ohm = branch.u2_v**2 / branch.sn_va
    r_pu = branch.pk_w / branch.sn_va
    return complex(r_pu, math.sqrt(max(branch.uk_pu**2 - r_pu**2, 0.0))) * base_ohm
