"""Branch flows as linear functions of the filter's state, with what the network data get wrong learned per branch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import some
from controller.domain.topology import SQRT3, Line, Transformer
from controller.estimation.layout import Layout
from controller.estimation.readings import Reading
from controller.estimation.state_filter import FilterState, Sight, sight_sigma
from controller.grid.model import LinearGrid

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

OFFSET_TAU_S = 20.0
SURPRISE_FRAC = 0.05  # of its scale: more than this of one residual is no offset but an event, or a wrong reading
CURRENT_MIN_FRAC = 0.15  # below this share of the rating a current reading adds nothing
AGREE_FRAC = 0.04  # current and P, Q this close describe the same flow
EXCESS_SIGMAS = 4.0  # a current read this far above its estimate is believed at once


@dataclass(frozen=True, slots=True)
class StateGrid:
    """A linear grid seen from the filter's states, split as the filter's partition splits them.

    ``flows`` is what branch P, Q and interface P, Q see. ``in_phase`` and ``quadrature`` are the components of every
    branch's current, and as one more row the interface's P (with no quadrature); ``watched`` says which rows of these
    the blocks hold, and last which ones they share.
    """

    grid: LinearGrid
    flows: Sight
    in_phase: Sight
    quadrature: Sight
    watched: tuple[IndexArray, ...]

    @staticmethod
    def of(grid: LinearGrid, layout: Layout) -> StateGrid:
        """Cut out what every block needs."""
        nb, part = layout.n_branch, layout.partition
        padded = np.concatenate([grid.jacobian, np.zeros((len(grid.jacobian), 1))], axis=1)
        every = np.arange(len(grid.jacobian))
        p, q, ip, iq = (every[grid.rows_branch(k)] for k in ("p_w", "q_var", "i_p_a", "i_q_a"))
        interface = every[grid.rows_interface()]
        watched = tuple(_watched(rows, nb) for rows in (*part.rows, part.shared_rows))
        flows = _sight(padded, np.concatenate([p, q, interface]), (*part.rows, part.shared_rows), layout)
        in_phase = _sight(padded, np.append(ip, interface[0]), watched, layout)
        quadrature = _sight(padded, np.append(iq, interface[0]), watched, layout)
        return StateGrid(grid, flows, in_phase, quadrature, watched)


def _watched(rows: IndexArray, n_branch: int) -> IndexArray:
    """Branches among flow rows, and the interface's P as number ``n_branch``."""
    interface = np.full(int((rows == 2 * n_branch).sum()), n_branch)
    return np.concatenate([rows[rows < n_branch], interface])


def _sight(padded: Array, quantity: IndexArray, rows: Sequence[IndexArray], layout: Layout) -> Sight:
    """Rows of a jacobian (with a column of zeros for the source bus) by block, the shared ones last."""
    blocks = zip(rows[:-1], layout.partition.states, strict=True)
    own = tuple(padded[quantity[r]].take(layout.column[i], axis=1) for r, i in blocks)  # one by one: faster
    return Sight(own, padded[quantity[rows[-1]]].take(layout.column, axis=1))


class FlowModel:
    """Flow arithmetic of one site."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        branches = layout.site.topology.branches
        ends = [b.from_bus if isinstance(b, Line) else b.lv_bus for b in branches]
        self.end_bus = np.array([layout.grid.buses.index(bus) for bus in ends], dtype=np.intp)
        self._current_min_a = CURRENT_MIN_FRAC * np.array([b.i_max_a for b in branches])
        n_bus, nb = layout.grid.n_bus, layout.n_branch
        self._u, self._pq, self._currents = slice(0, n_bus), slice(n_bus, n_bus + 2 * nb), slice(n_bus + 2 * nb, -2)
        self._most = SURPRISE_FRAC * layout.row_scale[: 2 * nb + 2]
        source = layout.site.topology.source.bus
        self.at_interface = np.array([isinstance(b, Transformer) and b.hv_bus == source for b in branches], dtype=bool)

    def stacked(self, predicted: Array, offset: Array, offset_v: Array) -> tuple[Array, Array]:
        """All quantities as ``predicted`` by the grid, with the learned offsets added, and every branch's VA per A.

        ``offset`` is P, Q of branches and interface (W, var); ``offset_v`` the bus voltages' (V), which matters to the
        currents: the same power is more amperes at a lower voltage.
        """
        nb, out = self.layout.n_branch, predicted.copy()
        out[self._pq] += offset[: 2 * nb]
        out[-2:] += offset[2 * nb :]
        out[self._u] += offset_v
        per_a = SQRT3 * out[self.end_bus]
        np.divide(out[self._pq].reshape(2, nb), per_a, out=out[self._currents].reshape(2, nb))
        return out, per_a

    def expected(self, stacked: Array) -> Array:
        """What the flow rows should read: branch P, Q, interface P, Q."""
        return np.concatenate([stacked[self._pq], stacked[-2:]])

    def magnitude(self, stacked: Array) -> Array:
        """Every branch's current, A."""
        out: Array = np.hypot(*stacked[self._currents].reshape(2, -1))
        return out

    def learn(self, offset: Array, residual: Array, rows: Reading, dt_s: float) -> Array:
        """Offsets after a share of what the filter could not explain is added.

        An interface without a meter of its own takes over what its transformers have learned: it is their sum.
        """
        n, nb = len(offset), self.layout.n_branch
        gain = 1.0 - math.exp(-dt_s / OFFSET_TAU_S)
        step = gain * np.minimum(np.maximum(residual, -self._most), self._most)
        out: Array = offset + np.where(np.isfinite(rows.value[:n]), step, 0.0)
        unmetered = ~np.isfinite(rows.used_at_s[2 * nb : n])
        if some(unmetered):
            summed = np.array([out[:nb][self.at_interface].sum(), out[nb : 2 * nb][self.at_interface].sum()])
            out[2 * nb :] = np.where(unmetered, summed, out[2 * nb :])
        return out

    def with_current(self, stacked: Array, per_a: Array, pq: Array, current_a: Array) -> Array:
        """Readings of branch P and Q (2 n) improved by the current's magnitude, or made from it where both are missing.

        Two instruments for one magnitude: where they agree, P and Q are scaled to their mean. A meter that gives only
        a current gets its direction from the prediction.
        """
        nb = self.layout.n_branch
        p, q = both = pq.reshape(2, nb)
        apparent = per_a * current_a
        large = current_a > self._current_min_a
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = apparent / np.hypot(p, q)
        scale = np.where(large & (np.abs(ratio - 1.0) < AGREE_FRAC), 0.5 + 0.5 * ratio, 1.0)
        out: Array = both * scale
        alone = large & np.isnan(p) & np.isnan(q)
        if some(alone):
            predicted = stacked[self._pq].reshape(2, nb)
            direction = predicted / np.maximum(np.hypot(*predicted), 1.0)
            out = np.where(alone, apparent * direction, out)
        return out.ravel()

    def excess_a(self, magnitude: Array, sigma: Array, current_a: Array, doubt_a: Array) -> Array:
        """How far fresh current readings lie above what the estimate can explain, A; ``doubt_a`` at least."""
        excess = current_a - magnitude - EXCESS_SIGMAS * np.hypot(sigma, self.layout.current_sigma_a)
        return np.where(excess > doubt_a, excess, doubt_a)  # NaN, no reading, is never above

    def sigma(self, state_grid: StateGrid, state: FilterState, stacked: Array) -> tuple[Array, Array, float]:
        """Magnitude of every branch current and its standard deviation, A; deviation of the interface's P, W."""
        part = self.layout.partition
        ip, iq = stacked[self._currents].reshape(2, -1)
        magnitude = np.maximum(np.hypot(ip, iq), 1e-9)
        cos, sin = np.append(ip / magnitude, 1.0)[:, None], np.append(iq / magnitude, 0.0)[:, None]
        turned = [
            cos[k] * p + sin[k] * q
            for k, p, q in zip(
                state_grid.watched,
                (*state_grid.in_phase.own, state_grid.in_phase.shared),
                (*state_grid.quadrature.own, state_grid.quadrature.shared),
                strict=True,
            )
        ]
        own, shared = sight_sigma(state, part, Sight(tuple(turned[:-1]), turned[-1]))
        out = np.empty(len(cos))
        for k, sigma in zip(state_grid.watched, (*own, shared), strict=True):
            out[k] = sigma
        return magnitude, out[:-1], float(out[-1])
