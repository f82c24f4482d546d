"""A Kalman filter over uncontrolled bus injections and unit outputs (Kalman 1960; slowly mean-reverting states).

All meters are fused in proportion to what they are worth; a meter that is gone leaves its part of the state to the
others, and where nobody sees it the variance grows with time, so that whoever uses ``sigma`` becomes more careful by
itself. A jump (any innovation beyond ``JUMP_SIGMA``) is believed at once instead of being filtered for seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

JUMP_SIGMA = 5.0
GAIN_UPDATES = 12  # covariance steps after a change of pattern; then the gain is as good as constant
GAIN_REFRESH = 30  # further steps between two looks at the covariance


@dataclass(frozen=True, slots=True)
class FilterState:
    """Estimate ``x``, its covariance, and the gain in use for the pattern of rows ``key``.

    The covariance is brought up to date only when the gain is: ``pending_s`` is how long ago that was.
    """

    x: Array
    cov: Array
    gain: Array
    innovation_sigma: Array
    key: bytes
    steps: int
    pending_s: float


@dataclass(frozen=True, slots=True)
class Motion:
    """How states move by themselves: they gain ``variance_rate`` and return to ``mean`` with ``return_rate``, per s."""

    variance_rate: Array
    return_rate: Array
    mean: Array


def predict(state: FilterState, motion: Motion, dt_s: float) -> FilterState:
    """The state ``dt_s`` later, before any new reading."""
    keep = np.exp(-motion.return_rate * dt_s)
    x = motion.mean + keep * (state.x - motion.mean)
    return FilterState(x, state.cov, state.gain, state.innovation_sigma, state.key, state.steps, state.pending_s + dt_s)


def _moved(state: FilterState, motion: Motion) -> Array:
    """Covariance after the pending time."""
    keep = np.exp(-motion.return_rate * state.pending_s)
    out: Array = state.cov * np.outer(keep, keep)
    out[np.diag_indices_from(out)] += motion.variance_rate * state.pending_s
    return out


def initial_filter(x0: Array, sigma0: Array) -> FilterState:
    """A filter that knows ``x0`` to within ``sigma0``."""
    return FilterState(x0, np.diag(sigma0**2), np.empty((0, 0)), np.empty(0), b"", 0, 0.0)


def correct(
    state: FilterState,
    motion: Motion,
    h: Array,
    innovation: Array,
    r_var: Array,
    jump_var: Array,
    judged: BoolArray,
    key: bytes,
) -> tuple[FilterState, bool]:
    """Take in the rows ``h`` (m, n) with their ``innovation`` y − h(x); returns the state and whether it jumped.

    ``r_var`` variance of the rows, ``jump_var`` the least variance of the states after a jump, ``judged``
    marks the rows that can prove a jump (meters, not models), ``key`` identifies the pattern of rows and noise.
    """
    if not len(innovation):
        return FilterState(state.x, _moved(state, motion), state.gain, state.innovation_sigma, b"", 0, 0.0), False
    due = key != state.key or state.steps < GAIN_UPDATES or state.steps % GAIN_REFRESH == 0
    cov, gain, sigma, pending_s = state.cov, state.gain, state.innovation_sigma, state.pending_s
    if due:
        cov, gain, sigma = _gain(_moved(state, motion), h, r_var)
        pending_s = 0.0
    steps = state.steps + 1 if key == state.key else 1
    if not np.any(judged & (np.abs(innovation) > JUMP_SIGMA * sigma)):
        return FilterState(state.x + gain @ innovation, cov, gain, sigma, key, steps, pending_s), False
    cov = _moved(state, motion)
    cov[np.diag_indices_from(cov)] += np.maximum(jump_var - np.diag(cov), 0.0)
    cov, fast, sigma = _gain(cov, h, r_var)
    return FilterState(state.x + fast @ innovation, cov, fast, sigma, key, 0, 0.0), True


def _gain(cov: Array, h: Array, r_var: Array) -> tuple[Array, Array, Array]:
    """Posterior covariance, gain and standard deviation of the innovations."""
    hc = h @ cov
    s = hc @ h.T
    s[np.diag_indices_from(s)] += r_var
    gain: Array = np.asarray(np.linalg.solve(s, hc).T, dtype=np.float64)
    post = cov - gain @ hc
    sigma: Array = np.sqrt(np.diag(s))
    return 0.5 * (post + post.T), gain, sigma


def row_sigma(cov: Array, rows: Array) -> Array:
    """Standard deviation of linear combinations ``rows @ x``."""
    out: Array = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, cov, rows), 0.0))
    return out
