"""A Kalman filter over uncontrolled bus injections and unit outputs (Kalman 1960; slowly mean-reverting states).

All meters are fused in proportion to what they are worth; a meter that is gone leaves its part of the state to the
others, and where nobody sees it the variance grows with time, so that whoever uses ``sigma`` becomes more careful by
itself. A jump (any innovation beyond ``JUMP_SIGMA``) is believed at once instead of being filtered for seconds.

The covariance is kept as ``P = diag(blocks) - shared @ shared.T``: one dense block per part of the network, and what
the rows that several parts feed (transformers, interface) tell about them together, as a matrix of few columns. The
cost so grows with the number of parts, not with the cube of the states. A small site is one block, and nothing shared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some
from controller.estimation.partition import Partition

Array = NDArray[np.float64]
IndexArray = NDArray[np.intp]

JUMP_SIGMA = 5.0
SHARED_PER_ROW = 4  # columns kept of ``shared`` per row that several blocks feed


@dataclass(frozen=True, slots=True)
class FilterState:
    """Estimate ``x`` (n,) and its covariance: the blocks of the partition, less ``shared @ shared.T`` (n, r)."""

    x: Array
    blocks: tuple[Array, ...]
    shared: Array


@dataclass(frozen=True, slots=True)
class Motion:
    """How states move by themselves: they gain ``variance_rate`` and return to ``mean`` with ``return_rate``, per s."""

    variance_rate: Array
    return_rate: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Sight:
    """What rows see of the states, split as the partition splits them.

    ``own[b]`` is (rows of block b, states of block b), ``shared`` (shared rows, n).
    """

    own: tuple[Array, ...]
    shared: Array


@dataclass(frozen=True, slots=True)
class Evidence:
    """Innovations y − h(x) with their variances; NaN where there is nothing new."""

    innovation: Array
    variance: Array


def initial_filter(x0: Array, sigma0: Array, part: Partition) -> FilterState:
    """A filter that knows ``x0`` to within ``sigma0``."""
    return FilterState(x0, tuple(np.diag(sigma0[i] ** 2) for i in part.states), np.zeros((len(x0), 0)))


def predict(state: FilterState, part: Partition, motion: Motion, dt_s: float) -> FilterState:
    """The state ``dt_s`` later, before any new reading."""
    keep = np.exp(-motion.return_rate * dt_s)
    x = motion.mean + keep * (state.x - motion.mean)
    added = motion.variance_rate * dt_s
    blocks = []
    for i, cov in zip(part.states, state.blocks, strict=True):
        k = keep[i]
        blocks.append(_with_diagonal(cov * (k[:, None] * k), added[i]))
    return FilterState(x, tuple(blocks), keep[:, None] * state.shared)


def variance(state: FilterState, part: Partition) -> Array:
    """Variance of every state."""
    out = np.empty(len(state.x))
    for i, cov in zip(part.states, state.blocks, strict=True):
        out[i] = _diagonal(cov)
    if state.shared.shape[1]:
        out -= (state.shared**2).sum(axis=1)
    np.maximum(out, 0.0, out=out)
    return out


def sight_sigma(state: FilterState, part: Partition, sight: Sight) -> tuple[list[Array], Array]:
    """Standard deviation of what a sight's rows see: of every block's own, and of the shared ones."""
    own, shared = _spread(state, part, sight)
    return [np.sqrt(np.maximum(spread, 0.0)) for spread in own], np.sqrt(np.maximum(shared, 0.0))


def _spread(state: FilterState, part: Partition, sight: Sight) -> tuple[list[Array], Array]:
    """The same as variances, which rounding may have made negative."""
    own = []
    for i, cov, h in zip(part.states, state.blocks, sight.own, strict=True):
        spread = ((h @ cov) * h).sum(axis=1)
        if state.shared.shape[1]:
            spread -= ((h @ state.shared[i]) ** 2).sum(axis=1)
        own.append(spread)
    return own, _shared_spread(state, part, sight)


def _shared_spread(state: FilterState, part: Partition, sight: Sight) -> Array:
    """Variance of what the shared rows see."""
    if not len(sight.shared):
        return np.empty(0)
    out: Array = (_times_covariance(state, part, sight.shared) * sight.shared.T).sum(axis=0)
    return out


def correct(
    state: FilterState,
    part: Partition,
    sight: Sight,
    rows: Evidence,
    meters: Evidence,
    models: Evidence,
    jump_var: Array,
) -> tuple[FilterState, bool]:
    """Take in new evidence; returns the state and whether it jumped.

    ``rows`` are those that ``sight`` describes; ``meters`` and ``models`` tell of single states directly (n,): what
    was measured, and what a set point should have made of them. Only rows and meters can prove a jump; ``jump_var`` is
    the least variance of the states after one.
    """
    jumped = _jumped(state, part, sight, rows, meters)
    if jumped:
        state = widened(state, part, jump_var)
    direct = _fused(meters, models)
    try:
        after = _across_blocks(_within_blocks(state, part, sight, rows, direct), part, sight, rows, state.x)
    except np.linalg.LinAlgError:
        # Rounding has eaten what the blocks know together. Without it every block only trusts itself less.
        alone = replace(state, shared=np.empty((len(state.x), 0)))
        after = _within_blocks(alone, part, sight, rows, direct)
    return after, jumped


def _within_blocks(state: FilterState, part: Partition, sight: Sight, rows: Evidence, direct: Evidence) -> FilterState:
    """Every block's own evidence: first what is read of single states, then what rows see of them.

    One after the other is the same as both at once, and takes half of the algebra.
    """
    known = _taken_in(state, part, _direct_looks(state, part, direct))
    return _taken_in(known, part, _row_looks(known, part, sight, rows, state.x))


@dataclass(frozen=True, slots=True)
class _Look:
    """What one block's evidence H sees: innovations, their noise, HD, H times shared, and HDHᵀ."""

    innovation: Array
    noise_var: Array
    hd: Array
    hv: Array
    hdh: Array


def _direct_looks(state: FilterState, part: Partition, direct: Evidence) -> list[_Look]:
    """By block: a state that is read directly has a row of the identity in H."""
    out = []
    for i, cov in zip(part.states, state.blocks, strict=True):
        said = direct.innovation[i]
        d = np.isfinite(said).nonzero()[0]
        hd = cov[d]
        out.append(_Look(said[d], direct.variance[i][d], hd, state.shared[i[d]], hd[:, d]))
    return out


def _row_looks(state: FilterState, part: Partition, sight: Sight, rows: Evidence, x_before: Array) -> list[_Look]:
    """By block: its rows of the sight, after other evidence has moved the state from ``x_before``."""
    out = []
    for i, r, cov, own in zip(part.states, part.rows, state.blocks, sight.own, strict=True):
        told = rows.innovation[r] - own @ (state.x[i] - x_before[i])
        new = np.isfinite(told)
        h = own if every(new) else own[new]
        hd = h @ cov
        out.append(_Look(told[new], rows.variance[r][new], hd, h @ state.shared[i], hd @ h.T))
    return out


def _fused(meters: Evidence, models: Evidence) -> Evidence:
    """Two direct readings of the same state as one, each weighed by its inverse variance."""
    one, two = np.isfinite(meters.innovation), np.isfinite(models.innovation)
    weight_1, weight_2 = np.where(one, 1.0 / meters.variance, 0.0), np.where(two, 1.0 / models.variance, 0.0)
    total = np.where(one | two, weight_1 + weight_2, np.nan)
    told = np.where(one, meters.innovation, 0.0) * weight_1 + np.where(two, models.innovation, 0.0) * weight_2
    return Evidence(told / total, 1.0 / total)


def _jumped(state: FilterState, part: Partition, sight: Sight, rows: Evidence, meters: Evidence) -> bool:
    """Whether any row or meter is further off than its own deviation can explain."""
    if _beyond(meters.innovation, variance(state, part) + meters.variance):
        return True
    own, shared = _spread(state, part, sight)
    told = zip((*part.rows, part.shared_rows), (*own, shared), strict=True)
    return any(_beyond(rows.innovation[r], spread + rows.variance[r]) for r, spread in told)


def _beyond(innovation: Array, spread: Array) -> bool:
    """NaN, nothing new, is never beyond."""
    return some(innovation**2 > JUMP_SIGMA**2 * spread)


def widened(state: FilterState, part: Partition, least_var: Array) -> FilterState:
    """The state with at least this variance: as after something that it could not foresee."""
    return _more_uncertain(state, part, np.maximum(least_var - variance(state, part), 0.0))


def _more_uncertain(state: FilterState, part: Partition, missing: Array) -> FilterState:
    """The state with ``missing`` added to every variance."""
    blocks = tuple(_with_diagonal(cov.copy(), missing[i]) for i, cov in zip(part.states, state.blocks, strict=True))
    return FilterState(state.x, blocks, state.shared)


def _taken_in(state: FilterState, part: Partition, looks: list[_Look]) -> FilterState:
    """The state with one look at every block, all blocks at once.

    With S = HDHᵀ + R per block, K = DHᵀS⁻¹, V = shared, a = (HV)ᵀS⁻¹ν and A = (HV)ᵀS⁻¹HV summed over the blocks, the
    matrix inversion lemma (Woodbury 1950) gives P⁺ = (D − KHD) − (V − KHV)(1 − A)⁻¹(V − KHV)ᵀ and
    Δx = Kν − (V − KHV)(1 − A)⁻¹a.
    """
    n_shared = state.shared.shape[1]
    x, shared, blocks = state.x.copy(), state.shared.copy(), []
    a, told = np.eye(n_shared), np.zeros(n_shared)
    for i, cov, k in zip(part.states, state.blocks, looks, strict=True):
        s = _with_diagonal(k.hdh, k.noise_var)
        solved = np.linalg.solve(s, np.concatenate([k.hd, k.hv, k.innovation[:, None]], axis=1))
        moved = k.hd.T @ solved
        post = cov - moved[:, : len(i)]
        blocks.append(0.5 * (post + post.T))
        x[i] += moved[:, -1]
        if n_shared:
            shared[i] -= moved[:, len(i) : -1]
            a -= k.hv.T @ solved[:, len(i) : -1]
            told += k.hv.T @ solved[:, -1]
    if n_shared:
        x -= shared @ np.linalg.solve(a, told)
        shared = np.linalg.solve(np.linalg.cholesky(a), shared.T).T
    return FilterState(x, tuple(blocks), shared)


def _across_blocks(state: FilterState, part: Partition, sight: Sight, rows: Evidence, x_before: Array) -> FilterState:
    """The rows that several blocks feed, after the blocks' own evidence has moved the state from ``x_before``."""
    told = rows.innovation[part.shared_rows] - sight.shared @ (state.x - x_before)
    new = np.isfinite(told)
    if not some(new):
        return state
    h = sight.shared[new]
    ph = _times_covariance(state, part, h)
    root = np.linalg.cholesky(_with_diagonal(h @ ph, rows.variance[part.shared_rows][new]))
    column = np.linalg.solve(root, ph.T).T
    x = state.x + column @ np.linalg.solve(root, told[new])
    shared = np.concatenate([state.shared, column], axis=1)
    return FilterState(x, state.blocks, _fewer_columns(shared, state.blocks, part))


def _times_covariance(state: FilterState, part: Partition, h: Array) -> Array:
    """P hᵀ, (n, rows of h)."""
    out = -(state.shared @ (h @ state.shared).T)
    for i, cov in zip(part.states, state.blocks, strict=True):
        out[i] += cov @ h[:, i].T
    return out


def _fewer_columns(shared: Array, blocks: tuple[Array, ...], part: Partition) -> Array:
    """``shared`` with its heaviest directions only, each state measured in its own deviation.

    What is left out is forgotten: the covariance only grows by it.
    """
    most = SHARED_PER_ROW * len(part.shared_rows)
    if shared.shape[1] <= most:
        return shared
    scaled = np.empty_like(shared)
    for i, cov in zip(part.states, blocks, strict=True):
        scaled[i] = shared[i] / np.sqrt(_diagonal(cov))[:, None]
    heavy: Array = shared @ np.linalg.eigh(scaled.T @ scaled).eigenvectors[:, -most:]
    return heavy


def _diagonal(square: Array) -> Array:
    """Its diagonal, to be written to, whatever the order in memory."""
    out: Array = np.einsum("ii->i", square)
    return out


def _with_diagonal(square: Array, more: Array) -> Array:
    """A matrix of one's own with ``more`` added to its diagonal."""
    _diagonal(square)[:] += more
    return square


def moved_by(state: FilterState, step: Array) -> FilterState:
    """The state with the last ones (the units' P, then Q) moved by ``step``: what they were commanded to do."""
    x = state.x.copy()
    x[len(x) - len(step) :] += step
    return replace(state, x=x)


def within(state: FilterState, box: tuple[Array, Array]) -> FilterState:
    """The state with the first ones (demand) inside ``box``, low and high; what is left over goes to the offsets."""
    low, high = box
    demand = np.minimum(np.maximum(state.x[: len(low)], low), high)
    return replace(state, x=np.concatenate([demand, state.x[len(low) :]]))
