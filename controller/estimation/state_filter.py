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


@dataclass(frozen=True, slots=True)
class FilterState:
    """Estimate ``x`` (n,), its covariance (n, n) and the gain (n, m) that was used last."""

    x: Array
    cov: Array
    gain: Array


@dataclass(frozen=True, slots=True)
class Motion:
    """How states move by themselves: they gain ``variance_rate`` and return to ``mean`` with ``return_rate``, per s."""

    variance_rate: Array
    return_rate: Array
    mean: Array


def predict(state: FilterState, motion: Motion, dt_s: float) -> FilterState:
    """The state ``dt_s`` later, before any new reading."""
    keep = np.exp(-motion.return_rate * dt_s)
    cov = state.cov * np.outer(keep, keep)
    cov[np.diag_indices_from(cov)] += motion.variance_rate * dt_s
    return FilterState(motion.mean + keep * (state.x - motion.mean), cov, state.gain)


def initial_filter(x0: Array, sigma0: Array) -> FilterState:
    """A filter that knows ``x0`` to within ``sigma0``."""
    return FilterState(x0, np.diag(sigma0**2), np.empty((len(x0), 0)))


def correct(
    state: FilterState, h: Array, innovation: Array, r_var: Array, jump_var: Array, judged: BoolArray
) -> tuple[FilterState, bool]:
    """Take in the rows ``h`` (m, n) with their ``innovation`` y − h(x); returns the state and whether it jumped.

    ``r_var`` variance of the rows, ``jump_var`` the least variance of the states after a jump, ``judged`` marks the
    rows that can prove a jump (meters, not models).
    """
    if not len(innovation):
        return state, False
    cov, gain, sigma = _gain(state.cov, h, r_var)
    jumped = bool(np.any(judged & (np.abs(innovation) > JUMP_SIGMA * sigma)))
    if jumped:
        wide = state.cov.copy()
        wide[np.diag_indices_from(wide)] += np.maximum(jump_var - np.diag(wide), 0.0)
        cov, gain, sigma = _gain(wide, h, r_var)
    return FilterState(state.x + gain @ innovation, cov, gain), jumped


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
