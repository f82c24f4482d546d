"""The linear grid in use, and its successor in the making: a slice per cycle, so that no cycle waits for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.flows import StateGrid
from controller.estimation.layout import Layout
from controller.grid.model import GridModel, Linearisation, PowerFlowError

Array = NDArray[np.float64]

RELINEARISE_FRAC = 0.04  # of the power base: move of any injection that asks for new sensitivities
RELINEARISE_S = 60.0


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """``grid`` is in use; ``tried`` the injection that the newest attempt started from, at ``tried_at_s``.

    ``under_way`` is that attempt as far as it has come. ``solved`` is False when its power flow has no solution:
    then the older sensitivities stay in use until another operating point has one. ``out`` are the branches that are
    out of service (places in the topology's order, rising).
    """

    grid: StateGrid
    tried: Array
    tried_at_s: float
    under_way: Linearisation | None = None
    solved: bool = True
    out: tuple[int, ...] = ()


def first_sensitivities(layout: Layout, injection: Array, now_s: float, out: tuple[int, ...] = ()) -> Sensitivities:
    """All at once: at the start, and when a branch goes out of service or comes back. Raises PowerFlowError."""
    grid = StateGrid.of(network(layout, out).linearise(injection), layout)
    return Sensitivities(grid, injection, now_s, out=out)


def network(layout: Layout, out: tuple[int, ...]) -> GridModel:
    """The site's network with the branches of these places out of service. Raises PowerFlowError."""
    branches = layout.site.topology.branches
    return layout.grid.without(frozenset(branches[k].id for k in out)) if out else layout.grid


def refreshed(state: Sensitivities, layout: Layout, injection: Array, now_s: float) -> Sensitivities:
    """After one more cycle at ``injection``: a new attempt when it is due, then a slice of the one under way.

    What takes more than one slice is put together in a cycle of its own.
    """
    begins = state.under_way is None
    if begins and not _due(state, layout, injection, now_s):
        return state
    model = network(layout, state.out)
    under_way = model.begin(injection) if state.under_way is None else state.under_way
    if begins:
        state = replace(state, tried=injection, tried_at_s=now_s)
    if not under_way.complete:
        try:
            under_way = model.proceed(under_way)
        except PowerFlowError:
            return replace(state, under_way=None, solved=False)
        if not (begins and under_way.complete):
            return replace(state, under_way=under_way)
    return replace(state, grid=StateGrid.of(model.finish(under_way), layout), under_way=None, solved=True)


def _due(state: Sensitivities, layout: Layout, injection: Array, now_s: float) -> bool:
    """Whether the operating point has moved, or the newest attempt is old."""
    moved = np.abs(injection - state.tried).max(initial=0.0)
    return now_s - state.tried_at_s >= RELINEARISE_S or bool(moved >= RELINEARISE_FRAC * layout.grid.power_base_w)
