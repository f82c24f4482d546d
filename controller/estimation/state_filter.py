"""A Kalman filter over uncontrolled bus injections and unit outputs (Kalman 1960; random-walk states).

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
    """Estimate ``x``, its covariance, and the gain in use for the pattern of rows ``key``."""

    x: Array
    cov: Array
    gain: Array
    innovation_sigma: Array
    key: bytes
    steps: int


def initial_filter(x0: Array, sigma0: Array) -> FilterState:
    """A filter that knows ``x0`` to within ``sigma0``."""
    return FilterState(x0, np.diag(sigma0**2), np.empty((0, 0)), np.empty(0), b"", 0)


def predict_and_correct(
    state: FilterState,
    h: Array,
    innovation: Array,
    r_var: Array,
    q_var: Array,
    jump_var: Array,
    judged: BoolArray,
    key: bytes,
) -> tuple[FilterState, bool]:
    """One step with the present rows ``h`` (m, n) and their ``innovation`` y − h(x).

    ``r_var`` variance of the rows, ``q_var`` growth of the states' variance in this step, ``jump_var`` what is added
    when the state jumped, ``judged`` marks the rows that can prove a jump (meters, not models), ``key`` identifies the pattern of rows and noise. Returns the state and whether it jumped.
    """
    if not len(innovation):
        return FilterState(state.x, state.cov + np.diag(q_var), state.gain, state.innovation_sigma, b"", 0), False
    due = key != state.key or state.steps < GAIN_UPDATES or state.steps % GAIN_REFRESH == 0
    cov, gain, sigma = state.cov, state.gain, state.innovation_sigma
    if due:
        cov, gain, sigma = _gain(cov + np.diag(q_var), h, r_var)
    jumped = bool(np.any(judged & (np.abs(innovation) > JUMP_SIGMA * sigma)))
    steps = state.steps + 1 if key == state.key else 1
    if not jumped:
        return FilterState(state.x + gain @ innovation, cov, gain, sigma, key, steps), False
    cov, fast, sigma = _gain(state.cov + np.diag(q_var + jump_var), h, r_var)
    return FilterState(state.x + fast @ innovation, cov, fast, sigma, key, 0), True


def _gain(cov: Array, h: Array, r_var: Array) -> tuple[Array, Array, Array]:
    """Posterior covariance, gain and standard deviation of the innovations."""
    hc = h @ cov
    s = hc @ h.T
    s[np.diag_indices_from(s)] += r_var
    gain = np.linalg.solve(s, hc).T
    post = cov - gain @ hc
    return 0.5 * (post + post.T), gain, np.sqrt(np.diag(s))


def row_sigma(cov: Array, rows: Array) -> Array:
    """Standard deviation of linear combinations ``rows @ x``."""
    out: Array = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, cov, rows), 0.0))
    return out
