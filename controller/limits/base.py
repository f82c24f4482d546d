"""What every limit returns: linear rows in per unit of the limit, each traceable to its cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.domain.masks import every, some

Array = NDArray[np.float64]

MEASUREMENT_SIGMAS = 1.5  # how many standard deviations of the estimate stay between us and a limit
ESTIMATED_SIGMA_FRAC = 0.02  # an estimate at least this sharp still stands in for a meter
CREEP_FRAC_PER_S = 0.0005
ESTIMATED_MAX_FRAC = 0.03
UNSEEN_MAX_FRAC = 0.25


@dataclass(frozen=True, slots=True)
class Rows:
    """``sensitivity @ Δinjection ≤ room``, all in per unit of the limit.

    ``limit`` (m,) is the index of the site's limit; ``sensitivity`` (m, 2 n_w) per W and var of bus injection (load
    convention); ``room`` (m,) is what is left up to the limit less what measurement may hide; ``main`` marks the row
    along the present direction (one per limit and side).
    """

    limit: NDArray[np.intp]
    sensitivity: Array
    room: Array
    main: NDArray[np.bool_]


QUALITIES = ("measured", "estimated", "worst_case")
"""How a limit's value is known, by number: the higher the worse."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Present values of several limits for display and records, each in its own limit's unit.

    ``limit`` is the index of each in the site's limits, ``quality`` its place in ``QUALITIES``.
    """

    limit: NDArray[np.intp]
    value: Array
    worst: Array
    loading_frac: Array
    worst_frac: Array
    quality: NDArray[np.intp]


def in_order(parts: Sequence[Readings]) -> Readings:
    """All of them in the site's order."""
    order = np.concatenate([p.limit for p in parts]).argsort()
    columns = [[p.limit, p.value, p.worst, p.loading_frac, p.worst_frac, p.quality] for p in parts]
    return Readings(*(np.concatenate(same)[order] for same in zip(*columns, strict=True)))


def no_rows(n_injection: int) -> Rows:
    """Nothing to obey."""
    return Rows(np.empty(0, np.intp), np.empty((0, n_injection)), np.empty(0), np.empty(0, bool))


def stack(parts: list[Rows], n_injection: int) -> Rows:
    """All rows below each other."""
    if not parts:
        return no_rows(n_injection)
    return Rows(
        np.concatenate([p.limit for p in parts]),
        np.vstack([p.sensitivity for p in parts]),
        np.concatenate([p.room for p in parts]),
        np.concatenate([p.main for p in parts]),
    )


def as_lists(*columns: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of plain Python numbers from columns of equal length: far cheaper than arrays' elements one by one."""
    return zip(*(x.tolist() for x in columns), strict=True)


def unseen_frac(age_s: Array, stale_s: float, sigma_frac: Array) -> Array:
    """How far a quantity whose meter is gone may have moved toward danger, as a fraction of its limit.

    Where there never was a meter (infinite age) the estimate's own sigma says how far it may be off. While the other
    meters still pin it down it creeps to ``ESTIMATED_MAX_FRAC``; where nobody sees it, it runs ten times as fast to
    ``UNSEEN_MAX_FRAC``.
    """
    if not some(age_s > stale_s):
        return np.zeros(len(age_s))
    unseen_s = np.where(np.isfinite(age_s), np.maximum(age_s - stale_s, 0.0), 0.0)
    pinned = sigma_frac < ESTIMATED_SIGMA_FRAC
    rate = np.where(pinned, CREEP_FRAC_PER_S, 10.0 * CREEP_FRAC_PER_S)
    out: Array = np.minimum(rate * unseen_s, np.where(pinned, ESTIMATED_MAX_FRAC, UNSEEN_MAX_FRAC))
    return out


def loading_frac(value: Array, limit: Array, scale: Array) -> Array:
    """How much of each limit is used, 1.0 at the limit; ``value / limit`` wherever the limit itself is the scale."""
    out: Array = np.maximum(1.0 + (value - limit) / scale, 0.0)
    return out


def quality_of(age_s: Array, stale_s: float, sigma_frac: Array) -> NDArray[np.intp]:
    """``measured`` while fresh, ``estimated`` while the others still pin it down, ``worst_case`` after that."""
    fresh = age_s <= stale_s
    if every(fresh):
        return np.zeros(len(age_s), dtype=np.intp)
    return np.where(fresh, 0, np.where(sigma_frac < ESTIMATED_SIGMA_FRAC, 1, 2))
