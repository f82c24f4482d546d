"""What the estimate said a few seconds ago: readings that arrive late are compared with that, not with the present."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.lateness import Lateness
from controller.estimation.partition import Partition
from controller.estimation.state_filter import Evidence, FilterState, Sight, correct

Array = NDArray[np.float64]

KEPT_S = 7.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The estimate at one instant: the filter's state, what obedient units did (P, then Q), branch currents (A).

    ``jumped`` when something happened then that nobody had foreseen.
    """

    at_s: float
    x: Array
    modelled: Array
    current_a: Array
    jumped: bool = False


Past = tuple[Moment, ...]


def remembered(past: Past, newest: Moment) -> Past:
    """With one more moment; what is too old is forgotten."""
    first = 1 if past and past[0].at_s < newest.at_s - KEPT_S else 0
    return (*past[first:], newest)


def _as_of(moments_s: list[float], values: list[Array], at_s: Array) -> Array:
    """Every place of ``values`` (one array per moment) at its own instant ``at_s``, between two moments.

    The first moment stands for what was before it, the last for what is after it.
    """
    times, table = np.array(moments_s), np.array(values)
    every, last = np.arange(table.shape[1]), len(times) - 1
    later = np.minimum(times.searchsorted(at_s), last)
    sooner = np.maximum(later - 1, 0)
    span = times[later] - times[sooner]
    share = np.clip((at_s - times[sooner]) / np.where(span > 0.0, span, 1.0), 0.0, 1.0)
    out: Array = table[sooner, every] + share * (table[later, every] - table[sooner, every])
    return out


@dataclass(frozen=True, slots=True)
class StatesThen:
    """The filter's state when the network's newest readings were true, and P, Q of units when theirs were."""

    network: Array
    units: Array


def states_then(past: Past, x: Array, late: Lateness, sample_s: float) -> StatesThen:
    """What newest readings are to be compared with; ``x`` is the state at ``sample_s``, which follows ``past``."""
    n = 2 * len(late.unit_s)
    if not late.anybody:
        return StatesThen(x, x[len(x) - n :])
    times, table = [*(m.at_s for m in past), sample_s], [*(m.x for m in past), x]
    at_s = np.full(len(x), sample_s - late.network_s)
    network = x if late.network_s == 0.0 else _as_of(times, table, at_s)
    at_s[len(x) - n :] = sample_s - np.tile(late.unit_s, 2)
    return StatesThen(network, _as_of(times, table, at_s)[len(x) - n :])


def modelled_then(past: Past, at_s: Array) -> Array | None:
    """What obedient units did, P (first row) and Q, each at its own instant; None before there is any past."""
    if not past:
        return None
    both = _as_of([m.at_s for m in past], [m.modelled for m in past], np.tile(at_s, 2))
    return both.reshape(2, -1)


def current_then(past: Past, late: Lateness, current_a: Array) -> Array:
    """Branch currents (A) when the network's newest readings were true; ``current_a`` are the newest of ``past``."""
    if late.network_s == 0.0:
        return current_a
    at_s = np.full(len(current_a), past[-1].at_s - late.network_s)
    return _as_of([m.at_s for m in past], [m.current_a for m in past], at_s)


def shifted(past: Past, by: Array) -> Past:
    """The past with its states moved by what late readings have taught of it."""
    return tuple(replace(m, x=m.x + by) for m in past)


@dataclass(frozen=True, slots=True)
class Told:
    """What readings tell: those of flows (``rows``), of single states (``meters``), and what set points make of them.

    ``jump_var`` is the least variance that states have after a jump.
    """

    rows: Evidence
    meters: Evidence
    models: Evidence
    jump_var: Array


def corrected(state: FilterState, part: Partition, sight: Sight, told: Told) -> tuple[FilterState, bool]:
    """The state with all that was told of the present."""
    return correct(state, part, sight, told.rows, told.meters, told.models, told.jump_var)


def corrected_late(
    state: FilterState,
    part: Partition,
    sight: Sight,
    told: Told,
    rate: Array,
    late: Lateness,
    past: Past,
    sample_s: float,
) -> tuple[FilterState, bool, Past]:
    """The state with what was told of the present and of the past, whether the present jumped, and the past as told.

    A reading that is late is worth less by what may have happened since: ``rate`` is the variance that states gain per
    s, and a jump since then makes it worth next to nothing. What it corrects was wrong then already: the past moves
    with it, or the next late reading would correct the same error once more, and the loop would swing.
    """
    n_unit = len(late.unit_s)
    late_s = np.concatenate([np.zeros(len(rate) - 2 * n_unit), late.unit_s, late.unit_s])
    punctual = replace(told.meters, innovation=np.where(late_s > 0.0, np.nan, told.meters.innovation))
    rows, present = told.rows, told.rows
    if late.network_s > 0.0:
        present = replace(rows, innovation=np.full_like(rows.innovation, np.nan))
        rows = replace(
            rows, variance=rows.variance + late.network_s * _seen_rate(part, sight, rate, len(rows.variance))
        )
    without, jumped = correct(state, part, sight, present, punctual, told.models, told.jump_var)
    quiet_s = 0.0 if jumped else sample_s - max((m.at_s for m in past if m.jumped), default=-np.inf)
    since = np.where(late_s > quiet_s, told.jump_var, 0.0)
    meters = replace(told.meters, variance=told.meters.variance + late_s * rate + since)
    after, _ = correct(state, part, sight, rows, meters, told.models, told.jump_var)
    return after, jumped, shifted(past, after.x - without.x)


def _seen_rate(part: Partition, sight: Sight, rate: Array, n_row: int) -> Array:
    """Variance that what the rows see gains per s."""
    out = np.zeros(n_row)
    for i, r, h in zip(part.states, part.rows, sight.own, strict=True):
        out[r] = h**2 @ rate[i]
    out[part.shared_rows] = sight.shared**2 @ rate
    return out
