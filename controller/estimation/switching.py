"""Which branches are out of service: an opened breaker shows in the meters of the branches that take over.

Only branches that are part of a loop are asked about (parallel transformers, rings): behind any other one that is open
nothing can flow, and the network with it says the same. A branch that carries power is in service, whatever was
thought. One that carries nothing changes its state when the network with that change explains what the other meters
of the loops read, and the network as it was thought does not. A meter that died at zero does not pass: the others read
what they read before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.estimation.layout import Layout
from controller.estimation.readings import Reading
from controller.estimation.sensitivities import Sensitivities, first_sensitivities, network
from controller.grid.admittance import TwoPorts
from controller.grid.model import PowerFlowError

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Places = tuple[int, ...]

IDLE_FRAC, CARRIES_FRAC = 0.01, 0.02  # of its rating: a branch with less carries nothing, one with more carries power
TELLING_SIGMAS = 6.0  # of a meter: what is nearer to it than that needs no other network to explain it
EXPLAINS_FRAC = 0.3  # of what the readings differ by: another network has to leave less; units under way leave more
AGE_S_MAX = 15.0  # older readings say nothing
DOUBTS = 10  # cycles in a row: units that move faster than thought can make an open branch look closed for some


@dataclass(frozen=True, slots=True)
class Flows:
    """The newest P and Q of every branch (W, var; NaN = none yet) and when they were sampled.

    ``doubts``: for how many cycles the others have read as if a branch out of service were in service, idle as it is.
    """

    pq: Array
    at_s: Array
    doubts: int = 0


class Switching:
    """Constants of one site."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        ports = TwoPorts.of(layout.site.topology)
        self._ends = list(zip(ports.first.tolist(), ports.second.tolist(), strict=True))
        self._loop = np.array([self._connected({k}) for k in range(len(self._ends))], dtype=bool)
        self.possible = some(self._loop)
        self._sigma_w = layout.row_sigma[: layout.n_branch]
        self._names = [b.id for b in layout.site.topology.branches]

    def initial(self) -> Flows:
        """Nothing read yet."""
        nb = self.layout.n_branch
        return Flows(np.full((2, nb), np.nan), np.full(nb, -np.inf))

    def update(
        self, before: Flows, rows: Reading, used: Sensitivities, injection: Array, now_s: float
    ) -> tuple[Flows, Sensitivities]:
        """What is read of the flows by now, and the sensitivities: others at once where a branch changed its state.

        ``injection`` (W, var) is what the buses are expected to take in this cycle. One branch changes in a cycle.
        """
        nb = self.layout.n_branch
        pq = rows.value[: 2 * nb].reshape(2, nb)
        new = np.isfinite(pq).all(axis=0)
        flows = Flows(np.where(new, pq, before.pq), np.where(new, rows.used_at_s[:nb], before.at_s))
        out = self._out(flows, used, injection, now_s)
        if len(out) < len(used.out) and not self._carrying(flows, used.out) and before.doubts + 1 < DOUBTS:
            return replace(flows, doubts=before.doubts + 1), used
        if out == used.out:
            return flows, used
        try:
            return flows, first_sensitivities(self.layout, injection, now_s, out)
        except PowerFlowError:
            return flows, used

    def _out(self, flows: Flows, used: Sensitivities, injection: Array, now_s: float) -> Places:
        """The branches that are out of service now."""
        before, known = used.out, self._loop & (now_s - flows.at_s <= AGE_S_MAX)
        if carrying := self._carrying(flows, before):
            return tuple(k for k in before if k not in carrying)
        idle = (known & (np.hypot(*flows.pq) < IDLE_FRAC * self.layout.branch_va)).nonzero()[0].tolist()
        if not idle:
            return before
        grid = used.grid.grid
        expected_w = grid.predict(injection)[grid.rows_branch("p_w")]  # without offsets: they would hide it
        off_w = np.where(known, flows.pq[0] - expected_w, 0.0)
        for k in idle:
            others = known & (np.arange(len(known)) != k)
            if some(np.abs(off_w[others]) > TELLING_SIGMAS * self._sigma_w[others]):
                after = tuple(sorted({*before} ^ {k}))
                left_w = self._unexplained_w(after, flows.pq[0], injection)
                if np.linalg.norm(left_w[others]) < EXPLAINS_FRAC * np.linalg.norm(off_w[others]):
                    return after
        return before

    def _carrying(self, flows: Flows, out: Places) -> list[int]:
        """Those of the branches out of service that carry power."""
        return [k for k in out if np.hypot(*flows.pq[:, k]) > CARRIES_FRAC * self.layout.branch_va[k]]

    def flags(self, out: Places) -> dict[tuple[str, str], str]:
        """What to tell: event and subject."""
        return {("branch.out_of_service", self._names[k]): "" for k in out}

    def _unexplained_w(self, out: Places, p_w: Array, injection: Array) -> Array:
        """What the readings differ by from the network without ``out``; infinite where that one cannot be."""
        if not self._connected({*out}):
            return np.full(len(p_w), np.inf)
        try:
            return p_w - network(self.layout, out).solve(injection).p_w
        except PowerFlowError:
            return np.full(len(p_w), np.inf)

    def _connected(self, out: set[int]) -> bool:
        """Whether every bus is still supplied without these branches."""
        near: list[list[int]] = [[] for _ in self.layout.grid.buses]
        for k, (a, b) in enumerate(self._ends):
            if k not in out:
                near[a].append(b)
                near[b].append(a)
        found, waiting = {0}, [0]
        while waiting:
            for bus in near[waiting.pop()]:
                if bus not in found:
                    found.add(bus)
                    waiting.append(bus)
        return len(found) == len(near)
