"""From what the fast loop knows in one cycle to the series that the slow loop learns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.domain.site import Site
from controller.estimation.estimator import EstimatorState
from controller.estimation.layout import Layout

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def observed_series(layout: Layout, state: EstimatorState, held: BoolArray) -> Array:
    """Value of every series now (order of ``planning.priors``), NaN where nobody knows.

    What a unit could give is what it reports; a unit that does not report shows it while nobody holds it back, and is
    taken to be like its reporting kin at the site while it is held.
    """
    n_w, n = layout.n_w, layout.n_unit
    output = np.abs(state.filter.x[2 * n_w : 2 * n_w + n])
    available = np.where(np.isfinite(state.avail_w), state.avail_w, np.where(held, np.nan, output))
    storage = np.array([u.storage is not None for u in layout.site.units], dtype=bool)
    available = np.where(storage, 0.0, like_kin(layout.site, available))
    return np.concatenate([state.filter.x[: 2 * n_w], np.maximum(available, 0.0)])


def like_kin(site: Site, available_w: Array) -> Array:
    """Unknown values replaced by the mean share of rated power of the known units of the same kind."""
    out = available_w.copy()
    rated = np.array([u.p_rated_w for u in site.units])
    for k in np.flatnonzero(~np.isfinite(available_w)):
        kin = np.array([u.kind is site.units[k].kind for u in site.units]) & np.isfinite(available_w)
        if kin.any():
            out[k] = rated[k] * available_w[kin].sum() / rated[kin].sum()
    return out
