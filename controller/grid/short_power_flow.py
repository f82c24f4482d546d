"""The power flow of a network that is far from its limits, by the shortest way there is.

The network is linear but for its loads. What the source drives through the unloaded network, less what the loads'
currents take from it through the impedances between all buses, V = V₀ − Z conj(S/V), is repeated from V₀ on (the
implicit Z-bus method, T.-H. Chen et al., IEEE Trans. Power Delivery 6(3), 1991). While voltages drop by a few per cent
every round brings one or two digits more, for one product with a matrix that never changes. Where rounds do not close
in quickly nothing is said: then it takes a real solver, which also knows when there is no solution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.topology import Topology
from controller.grid.admittance import BASE_VA, TwoPorts, bus_matrix, source_admittance

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

CLOSE_PU = 1e-12  # between two rounds: what is left is less by the factor by which rounds close in
ROUNDS_MAX = 25  # of a network in which voltages drop by a third, and no more
FED_PU = 0.5  # less than this of the rated voltage, without any load, and a bus is not fed


class ShortPowerFlow:
    """Constants of one topology, in per unit of ``BASE_VA`` and of the rated voltages.

    Where a part of the network has lost its connection to the source, there is no short way.
    """

    def __init__(self, topology: Topology, out_of_service: frozenset[str] = frozenset()) -> None:
        buses = [b.id for b in topology.buses]
        at_source = buses.index(topology.source.bus)
        try:
            impedance = np.linalg.inv(bus_matrix(TwoPorts.of(topology, out_of_service), topology)).astype(np.complex128)
        except np.linalg.LinAlgError:
            impedance = np.zeros((len(buses), len(buses)), dtype=np.complex128)
        drives = np.complex128(source_admittance(topology.source) * topology.source.u_pu)
        self._unloaded: ComplexArray = drives * impedance[:, at_source]
        self._fed = bool(np.abs(self._unloaded).min() > FED_PU)
        self._others = np.delete(np.arange(len(buses)), at_source)
        self._from_others: ComplexArray = impedance[:, self._others] / BASE_VA

    def voltages(self, injection: Array) -> ComplexArray | None:
        """Of every bus, at loads of all buses but the source's (P, then Q; W, var); None when it is not near."""
        if not self._fed:
            return None
        n = len(self._others)
        conjugate: ComplexArray = injection[:n] - np.complex128(1j) * injection[n:]
        v = self._unloaded
        for _ in range(ROUNDS_MAX):
            currents: ComplexArray = conjugate / np.conj(v[self._others])
            before, v = v, self._unloaded - self._from_others @ currents
            moved = float(np.abs(v - before).max())
            if moved < CLOSE_PU:
                return v
            if not moved < 1.0:
                break
        return None
