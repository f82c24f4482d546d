"""Voltage sensitivities of a site whose impedances nobody knows, learned from what its own units move.

The model starts from type values, which are rather too large, so that moves are rather too small. How much of the
change that the model foretells each bus really makes is learned per bus, for active and reactive power apart, against
the busbar that feeds it (what the upstream network does moves both): recursive least squares with directional
forgetting (Kulhavý and Kárný 1984: only what is excited is forgotten, so a quiet week does not blow up the variance).
What is not certain yet counts as more sensitivity and as margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.site import Site
from controller.domain.topology import Line
from controller.estimation.bus_tree import BusTree
from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

START_SIGMA = 0.5  # of the type value, one sigma
LOW, HIGH = 0.15, 2.0  # of the type value: beyond it the data lie, not the cable
FORGET = 0.995  # per move, in the direction of the move
MOVE_PU = 0.003  # foretold change at any bus that is worth a look
REFERENCE_S = 30.0  # a move that takes longer is mixed with what nobody foretells
OUTLIER_SIGMAS = 4.0
SIGMA_PU = 0.0015  # of voltage, one sigma, per START_SIGMA of uncertainty
READINGS = 4.0  # a look compares two buses at two instants


@dataclass(frozen=True, slots=True)
class VoltageGain:
    """Per bus the factors on the model's sensitivities to P and Q (n, 2) and their covariance (n, 2, 2).

    ``u_v`` are the last readings; ``reference_*`` is the instant that the next move is counted from.
    """

    factor: Array
    cov: Array
    u_v: Array
    reference_s: float
    reference_u_v: Array
    reference_injection: Array

    @property
    def sigma(self) -> Array:
        """One standard deviation of the factors (n, 2)."""
        out: Array = np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))
        return out


class VoltageGains:
    """Constants of one site; ``wanted`` is False where all impedances are known, and then nothing changes."""

    def __init__(self, site: Site) -> None:
        topology = site.topology
        self._rated_v = np.array([b.u_rated_v for b in topology.buses])
        assumed = np.array([isinstance(b, Line) and not b.impedance_known for b in topology.branches], dtype=bool)
        self.wanted = some(assumed)
        path = BusTree(topology).from_root
        self._feeding = _feeding(path, path @ assumed)
        self.learns = self._feeding != np.arange(len(topology.buses))
        self._ratio = self._rated_v / self._rated_v[self._feeding]
        self._noise_pu = np.sqrt(READINGS) * site.chain.credible.sigma_u_rel

    def initial(self) -> VoltageGain:
        """The type values, uncertain where they matter."""
        n = len(self._rated_v)
        sigma = np.where(self.learns, START_SIGMA, 0.0)
        cov = np.eye(2) * (sigma**2)[:, None, None]
        return VoltageGain(np.ones((n, 2)), cov, np.full(n, np.nan), -np.inf, np.full(n, np.nan), np.empty(0))

    def update(self, before: VoltageGain, u_v: Array, injection: Array, grid: LinearGrid, now_s: float) -> VoltageGain:
        """Take in this cycle's voltages (NaN = not read) and bus injections (P, then Q)."""
        if not self.wanted:
            return before
        u_v = np.where(np.isfinite(u_v), u_v, before.u_v)
        before = replace(before, u_v=u_v)
        here = replace(before, reference_s=now_s, reference_u_v=u_v, reference_injection=injection)
        if now_s - before.reference_s > REFERENCE_S:
            return here
        told = self._foretold_pu(grid, injection - before.reference_injection)
        if np.abs(told).sum(axis=1).max(initial=0.0) < MOVE_PU:
            return before
        seen = (u_v - before.reference_u_v) / self._rated_v
        seen = seen - seen[self._feeding]
        return self._learned(here, told / self._noise_pu, seen / self._noise_pu)

    def applied(self, state: VoltageGain, grid: LinearGrid) -> LinearGrid:
        """The grid with its voltage sensitivities as learned; what is uncertain counts as more sensitive."""
        if not self.wanted:
            return grid
        jacobian, n = grid.jacobian.copy(), grid.jacobian.shape[1] // 2
        extra = np.where(self.learns[:, None], state.factor + state.sigma - 1.0, 0.0)
        own = grid.jacobian[grid.rows_u()] - grid.jacobian[grid.rows_u()][self._feeding] * self._ratio[:, None]
        jacobian[grid.rows_u(), :n] += extra[:, :1] * own[:, :n]
        jacobian[grid.rows_u(), n:] += extra[:, 1:] * own[:, n:]
        return replace(grid, jacobian=jacobian)

    def sigma_v(self, state: VoltageGain) -> Array:
        """What uncertain sensitivities add to every voltage's standard deviation, V: more room that stays free."""
        out: Array = SIGMA_PU * state.sigma.max(axis=1) / START_SIGMA * self._rated_v
        return out

    def _foretold_pu(self, grid: LinearGrid, move: Array) -> Array:
        """Change of every bus against its feeding busbar by moves of P and of Q, per unit (n, 2)."""
        n, j = len(move) // 2, grid.jacobian[grid.rows_u()]
        both = np.stack([j[:, :n] @ move[:n], j[:, n:] @ move[n:]], axis=1) / self._rated_v[:, None]
        out: Array = both - both[self._feeding]
        return out

    def _learned(self, state: VoltageGain, told: Array, seen: Array) -> VoltageGain:
        """One step of recursive least squares per bus, all in units of a look's noise."""
        row = np.where((self.learns & np.isfinite(seen))[:, None], told, 0.0)
        spread = np.einsum("ni,nij->nj", row, state.cov)
        power = np.einsum("ni,ni->n", spread, row)
        error = np.where(np.isfinite(seen), seen, 0.0) - np.einsum("ni,ni->n", row, state.factor)
        limit = OUTLIER_SIGMAS * np.sqrt(1.0 + power)
        gain = spread / (1.0 + power)[:, None]
        factor = np.clip(state.factor + gain * np.clip(error, -limit, limit)[:, None], LOW, HIGH)
        # Kulhavý's weight of the new direction: λ − (1 − λ)/power; below zero the look said too little to forget for.
        weight = FORGET * power - (1.0 - FORGET)
        told_enough = weight > 0.0
        less = np.where(told_enough, weight, 0.0) / np.where(told_enough, power * (1.0 + weight), 1.0)
        cov = state.cov - np.einsum("ni,nj->nij", spread, spread) * less[:, None, None]
        return replace(state, factor=factor, cov=cov)


def _feeding(path: Array, assumed: Array) -> NDArray[np.intp]:
    """For every bus the last one on its way from the source that is reached over known impedances only; maybe itself.

    ``path`` (bus, branch) marks the branches on the way, ``assumed`` counts those of them that are assumed.
    """
    above = (path[:, None, :] >= path[None, :, :]).all(axis=2) & (assumed == 0.0)[None, :]
    out: NDArray[np.intp] = np.where(above, path.sum(axis=1)[None, :], -1.0).argmax(axis=1)
    return out
