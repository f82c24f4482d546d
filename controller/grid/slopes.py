"""Slopes of every flow and voltage by every injection, from the power flow's equations at one operating point.

With the voltages u·exp(jθ), W_ik = V_i conj(Y_ik V_k) and S_i the power that enters the network at bus i, a small
change obeys, row by row,  dS_i = Σ_k W_ik (d ln u_k − j dθ_k) + S_i (d ln u_i + j dθ_i): the Jacobian of Newton's
method in polar coordinates (R. D. Zimmerman, MATPOWER Technical Note 2, 2010, with d ln u in place of du). Loads and
units hold their powers, dS_i = −d(load). Behind the source's impedance it is the current that stays: no S_i in its row.

The slopes are made of that matrix' inverse. It is computed in place, some buses after the other, so that a large
network's can be spread over cycles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.topology import SQRT3, Topology
from controller.grid.admittance import BASE_VA, TwoPorts, bus_matrix

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IndexArray = NDArray[np.intp]


class Slopes:
    """First-order flows of one topology; holds only constants derived from it.

    Its matrix has two rows (P, Q) and two columns (θ, ln u) for every bus, in per unit of ``BASE_VA``; the inverse has
    them the other way round. ``order`` is that of its equations in which each touches few of the others.
    """

    def __init__(self, topology: Topology, out_of_service: frozenset[str] = frozenset()) -> None:
        ports = TwoPorts.of(topology, out_of_service)
        buses, n_line = [b.id for b in topology.buses], len(topology.lines)
        self._y = bus_matrix(ports, topology)
        self._source = buses.index(topology.source.bus)
        self.order = _far_ends_first(ports, len(buses), self._source)
        others = np.delete(np.arange(len(buses)), self._source)
        self._columns = np.concatenate([2 * others, 2 * others + 1])
        self._n_branch = len(topology.branches)
        # Where powers are counted: at a line's first end, at a transformer's second with the sign turned, and for the
        # interface at every end at the source's bus.
        line, trafo = slice(0, n_line), slice(n_line, None)
        out, back = ports.first == self._source, ports.second == self._source
        self._here = np.concatenate([ports.first[line], ports.second[trafo], ports.first[out], ports.second[back]])
        self._there = np.concatenate([ports.second[line], ports.first[trafo], ports.second[out], ports.first[back]])
        self._y_here = np.concatenate([ports.y_11[line], -ports.y_22[trafo], ports.y_11[out], ports.y_22[back]])
        self._y_there = np.concatenate([ports.y_12[line], -ports.y_21[trafo], ports.y_12[out], ports.y_21[back]])

    def matrix(self, voltage_pu: ComplexArray) -> Array:
        """What the buses' powers change by per change of θ and ln u."""
        n = len(voltage_pu)
        w = voltage_pu[:, None] * np.conj(self._y * voltage_pu)
        power = w.sum(axis=1)
        power[self._source] = 0.0
        out = np.empty((n, 2, n, 2))
        out[:, 0, :, 0] = out[:, 1, :, 1] = w.imag
        out[:, 0, :, 1], out[:, 1, :, 0] = w.real, -w.real
        every = np.arange(n)
        out[every, 0, every, 0] -= power.imag
        out[every, 0, every, 1] += power.real
        out[every, 1, every, 0] += power.real
        out[every, 1, every, 1] += power.imag
        return out.reshape(2 * n, 2 * n)

    def around(self, inverse: Array, voltage_pu: ComplexArray, u_v: Array) -> tuple[Array, Array]:
        """All quantities, and their slopes per W and var of load at every bus but the source's, P first.

        A row each of the buses' voltages (V), the branches' P, Q and current components (A), the interface's P and Q.
        """
        n, nb = len(voltage_pu), self._n_branch
        moved = np.negative(inverse.take(self._columns, axis=1)).reshape(n, 2, -1)
        turned, raised = moved[:, 0], moved[:, 1]
        raised_here = raised[self._here]
        own, across = self._powers(voltage_pu)
        power, per_a = own + across, SQRT3 * u_v[self._here[:nb]]
        slope = self._of_powers(own, across, raised_here, raised[self._there], turned)
        base, out = np.empty(n + 4 * nb + 2), np.empty((n + 4 * nb + 2, len(self._columns)))
        base[:n] = u_v
        np.multiply(raised, (u_v / BASE_VA)[:, None], out=out[:n])
        for k, part in enumerate((power.real, power.imag)):
            rows, current = slice(n + k * nb, n + (k + 1) * nb), slice(n + (2 + k) * nb, n + (3 + k) * nb)
            base[rows], out[rows] = BASE_VA * part[:nb], slope[k][:nb]
            base[current] = base[rows] / per_a
            np.multiply(raised_here[:nb], -part[:nb, None], out=out[current])
            out[current] += out[rows]
            out[current] /= per_a[:, None]
            base[n + 4 * nb + k] = BASE_VA * part[nb:].sum()
            slope[k][nb:].sum(axis=0, out=out[n + 4 * nb + k])
        return base, out

    def _powers(self, voltage_pu: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
        """Power into every place where it is counted: what its own voltage drives, and what the other end's does."""
        here, there = voltage_pu[self._here], voltage_pu[self._there]
        return here * np.conj(self._y_here * here), here * np.conj(self._y_there * there)

    def _of_powers(
        self, own: ComplexArray, across: ComplexArray, here: Array, there: Array, turned: Array
    ) -> tuple[Array, Array]:
        """Slopes of P and of Q, where d ln u is ``here`` and ``there`` at the two ends."""
        by_here, by_there = (2.0 * own + across)[:, None], across[:, None]
        turn = turned[self._here] - turned[self._there]
        p = by_here.real * here + by_there.real * there - by_there.imag * turn
        q = by_here.imag * here + by_there.imag * there + by_there.real * turn
        return p, q


def _far_ends_first(ports: TwoPorts, n_bus: int, source: int) -> IndexArray:
    """Numbers of all equations, two per bus: feeder by feeder from its far end, the source's bus last."""
    near: list[list[int]] = [[] for _ in range(n_bus)]
    for one, other in zip(ports.first.tolist(), ports.second.tolist(), strict=True):
        near[one].append(other)
        near[other].append(one)
    found: dict[int, None] = {}
    waiting = [*range(n_bus), source]
    while waiting:
        bus = waiting.pop()
        if bus not in found:
            found[bus] = None
            waiting += near[bus]
    buses = np.array(list(found), dtype=np.intp)[::-1]
    return np.stack([2 * buses, 2 * buses + 1], axis=1).ravel()


def exchange(matrix: Array, which: IndexArray) -> int:
    """Solve the equations ``which`` of ``matrix`` for the unknowns of the same numbers, in place.

    Done for all of them, in parts of any size and order, it is the inverse (Gauss-Jordan elimination; a principal pivot
    transform, M. Tsatsomeros, Linear Algebra Appl. 307, 2000). Only what they touch changes: in a radial network that
    is little, as long as the far ends of the feeders come first. Returns the multiplications that it took, roughly.
    Raises LinAlgError.
    """
    if len(which) == len(matrix):
        matrix[:] = np.linalg.inv(matrix)
        return len(matrix) ** 3
    touched = np.logical_or(matrix[which].any(axis=0), matrix[:, which].any(axis=1))
    touched[which] = True
    at = touched.nonzero()[0]
    if 2 * len(at) < len(matrix):
        near = np.ix_(at, at)
        matrix[near] = _exchanged(matrix[near], at.searchsorted(which))
    else:
        matrix[:] = _exchanged(matrix, which)
    return len(which) * len(at) ** 2


def _exchanged(matrix: Array, which: IndexArray) -> Array:
    """The same of a matrix that is touched everywhere, anew."""
    block = np.ix_(which, which)
    pivot = np.linalg.inv(matrix[block])
    row, column = pivot @ matrix[which], matrix[:, which]
    out: Array = matrix - column @ row
    out[which], out[:, which] = row, -column @ pivot
    out[block] = pivot
    return out
